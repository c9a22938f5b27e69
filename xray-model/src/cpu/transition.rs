//! Batch norm, ReLU, 1×1 convolution and 2×2 mean, between two dense blocks, as one operation of burn. The mean is taken
//! before the convolution, which commutes with it and then has a quarter of the work.

use super::context;
use super::gradient::{GradientCell, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use super::parameters::{ConvParameters, Operands, Statistics, running};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Tensor;
use std::sync::Arc;
use xray_kernels::{
    Activation, ArenaBuffer, BlockParameters, ConvInput, ConvOutput, ConvSpec, GradientMap, MapShape,
    Nonlinearity, NormGradient, Normalisation, PackedWeights, Pool, PoolKind, Sums, TransposedWeights,
    convolve, convolve_backward, normalise, normalise_backward,
};

const RELU: Activation = Activation::of(Nonlinearity::Relu);
const POOL: Pool = Pool { kind: PoolKind::Average, kernel: 2, stride: 2, padding: 0 };

/// Forward with the statistics of this batch; the output records gradients.
pub(crate) fn train_transition(
    input: CpuMaps,
    parameters: ConvParameters,
    epsilon: f32,
) -> (CpuMaps, Statistics) {
    let (input, input_node) = input.tracked();
    let (operands, [weight, gamma, beta]) = parameters.tracked();
    let BlockParameters { gamma: of_gamma, beta: of_beta, .. } = operands.block();
    let shape = input.map().1;
    let sums = Sums::of_map(&context().arena, input.map());
    let normalisation = Normalisation::of_batch(&sums.totals(), &shape, of_gamma, of_beta, epsilon);
    let output = forward(&input, &operands, &normalisation);
    let statistics = Statistics::of(&normalisation, shape.pixels());
    let nodes = [input_node, weight, gamma, beta];
    let maps = record(TransitionBackward, nodes, output, |_, gradient| State {
        input,
        operands,
        normalisation: Arc::new(normalisation),
        gradient,
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

#[derive(Clone, Debug)]
struct State {
    input: Input,
    operands: Operands,
    normalisation: Arc<Normalisation>,
    gradient: GradientCell,
}

#[derive(Debug)]
struct TransitionBackward;

impl Backward<Flex, 4> for TransitionBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let [input_node, weight, gamma, beta] = ops.parents.map(|node| node.map(|node| node.id));
        let State { input, operands, normalisation, gradient } = ops.state;
        let grad_output = gradient.take();
        let mut found = operands.gradients();
        let ((activated, shape), (pooled, pooled_shape)) = activated_and_pooled(&input, &normalisation);
        let mut grad_pooled = buffer(&pooled_shape);
        let spec = spec(&operands);
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
            normalisation: &normalisation,
            activation: RELU,
            grad_output: &grad_activated,
            grad_shape: shape,
        };
        let cell = input.gradient.as_ref().expect("a layer inside a network reads maps");
        cell.write(whole, |map| (found.gamma, found.beta) = normalise_backward(context(), &gradient, map));
        if let Some(node) = input_node {
            announce(gradients, node);
        }
        operands.register(found, [weight, gamma, beta], gradients);
    }
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
    untracked(forward(&input.plain(), &operands, &normalisation))
}
