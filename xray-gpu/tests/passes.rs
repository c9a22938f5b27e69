//! What every convolution of every network asks of a device, from shapes alone: enough work groups, buffers within what
//! every device allows, and as many multiplications as the networks have.

use xray_gpu::{
    ENOUGH_GROUPS, MapShape, Pass, forward_passes, input_gradient_passes, output_shape,
    weight_gradient_passes,
};
use xray_kernels::ConvSpec;

const IMAGES: usize = 64;

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
