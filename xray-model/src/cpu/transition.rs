//! Batch norm, ReLU, 1×1 convolution and 2×2 mean, between two dense blocks, as one operation. The mean is taken
//! before the convolution, which commutes with it and then has a quarter of the work.

use super::context;
use super::gradient::HeldGradient;
use super::maps::{BlockedMaps, CpuMaps, Input, buffer};
use super::parameters::{ConvParameters, OperandGradients, Operands, Statistics, running};
use burn::backend::TensorMetadata;
use burn::tensor::Tensor;
use xray_kernels::{
    Activation, ArenaBuffer, BlockParameters, ConvInput, ConvOutput, ConvSpec, GradientMap, MapShape,
    Nonlinearity, NormGradient, Normalisation, PackedWeights, Pool, PoolKind, Sums, TransposedWeights,
    convolve, convolve_backward, normalise, normalise_backward,
};

const RELU: Activation = Activation::of(Nonlinearity::Relu);
const POOL: Pool = Pool { kind: PoolKind::Average, kernel: 2, stride: 2, padding: 0 };

/// Forward with the statistics of this batch.
pub(crate) fn train_transition(
    input: CpuMaps,
    parameters: ConvParameters,
    epsilon: f32,
) -> (CpuMaps, Statistics) {
    let (input, tape) = input.recorded();
    let operands = parameters.learned();
    let BlockParameters { gamma, beta, .. } = operands.block();
    let shape = input.map().1;
    let sums = Sums::of_map(&context().arena, input.map());
    let normalisation = Normalisation::of_batch(&sums.totals(), &shape, gamma, beta, epsilon);
    let (output, output_shape) = forward(&input, &operands, &normalisation);
    let statistics = Statistics::of(&normalisation, shape.pixels());
    let (output, learns) = (BlockedMaps::new(output, output_shape), operands.learns());
    let maps = CpuMaps::made(output, tape, learns, move |gradient, gradients| {
        let found = backward(&input, &operands, &normalisation, &gradient);
        operands.register(found, gradients);
    });
    (maps, statistics)
}

fn forward(input: &Input, operands: &Operands, normalisation: &Normalisation) -> (ArenaBuffer, MapShape) {
    let spec = spec(operands);
    let (_, (pooled, pooled_shape)) = activated_and_pooled(input, normalisation);
    let MapShape { images, height, width, .. } = pooled_shape;
    let shape = MapShape::new(images, spec.out_channels, height, width, 0);
    let mut output = buffer(&shape);
    let packed = PackedWeights::new(&context().arena, spec, false, operands.block().weights, None);
    let to = ConvOutput { buffer: &mut output, shape, bias: None, clamp: None, sums: None };
    convolve(context(), ConvInput::Map(&pooled, pooled_shape), &packed, to);
    (output, shape)
}

fn spec(operands: &Operands) -> ConvSpec {
    let weight = operands.weight.shape();
    ConvSpec { in_channels: weight[1], out_channels: weight[0], kernel: 1, stride: 1, padding: 0 }
}

type Map = (ArenaBuffer, MapShape);

fn activated_and_pooled(input: &Input, normalisation: &Normalisation) -> (Map, Map) {
    let (values, whole) = input.map();
    let shape = whole.with_halo(0);
    let mut activated = buffer(&shape);
    normalise(context(), normalisation, RELU, (values, whole), (&mut activated, shape));
    let [height, width] = [shape.height, shape.width].map(|size| POOL.output_size(size));
    let pooled_shape = MapShape::new(shape.images, shape.channels, height, width, 0);
    let mut pooled = buffer(&pooled_shape);
    POOL.forward(context(), (&activated, shape), (&mut pooled, pooled_shape));
    ((activated, shape), (pooled, pooled_shape))
}

/// Leaves the gradient of the input in its cell.
fn backward(
    input: &Input,
    operands: &Operands,
    normalisation: &Normalisation,
    grad_output: &HeldGradient,
) -> OperandGradients {
    let mut found = operands.gradients();
    let ((activated, shape), (pooled, pooled_shape)) = activated_and_pooled(input, normalisation);
    let mut grad_pooled = buffer(&pooled_shape);
    let spec = spec(operands);
    let transposed = TransposedWeights::new(&context().arena, spec, operands.block().weights);
    let target = GradientMap::new(&mut grad_pooled, pooled_shape);
    convolve_backward(
        context(),
        spec,
        ConvInput::Map(&pooled, pooled_shape),
        (&grad_output.buffer, grad_output.shape),
        &mut found.weights,
        Some((&transposed, target)),
    );
    let mut grad_activated = buffer(&shape);
    let target = GradientMap::new(&mut grad_activated, shape);
    POOL.backward(context(), (&activated, shape), (&grad_pooled, pooled_shape), target);
    drop(activated);
    let (map, whole) = input.map();
    let gradient = NormGradient {
        input: map,
        shape: whole,
        normalisation,
        activation: RELU,
        grad_output: &grad_activated,
        grad_shape: shape,
    };
    let cell = input.cell();
    cell.write(whole, |map| (found.gamma, found.beta) = normalise_backward(context(), &gradient, map));
    found
}

/// Forward with the running statistics, without gradients.
pub(crate) fn infer_transition(
    input: CpuMaps,
    parameters: ConvParameters,
    statistics: [Tensor<1>; 2],
    epsilon: f32,
) -> CpuMaps {
    let operands = parameters.plain();
    let normalisation = running(&operands, statistics, epsilon);
    CpuMaps::inferred(forward(&input.plain(), &operands, &normalisation))
}
