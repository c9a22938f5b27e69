//! What operations learn, as slices, and the gradients of it.

use super::context;
use super::values::{learned, plain, small, tensor, values};
use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use std::iter;
use xray_kernels::{ArenaBuffer, BlockGradients, BlockParameters, GradientMap, Normalisation};

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
    /// In training.
    pub(super) fn learned(self) -> Operands {
        let ((weight, of_weight), (gamma, of_gamma), (beta, of_beta)) =
            (learned(self.weight), learned(self.gamma), learned(self.beta));
        Operands { weight, gamma, beta, nodes: [of_weight, of_gamma, of_beta], copies: 1 }
    }

    /// In inference.
    pub(super) fn plain(self) -> Operands {
        let ConvParameters { weight, gamma, beta } = self;
        Operands {
            weight: plain(weight),
            gamma: plain(gamma),
            beta: plain(beta),
            nodes: [None; 3],
            copies: 1,
        }
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
    /// Under which burn keeps the gradient of each, if it learns.
    nodes: [Option<NodeId>; 3],
    /// Channels of the input that hold the same image, for which the kernel has the sum of its weights.
    copies: usize,
}

/// One list for each operand.
pub(super) struct OperandGradients {
    pub(super) weights: ArenaBuffer,
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
    pub(super) fn learns(&self) -> bool {
        self.nodes.iter().any(Option::is_some)
    }

    pub(super) fn block(&self) -> BlockParameters<'_> {
        let [weights, gamma, beta] = [&self.weight, &self.gamma, &self.beta].map(values);
        BlockParameters { weights, gamma, beta }
    }

    /// For images of one channel that stands for all that the kernel was made for: a sum over channels that hold the same
    /// is one channel times the sum of its weights. `[out, in, k, k]` becomes `[out, 1, k, k]`.
    pub(super) fn of_gray(self) -> Self {
        let [out, copies, height, width] = self.weight.shape().dims();
        let taps = height * width;
        let mut summed = vec![0.0; out * taps];
        for (sum, filter) in summed.chunks_mut(taps).zip(values(&self.weight).chunks(copies * taps)) {
            for channel in filter.chunks(taps) {
                sum.iter_mut().zip(channel).for_each(|(sum, weight)| *sum += weight);
            }
        }
        Self { weight: small(summed, [out, 1, height, width]), copies, ..self }
    }

    /// Where the gradients will be.
    pub(super) fn gradients(&self) -> OperandGradients {
        let zeros = |of| vec![0.0; values(of).len()];
        let weights = context().arena.take(values(&self.weight).len());
        OperandGradients { weights, gamma: zeros(&self.gamma), beta: zeros(&self.beta) }
    }

    /// Hands the gradients to burn.
    pub(super) fn register(&self, found: OperandGradients, gradients: &mut Gradients) {
        let OperandGradients { weights, gamma, beta } = found;
        let weights = match self.copies {
            1 => tensor(weights, self.weight.shape()),
            copies => repeated(&weights, self.weight.shape().dims(), copies),
        };
        let [gamma, beta] =
            [(&self.gamma, gamma), (&self.beta, beta)].map(|(of, found)| small(found, of.shape()));
        for (found, node) in [weights, gamma, beta].into_iter().zip(self.nodes) {
            if let Some(node) = node {
                gradients.register::<Flex>(node, found);
            }
        }
    }
}

/// The gradient of each channel's weights is that of their sum.
fn repeated(weights: &[f32], [out, _, height, width]: [usize; 4], copies: usize) -> FlexTensor {
    let of_channels = weights.chunks(height * width).flat_map(|filter| iter::repeat_n(filter, copies));
    small(of_channels.flatten().copied().collect(), [out, copies, height, width])
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

/// A running statistic of a network in training after another batch: `(1 - momentum) * running + momentum * factor *
/// batch`, in the order in which burn's operations round. One pass over plain slices, because a network has a hundred of
/// these and other threads wait meanwhile.
pub(crate) fn blended<const D: usize>(
    running: Tensor<D>,
    batch: &[f32],
    factor: f32,
    momentum: f64,
) -> Tensor<D> {
    let old = plain(running.inner());
    let (kept, taken) = ((1.0 - momentum) as f32, momentum as f32);
    let new = values(&old).iter().zip(batch).map(|(old, batch)| old * kept + batch * factor * taken);
    let new = small(new.collect(), [batch.len()]);
    Tensor::from_inner(Tensor::from_primitive::<Flex>(new))
}
