//! A dense block, a transition and a layer of the next block against the same in float64, forward and backward, and
//! their launches.

use crate::dense_block::{Block, EPSILON, Layer, MOMENTUM, Store, Transition, Unit, units};
use crate::dense_passes::{LayerShape, TransitionShape, without_pieces};
use crate::reference::{
    Norm, Normalised, assert_close, assert_same_bits, buffer, convolved, normalised, random, read, shape,
    unwritten, wide,
};
use xray_gpu::{
    ChannelTable, Counts, Gpu, MAP_SUM_ROWS, Map, MapShape, Pass, PendingGradients, map_sums, map_sums_pass,
    pending_gradients_passes, settle_pass,
};
use xray_kernels::{Activation, Nonlinearity};

const TOLERANCE: f64 = 5e-5;

/// Layers of a block, the transition behind it, and one layer of the block after.
struct Network {
    layers: Vec<Layer>,
    transition: Transition,
    last: Layer,
    units: Vec<Unit>,
}

impl Network {
    fn new(from: MapShape, growth: usize, count: usize) -> Self {
        let of = |input| LayerShape { input, growth };
        let shapes = (0..count).map(|i| of(from.with_channels(from.channels + i * growth)));
        let shapes: Vec<_> = shapes.collect();
        let transition = TransitionShape { input: from.with_channels(from.channels + count * growth) };
        let last = of(transition.averaged().with_channels(transition.spec().out_channels));
        let layers = shapes.iter().flat_map(LayerShape::specs);
        let units = units(layers.chain([transition.spec()]).chain(last.specs()));
        let layer = |shape, at: usize| Layer { shape, units: [units[at], units[at + 1]] };
        Self {
            layers: shapes.into_iter().enumerate().map(|(i, shape)| layer(shape, 2 * i)).collect(),
            transition: Transition { shape: transition, unit: units[2 * count] },
            last: layer(last, 2 * count + 1),
            units,
        }
    }

    fn from(&self) -> MapShape {
        self.layers[0].shape.input
    }

    fn before(&self) -> MapShape {
        self.transition.shape.input
    }

    fn after(&self) -> MapShape {
        let LayerShape { input, growth } = self.last.shape;
        input.with_channels(input.channels + growth)
    }

    fn parameters(&self) -> usize {
        self.units.iter().map(Unit::parameters).sum()
    }

    fn running(&self) -> usize {
        self.units.iter().map(|unit| 2 * unit.spec.in_channels).sum()
    }

    /// Every launch, known before any.
    fn passes(&self, limit: usize) -> Vec<Pass> {
        let mut all = vec![map_sums_pass(self.from())];
        let mut fresh = (self.from().channels, MAP_SUM_ROWS);
        for layer in &self.layers {
            all.extend(layer.shape.forward_passes(fresh));
            fresh = layer.shape.fresh();
        }
        all.extend(self.transition.shape.forward_passes(fresh));
        all.extend(self.last.shape.forward_passes(self.transition.shape.fresh()));
        all.extend(&self.last.shape.backward_passes()[1..]);
        all.push(settle_pass(self.last.shape.input));
        let mut weights = self.last.shape.weight_gradients().to_vec();
        all.extend(self.transition.shape.backward_passes());
        weights.push(self.transition.shape.weight_gradient());
        all.push(settle_pass(self.from()));
        for (i, layer) in self.layers.iter().rev().enumerate() {
            all.extend(&layer.shape.backward_passes()[usize::from(i == 0)..]);
            weights.extend(layer.shape.weight_gradients());
        }
        all.extend(pending_gradients_passes(limit, weights));
        all
    }

    /// Gammas about 1, weights within one over the root of what feeds an output.
    fn start(&self) -> Vec<f32> {
        let mut values = random(self.parameters(), 1);
        for unit in &self.units {
            let own = &mut values[unit.at..][..unit.parameters()];
            let (affine, weights) = own.split_at_mut(2 * unit.spec.in_channels);
            affine[..unit.spec.in_channels].iter_mut().for_each(|gamma| *gamma = 1.0 + 0.5 * *gamma);
            let fan_in = unit.spec.weight_len() / unit.spec.out_channels;
            weights.iter_mut().for_each(|weight| *weight /= (fan_in as f32).sqrt());
        }
        values
    }
}

/// A step in float64, and what it finds.
struct Step {
    values: Vec<f64>,
    gradients: Vec<f64>,
    running: Vec<f64>,
}

impl Step {
    fn norm(&self, unit: &Unit, from: MapShape, input: &[f64], grad: &[f64]) -> Normalised {
        normalised(&Norm {
            activation: Activation::of(Nonlinearity::Relu),
            from,
            input,
            affine: &self.values[unit.at..][..2 * from.channels],
            skip: None,
            grad,
            epsilon: f64::from(EPSILON),
        })
    }

    /// Norm, ReLU and convolution; moves the running statistics.
    fn forward(&mut self, unit: &Unit, from: MapShape, input: &[f64]) -> Vec<f64> {
        let norm = self.norm(unit, from, input, &vec![0.0; from.len()]);
        let count = from.pixels() as f64;
        for c in 0..from.channels {
            let found = [norm.mean[c], norm.variance[c] * count / (count - 1.0)];
            for (row, found) in found.into_iter().enumerate() {
                let value = &mut self.running[unit.running_at + row * from.channels + c];
                *value += f64::from(MOMENTUM) * (found - *value);
            }
        }
        let weights = &self.values[unit.at + 2 * from.channels..][..unit.spec.weight_len()];
        convolved(&unit.spec, from, [&norm.output, weights], |to| vec![0.0; to.len()]).output
    }

    fn backward(&mut self, unit: &Unit, from: MapShape, input: &[f64], grad: Vec<f64>) -> Vec<f64> {
        let norm = self.norm(unit, from, input, &vec![0.0; from.len()]);
        let weights_at = unit.at + 2 * from.channels;
        let weights = &self.values[weights_at..][..unit.spec.weight_len()];
        let convolved = convolved(&unit.spec, from, [&norm.output, weights], |_| grad);
        let norm = self.norm(unit, from, input, &convolved.grad_input);
        self.gradients[unit.at..weights_at].copy_from_slice(&norm.grad_affine);
        self.gradients[weights_at..][..convolved.grad_weights.len()].copy_from_slice(&convolved.grad_weights);
        norm.grad_input
    }

    fn layer_forward(&mut self, layer: &Layer, block: &mut [f64], stride: usize) {
        let (shape, [first, second]) = (layer.shape, &layer.units);
        let input = channels(block, stride, 0, shape.input.channels);
        let middle = self.forward(first, shape.input, &input);
        let output = self.forward(second, shape.bottleneck(), &middle);
        for (row, new) in block.chunks_mut(stride).zip(output.chunks(shape.growth)) {
            row[shape.input.channels..][..shape.growth].copy_from_slice(new);
        }
    }

    fn layer_backward(&mut self, layer: &Layer, block: &[f64], grad: &mut [f64], stride: usize) {
        let (shape, [first, second]) = (layer.shape, &layer.units);
        let known = shape.input.channels;
        let input = channels(block, stride, 0, known);
        let running = self.running.clone();
        let middle = self.forward(first, shape.input, &input);
        self.running = running;
        let grad_output = channels(grad, stride, known, shape.growth);
        let grad_middle = self.backward(second, shape.bottleneck(), &middle, grad_output);
        let grad_input = self.backward(first, shape.input, &input, grad_middle);
        for (row, more) in grad.chunks_mut(stride).zip(grad_input.chunks(known)) {
            row.iter_mut().zip(more).for_each(|(value, more)| *value += more);
        }
    }
}

fn channels(map: &[f64], stride: usize, first: usize, count: usize) -> Vec<f64> {
    map.chunks(stride).flat_map(|row| row[first..][..count].to_vec()).collect()
}

/// The pixel of the averaged map that each pixel belongs to.
fn windows(from: MapShape) -> impl Iterator<Item = Option<usize>> {
    let [height, width] = [from.height / 2, from.width / 2];
    (0..from.pixels()).map(move |pixel| {
        let (image, y, x) =
            (pixel / (from.width * from.height), pixel / from.width % from.height, pixel % from.width);
        (y / 2 < height && x / 2 < width).then_some((image * height + y / 2) * width + x / 2)
    })
}

struct Expected {
    /// Both blocks, and their gradients.
    maps: [Vec<f64>; 4],
    step: Step,
}

/// The transition in the paper's order: the convolution, then the mean.
fn expected(network: &Network, values: &[f32], input: &[f32], grad_after: &[f32]) -> Expected {
    let (from, before, after) = (network.from(), network.before(), network.after());
    let mut step = Step {
        values: wide(values),
        gradients: vec![0.0; values.len()],
        running: vec![0.5; network.running()],
    };
    let mut block = vec![0.0; before.len()];
    for (row, values) in block.chunks_mut(before.channels).zip(wide(input).chunks(from.channels)) {
        row[..from.channels].copy_from_slice(values);
    }
    for layer in &network.layers {
        step.layer_forward(layer, &mut block, before.channels);
    }
    let unit = &network.transition.unit;
    let kept = unit.spec.out_channels;
    let convolved = step.forward(unit, before, &block);
    let mut next = vec![0.0; after.len()];
    for (window, row) in windows(before).zip(convolved.chunks(kept)) {
        if let Some(window) = window {
            for (c, value) in row.iter().enumerate() {
                next[window * after.channels + c] += value / 4.0;
            }
        }
    }
    step.layer_forward(&network.last, &mut next, after.channels);

    let mut grad_next = wide(grad_after);
    step.layer_backward(&network.last, &next, &mut grad_next, after.channels);
    let spread = windows(before).flat_map(|window| {
        let row =
            |window: usize| grad_next[window * after.channels..][..kept].iter().map(|v| v / 4.0).collect();
        window.map_or_else(|| vec![0.0; kept], row)
    });
    let mut grad = step.backward(unit, before, &block, spread.collect());
    for layer in network.layers.iter().rev() {
        step.layer_backward(layer, &block, &mut grad, before.channels);
    }
    Expected { maps: [block, next, grad, grad_next], step }
}

/// Maps and their gradients, gradients of the parameters, running statistics.
fn run(
    gpu: &Gpu,
    network: &Network,
    values: &[f32],
    [input, grad_after]: [&[f32]; 2],
    limit: usize,
) -> [Vec<f32>; 6] {
    let (from, before, after) = (network.from(), network.before(), network.after());
    let mut first = vec![f32::NAN; before.len()];
    for (row, values) in first.chunks_mut(before.channels).zip(input.chunks(from.channels)) {
        row[..from.channels].copy_from_slice(values);
    }
    let (map, gradient) = (buffer(&first), unwritten(before.len()));
    let block = Block { map: &map, gradient: &gradient, channels: before.channels };
    let (map, gradient) = (unwritten(after.len()), buffer(grad_after));
    let next = Block { map: &map, gradient: &gradient, channels: after.channels };
    let (values, gradients) = (buffer(values), unwritten(values.len()));
    let running = buffer(&vec![0.5; network.running()]);
    let store = Store { values: &values, gradients: &gradients, running: &running };

    let mut table = ChannelTable::new(gpu, before).expect("small");
    let start = Map::channels_of(block.map, from, 0, before.channels);
    let mut sums = map_sums(gpu, start).expect("small");
    let mut kept = Vec::new();
    for layer in &network.layers {
        let (own, next) = layer.forward(gpu, store, block, &mut table, &sums).expect("small");
        kept.push(own);
        sums = next;
    }
    let blocks = [block, next];
    let (averaged, statistics, sums) =
        network.transition.forward(gpu, store, blocks, &mut table, &sums).expect("small");
    let mut next_table = ChannelTable::new(gpu, after).expect("small");
    let (last, _) = network.last.forward(gpu, store, next, &mut next_table, &sums).expect("small");

    let mut pending = PendingGradients::new(limit);
    network.last.backward(gpu, store, next, (&last, &next_table, true), &mut pending).expect("small");
    let known = network.last.shape.input;
    let [map, gradient] =
        [next.map, next.gradient].map(|all| Map::channels_of(all, known, 0, after.channels));
    next_table.settle(gpu, map, gradient);
    let kept_there = (&averaged, &statistics);
    network.transition.backward(gpu, store, blocks, kept_there, &mut pending).expect("small");
    for (i, (layer, own)) in network.layers.iter().zip(&kept).rev().enumerate() {
        layer.backward(gpu, store, block, (own, &table, i == 0), &mut pending).expect("small");
    }
    let gradient = Map::channels_of(block.gradient, from, 0, before.channels);
    table.settle(gpu, start, gradient);
    pending.flush(gpu).expect("small");
    [block.map, next.map, block.gradient, next.gradient, &gradients, &running].map(read)
}

fn check(from: MapShape, growth: usize, layers: usize, limit: usize) {
    let what = format!("{layers} layers of {growth} on {from:?}");
    let network = Network::new(from, growth, layers);
    let (values, input) = (network.start(), random(from.len(), 2));
    let grad = random(network.after().len(), 3);
    // Of its own, so that no other test's launches are counted.
    let own = crate::reference::open();
    let found = run(&own, &network, &values, [&input, &grad], limit);
    let mut counts = Counts::default();
    network.passes(limit).iter().for_each(|pass| counts += pass);
    assert_eq!(own.counts(), counts, "{what}: launches are those known before");

    let Expected { maps, step } = expected(&network, &values, &input, &grad);
    let names = ["block", "next block", "gradient of the block", "gradient of the next block"];
    for ((name, found), expected) in names.iter().zip(&found).zip(&maps) {
        assert_close(&format!("{what}: {name}"), found, expected, TOLERANCE);
    }
    for (i, unit) in network.units.iter().enumerate() {
        let channels = unit.spec.in_channels;
        let parts = [(0, channels), (channels, channels), (2 * channels, unit.spec.weight_len())];
        for (name, (at, length)) in ["gamma", "beta", "weights"].iter().zip(parts) {
            let [found, expected] =
                [&wide(&found[4]), &step.gradients].map(|all| all[unit.at + at..][..length].to_vec());
            let found: Vec<f32> = found.iter().map(|&value| value as f32).collect();
            assert_close(&format!("{what}: {name} of unit {i}"), &found, &expected, TOLERANCE);
        }
    }
    assert_close(&format!("{what}: running statistics"), &found[5], &step.running, TOLERANCE);
    for (first, second) in found.iter().zip(run(&own, &network, &values, [&input, &grad], limit)) {
        assert_same_bits(&what, first, &second);
    }
}

#[test]
fn a_dense_block_is_its_formula() {
    check(shape(2, 6, 4, 8), 4, 3, 1 << 20);
    // Channels that are not a multiple of four, and an odd map.
    check(shape(2, 5, 7, 5), 3, 2, 1 << 20);
}

#[test]
fn contractions_in_pieces_change_nothing() {
    check(shape(1, 6, 6, 288), 32, 1, 1 << 20);
    // Weight gradients in pieces, of which fewer fit into the scratch memory than there are.
    check(shape(3, 20, 20, 12), 8, 2, 40 << 10);
}

#[test]
fn a_layer_takes_four_launches_forward_and_eight_back() {
    for (input, merges) in [(shape(16, 56, 56, 64), 0), (shape(16, 7, 7, 992), 3)] {
        let layer = LayerShape { input, growth: 32 };
        let (forward, backward) = (layer.forward_passes((32, 64)), layer.backward_passes());
        assert_eq!(without_pieces(&forward), 4);
        assert_eq!(without_pieces(&backward) + layer.weight_gradients().len(), 8);
        let merged = forward.len() + backward.len() + 2 - 12;
        assert_eq!(merged, merges, "{input:?}");
    }
}
