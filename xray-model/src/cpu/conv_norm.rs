//! Convolution, batch norm, perhaps a skip connection, activation and perhaps max-pool as one operation of burn, with
//! its own backward pass.

use super::context;
use super::gradient::{GradientCell, HeldGradient, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use super::parameters::{ConvParameters, Operands, Statistics, running};
use super::values::values;
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use std::sync::Arc;
use xray_kernels::{BlockGradients, ConvBlock, ConvSpec, FoldedBlock, MapShape, SavedBlock};

/// What of a block is not a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvNormSpec {
    pub(crate) block: ConvBlock,
    /// Of the output: what the padding of the next layer takes.
    pub(crate) halo: usize,
}

/// Forward with the statistics of this batch; the output records gradients. The activation comes after the sum with
/// `skip`.
pub(crate) fn train(
    ConvNormSpec { block, halo }: ConvNormSpec,
    input: CpuMaps,
    skip: Option<CpuMaps>,
    parameters: ConvParameters,
) -> (CpuMaps, Statistics) {
    let (input, input_node) = input.tracked();
    let (operands, [weight, gamma, beta]) = parameters.tracked();
    let conv_input = input.conv_input();
    let (block, operands) = for_channels(conv_input.size()[1], block, operands);
    let shape = block.output_shape(&conv_input, halo);
    let mut output = buffer(&shape);
    let [images, _, height, width] = conv_input.size();
    let count = images * block.conv.output_size(height) * block.conv.output_size(width);
    let Some(skip) = skip else {
        let saved = block.forward_training(context(), conv_input, operands.block(), (&mut output, shape));
        let statistics = Statistics::of(&saved.normalisation, count);
        let nodes = [input_node, weight, gamma, beta];
        let maps = record(ConvNormBackward, nodes, (output, shape), |_, gradient| State {
            block,
            operands,
            input,
            saved: Arc::new(saved),
            gradient,
            skip: None,
        });
        return (maps, statistics);
    };
    let (skip, skip_node) = skip.tracked();
    let saved = block.forward_training_onto(
        context(),
        conv_input,
        skip.map(),
        operands.block(),
        (&mut output, shape),
    );
    let statistics = Statistics::of(&saved.normalisation, count);
    let nodes = [input_node, weight, gamma, beta, skip_node];
    let maps = record(ConvNormBackward, nodes, (output, shape), |output, gradient| State {
        block,
        operands,
        input,
        saved: Arc::new(saved),
        gradient,
        skip: skip.gradient.map(|gradient| Skip { gradient, output: output.clone(), shape }),
    });
    (maps, statistics)
}

/// What the backward pass needs. burn asks for `Clone` but moves it.
#[derive(Clone, Debug)]
struct State {
    block: ConvBlock,
    operands: Operands,
    input: Input,
    saved: Arc<SavedBlock>,
    gradient: GradientCell,
    skip: Option<Skip>,
}

/// Of a block with a skip connection.
#[derive(Clone, Debug)]
struct Skip {
    gradient: GradientCell,
    output: FlexTensor,
    shape: MapShape,
}

#[derive(Debug)]
struct ConvNormBackward;

impl<const N: usize> Backward<Flex, N> for ConvNormBackward {
    type State = State;

    fn backward(self, ops: Ops<State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let mut nodes = ops.parents.into_iter().map(|node| node.map(|node| node.id));
        let State { block, operands, input, saved, gradient, skip } = ops.state;
        let mut grad_output = gradient.take();
        let mut found = operands.gradients();
        let input_node = nodes.next().flatten();
        match input.gradient.as_ref().filter(|_| input_node.is_some()) {
            Some(cell) => cell.write(input.map().1, |map| {
                let gradients = found.block(Some(map));
                backward(&block, &input, &operands, &saved, &mut grad_output, skip.as_ref(), gradients);
            }),
            None => {
                let gradients = found.block(None);
                backward(&block, &input, &operands, &saved, &mut grad_output, skip.as_ref(), gradients);
            }
        }
        if let Some(node) = input_node {
            announce(gradients, node);
        }
        operands.register(found, nodes.by_ref().take(3), gradients);
        if let (Some(skip), Some(Some(node))) = (skip, nodes.next()) {
            skip.gradient.give(grad_output);
            announce(gradients, node);
        }
    }
}

fn backward(
    block: &ConvBlock,
    input: &Input,
    operands: &Operands,
    saved: &SavedBlock,
    HeldGradient { buffer, shape }: &mut HeldGradient,
    skip: Option<&Skip>,
    gradients: BlockGradients<'_>,
) {
    let (context, input, parameters) = (context(), input.conv_input(), operands.block());
    match skip {
        None => block.backward(context, input, parameters, saved, (buffer, *shape), gradients),
        Some(skip) => {
            let output = (values(&skip.output), skip.shape);
            block.backward_onto(context, input, parameters, saved, output, (buffer, *shape), gradients);
        }
    }
}

/// The block as it is for an input of so many channels: as it was made, or for one that stands for all of its own.
fn for_channels(channels: usize, block: ConvBlock, operands: Operands) -> (ConvBlock, Operands) {
    if channels == block.conv.in_channels {
        return (block, operands);
    }
    assert_eq!(channels, 1, "an input for {:?}", block.conv);
    let conv = ConvSpec { in_channels: 1, ..block.conv };
    (ConvBlock { conv, ..block }, operands.of_gray())
}

/// A block whose batch norm is part of its weights.
#[derive(Clone, Debug)]
pub(crate) struct FoldedConv {
    halo: usize,
    in_channels: usize,
    folded: Arc<FoldedBlock>,
    /// For images of one channel where the block has several.
    of_gray: Option<Arc<FoldedBlock>>,
}

/// Folds the running statistics into the weights. `reads_images` says whether it will read images or maps.
pub(crate) fn fold(
    ConvNormSpec { block, halo }: ConvNormSpec,
    reads_images: bool,
    parameters: ConvParameters,
    statistics: [Tensor<1>; 2],
) -> FoldedConv {
    let operands = parameters.plain();
    let normalisation = running(&operands, statistics, block.epsilon);
    let folded = |block: ConvBlock, operands: &Operands| {
        let weights = operands.block().weights;
        Arc::new(FoldedBlock::new(context(), block, reads_images, weights, &normalisation))
    };
    let in_channels = block.conv.in_channels;
    let whole = folded(block, &operands);
    let of_gray = (reads_images && in_channels > 1).then(|| {
        let (block, operands) = for_channels(1, block, operands);
        folded(block, &operands)
    });
    FoldedConv { halo, in_channels, folded: whole, of_gray }
}

/// Forward with the running statistics, without gradients.
pub(crate) fn infer(conv: &FoldedConv, input: CpuMaps, skip: Option<CpuMaps>) -> CpuMaps {
    let input = input.plain();
    let conv_input = input.conv_input();
    let of_gray = conv.of_gray.as_ref().filter(|_| conv_input.size()[1] != conv.in_channels);
    let folded = of_gray.unwrap_or(&conv.folded);
    let shape = folded.output_shape(&conv_input, conv.halo);
    let mut output = buffer(&shape);
    match skip {
        None => folded.forward(context(), conv_input, (&mut output, shape)),
        Some(skip) => {
            let skip = skip.plain();
            folded.forward_onto(context(), conv_input, skip.map(), (&mut output, shape));
        }
    }
    untracked((output, shape))
}
