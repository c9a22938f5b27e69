//! A whole dense block as one operation of burn (Huang et al., 2017): the features of all layers lie in one buffer that
//! each layer reads from the front, and what is kept for the backward pass is that buffer and the output of each 1×1
//! convolution; what the convolutions read is computed again (Pleiss et al., 2017).

use super::concatenation::Concatenation;
use super::context;
use super::gradient::{GradientCell, HeldGradient, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use super::parameters::{ConvParameters, OperandGradients, Operands, Statistics, running};
use super::values::{plain, tensor, values};
use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use std::sync::Arc;
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
    let (input, input_node) = input.tracked();
    let mut nodes = vec![input_node];
    let mut taken = |parameters: ConvParameters| {
        let (operands, of_parameters) = parameters.tracked();
        nodes.extend(of_parameters);
        operands
    };
    let operands: Vec<_> = layers.into_iter().map(|parameters| parameters.map(&mut taken)).collect();
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
    let state = |output: &FlexTensor, gradient| {
        let features = padded.unwrap_or_else(|| output.clone());
        State { place, input, operands, epsilon, kept: Arc::new(kept), features, gradient }
    };
    let output = (output, place.output());
    let maps = match nodes.len() {
        37 => recorded::<37>(nodes, output, state),
        73 => recorded::<73>(nodes, output, state),
        97 => recorded::<97>(nodes, output, state),
        145 => recorded::<145>(nodes, output, state),
        parents => {
            unreachable!("the blocks of DenseNet-121 have 6, 12, 16 or 24 layers, not {parents} parents")
        }
    };
    (maps, statistics)
}

fn recorded<const N: usize>(
    nodes: Vec<NodeGuard>,
    output: (ArenaBuffer, MapShape),
    state: impl FnOnce(&FlexTensor, GradientCell) -> State,
) -> CpuMaps {
    let Ok(nodes) = <[NodeGuard; N]>::try_from(nodes) else { unreachable!("as many as were counted") };
    record(DenseBlockBackward, nodes, output, state)
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
    let mut sums = vec![Sums::of_map((&features, place.before(0)))];
    let mut kept = Vec::new();
    for (layer, [first, second]) in operands.iter().enumerate() {
        let [reads, writes] = [place.before(layer), place.features(layer)];
        let Layer { squeeze, grow, inner: inner_shape } = layer_of(place, layer, first, epsilon);
        let parameters = first.block();
        let [weights, gamma, beta] =
            [parameters.weights, parameters.gamma, parameters.beta].map(|rows| place.spread(layer, rows));
        let parameters = BlockParameters { weights: &weights, gamma: &gamma, beta: &beta };
        let (mut inner, mut inner_sums) = (buffer(&inner_shape), Sums::new(&inner_shape));
        let read_sums = Sums::concatenated(&sums.iter().collect::<Vec<_>>());
        let of_first = squeeze.forward_training(
            context(),
            (&features, reads),
            &read_sums,
            parameters,
            (&mut inner, inner_shape),
            Some(&mut inner_sums),
        );
        let mut own_sums = Sums::new(&writes);
        let of_second = grow.forward_training(
            context(),
            (&inner, inner_shape),
            &inner_sums,
            second.block(),
            (&mut features, writes),
            Some(&mut own_sums),
        );
        sums.push(if place.is_dense() {
            own_sums
        } else {
            Sums::of_map((&features, place.lanes_of_features(layer)))
        });
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

#[derive(Clone, Debug)]
struct State {
    place: Concatenation,
    input: Input,
    operands: Vec<[Operands; 2]>,
    epsilon: f32,
    kept: Arc<Vec<Kept>>,
    features: FlexTensor,
    gradient: GradientCell,
}

#[derive(Debug)]
struct DenseBlockBackward;

impl<const N: usize> Backward<Flex, N> for DenseBlockBackward {
    type State = State;

    fn backward(self, ops: Ops<State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let State { place, input, operands, epsilon, kept, features, gradient } = ops.state;
        let HeldGradient { buffer: given, shape } = gradient.take();
        assert_eq!(shape, place.output(), "the gradient of a dense block");
        // Each layer adds to the gradient of what it read.
        let mut grad = if place.is_dense() {
            given
        } else {
            let mut spread = context().arena.zeroed(place.whole().len());
            place.for_each_value(|to, from| spread[to] = given[from]);
            spread
        };
        let mut ids = ops.parents.into_iter().map(|node| node.map(|node| node.id));
        let input_node = ids.next().flatten();
        let ids: Vec<_> = ids.collect();
        for layer in (0..operands.len()).rev() {
            let features = values(&features);
            let [first, second] =
                backward(&place, layer, &operands[layer], epsilon, features, &kept[layer], &mut grad);
            let ids = &ids[6 * layer..6 * (layer + 1)];
            operands[layer][0].register(first, ids[..3].iter().copied(), gradients);
            operands[layer][1].register(second, ids[3..].iter().copied(), gradients);
        }
        if let (Some(node), Some(cell)) = (input_node, input.gradient) {
            cell.give(HeldGradient { buffer: grad, shape: place.given() });
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
        weights: vec![0.0; weights.len()],
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
    let [weights, gamma, beta] = [weights, gamma, beta].map(|rows| place.gather(layer, rows));
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
        let output = ConvOutput { buffer: &mut features, shape, bias: None, relu: false, sums: None };
        convolve(context(), ConvInput::Map(&inner, inner_shape), &folded.grow, output);
    }
    let features = if place.is_dense() { features } else { gathered(&place, &features) };
    untracked((features, place.output()))
}
