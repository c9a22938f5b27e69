//! Batch norm and ReLU without a convolution as one operation of burn.

use super::context;
use super::gradient::{GradientCell, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use super::parameters::{NormParameters, Statistics};
use super::values::{dense, plain, small, tracked, values};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::tensor::Tensor;
use std::sync::Arc;
use xray_kernels::{
    Activation, ArenaBuffer, MapShape, Nonlinearity, NormGradient, Normalisation, Sums, normalise,
    normalise_backward,
};

const RELU: Activation = Activation::of(Nonlinearity::Relu);

/// Forward with the statistics of this batch; the output records gradients.
pub(crate) fn train_norm_relu(
    input: CpuMaps,
    NormParameters { gamma, beta }: NormParameters,
    epsilon: f32,
) -> (CpuMaps, Statistics) {
    let (input, input_node) = input.tracked();
    let (gamma, gamma_node) = tracked(gamma).into_parts();
    let (beta, beta_node) = tracked(beta).into_parts();
    let (map, shape) = input.map();
    let [gamma, beta] = [gamma, beta].map(dense);
    let sums = Sums::of_map(&context().arena, (map, shape));
    let normalisation =
        Normalisation::of_batch(&sums.totals(), &shape, values(&gamma), values(&beta), epsilon);
    let output = normalised(&input, &normalisation);
    let statistics = Statistics::of(&normalisation, shape.pixels());
    let nodes = [input_node, gamma_node, beta_node];
    let maps = record(NormReluBackward, nodes, output, |_, gradient| State {
        input,
        normalisation: Arc::new(normalisation),
        gradient,
    });
    (maps, statistics)
}

fn normalised(input: &Input, normalisation: &Normalisation) -> (ArenaBuffer, MapShape) {
    let shape = input.map().1.with_halo(0);
    let mut output = buffer(&shape);
    normalise(context(), normalisation, RELU, input.map(), (&mut output, shape));
    (output, shape)
}

#[derive(Clone, Debug)]
struct State {
    input: Input,
    normalisation: Arc<Normalisation>,
    gradient: GradientCell,
}

#[derive(Debug)]
struct NormReluBackward;

impl Backward<Flex, 3> for NormReluBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let [input_node, gamma_node, beta_node] = ops.parents;
        let State { input, normalisation, gradient } = ops.state;
        let grad_output = gradient.take();
        let (map, shape) = input.map();
        let gradient = NormGradient {
            input: map,
            shape,
            normalisation: &normalisation,
            activation: RELU,
            grad_output: &grad_output.buffer,
            grad_shape: grad_output.shape,
        };
        let cell = input.gradient.as_ref().expect("a layer inside a network reads maps");
        let (mut gamma, mut beta) = (Vec::new(), Vec::new());
        cell.write(shape, |map| (gamma, beta) = normalise_backward(context(), &gradient, map));
        if let Some(node) = input_node {
            announce(gradients, node.id);
        }
        for (node, found) in [(gamma_node, gamma), (beta_node, beta)] {
            if let Some(node) = node {
                gradients.register::<Flex>(node.id, small(found, [shape.channels]));
            }
        }
    }
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
    untracked(normalised(&input.plain(), &normalisation))
}
