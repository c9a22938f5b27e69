//! Convolution, batch norm, ReLU and max-pool as one operation of burn, with its own backward pass.

use super::maps::{CpuMaps, HALO, InputShape, dimensions};
use super::values::{dense, plain, small, tensor, tracked, values};
use super::{Tracked, context};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Tensor;
use std::sync::Arc;
use xray_kernels::{
    BlockGradients, BlockParameters, ConvBlock, ConvInput, FoldedBlock, GradientMap, MapShape, Normalisation,
    SavedBlock,
};

/// What a block learns.
pub(crate) struct ConvParameters {
    /// `[out, in, k, k]`.
    pub(crate) weight: Tensor<4>,
    /// `[out]`.
    pub(crate) gamma: Tensor<1>,
    /// `[out]`.
    pub(crate) beta: Tensor<1>,
}

/// A batch's output and statistics.
pub(crate) struct Trained {
    pub(crate) output: CpuMaps,
    /// Of the convolution's outputs, per channel.
    pub(crate) mean: Vec<f32>,
    /// Biased.
    pub(crate) variance: Vec<f32>,
    /// How many values of each channel they are of.
    pub(crate) count: usize,
}

/// Forward with the statistics of this batch; the output records gradients.
pub(crate) fn train(block: ConvBlock, input: CpuMaps, parameters: ConvParameters) -> Trained {
    let input_shape = input.shape();
    let input = match input {
        CpuMaps::Images(images) => tracked(images),
        CpuMaps::Blocked { maps, .. } => tracked(maps),
    };
    // Taken apart, so that nothing is kept alive that the backward pass does not need.
    let (input, input_node) = input.into_parts();
    let (weight, weight_node) = tracked(parameters.weight).into_parts();
    let (gamma, gamma_node) = tracked(parameters.gamma).into_parts();
    let (beta, beta_node) = tracked(parameters.beta).into_parts();
    let operands =
        Operands { input: dense(input), weight: dense(weight), gamma: dense(gamma), beta: dense(beta) };
    let input = operands.input(input_shape);
    let shape = block.output_shape(&input, HALO);
    let mut buffer = context().arena.take(shape.len());
    let saved = block.forward_training(context(), input, operands.parameters(), (&mut buffer, shape));
    let [images, _, height, width] = input.size();
    let count = images * block.conv.output_size(height) * block.conv.output_size(width);
    let Normalisation { mean, variance, .. } = &saved.normalisation;
    let (mean, variance) = (mean.clone(), variance.clone());
    let output = tensor(buffer, dimensions(&shape));
    let prepared = ConvBlockBackward
        .prepare::<NoCheckpointing>([input_node, weight_node, gamma_node, beta_node])
        .compute_bound()
        .stateful();
    let maps = match prepared {
        OpsKind::Tracked(prepared) => {
            let state = State { block, operands, input_shape, shape, saved: Arc::new(saved) };
            prepared.finish(state, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    let maps = Tensor::from_primitive::<Tracked>(maps);
    Trained { output: CpuMaps::Blocked { maps, shape }, mean, variance, count }
}

/// Row-major operands.
#[derive(Clone, Debug)]
struct Operands {
    input: FlexTensor,
    weight: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
}

impl Operands {
    fn input(&self, shape: InputShape) -> ConvInput<'_> {
        shape.input(values(&self.input))
    }

    fn parameters(&self) -> BlockParameters<'_> {
        let [weights, gamma, beta] = [&self.weight, &self.gamma, &self.beta].map(values);
        BlockParameters { weights, gamma, beta }
    }
}

/// What the backward pass needs. burn asks for `Clone` but moves it.
#[derive(Clone, Debug)]
struct State {
    block: ConvBlock,
    operands: Operands,
    input_shape: InputShape,
    shape: MapShape,
    saved: Arc<SavedBlock>,
}

#[derive(Debug)]
struct ConvBlockBackward;

impl Backward<Flex, 4> for ConvBlockBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [input_node, weight_node, gamma_node, beta_node] = ops.parents;
        let State { block, operands, input_shape, shape, saved } = ops.state;
        let grad_output = dense(gradients.consume::<Flex>(&ops.node));
        let lengths = [&operands.weight, &operands.gamma, &operands.beta].map(|of| values(of).len());
        let [mut weights, mut gamma, mut beta] = lengths.map(|length| vec![0.0; length]);
        let mut grad_input = match (&input_node, input_shape) {
            (Some(_), InputShape::Blocked(shape)) => Some((context().arena.take(shape.len()), shape)),
            // Nothing learns from the gradient of an image.
            _ => None,
        };
        let input = grad_input.as_mut().map(|(buffer, shape)| GradientMap::new(buffer, *shape));
        block.backward(
            context(),
            operands.input(input_shape),
            operands.parameters(),
            &saved,
            (values(&grad_output), shape),
            BlockGradients { weights: &mut weights, gamma: &mut gamma, beta: &mut beta, input },
        );
        if let (Some(node), Some((buffer, shape))) = (input_node, grad_input) {
            gradients.register::<Flex>(node.id, tensor(buffer, dimensions(&shape)));
        }
        let [out, inner, rows, columns] = operands.weight.shape().dims();
        if let Some(node) = weight_node {
            gradients.register::<Flex>(node.id, small(weights, [out, inner, rows, columns]));
        }
        if let Some(node) = gamma_node {
            gradients.register::<Flex>(node.id, small(gamma, [out]));
        }
        if let Some(node) = beta_node {
            gradients.register::<Flex>(node.id, small(beta, [out]));
        }
    }
}

/// A block whose batch norm is part of its weights.
#[derive(Clone, Debug)]
pub(crate) struct FoldedConv {
    block: ConvBlock,
    folded: Arc<FoldedBlock>,
}

/// Folds the running statistics into the weights. `reads_images` says whether it will read images or maps.
pub(crate) fn fold(
    block: ConvBlock,
    reads_images: bool,
    parameters: ConvParameters,
    [mean, variance]: [Tensor<1>; 2],
) -> FoldedConv {
    let weight = plain(parameters.weight);
    let of_channels = [parameters.gamma, parameters.beta, mean, variance].map(plain);
    let [gamma, beta, mean, variance] = of_channels.each_ref().map(values);
    let normalisation = Normalisation::of_statistics(mean, variance, gamma, beta, block.epsilon);
    let folded = FoldedBlock::new(context(), block, reads_images, values(&weight), &normalisation);
    FoldedConv { block, folded: Arc::new(folded) }
}

/// Forward with the running statistics, without gradients.
pub(crate) fn infer(FoldedConv { block, folded }: &FoldedConv, input: CpuMaps) -> CpuMaps {
    let input_shape = input.shape();
    let input = match input {
        CpuMaps::Images(images) => plain(images),
        CpuMaps::Blocked { maps, .. } => plain(maps),
    };
    let input = input_shape.input(values(&input));
    let shape = block.output_shape(&input, HALO);
    let mut buffer = context().arena.take(shape.len());
    folded.forward(context(), input, (&mut buffer, shape));
    let maps = Tensor::from_primitive::<Flex>(tensor(buffer, dimensions(&shape)));
    CpuMaps::Blocked { maps, shape }
}
