//! Every kernel in every form against sums of 32 bits, taken pixel by pixel: the same bytes.

use super::*;
use crate::{Context, ConvSpec, DepthwiseSpec, Isa, MapShape, Nonlinearity, PlanarShape, Pool, PoolKind};
use xray_random::Random;

const FUNCTIONS: [Nonlinearity; 4] =
    [Nonlinearity::Identity, Nonlinearity::Relu, Nonlinearity::Relu6, Nonlinearity::Silu];

/// All forms, AVX-512 with and without VNNI.
fn forms() -> Vec<Isa> {
    let mut forms = Isa::available();
    forms.extend(Isa::available().last().map(|isa| isa.without_vnni()));
    forms
}

fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(work)
}

fn below(random: &mut Random, limit: usize) -> usize {
    random.below(limit)
}

/// Bytes of images, channel by channel.
#[derive(Clone)]
struct Images {
    shape: PlanarShape,
    bytes: Vec<u8>,
    quantisation: Quantisation,
}

impl Images {
    fn random(random: &mut Random, [images, channels, height, width]: [usize; 4]) -> Self {
        let shape = PlanarShape { images, channels, height, width };
        let bytes = (0..shape.len()).map(|_| below(random, 256) as u8).collect();
        let scale = random.between(0.01, 0.1) as f32;
        Self { shape, bytes, quantisation: Quantisation { scale, zero_point: below(random, 256) as u8 } }
    }

    fn size(&self) -> [usize; 4] {
        let PlanarShape { images, channels, height, width } = self.shape;
        [images, channels, height, width]
    }

    /// The byte of a pixel, or of zero outside.
    fn at(&self, image: usize, channel: usize, y: usize, x: usize, padding: usize) -> i32 {
        let PlanarShape { channels, height, width, .. } = self.shape;
        match (y.checked_sub(padding), x.checked_sub(padding)) {
            (Some(y), Some(x)) if y < height && x < width => {
                i32::from(self.bytes[((image * channels + channel) * height + y) * width + x])
            }
            _ => i32::from(self.quantisation.zero_point),
        }
    }

    fn map(&self, context: &Context, halo: usize) -> ByteMap {
        let PlanarShape { images, channels, height, width } = self.shape;
        let shape = MapShape::new(images, channels, height, width, halo);
        let mut map = ByteMap::new(context, shape, self.quantisation);
        self.each(|[n, c, y, x], byte| {
            map.buffer.bytes_mut()[shape.offset(n, c / 16, y, x) + c % 16] = byte;
        });
        map
    }

    fn each(&self, mut call: impl FnMut([usize; 4], u8)) {
        let [_, channels, height, width] = self.size();
        for (index, &byte) in self.bytes.iter().enumerate() {
            let (x, y) = (index % width, index / width % height);
            let plane = index / width / height;
            call([plane / channels, plane % channels, y, x], byte);
        }
    }

    /// That a map holds these bytes, and zero points around them.
    fn assert_map(&self, map: &ByteMap, what: &str) {
        let shape = map.shape();
        assert_eq!(shape.size(), self.size(), "{what}");
        assert_eq!(map.quantisation(), self.quantisation, "{what}");
        let mut expected = vec![self.quantisation.zero_point; shape.len()];
        self.each(|[n, c, y, x], byte| expected[shape.offset(n, c / 16, y, x) + c % 16] = byte);
        let surplus = |lane: usize| lane % 16 >= shape.channels - (shape.blocks() - 1) * 16;
        for (at, (&found, &wanted)) in map.bytes().iter().zip(&expected).enumerate() {
            let is_last = at % shape.image() / shape.plane() + 1 == shape.blocks();
            let means_nothing = is_last && surplus(at);
            assert!(
                found == wanted || means_nothing,
                "{what}: {found} instead of {wanted} at {at} of {shape:?}"
            );
        }
    }
}

/// What comes of a sum, as the formula says.
struct Finish {
    how: Requantisation,
    skip: Option<Quantisation>,
}

impl Finish {
    fn random(random: &mut Random, skip: Option<Quantisation>) -> Self {
        let function = FUNCTIONS[below(random, FUNCTIONS.len())];
        let mut quantisation =
            || Quantisation { scale: random.between(0.5, 2.0) as f32, zero_point: below(random, 256) as u8 };
        let (argument, output) = (quantisation(), quantisation());
        let argument = if function == Nonlinearity::Silu { argument } else { output };
        Self { how: Requantisation { function, argument, output }, skip }
    }

    fn byte(&self, sum: i32, scale: f32, bias: f32, skip: i32) -> u8 {
        let Requantisation { function, argument, output } = self.how;
        let zero = f32::from(argument.zero_point);
        let (skip_factor, skip_zero) = self.skip.map_or((0.0, 0.0), |skip| {
            (skip.scale / argument.scale, f32::from(skip.zero_point) * (skip.scale / argument.scale))
        });
        let mut value = sum as f32 * (scale / argument.scale) + (bias / argument.scale + zero - skip_zero);
        if self.skip.is_some() {
            value += skip as f32 * skip_factor;
        }
        let (low, high) = match function {
            Nonlinearity::Relu => (zero, 255.0),
            Nonlinearity::Relu6 => (zero, f32::from(output.byte(6.0))),
            _ => (0.0, 255.0),
        };
        // `max` and `min` in this order, as where the limits cross.
        let byte = value.max(low).min(high).round_ties_even() as u8;
        if function != Nonlinearity::Silu {
            return byte;
        }
        let x = f64::from(argument.value(byte));
        output.byte((x / (1.0 + (-x).exp())) as f32)
    }
}

/// Weights as bytes, by the rule: the largest gets 127.
fn rounded(filter: &[f32]) -> (Vec<i32>, f32) {
    let scale = filter.iter().fold(0.0f32, |most, weight| most.max(weight.abs())) / 127.0;
    if scale == 0.0 {
        return (vec![0; filter.len()], 0.0);
    }
    (filter.iter().map(|weight| (weight / scale).round_ties_even() as i32).collect(), scale)
}

struct Layer {
    spec: ConvSpec,
    weights: Vec<f32>,
    bias: Vec<f32>,
    input: Images,
    skip: Option<Images>,
    finish: Finish,
    pool: bool,
}

impl Layer {
    fn random(random: &mut Random) -> Self {
        let kernel = [1, 1, 3, 3, 5, 7][below(random, 6)];
        let spec = ConvSpec {
            in_channels: 1 + below(random, 40),
            out_channels: 1 + below(random, 50),
            kernel,
            stride: 1 + below(random, 2),
            padding: below(random, kernel / 2 + 1),
        };
        let least = kernel.saturating_sub(2 * spec.padding).max(2 * spec.stride);
        let size =
            [1 + below(random, 3), spec.in_channels, least + below(random, 12), least + below(random, 12)];
        Self::of(random, spec, size)
    }

    fn of(random: &mut Random, spec: ConvSpec, size: [usize; 4]) -> Self {
        let input = Images::random(random, size);
        let [rows, columns] = [size[2], size[3]].map(|size| spec.output_size(size));
        let mut pool = rows > 1 && columns > 1 && random.below(3) == 0;
        let skip = (!pool && random.below(2) == 0)
            .then(|| Images::random(random, [size[0], spec.out_channels, rows, columns]));
        let finish = Finish::random(random, skip.as_ref().map(|skip| skip.quantisation));
        pool &= finish.how.function != Nonlinearity::Silu;
        let mut floats = |count: usize, most: f64| -> Vec<f32> {
            (0..count).map(|_| random.between(-most, most) as f32).collect()
        };
        let weights = floats(spec.weight_len(), 1.0);
        let bias = floats(spec.out_channels, 20.0);
        Self { spec, weights, bias, input, skip, finish, pool }
    }

    fn expected(&self) -> Images {
        let Self { spec, input, .. } = self;
        let [images, _, height, width] = input.size();
        let [rows, columns] = [height, width].map(|size| spec.output_size(size));
        let window = if self.pool { 2 } else { 1 };
        let shape = PlanarShape {
            images,
            channels: spec.out_channels,
            height: rows / window,
            width: columns / window,
        };
        let mut output = Images { shape, bytes: vec![0; shape.len()], quantisation: self.finish.how.output };
        let filters: Vec<_> =
            self.weights.chunks(self.weights.len() / spec.out_channels).map(rounded).collect();
        let zero = i32::from(input.quantisation.zero_point);
        let sum = |n: usize, o: usize, y: usize, x: usize| {
            let mut sum = 0i32;
            for (at, weight) in filters[o].0.iter().enumerate() {
                let (c, ky, kx) =
                    (at / spec.kernel / spec.kernel, at / spec.kernel % spec.kernel, at % spec.kernel);
                let byte = input.at(n, c, y * spec.stride + ky, x * spec.stride + kx, spec.padding);
                sum += weight * (byte - zero);
            }
            sum
        };
        let mut bytes = Vec::new();
        output.each(|[n, o, y, x], _| {
            let scale = filters[o].1 * input.quantisation.scale;
            let skip = self.skip.as_ref().map_or(0, |skip| skip.at(n, o, y, x, 0));
            let of = |dy, dx| {
                let sum = sum(n, o, y * window + dy, x * window + dx);
                self.finish.byte(sum, scale, self.bias[o], skip)
            };
            let all = (0..window).flat_map(|dy| (0..window).map(move |dx| (dy, dx)));
            bytes.push(all.map(|(dy, dx)| of(dy, dx)).max().expect("a window"));
        });
        output.bytes = bytes;
        output
    }

    fn found(&self, context: &Context, planar: bool) -> ByteMap {
        let Self { spec, input, finish, .. } = self;
        let skip = self.skip.as_ref().map(|skip| skip.map(context, 1));
        let conv = ByteConv::new(
            context,
            *spec,
            planar,
            (&self.weights, &self.bias),
            input.quantisation,
            finish.skip,
            &finish.how,
            self.pool,
        );
        if planar {
            let mut values = vec![0.0; input.shape.len()];
            for (value, &byte) in values.iter_mut().zip(&input.bytes) {
                *value = input.quantisation.value(byte);
            }
            let planes = BytePlanes::new(context, (&values, input.shape), spec, input.quantisation);
            return conv.forward(context, ByteInput::Planes(&planes), skip.as_ref(), 1);
        }
        let map = input.map(context, spec.padding + 1);
        conv.forward(context, ByteInput::Map(&map), skip.as_ref(), 1)
    }

    fn check(&self, planar: bool) {
        let expected = self.expected();
        for (isa, threads) in forms().into_iter().zip([1, 2, 3, 1].into_iter().cycle()) {
            let context = Context::watched(isa);
            let found = on_threads(threads, || self.found(&context, planar));
            let what = format!("{isa}, planar {planar}, {:?}, pool {}", self.spec, self.pool);
            expected.assert_map(&found, &what);
        }
    }
}

#[test]
fn convolutions_are_sums_of_integers() {
    for seed in 0..150 {
        let layer = Layer::random(&mut Random::keyed(&[seed]));
        layer.check(seed % 3 == 0 && layer.spec.in_channels < 8 || seed % 10 == 0);
    }
}

/// As large as products come: sums of pairs that saturate in 16 bits.
#[test]
fn nothing_saturates_between() {
    let spec = ConvSpec { in_channels: 64, out_channels: 17, kernel: 3, stride: 1, padding: 1 };
    let mut layer = Layer::of(&mut Random::keyed(&[7]), spec, [1, 64, 6, 5]);
    layer.input.bytes.fill(255);
    layer.input.quantisation.zero_point = 0;
    layer.weights.fill(1.0);
    layer.finish.how = Requantisation::clamped(
        Nonlinearity::Identity,
        Quantisation { scale: 64.0 * 9.0 * layer.input.quantisation.scale * 1.1, zero_point: 3 },
    );
    layer.check(false);
}

/// So many pixels and channels that threads share out tiles and blocks.
#[test]
fn threads_share_out_one_image() {
    let spec = ConvSpec { in_channels: 20, out_channels: 100, kernel: 3, stride: 1, padding: 1 };
    Layer::of(&mut Random::keyed(&[8]), spec, [1, 20, 41, 37]).check(false);
}

#[test]
fn depthwise_convolutions_are_sums_of_integers() {
    for seed in 0..100 {
        let random = &mut Random::keyed(&[seed, 1]);
        let (channels, kernel) = (1 + below(random, 40), [1, 3, 5, 7][below(random, 4)]);
        let spec = DepthwiseSpec {
            channels,
            kernel,
            stride: 1 + below(random, 2),
            padding: below(random, kernel / 2 + 1),
        };
        let least = kernel.saturating_sub(2 * spec.padding).max(1);
        let size = [1 + below(random, 2), channels, least + below(random, 9), least + below(random, 20)];
        let input = Images::random(random, size);
        let weights: Vec<f32> = (0..spec.weight_len()).map(|_| random.between(-1.0, 1.0) as f32).collect();
        let bias: Vec<f32> = (0..channels).map(|_| random.between(-9.0, 9.0) as f32).collect();
        let finish = Finish::random(random, None);
        let [height, width] = [size[2], size[3]].map(|size| spec.output_size(size));
        let shape = PlanarShape { images: size[0], channels, height, width };
        let mut expected = Images { shape, bytes: vec![0; shape.len()], quantisation: finish.how.output };
        let mut bytes = Vec::new();
        expected.each(|[n, c, y, x], _| {
            let (filter, scale) = rounded(&weights[c * kernel * kernel..][..kernel * kernel]);
            let zero = i32::from(input.quantisation.zero_point);
            let product = |(at, weight): (usize, &i32)| {
                let [ky, kx] = [at / kernel, at % kernel];
                let byte = input.at(n, c, y * spec.stride + ky, x * spec.stride + kx, spec.padding);
                weight * (byte - zero)
            };
            let sum = filter.iter().enumerate().map(product).sum();
            bytes.push(finish.byte(sum, scale * input.quantisation.scale, bias[c], 0));
        });
        expected.bytes = bytes;
        for (isa, threads) in forms().into_iter().zip([1, 2, 3, 1].into_iter().cycle()) {
            let context = Context::watched(isa);
            let conv = ByteDepthwise::new(spec, (&weights, &bias), input.quantisation, &finish.how);
            let map = input.map(&context, spec.padding + 1);
            let found = on_threads(threads, || conv.forward(&context, &map, 2));
            expected.assert_map(&found, &format!("{isa}, {spec:?}, {height} x {width}"));
        }
    }
}

#[test]
fn channels_are_scaled_and_pooled() {
    for seed in 0..40 {
        let random = &mut Random::keyed(&[seed, 2]);
        let pool = seed % 2 == 0;
        let halo = below(random, 2);
        let [images, height, width] = [2, 6, 6].map(|most| 1 + below(random, most));
        let [height, width] = [height, width].map(|size| size.max(if pool { 2 } else { 1 }));
        let channels: Vec<usize> = (0..1 + below(random, 3)).map(|_| 1 + below(random, 40)).collect();
        let inputs: Vec<_> = channels
            .iter()
            .map(|&channels| Images::random(random, [images, channels, height, width]))
            .collect();
        let output =
            Quantisation { scale: random.between(0.01, 0.1) as f32, zero_point: below(random, 20) as u8 };
        let all: usize = channels.iter().sum();
        let scale: Vec<f32> = (0..all).map(|_| random.between(-2.0, 2.0) as f32).collect();
        let shift: Vec<f32> = (0..all).map(|_| random.between(-1.0, 1.0) as f32).collect();
        let zero = f32::from(output.zero_point);
        // Of each channel: its map, its place in it, and its lane in the output.
        let mut places_of = Vec::new();
        let mut block = 0;
        for (map, &channels) in channels.iter().enumerate() {
            places_of.extend((0..channels).map(|channel| (map, channel, 16 * block + channel)));
            block += channels.div_ceil(16);
        }
        let of = |n: usize, c: usize, y: usize, x: usize| {
            let (map, channel, _) = places_of[c];
            let input = &inputs[map];
            let factor = scale[c] * input.quantisation.scale / output.scale;
            let summand = shift[c] / output.scale + zero - f32::from(input.quantisation.zero_point) * factor;
            (input.at(n, channel, y, x, 0) as f32 * factor + summand).max(zero)
        };
        let step = if pool { 2 } else { 1 };
        let [rows, columns] = [height, width].map(|size| size / step);
        for isa in forms() {
            let context = Context::watched(isa);
            let maps: Vec<_> = inputs.iter().map(|input| input.map(&context, 1)).collect();
            let given: Vec<_> = channels.iter().zip(&inputs).map(|(&c, i)| (c, i.quantisation)).collect();
            let affine = ByteAffine::new([&scale, &shift], &given, output, pool);
            let found = affine.forward(&context, &maps.iter().collect::<Vec<_>>(), halo);
            assert_eq!(found.shape(), MapShape::new(images, 16 * block, rows, columns, halo));
            for [n, c, y, x] in places([images, all, rows, columns]) {
                let value = if pool {
                    let [y, x] = [2 * y, 2 * x];
                    ((of(n, c, y, x) + of(n, c, y, x + 1)) + (of(n, c, y + 1, x) + of(n, c, y + 1, x + 1)))
                        * 0.25
                } else {
                    of(n, c, y, x)
                };
                let wanted = value.min(255.0).round_ties_even() as u8;
                let lane = places_of[c].2;
                let byte = found.bytes()[found.shape().offset(n, lane / 16, y, x) + lane % 16];
                assert_eq!(byte, wanted, "{isa}, pool {pool}, {n} {c} {y} {x}");
            }
        }
    }
}

fn places([images, channels, height, width]: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
    (0..images * channels * height * width).map(move |index| {
        let plane = index / width / height;
        [plane / channels, plane % channels, index / width % height, index % width]
    })
}

#[test]
fn gates_means_and_pools() {
    for seed in 0..40 {
        let random = &mut Random::keyed(&[seed, 3]);
        let (images, channels) = (1 + below(random, 3), 1 + below(random, 40));
        let size = [images, channels, 1 + below(random, 5), 1 + below(random, 600)];
        let input = Images::random(random, size);
        let factors: Vec<f32> = (0..images * channels).map(|_| random.between(0.0, 1.0) as f32).collect();
        let output = Quantisation { scale: 0.03, zero_point: below(random, 256) as u8 };
        let pool = Pool { kind: PoolKind::Max, kernel: 3, stride: 2, padding: 1 };
        for isa in forms() {
            let context = Context::watched(isa);
            let map = input.map(&context, 1);
            let gated = byte_gate(&context, &map, &factors, output, 1);
            let means = byte_means(&map);
            let pooled = byte_max_pool(&context, pool, &map, 1);
            for [n, c, y, x] in places(size) {
                let factor = factors[n * channels + c] * (input.quantisation.scale / output.scale);
                let summand =
                    f32::from(output.zero_point) - f32::from(input.quantisation.zero_point) * factor;
                let value = input.at(n, c, y, x, 0) as f32 * factor + summand;
                let wanted = value.clamp(0.0, 255.0).round_ties_even() as u8;
                assert_eq!(gated.bytes()[gated.shape().offset(n, c / 16, y, x) + c % 16], wanted);
            }
            for [n, c, ..] in places([images, channels, 1, 1]) {
                let values = places([1, 1, size[2], size[3]]).map(|[_, _, y, x]| input.at(n, c, y, x, 0));
                let mean = f64::from(values.sum::<i32>()) / (size[2] * size[3]) as f64;
                let wanted =
                    f64::from(input.quantisation.scale) * (mean - f64::from(input.quantisation.zero_point));
                let found = f64::from(means[n * channels + c]);
                assert!((found - wanted).abs() < 1e-4, "{found} instead of {wanted}");
            }
            let shape = pooled.shape();
            for [n, c, y, x] in places(shape.size()) {
                let window = (0..3).flat_map(|dy| (0..3).map(move |dx| [2 * y + dy, 2 * x + dx]));
                let inside = |[y, x]: &[usize; 2]| (1..=size[2]).contains(y) && (1..=size[3]).contains(x);
                let wanted = window.filter(inside).map(|[y, x]| input.at(n, c, y, x, 1)).max();
                let found = pooled.bytes()[shape.offset(n, c / 16, y, x) + c % 16];
                assert_eq!(Some(i32::from(found)), wanted, "{isa}: {n} {c} {y} {x}");
            }
        }
    }
}
