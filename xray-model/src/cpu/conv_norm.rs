//! Convolution, batch norm, perhaps a skip connection, activation and perhaps max-pool as one operation.

use super::context;
use super::gradient::{GradientCell, HeldGradient};
use super::maps::{BlockedMaps, CpuMaps, Input, UnwrittenMaps, buffer};
use super::parameters::{ConvParameters, Operands, Statistics, running};
use burn::backend::autodiff::grads::Gradients;
use burn::tensor::Tensor;
use std::sync::Arc;
use xray_kernels::{ConvBlock, ConvSpec, FoldedBlock, GradientMap, SavedBlock};

/// What of a block is not a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvNormSpec {
    pub(crate) block: ConvBlock,
    /// Of the output: what the padding of the next layer takes.
    pub(crate) halo: usize,
    /// Whether a depthwise convolution reads the output, and nothing else does. In training it normalises what the
    /// convolution gives, and the output is not written.
    pub(crate) before_depthwise: bool,
}

/// Forward with the statistics of this batch. The activation comes after the sum with `skip`.
pub(crate) fn train(
    spec: ConvNormSpec,
    input: CpuMaps,
    skip: Option<CpuMaps>,
    parameters: ConvParameters,
) -> (CpuMaps, Statistics) {
    let (input, tape) = input.recorded();
    let skip = skip.map(CpuMaps::plain);
    let conv_input = input.conv_input();
    let [images, channels, height, width] = conv_input.size();
    let (block, operands) = for_channels(channels, spec.block, parameters.learned());
    let (saved, output) = if spec.before_depthwise {
        let saved = Arc::new(block.forward_unwritten(context(), conv_input, operands.block()));
        (saved.clone(), Input::Unwritten(UnwrittenMaps::new(saved, block.activation.function)))
    } else {
        let shape = block.output_shape(&conv_input, spec.halo);
        let mut output = buffer(&shape);
        let (parameters, to) = (operands.block(), (&mut output[..], shape));
        let saved = match &skip {
            None => block.forward_training(context(), conv_input, parameters, to),
            Some(skip) => block.forward_training_onto(context(), conv_input, skip.map(), parameters, to),
        };
        (Arc::new(saved), Input::Maps(BlockedMaps::new(output, shape)))
    };
    let count = images * block.conv.output_size(height) * block.conv.output_size(width);
    let statistics = Statistics::of(&saved.normalisation, count);
    let skip = skip.map(|skip| Skip { gradient: skip.cell().clone(), output: output.clone() });
    let learns = operands.learns();
    let way_back = WayBack { block, operands, input, saved, skip };
    let maps = CpuMaps::made(output, tape, learns, |gradient, found| way_back.go(gradient, found));
    (maps, statistics)
}

/// What leads back.
struct WayBack {
    block: ConvBlock,
    operands: Operands,
    input: Input,
    saved: Arc<SavedBlock>,
    skip: Option<Skip>,
}

/// Of a block with a skip connection.
struct Skip {
    gradient: GradientCell,
    /// Of the block.
    output: Input,
}

impl WayBack {
    fn go(self, mut grad_output: HeldGradient, gradients: &mut Gradients) {
        let WayBack { block, operands, input, saved, skip } = self;
        let mut found = operands.gradients();
        let mut back = |map: Option<GradientMap<'_>>| {
            let (read, parameters) = (input.conv_input(), operands.block());
            let (HeldGradient { buffer, shape }, to) = (&mut grad_output, found.block(map));
            match &skip {
                None => block.backward(context(), read, parameters, &saved, (buffer, *shape), to),
                Some(skip) => {
                    let (output, given) = (skip.output.map(), (&mut buffer[..], *shape));
                    block.backward_onto(context(), read, parameters, &saved, output, given, to);
                }
            }
        };
        match input.gradient() {
            Some(cell) => cell.write(input.map().1, |map| back(Some(map))),
            None => back(None),
        }
        operands.register(found, gradients);
        if let Some(skip) = skip {
            skip.gradient.give(grad_output);
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
    ConvNormSpec { block, halo, .. }: ConvNormSpec,
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
    CpuMaps::inferred((output, shape))
}
