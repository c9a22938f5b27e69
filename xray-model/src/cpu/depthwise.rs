//! Depthwise convolution, batch norm and activation as one operation of burn.

use super::context;
use super::gradient::{GradientCell, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use super::parameters::{ConvParameters, Operands, Statistics, running};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::tensor::Tensor;
use std::sync::Arc;
use xray_kernels::{DepthwiseBlock, FoldedDepthwise, SavedDepthwise};

/// Forward with the statistics of this batch; the output records gradients.
pub(crate) fn train_depthwise(
    block: DepthwiseBlock,
    input: CpuMaps,
    parameters: ConvParameters,
) -> (CpuMaps, Statistics) {
    let (input, input_node) = input.tracked();
    let (operands, [weight, gamma, beta]) = parameters.tracked();
    let shape = block.output_shape(&input.map().1, HALO);
    let mut output = buffer(&shape);
    let saved = block.forward_training(context(), input.map(), operands.block(), (&mut output, shape));
    let statistics = Statistics::of(&saved.normalisation, shape.pixels());
    let nodes = [input_node, weight, gamma, beta];
    let maps = record(DepthwiseBackward, nodes, (output, shape), |_, gradient| State {
        block,
        operands,
        input,
        saved: Arc::new(saved),
        gradient,
    });
    (maps, statistics)
}

/// Only 1×1 convolutions and sums follow.
const HALO: usize = 0;

#[derive(Clone, Debug)]
struct State {
    block: DepthwiseBlock,
    operands: Operands,
    input: Input,
    saved: Arc<SavedDepthwise>,
    gradient: GradientCell,
}

#[derive(Debug)]
struct DepthwiseBackward;

impl Backward<Flex, 4> for DepthwiseBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let [input_node, weight, gamma, beta] = ops.parents;
        let State { block, operands, input, saved, gradient } = ops.state;
        let grad_output = gradient.take();
        let mut found = operands.gradients();
        let cell = input.gradient.as_ref().expect("a layer inside a network reads maps");
        cell.write(input.map().1, |map| {
            let to = found.block(Some(map));
            let given = (&grad_output.buffer[..], grad_output.shape);
            block.backward(context(), input.map(), operands.block().weights, &saved, given, to);
        });
        if let Some(node) = input_node {
            announce(gradients, node.id);
        }
        let nodes = [weight, gamma, beta].map(|node| node.map(|node| node.id));
        operands.register(found, nodes, gradients);
    }
}

/// Folds the running statistics into the weights.
pub(crate) fn fold_depthwise(
    block: DepthwiseBlock,
    parameters: ConvParameters,
    statistics: [Tensor<1>; 2],
) -> Arc<FoldedDepthwise> {
    let operands = parameters.plain();
    let normalisation = running(&operands, statistics, block.epsilon);
    Arc::new(FoldedDepthwise::new(block, operands.block().weights, &normalisation))
}

/// Forward with the running statistics, without gradients.
pub(crate) fn infer_depthwise(folded: &FoldedDepthwise, input: CpuMaps) -> CpuMaps {
    let input = input.plain();
    let shape = folded.output_shape(&input.map().1, HALO);
    let mut output = buffer(&shape);
    folded.forward(context(), input.map(), (&mut output, shape));
    untracked((output, shape))
}
