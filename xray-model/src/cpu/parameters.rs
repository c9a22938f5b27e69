//! What operations learn, as slices, and the gradients of it.

use super::values::{dense, plain, small, tracked, values};
use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::NodeGuard;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use xray_kernels::{BlockGradients, BlockParameters, GradientMap, Normalisation};

/// A convolution's kernel, and what a batch norm learns.
pub(crate) struct ConvParameters {
    /// `[out, in, k, k]`.
    pub(crate) weight: Tensor<4>,
    /// Of the convolution's output, or of its input where the batch norm comes first.
    pub(crate) gamma: Tensor<1>,
    /// As gamma.
    pub(crate) beta: Tensor<1>,
}

impl ConvParameters {
    pub(super) fn tracked(self) -> (Operands, [NodeGuard; 3]) {
        let (weight, weight_node) = tracked(self.weight).into_parts();
        let (gamma, gamma_node) = tracked(self.gamma).into_parts();
        let (beta, beta_node) = tracked(self.beta).into_parts();
        let operands = Operands { weight: dense(weight), gamma: dense(gamma), beta: dense(beta) };
        (operands, [weight_node, gamma_node, beta_node])
    }

    pub(super) fn plain(self) -> Operands {
        Operands { weight: plain(self.weight), gamma: plain(self.gamma), beta: plain(self.beta) }
    }
}

/// What a batch norm that stands alone learns.
pub(crate) struct NormParameters {
    /// `[channels]`.
    pub(crate) gamma: Tensor<1>,
    /// `[channels]`.
    pub(crate) beta: Tensor<1>,
}

/// The same as dense tensors.
#[derive(Clone, Debug)]
pub(super) struct Operands {
    pub(super) weight: FlexTensor,
    pub(super) gamma: FlexTensor,
    pub(super) beta: FlexTensor,
}

/// One list for each operand.
pub(super) struct OperandGradients {
    pub(super) weights: Vec<f32>,
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
}

impl OperandGradients {
    /// Where a block writes them, and the gradient of its input.
    pub(super) fn block<'a>(&'a mut self, input: Option<GradientMap<'a>>) -> BlockGradients<'a> {
        let OperandGradients { weights, gamma, beta } = self;
        BlockGradients { weights, gamma, beta, input }
    }
}

impl Operands {
    pub(super) fn block(&self) -> BlockParameters<'_> {
        let [weights, gamma, beta] = [&self.weight, &self.gamma, &self.beta].map(values);
        BlockParameters { weights, gamma, beta }
    }

    /// Where the gradients will be; those of weights have no length yet.
    pub(super) fn gradients(&self) -> OperandGradients {
        let zeros = |of| vec![0.0; values(of).len()];
        OperandGradients { weights: Vec::new(), gamma: zeros(&self.gamma), beta: zeros(&self.beta) }
    }

    /// Hands the gradients to burn; nodes of weight, gamma and beta.
    pub(super) fn register(
        &self,
        found: OperandGradients,
        nodes: impl IntoIterator<Item = Option<NodeId>>,
        gradients: &mut Gradients,
    ) {
        let OperandGradients { weights, gamma, beta } = found;
        let all = [(&self.weight, weights), (&self.gamma, gamma), (&self.beta, beta)];
        for ((operand, found), node) in all.into_iter().zip(nodes) {
            if let Some(node) = node {
                gradients.register::<Flex>(node, small(found, operand.shape()));
            }
        }
    }
}

/// Mean and biased variance of each channel of a batch, and how many values of each they are of.
pub(crate) struct Statistics {
    pub(crate) mean: Vec<f32>,
    pub(crate) variance: Vec<f32>,
    pub(crate) count: usize,
}

impl Statistics {
    pub(super) fn of(Normalisation { mean, variance, .. }: &Normalisation, count: usize) -> Self {
        Statistics { mean: mean.clone(), variance: variance.clone(), count }
    }
}

/// A normalisation by running statistics.
pub(super) fn running(operands: &Operands, statistics: [Tensor<1>; 2], epsilon: f32) -> Normalisation {
    let [mean, variance] = statistics.map(plain);
    let BlockParameters { gamma, beta, .. } = operands.block();
    Normalisation::of_statistics(values(&mean), values(&variance), gamma, beta, epsilon)
}
