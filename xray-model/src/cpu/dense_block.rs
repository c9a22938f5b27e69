//! A dense block (Huang et al., 2017) with a way back for each layer: the features of all layers lie in one
//! buffer that each layer reads from the front, and so do their gradients. What is kept for the backward pass is that
//! buffer and the output of each 1×1 convolution; what the convolutions read is computed again (Pleiss et al., 2017).

use super::concatenation::Concatenation;
use super::context;
use super::gradient::{GradientCell, HeldGradient};
use super::maps::{BlockedMaps, CpuMaps, Input, buffer};
use super::parameters::{ConvParameters, OperandGradients, Operands, Statistics, running};
use super::values::{plain, values};
use burn::backend::TensorMetadata;
use burn::backend::autodiff::grads::Gradients;
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
    let (input, tape) = input.recorded();
    let learned = |parameters: DenseParameters| parameters.map(ConvParameters::learned);
    let operands: Vec<[Operands; 2]> = layers.into_iter().map(learned).collect();
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
    let features = Arc::new(features);
    // Where lanes are left out in between, other layers are given a copy without them.
    let output = if place.is_dense() { features.clone() } else { Arc::new(gathered(&place, &features)) };
    let output = BlockedMaps::new(output, place.output());
    let input = input.cell().clone();
    let block = Arc::new(Block { place, epsilon, features, input, between: GradientCell::default() });
    let last = place.layers - 1;
    let mut ways_back = operands.into_iter().zip(kept).enumerate().map(|(number, (operands, kept))| {
        let (block, learns) = (block.clone(), operands.iter().any(Operands::learns));
        (learns, move |gradient, gradients: &mut Gradients| {
            block.layer_back(number, &operands, &kept, gradient, gradients);
        })
    });
    for (learns, way_back) in ways_back.by_ref().take(last) {
        let gradient = block.between.clone();
        tape.record(learns, move |gradients| way_back(gradient.take(), gradients));
    }
    let (learns, way_back) = ways_back.next().expect("a dense block has layers");
    (CpuMaps::made(output, tape, learns, way_back), statistics)
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
struct Block {
    place: Concatenation,
    epsilon: f32,
    features: Arc<ArenaBuffer>,
    /// Where the gradient of what the block was given goes.
    input: GradientCell,
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

    /// A layer's way back.
    fn layer_back(
        &self,
        number: usize,
        operands: &[Operands; 2],
        kept: &Kept,
        gradient: HeldGradient,
        gradients: &mut Gradients,
    ) {
        let Block { place, epsilon, features, input, between } = self;
        // The layer adds to the gradient of what it read.
        let mut grad = self.gradient(gradient);
        let found = backward(place, number, operands, *epsilon, features, kept, &mut grad);
        for (operands, found) in operands.iter().zip(found) {
            operands.register(found, gradients);
        }
        let (cell, shape) = if number == 0 { (input, place.given()) } else { (between, place.whole()) };
        cell.give(HeldGradient { buffer: grad, shape });
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
    CpuMaps::inferred((features, place.output()))
}
