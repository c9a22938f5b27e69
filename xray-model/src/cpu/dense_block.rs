//! A dense block (Huang et al., 2017) with an operation of burn for each layer: the features of all layers lie in one
//! buffer that each layer reads from the front, and so do their gradients. What is kept for the backward pass is that
//! buffer and the output of each 1×1 convolution; what the convolutions read is computed again (Pleiss et al., 2017).

use super::concatenation::Concatenation;
use super::context;
use super::gradient::{GradientCell, HeldGradient, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use super::parameters::{ConvParameters, OperandGradients, Operands, Statistics, running};
use super::values::{plain, small, tensor, values};
use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use std::sync::{Arc, OnceLock};
use xray_kernels::{
    Activation, ArenaBuffer, BlockParameters, ConvBlock, ConvInput, ConvOutput, ConvSpec, FoldedBlock,
    GradientMap, MapShape, Nonlinearity, Normalisation, PackedWeights, PreActivation, Sums, convolve,
    copy_map, normalise,
};

/// What a layer's two normalisations and convolutions learn; gamma and beta are those of a convolution's input.
pub(crate) type DenseParameters = [ConvParameters; 2];

/// Forward with the statistics of this batch, which come back for both normalisations of each layer.
pub(crate) fn train_dense_block(
    input: CpuMaps,
    layers: Vec<DenseParameters>,
    epsilon: f32,
) -> (CpuMaps, Vec<[Statistics; 2]>) {
    let (input, mut node) = input.tracked();
    let taken = |parameters: DenseParameters| {
        let [(first, first_nodes), (second, second_nodes)] = parameters.map(ConvParameters::tracked);
        ([first, second], [first_nodes, second_nodes])
    };
    let (operands, nodes): (Vec<_>, Vec<_>) = layers.into_iter().map(taken).unzip();
    let place = Concatenation {
        input: input.map().1.with_halo(0),
        growth: operands[0][1].weight.shape()[0],
        layers: operands.len(),
    };
    let (features, kept) = forward(&place, &input, &operands, epsilon);
    let count = place.input.pixels();
    let statistics = kept.iter().enumerate().map(|(layer, Kept { normalisations: [first, second], .. })| {
        let Statistics { mean, variance, count } = Statistics::of(first, count);
        let [mean, variance] = [mean, variance].map(|values| place.gather(layer, values));
        [Statistics { mean, variance, count }, Statistics::of(second, count)]
    });
    let statistics = statistics.collect();
    // Where lanes are left out in between, other layers are given a copy without them.
    let (output, padded) = if place.is_dense() {
        (features, None)
    } else {
        let copy = gathered(&place, &features);
        let length = features.len();
        (copy, Some(tensor(features, [length])))
    };
    let block = Arc::new(Block {
        place,
        epsilon,
        features: padded.map(OnceLock::from).unwrap_or_default(),
        input: input.gradient,
        between: GradientCell::default(),
    });
    let mut layers = operands.into_iter().zip(kept).zip(nodes).enumerate().peekable();
    loop {
        let (number, ((operands, kept), [[w1, g1, b1], [w2, g2, b2]])) =
            layers.next().expect("a dense block has layers");
        let nodes = [node, w1, g1, b1, w2, g2, b2];
        let block = block.clone();
        if layers.peek().is_some() {
            let gradient = block.between.clone();
            node = linked(nodes, State { number, operands, kept: Arc::new(kept), block, gradient });
            continue;
        }
        let maps = record(DenseLayerBackward, nodes, (output, place.output()), |output, gradient| {
            block.features.get_or_init(|| output.clone());
            State { number, operands, kept: Arc::new(kept), block, gradient }
        });
        return (maps, statistics);
    }
}

/// A layer but the last as a step of burn's graph. Its features lie in the block's buffer, so that a single zero stands
/// for them.
fn linked(nodes: [NodeGuard; 7], state: State) -> NodeGuard {
    let output = small(vec![0.0], [1]);
    let prepared = DenseLayerBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
    let linked = match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    linked.into_parts().1
}

/// Of a layer, for its backward pass.
#[derive(Debug)]
struct Kept {
    /// The output of the 1×1 convolution.
    inner: ArenaBuffer,
    normalisations: [Normalisation; 2],
}

fn forward(
    place: &Concatenation,
    input: &Input,
    operands: &[[Operands; 2]],
    epsilon: f32,
) -> (ArenaBuffer, Vec<Kept>) {
    let mut features = buffer(&place.whole());
    copy_map(input.map(), (&mut features, place.given()));
    // Taken once where a map was written, used by every layer that reads it.
    let mut totals = Sums::of_map(&context().arena, (&features, place.before(0))).totals();
    let mut kept = Vec::new();
    for (layer, [first, second]) in operands.iter().enumerate() {
        let [reads, writes] = [place.before(layer), place.features(layer)];
        let Layer { squeeze, grow, inner: inner_shape } = layer_of(place, layer, first, epsilon);
        let parameters = first.block();
        let [weights, gamma, beta] =
            [parameters.weights, parameters.gamma, parameters.beta].map(|rows| place.spread(layer, rows));
        let parameters = BlockParameters { weights: &weights, gamma: &gamma, beta: &beta };
        let (mut inner, mut inner_sums) = (buffer(&inner_shape), Sums::new(&context().arena, &inner_shape));
        let of_first = squeeze.forward_training(
            context(),
            (&features, reads),
            &totals,
            parameters,
            (&mut inner, inner_shape),
            Some(&mut inner_sums),
        );
        let mut own_sums = Sums::new(&context().arena, &writes);
        let of_second = grow.forward_training(
            context(),
            (&inner, inner_shape),
            &inner_sums.totals(),
            second.block(),
            (&mut features, writes),
            Some(&mut own_sums),
        );
        let own_sums = if place.is_dense() {
            own_sums
        } else {
            Sums::of_map(&context().arena, (&features, place.lanes_of_features(layer)))
        };
        totals.append(own_sums.totals());
        kept.push(Kept { inner, normalisations: [of_first, of_second] });
    }
    (features, kept)
}

/// A layer's convolutions behind their normalisations, and the map between them.
struct Layer {
    squeeze: PreActivation,
    grow: PreActivation,
    inner: MapShape,
}

fn layer_of(place: &Concatenation, layer: usize, first: &Operands, epsilon: f32) -> Layer {
    let reads = place.before(layer);
    let width = first.weight.shape()[0];
    let squeeze =
        ConvSpec { in_channels: reads.channels, out_channels: width, kernel: 1, stride: 1, padding: 0 };
    let grow = ConvSpec { in_channels: width, out_channels: place.growth, kernel: 3, stride: 1, padding: 1 };
    let inner = MapShape::new(reads.images, width, reads.height, reads.width, 0);
    Layer {
        squeeze: PreActivation { conv: squeeze, epsilon },
        grow: PreActivation { conv: grow, epsilon },
        inner,
    }
}

fn gathered(place: &Concatenation, features: &[f32]) -> ArenaBuffer {
    let mut copy = context().arena.zeroed(place.output().len());
    place.for_each_value(|from, to| copy[to] = features[from]);
    copy
}

/// What the layers of a block share in their backward pass.
#[derive(Debug)]
struct Block {
    place: Concatenation,
    epsilon: f32,
    features: OnceLock<FlexTensor>,
    /// Where the gradient of what the block was given goes.
    input: Option<GradientCell>,
    /// The gradient of all features, from layer to layer.
    between: GradientCell,
}

impl Block {
    /// The gradient of all features, of which the last layer is given those that other layers see.
    fn gradient(&self, HeldGradient { buffer, shape }: HeldGradient) -> ArenaBuffer {
        if shape == self.place.whole() {
            return buffer;
        }
        assert_eq!(shape, self.place.output(), "the gradient of a dense block");
        let mut spread = context().arena.zeroed(self.place.whole().len());
        self.place.for_each_value(|to, from| spread[to] = buffer[from]);
        spread
    }
}

#[derive(Clone, Debug)]
struct State {
    number: usize,
    operands: [Operands; 2],
    kept: Arc<Kept>,
    block: Arc<Block>,
    gradient: GradientCell,
}

#[derive(Debug)]
struct DenseLayerBackward;

impl Backward<Flex, 7> for DenseLayerBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 7>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let [before, nodes @ ..] = ops.parents.map(|node| node.map(|node| node.id));
        let State { number, operands, kept, block, gradient } = ops.state;
        let Block { place, epsilon, ref features, ref input, ref between } = *block;
        // The layer adds to the gradient of what it read.
        let mut grad = block.gradient(gradient.take());
        let features = values(features.get().expect("set when the last layer was recorded"));
        let [first, second] = backward(&place, number, &operands, epsilon, features, &kept, &mut grad);
        operands[0].register(first, nodes[..3].iter().copied(), gradients);
        operands[1].register(second, nodes[3..].iter().copied(), gradients);
        let (cell, shape) =
            if number == 0 { (input.as_ref(), place.given()) } else { (Some(between), place.whole()) };
        if let (Some(node), Some(cell)) = (before, cell) {
            cell.give(HeldGradient { buffer: grad, shape });
            announce(gradients, node);
        }
    }
}

fn backward(
    place: &Concatenation,
    layer: usize,
    [first, second]: &[Operands; 2],
    epsilon: f32,
    features: &[f32],
    Kept { inner, normalisations: [of_first, of_second] }: &Kept,
    grad: &mut [f32],
) -> [OperandGradients; 2] {
    let [reads, writes] = [place.before(layer), place.features(layer)];
    let Layer { squeeze, grow, inner: inner_shape } = layer_of(place, layer, first, epsilon);
    let mut of_inner = buffer(&inner_shape);
    let mut second_found = second.gradients();
    grow.backward(
        context(),
        (inner, inner_shape),
        second.block().weights,
        of_second,
        (grad, writes),
        second_found.block(Some(GradientMap::new(&mut of_inner, inner_shape))),
    );
    let weights = place.spread(layer, first.block().weights);
    let mut first_found = OperandGradients {
        weights: context().arena.take(weights.len()),
        gamma: vec![0.0; reads.channels],
        beta: vec![0.0; reads.channels],
    };
    squeeze.backward(
        context(),
        (features, reads),
        &weights,
        of_first,
        (&of_inner, inner_shape),
        first_found.block(Some(GradientMap::added_to(grad, reads))),
    );
    let OperandGradients { weights, gamma, beta } = first_found;
    let weights = if place.is_dense() {
        weights
    } else {
        let dense = place.gather(layer, weights.to_vec());
        let mut weights = context().arena.take(dense.len());
        weights.copy_from_slice(&dense);
        weights
    };
    let [gamma, beta] = [gamma, beta].map(|rows| place.gather(layer, rows));
    [OperandGradients { weights, gamma, beta }, second_found]
}

/// A layer whose second batch norm is part of its first convolution.
#[derive(Clone, Debug)]
pub(crate) struct FoldedDenseLayer(Arc<Folded>);

#[derive(Debug)]
struct Folded {
    norm: Normalisation,
    squeeze: FoldedBlock,
    grow: PackedWeights,
    growth: usize,
}

/// Folds the running statistics of layer number `layer` of a block that is given so many channels.
pub(crate) fn fold_dense_layer(
    layer: usize,
    channels: usize,
    [first, second]: DenseParameters,
    [of_first, of_second]: [[Tensor<1>; 2]; 2],
    epsilon: f32,
) -> FoldedDenseLayer {
    let [first, second] = [first.plain(), second.plain()];
    let growth = second.weight.shape()[0];
    let place = Concatenation { input: MapShape::new(1, channels, 1, 1, 0), growth, layers: layer + 1 };
    let Layer { squeeze, grow, .. } = layer_of(&place, layer, &first, epsilon);
    let [mean, variance] = of_first.map(plain);
    let parameters = first.block();
    let [mean, variance, gamma, beta, weights] =
        [values(&mean), values(&variance), parameters.gamma, parameters.beta, parameters.weights]
            .map(|rows| place.spread(layer, rows));
    let norm = Normalisation::of_statistics(&mean, &variance, &gamma, &beta, epsilon);
    let block = ConvBlock { conv: squeeze.conv, activation: Activation::of(Nonlinearity::Relu), epsilon };
    let of_second = running(&second, of_second, epsilon);
    let squeeze = FoldedBlock::new(context(), block, false, &weights, &of_second);
    let grow = PackedWeights::new(&context().arena, grow.conv, false, second.block().weights, None);
    FoldedDenseLayer(Arc::new(Folded { norm, squeeze, grow, growth }))
}

/// Forward with the running statistics, without gradients.
pub(crate) fn infer_dense_block(input: CpuMaps, layers: &[FoldedDenseLayer]) -> CpuMaps {
    let input = input.plain();
    let place =
        Concatenation { input: input.map().1.with_halo(0), growth: layers[0].0.growth, layers: layers.len() };
    let mut features = buffer(&place.whole());
    copy_map(input.map(), (&mut features, place.given()));
    for (layer, FoldedDenseLayer(folded)) in layers.iter().enumerate() {
        let [reads, shape] = [place.before(layer), place.features(layer)];
        let read_shape = reads.with_halo(0);
        let mut read = buffer(&read_shape);
        let relu = Activation::of(Nonlinearity::Relu);
        normalise(context(), &folded.norm, relu, (&features, reads), (&mut read, read_shape));
        let read = ConvInput::Map(&read, read_shape);
        let inner_shape = folded.squeeze.output_shape(&read, 1);
        let mut inner = buffer(&inner_shape);
        folded.squeeze.forward(context(), read, (&mut inner, inner_shape));
        let output = ConvOutput { buffer: &mut features, shape, bias: None, clamp: None, sums: None };
        convolve(context(), ConvInput::Map(&inner, inner_shape), &folded.grow, output);
    }
    let features = if place.is_dense() { features } else { gathered(&place, &features) };
    untracked((features, place.output()))
}
