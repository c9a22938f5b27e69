//! A plan in float32, of which the ranges of all values are watched.

use super::plan::{Gate, Operation, Plan, Step};
use super::spread::{RangeRule, Spread};
use crate::cpu::context;
use std::sync::Arc;
use xray_kernels::{
    ArenaBuffer, ConvInput, ConvOutput, MapShape, Nonlinearity, PackedWeights, PlanarShape, PoolKind,
    convolve, depthwise, gate, global_average,
};

/// Watches what a plan makes of images.
#[derive(Debug)]
pub(crate) struct Calibration {
    plan: Arc<Plan>,
    /// Of the values of each map.
    spreads: Vec<Spread>,
    images: usize,
}

/// Values of a map, blocked.
struct Floats {
    values: ArenaBuffer,
    shape: MapShape,
}

impl Calibration {
    pub(crate) fn new(plan: Plan) -> Self {
        let spreads = vec![Spread::new(); plan.ranges];
        Calibration { plan: Arc::new(plan), spreads, images: 0 }
    }

    /// How many images were watched.
    pub(crate) fn images(&self) -> usize {
        self.images
    }

    /// The range that bytes of each map cover; it holds zero.
    pub(crate) fn ranges(&self, rule: RangeRule) -> Vec<[f32; 2]> {
        self.spreads.iter().map(|spread| spread.range(rule)).collect()
    }

    /// Watches images channel by channel.
    pub(crate) fn watch(&mut self, images: &[f32], shape: PlanarShape) {
        self.images += shape.images;
        self.spreads[0].see(images);
        self.run(images, shape);
    }

    /// Of the channels of a map, whose surplus lanes and halo hold zeros, which count for nothing.
    fn see_map(&mut self, number: Option<usize>, map: &Floats) {
        if let Some(number) = number {
            self.spreads[number].see(&map.values);
        }
    }

    fn run(&mut self, images: &[f32], planar: PlanarShape) {
        let plan = Arc::clone(&self.plan);
        let mut maps: Vec<Option<Floats>> = vec![None];
        let steps = plan.steps.iter().zip(plan.halos().into_iter().skip(1)).zip(plan.last_uses());
        for ((step, halo), last_uses) in steps {
            let made = self.step(&plan, step, images, planar, &maps);
            self.see_map(Some(step.ranges.output), &made);
            maps.push(Some(with_halo(made, halo)));
            last_uses.iter().for_each(|&map| maps[map] = None);
        }
    }

    /// The map of a step, without a halo.
    fn step(
        &mut self,
        plan: &Plan,
        step: &Step,
        images: &[f32],
        planar: PlanarShape,
        maps: &[Option<Floats>],
    ) -> Floats {
        let map = |number: usize| maps[number].as_ref().expect("made before, and still needed");
        let input = step.inputs[0];
        match &step.operation {
            Operation::Conv { conv, weights, bias, skip, activation } => {
                let from = match input {
                    0 => ConvInput::Planar(images, planar),
                    _ => ConvInput::Map(&map(input).values, map(input).shape),
                };
                let (conv, weights) = plan.spread(input, conv, weights);
                let packed = PackedWeights::new(&context().arena, conv, input == 0, &weights, None);
                let [n, _, height, width] = from.size();
                let [height, width] = [height, width].map(|size| conv.output_size(size));
                let shape = MapShape::new(n, conv.out_channels, height, width, 0);
                let mut values = context().arena.take(shape.len());
                let mut lanes = bias.clone();
                lanes.resize(shape.blocks() * 16, 0.0);
                let to =
                    ConvOutput { buffer: &mut values, shape, bias: Some(&lanes), clamp: None, sums: None };
                convolve(context(), from, &packed, to);
                let mut sum = Floats { values, shape };
                self.see_map(step.ranges.sum, &sum);
                if let Some(skip) = skip {
                    add(&mut sum, map(*skip));
                }
                self.see_map(step.ranges.argument, &sum);
                activate(&mut sum, activation.function);
                if activation.pool { pooled(&sum, 2, 0) } else { sum }
            }
            Operation::Depthwise { conv, weights, bias, function } => {
                let Floats { values, shape } = map(input);
                let [height, width] = [shape.height, shape.width].map(|size| conv.output_size(size));
                let to = MapShape::new(shape.images, conv.channels, height, width, 0);
                let mut sum = Floats { values: context().arena.take(to.len()), shape: to };
                depthwise(context(), conv, (values, *shape), weights, (&mut sum.values, to), None);
                each_lane(&mut sum, |channel, value| value + bias[channel]);
                self.see_map(step.ranges.argument, &sum);
                activate(&mut sum, *function);
                sum
            }
            Operation::MaxPool(pool) => {
                assert_eq!((pool.kind, pool.stride), (PoolKind::Max, 2), "a max pool of a network");
                pooled(map(input), pool.kernel, pool.padding)
            }
            Operation::Gate(layers) => {
                let Floats { values, shape } = map(input);
                let mut means = vec![0.0; shape.images * shape.channels];
                global_average(context(), (values, *shape), &mut means);
                let factors = layers.factors(&means, shape.channels);
                let to = shape.with_halo(0);
                let mut gated = Floats { values: context().arena.take(to.len()), shape: to };
                gate(context(), (values, *shape), &factors, (&mut gated.values, to));
                gated
            }
            Operation::NormRelu { scale, shift, average } => {
                let maps: Vec<_> = step.inputs.iter().map(|&number| map(number)).collect();
                let normalised = norm_relu(&maps, scale, shift);
                if *average { averaged(&normalised) } else { normalised }
            }
        }
    }
}

impl Gate {
    /// The factor of each channel of each image, from their means.
    pub(crate) fn factors(&self, means: &[f32], channels: usize) -> Vec<f32> {
        let [first, second] = &self.layers;
        let silu = |x: f32| x / (1.0 + (-x).exp());
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let of_image = |means: &[f32]| {
            let squeezed: Vec<f32> = linear(first, means).into_iter().map(silu).collect();
            linear(second, &squeezed).into_iter().map(sigmoid).collect::<Vec<_>>()
        };
        means.chunks(channels).flat_map(of_image).collect()
    }
}

fn linear((weights, bias): &(Vec<f32>, Vec<f32>), input: &[f32]) -> Vec<f32> {
    let row = |(row, bias): (&[f32], &f32)| dot(row, input) + bias;
    weights.chunks(input.len()).zip(bias).map(row).collect()
}

/// Eight sums side by side, which the compiler makes vectors of.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Changes the value of each channel; surplus lanes and halo stay as they are.
fn each_lane(map: &mut Floats, change: impl Fn(usize, f32) -> f32) {
    let shape = map.shape;
    for image in 0..shape.images {
        for block in 0..shape.blocks() {
            let channels = (block * 16..shape.channels).take(16).len();
            for y in 0..shape.height {
                let start = shape.offset(image, block, y, 0);
                for pixel in map.values[start..start + shape.width * 16].chunks_mut(16) {
                    for (lane, value) in pixel[..channels].iter_mut().enumerate() {
                        *value = change(block * 16 + lane, *value);
                    }
                }
            }
        }
    }
}

fn activate(map: &mut Floats, function: Nonlinearity) {
    match function {
        Nonlinearity::Identity => {}
        Nonlinearity::Relu => each_lane(map, |_, value| value.max(0.0)),
        Nonlinearity::Relu6 => each_lane(map, |_, value| value.clamp(0.0, 6.0)),
        Nonlinearity::Silu => each_lane(map, |_, value| value / (1.0 + (-value).exp())),
    }
}

/// Writes every lane of a map of zeros, from its image, block, row and column.
fn written(shape: MapShape, value: impl Fn([usize; 4], &mut [f32])) -> Floats {
    let mut map = Floats { values: context().arena.zeroed(shape.len()), shape };
    for image in 0..shape.images {
        for block in 0..shape.blocks() {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    let at = shape.offset(image, block, y, x);
                    value([image, block, y, x], &mut map.values[at..at + 16]);
                }
            }
        }
    }
    map
}

impl Floats {
    fn pixel(&self, [image, block, y, x]: [usize; 4]) -> &[f32] {
        &self.values[self.shape.offset(image, block, y, x)..][..16]
    }
}

fn with_halo(map: Floats, halo: usize) -> Floats {
    match halo {
        0 => map,
        _ => written(map.shape.with_halo(halo), |at, pixel| pixel.copy_from_slice(map.pixel(at))),
    }
}

fn add(sum: &mut Floats, skip: &Floats) {
    let shape = sum.shape;
    *sum = written(shape, |at, pixel| {
        let both = sum.pixel(at).iter().zip(skip.pixel(at));
        pixel.iter_mut().zip(both).for_each(|(to, (a, b))| *to = a + b);
    });
}

/// The largest of each window, every second in both directions.
fn pooled(map: &Floats, kernel: usize, padding: usize) -> Floats {
    let size = |size: usize| (size + 2 * padding - kernel) / 2 + 1;
    let MapShape { images, channels, height, width, .. } = map.shape;
    let window =
        |at: usize, size: usize| (2 * at).saturating_sub(padding)..(2 * at + kernel - padding).min(size);
    written(MapShape::new(images, channels, size(height), size(width), 0), |[image, block, y, x], pixel| {
        pixel.fill(f32::NEG_INFINITY);
        for row in window(y, height) {
            for column in window(x, width) {
                let from = map.pixel([image, block, row, column]);
                pixel.iter_mut().zip(from).for_each(|(most, value)| *most = value.max(*most));
            }
        }
    })
}

/// The mean of 2×2 pixels.
fn averaged(map: &Floats) -> Floats {
    let MapShape { images, channels, height, width, .. } = map.shape;
    written(MapShape::new(images, channels, height / 2, width / 2, 0), |[image, block, y, x], pixel| {
        for [dy, dx] in [[0, 0], [0, 1], [1, 0], [1, 1]] {
            let from = map.pixel([image, block, 2 * y + dy, 2 * x + dx]);
            pixel.iter_mut().zip(from).for_each(|(sum, value)| *sum += value / 4.0);
        }
    })
}

/// Of maps beside each other, each of which begins a block.
fn norm_relu(maps: &[&Floats], scale: &[f32], shift: &[f32]) -> Floats {
    let mut sources = Vec::new();
    let mut first = 0;
    for map in maps {
        sources.extend((0..map.shape.blocks()).map(|block| (*map, block, first + 16 * block)));
        first += map.shape.channels;
    }
    let MapShape { images, height, width, .. } = maps[0].shape;
    written(MapShape::new(images, 16 * sources.len(), height, width, 0), |[image, block, y, x], pixel| {
        let (map, source, first) = sources[block];
        let channels = (map.shape.channels - 16 * source).min(16);
        let from = map.pixel([image, source, y, x]);
        for (lane, to) in pixel[..channels].iter_mut().enumerate() {
            *to = (scale[first + lane] * from[lane] + shift[first + lane]).max(0.0);
        }
    })
}
