//! What every convolution of every network asks of a device, from shapes alone: enough work groups, buffers within what
//! every device allows, and as many multiplications as the networks have.

#[path = "kernels/dense_passes.rs"]
mod dense_passes;

use dense_passes::{LayerShape, TransitionShape, without_pieces};
use xray_gpu::{
    Counts, Linear, MAP_SUM_ROWS, MapShape, Pass, Width, concatenated_statistics_pass, forward_passes,
    global_average_gradient_pass, global_average_pass, input_gradient_passes, judge_passes, loss_pass,
    map_sums_pass, normalise_backward_passes, normalise_pass, output_shape, pending_gradients_passes,
    pool_gradient_pass, pool_pass, pooled_shape, settle_pass, statistics_pass, sum_rows, update_pass,
    weight_gradient_passes,
};
use xray_kernels::{Activation, ConvSpec, Nonlinearity, Pool, PoolKind};

const IMAGES: usize = 64;

const ENOUGH_GROUPS: usize = Width::Discrete.groups();

/// Convolutions, each with the rows and columns of its input.
struct Network {
    name: &'static str,
    layers: Vec<(ConvSpec, usize)>,
    size: usize,
}

impl Network {
    fn new(name: &'static str, size: usize) -> Self {
        Self { name, layers: Vec::new(), size }
    }

    /// On the map as large as it is now.
    fn add(&mut self, [in_channels, out_channels]: [usize; 2], kernel: usize, stride: usize) {
        let spec = ConvSpec { in_channels, out_channels, kernel, stride, padding: kernel / 2 };
        self.layers.push((spec, self.size));
    }

    fn small_cnn() -> Self {
        let mut all = Self::new("small-cnn", 128);
        for channels in [[1, 32], [32, 64], [64, 128], [128, 256]] {
            all.add(channels, 3, 1);
            all.size /= 2;
        }
        all
    }

    fn stem(name: &'static str, kernel: usize, channels: usize) -> Self {
        let mut all = Self::new(name, 224);
        all.add([1, channels], kernel, 2);
        all.size = 112;
        all
    }

    fn resnet(name: &'static str, blocks: [usize; 4], bottleneck: bool) -> Self {
        let mut all = Self::stem(name, 7, 64);
        all.size = 56;
        let mut from = 64;
        for (stage, blocks) in blocks.into_iter().enumerate() {
            let channels = 64 << stage;
            let to = if bottleneck { 4 * channels } else { channels };
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                if stride > 1 || from != to {
                    all.add([from, to], 1, stride);
                }
                if bottleneck {
                    all.add([from, channels], 1, 1);
                }
                all.add([if bottleneck { channels } else { from }, channels], 3, stride);
                all.size /= stride;
                if bottleneck {
                    all.add([channels, to], 1, 1);
                } else {
                    all.add([channels, channels], 3, 1);
                }
                from = to;
            }
        }
        all
    }

    fn densenet() -> Self {
        let mut all = Self::stem("densenet-121", 7, 64);
        all.size = 56;
        let mut channels = 64;
        for (number, layers) in [6, 12, 24, 16].into_iter().enumerate() {
            for _ in 0..layers {
                all.add([channels, 128], 1, 1);
                all.add([128, 32], 3, 1);
                channels += 32;
            }
            if number < 3 {
                all.add([channels, channels / 2], 1, 1);
                channels /= 2;
                all.size /= 2;
            }
        }
        all
    }

    /// MobileNetV2 and EfficientNet-B0 without their depthwise convolutions: expansion, channels, blocks, stride.
    fn inverted(name: &'static str, stages: [[usize; 4]; 7]) -> Self {
        let mut all = Self::stem(name, 3, 32);
        let mut from = 32;
        for [expansion, to, blocks, stride] in stages {
            for block in 0..blocks {
                if expansion > 1 {
                    all.add([from, from * expansion], 1, 1);
                }
                all.size /= if block == 0 { stride } else { 1 };
                all.add([from * expansion, to], 1, 1);
                from = to;
            }
        }
        all.add([320, 1280], 1, 1);
        all
    }

    fn all() -> [Self; 6] {
        let mobile = [
            [1, 16, 1, 1],
            [6, 24, 2, 2],
            [6, 32, 3, 2],
            [6, 64, 4, 2],
            [6, 96, 3, 1],
            [6, 160, 3, 2],
            [6, 320, 1, 1],
        ];
        let efficient = [
            [1, 16, 1, 1],
            [6, 24, 2, 2],
            [6, 40, 2, 2],
            [6, 80, 3, 2],
            [6, 112, 3, 1],
            [6, 192, 4, 2],
            [6, 320, 1, 1],
        ];
        [
            Self::small_cnn(),
            Self::resnet("resnet-18", [2, 2, 2, 2], false),
            Self::resnet("resnet-50", [3, 4, 6, 3], true),
            Self::densenet(),
            Self::inverted("mobilenet-v2", mobile),
            Self::inverted("efficientnet-b0", efficient),
        ]
    }

    fn maps(&self, images: usize) -> Vec<(ConvSpec, MapShape)> {
        let shape = |&(spec, size): &(ConvSpec, usize)| {
            (spec, MapShape { images, height: size, width: size, channels: spec.in_channels })
        };
        self.layers.iter().map(shape).collect()
    }
}

/// The three products of a convolution; the first of each is the one that multiplies.
fn products(spec: &ConvSpec, input: MapShape) -> [Vec<Pass>; 3] {
    [forward_passes(spec, input), input_gradient_passes(spec, input), weight_gradient_passes(spec, input)]
}

/// A product so small that 264 groups of the smallest tile would have fewer terms than pay for their sums.
fn is_too_small(pass: &Pass) -> bool {
    let least_terms = if pass.name == "weight gradient" { 256 } else { 128 };
    pass.multiply_adds < (ENOUGH_GROUPS * 32 * 32 * least_terms) as u64
}

#[test]
fn every_convolution_keeps_every_multiprocessor_busy() {
    for network in Network::all() {
        let mut small = 0;
        for (spec, input) in network.maps(IMAGES) {
            for passes in products(&spec, input) {
                let pass = passes[0];
                small += usize::from(is_too_small(&pass));
                assert!(
                    pass.work_groups() >= ENOUGH_GROUPS || is_too_small(&pass),
                    "{}: {spec:?} on {input:?}: {pass:?}",
                    network.name
                );
            }
        }
        assert!(small * 10 <= network.layers.len(), "{}: {small} products are too small", network.name);
    }
}

/// Multiply-adds of an image in the forward pass, in millions, known from the papers (stems of one channel).
#[test]
fn multiplications_are_those_of_the_networks() {
    let forward = |network: &Network| -> u64 {
        network.maps(1).iter().map(|(spec, input)| forward_passes(spec, *input)[0].multiply_adds).sum()
    };
    let found = Network::all().map(|network| (network.name, forward(&network) / 1_000_000));
    let (of, depthwise) = (|name| found.iter().find(|(own, _)| *own == name).expect("listed").1, 40);
    assert_eq!(of("small-cnn"), 231);
    // 1814, 4089 and 2834 with three channels in and the last layer.
    assert_eq!(of("resnet-18"), 1734);
    assert_eq!(of("resnet-50"), 4008);
    assert_eq!(of("densenet-121"), 2754);
    // About 300 and 390 with depthwise convolutions.
    assert!((240..300).contains(&(of("mobilenet-v2") + depthwise / 2)));
    assert!((330..400).contains(&(of("efficientnet-b0") + depthwise)));
}

/// Pieces are cut no finer than needed: what they add to the traffic stays below the maps and weights themselves.
#[test]
fn pieces_cost_less_than_they_spread() {
    for network in Network::all() {
        let (mut moved, mut least) = (0, 0);
        for (spec, input) in network.maps(IMAGES) {
            let output = output_shape(&spec, input);
            for passes in products(&spec, input) {
                moved += passes.iter().map(|pass| pass.bytes).sum::<u64>();
                least += 4 * (input.len() + output.len() + spec.weight_len()) as u64;
            }
        }
        assert!(moved < 2 * least, "{}: {moved} bytes instead of {least}", network.name);
    }
}

/// Bytes of pieces of weight gradients that wait to be added up.
const WAITING: usize = 64 << 20;

/// Every launch of a training step of DenseNet-121 on gray images of 224 x 224.
fn densenet_step(images: usize) -> Vec<Pass> {
    let relu = Activation::of(Nonlinearity::Relu);
    let stem = ConvSpec { in_channels: 1, out_channels: 64, kernel: 7, stride: 2, padding: 3 };
    let image = MapShape { images, height: 224, width: 224, channels: 1 };
    let pool = Pool { kind: PoolKind::Max, kernel: 3, stride: 2, padding: 1 };
    let convolved = output_shape(&stem, image);
    let linear = Linear { channels: 1024, classes: 14 };
    let mut map = pooled_shape(&pool, convolved);
    let (mut forward, mut backward, mut weights) = (forward_passes(&stem, image), Vec::new(), Vec::new());
    let rows = sum_rows(&stem, image);
    forward.extend([statistics_pass(convolved, rows), normalise_pass(relu, convolved, false)]);
    forward.extend([pool_pass(&pool, convolved), map_sums_pass(map)]);
    // Put together in the order of the forward pass; a pass's place says nothing of its launches.
    backward.push(pool_gradient_pass(&pool, convolved));
    backward.extend(normalise_backward_passes(Width::Discrete, relu, convolved, false));
    weights.push((stem, image));
    let mut fresh = (64, MAP_SUM_ROWS);
    for (number, layers) in [6, 12, 24, 16].into_iter().enumerate() {
        // The gradient of what a block starts with is settled at the end, that of the last layer needs no settling.
        backward.push(settle_pass(map));
        for number in 1..=layers {
            let layer = LayerShape { input: map, growth: 32 };
            forward.extend(layer.forward_passes(fresh));
            backward.extend(&layer.backward_passes()[usize::from(number == layers)..]);
            weights.extend(layer.weight_gradients());
            (map, fresh) = (map.with_channels(map.channels + 32), layer.fresh());
        }
        if number < 3 {
            let transition = TransitionShape { input: map };
            forward.extend(transition.forward_passes(fresh));
            backward.extend(transition.backward_passes());
            weights.push(transition.weight_gradient());
            (map, fresh) = (transition.averaged().with_channels(map.channels / 2), transition.fresh());
        }
    }
    forward.push(concatenated_statistics_pass(map.with_channels(fresh.0), map.channels - fresh.0, fresh.1));
    forward.extend([normalise_pass(relu, map, false), global_average_pass(map), linear.forward_pass(images)]);
    forward.push(loss_pass(images * linear.classes, linear.classes));
    backward.extend(linear.backward_passes(images));
    backward.push(global_average_gradient_pass(map));
    backward.extend(normalise_backward_passes(Width::Discrete, relu, map, false));
    weights.reverse();
    backward.extend(pending_gradients_passes(WAITING, weights));
    backward.extend(judge_passes(7_000_000));
    backward.push(update_pass(7_000_000));
    forward.extend(backward);
    forward
}

/// A launch costs as much as the multiplications of a small layer.
#[test]
fn a_step_of_densenet_takes_fewer_than_a_thousand_launches() {
    for (images, launches) in [(16, 885), (64, 829)] {
        let passes = densenet_step(images);
        assert!(passes.len() < 1000);
        let mut counts = Counts::default();
        passes.iter().for_each(|pass| counts += pass);
        let merges = passes.len() - without_pieces(&passes);
        assert_eq!(passes.len(), launches, "{images} images: {merges} merges, {counts:?}");
    }
}
