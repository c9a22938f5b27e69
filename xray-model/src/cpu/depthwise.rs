//! Depthwise convolution, batch norm and activation as one operation.

use super::context;
use super::maps::{BlockedMaps, CpuMaps, buffer};
use super::parameters::{ConvParameters, Statistics, running};
use burn::tensor::Tensor;
use std::sync::Arc;
use xray_kernels::{DepthwiseBlock, FoldedDepthwise};

/// Forward with the statistics of this batch.
pub(crate) fn train_depthwise(
    block: DepthwiseBlock,
    input: CpuMaps,
    parameters: ConvParameters,
) -> (CpuMaps, Statistics) {
    let (input, tape) = input.recorded();
    let operands = parameters.learned();
    let given = input.depthwise_input();
    let shape = block.output_shape(&given.shape(), HALO);
    let mut output = buffer(&shape);
    let saved = block.forward_training(context(), given, operands.block(), (&mut output, shape));
    let statistics = Statistics::of(&saved.normalisation, shape.pixels());
    let output = BlockedMaps::new(output, shape);
    let maps = CpuMaps::made(output, tape, operands.learns(), move |gradient, gradients| {
        let mut found = operands.gradients();
        let read = input.depthwise_input();
        input.cell().write(read.shape(), |map| {
            let to = found.block(Some(map));
            let given = (&gradient.buffer[..], gradient.shape);
            block.backward(context(), read, operands.block().weights, &saved, given, to);
        });
        operands.register(found, gradients);
    });
    (maps, statistics)
}

/// Only 1×1 convolutions and sums follow.
const HALO: usize = 0;

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
    CpuMaps::inferred((output, shape))
}
