//! Batch norm and ReLU without a convolution as one operation.

use super::context;
use super::gradient::HeldGradient;
use super::maps::{BlockedMaps, CpuMaps, Input, buffer};
use super::parameters::{NormParameters, Statistics};
use super::values::{learned, plain, small, values};
use burn::backend::Flex;
use burn::tensor::Tensor;
use xray_kernels::{
    Activation, ArenaBuffer, MapShape, Nonlinearity, NormGradient, Normalisation, Sums, normalise,
    normalise_backward,
};

const RELU: Activation = Activation::of(Nonlinearity::Relu);

/// Forward with the statistics of this batch.
pub(crate) fn train_norm_relu(
    input: CpuMaps,
    NormParameters { gamma, beta }: NormParameters,
    epsilon: f32,
) -> (CpuMaps, Statistics) {
    let (input, tape) = input.recorded();
    let ((gamma, of_gamma), (beta, of_beta)) = (learned(gamma), learned(beta));
    let (map, shape) = input.map();
    let sums = Sums::of_map(&context().arena, (map, shape));
    let normalisation =
        Normalisation::of_batch(&sums.totals(), &shape, values(&gamma), values(&beta), epsilon);
    let (output, output_shape) = normalised(&input, &normalisation);
    let statistics = Statistics::of(&normalisation, shape.pixels());
    let (output, learns) = (BlockedMaps::new(output, output_shape), of_gamma.or(of_beta).is_some());
    let maps = CpuMaps::made(output, tape, learns, move |HeldGradient { buffer, shape }, gradients| {
        let (map, input_shape) = input.map();
        let gradient = NormGradient {
            input: map,
            shape: input_shape,
            normalisation: &normalisation,
            activation: RELU,
            grad_output: &buffer,
            grad_shape: shape,
        };
        let (mut gamma, mut beta) = (Vec::new(), Vec::new());
        let cell = input.cell();
        cell.write(input_shape, |map| (gamma, beta) = normalise_backward(context(), &gradient, map));
        for (node, found) in [(of_gamma, gamma), (of_beta, beta)] {
            if let Some(node) = node {
                gradients.register::<Flex>(node, small(found, [shape.channels]));
            }
        }
    });
    (maps, statistics)
}

fn normalised(input: &Input, normalisation: &Normalisation) -> (ArenaBuffer, MapShape) {
    let shape = input.map().1.with_halo(0);
    let mut output = buffer(&shape);
    normalise(context(), normalisation, RELU, input.map(), (&mut output, shape));
    (output, shape)
}

/// Forward with the running statistics, without gradients.
pub(crate) fn infer_norm_relu(
    input: CpuMaps,
    NormParameters { gamma, beta }: NormParameters,
    [mean, variance]: [Tensor<1>; 2],
    epsilon: f32,
) -> CpuMaps {
    let of_channels = [mean, variance, gamma, beta].map(plain);
    let [mean, variance, gamma, beta] = of_channels.each_ref().map(values);
    let normalisation = Normalisation::of_statistics(mean, variance, gamma, beta, epsilon);
    CpuMaps::inferred(normalised(&input.plain(), &normalisation))
}
