//! Formulas in float64, as plain loops, and how results are compared.

use std::sync::OnceLock;
use xray_gpu::{Affine, Buffer, Curve, Gpu, Map, MapShape, Part, Running, Width};
use xray_kernels::{Activation, ConvSpec};
use xray_random::Random;

/// One device for all tests.
pub(crate) fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(open)
}

/// The same device, counted apart. Work is cut as for a large GPU, whose passes the tests know.
pub(crate) fn open() -> Gpu {
    let gpu = Gpu::open().expect("a device, or a renderer in software such as lavapipe");
    gpu.with_width(Width::Discrete)
}

/// Floats in -1..1 that float64 loops and kernels start from alike.
pub(crate) fn random(length: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::keyed(&[seed]);
    (0..length).map(|_| random.between(-1.0, 1.0) as f32).collect()
}

pub(crate) fn buffer(values: &[f32]) -> Buffer {
    Buffer::of(gpu(), values).expect("a small buffer")
}

/// A buffer full of NaN: what a kernel does not write shows.
pub(crate) fn unwritten(length: usize) -> Buffer {
    buffer(&vec![f32::NAN; length])
}

pub(crate) fn read(buffer: &Buffer) -> Vec<f32> {
    buffer.read(gpu()).expect("the device works")
}

pub(crate) fn shape(images: usize, height: usize, width: usize, channels: usize) -> MapShape {
    MapShape { images, height, width, channels }
}

/// Maps that a test makes up or receives: all channels of a buffer, or some of a wider one whose rest is NaN.
pub(crate) struct Maps {
    pub(crate) buffer: Buffer,
    shape: MapShape,
    first: usize,
    stride: usize,
}

impl Maps {
    /// `spare`: channels before and after those of the map.
    pub(crate) fn of(values: &[f32], shape: MapShape, spare: [usize; 2]) -> Self {
        assert_eq!(values.len(), shape.len());
        let (first, stride) = (spare[0], spare[0] + shape.channels + spare[1]);
        let mut wide = vec![f32::NAN; shape.pixels() * stride];
        for (row, values) in wide.chunks_mut(stride).zip(values.chunks(shape.channels)) {
            row[first..][..shape.channels].copy_from_slice(values);
        }
        Self { buffer: buffer(&wide), shape, first, stride }
    }

    pub(crate) fn unwritten(shape: MapShape, spare: [usize; 2]) -> Self {
        Self::of(&vec![f32::NAN; shape.len()], shape, spare)
    }

    pub(crate) fn map(&self) -> Map<'_> {
        Map::channels_of(&self.buffer, self.shape, self.first, self.stride)
    }

    /// The map's values.
    ///
    /// # Panics
    /// If a channel beside them was written.
    pub(crate) fn read(&self) -> Vec<f32> {
        let (wide, channels) = (read(&self.buffer), self.shape.channels);
        let mut values = Vec::new();
        for row in wide.chunks(self.stride) {
            values.extend_from_slice(&row[self.first..][..channels]);
            let beside = row[..self.first].iter().chain(&row[self.first + channels..]);
            assert!(beside.into_iter().all(|value| value.is_nan()), "a channel beside the map was written");
        }
        values
    }
}

/// Two rows of as many floats, apart from each other in a buffer whose rest is NaN, as parameters of a network lie.
pub(crate) struct Pair {
    buffer: Buffer,
    starts: [usize; 2],
    lengths: [usize; 2],
}

impl Pair {
    /// The second row lies before the first.
    pub(crate) fn of(first: &[f32], second: &[f32]) -> Self {
        let apart = |length| vec![f32::NAN; length];
        let all = [&apart(3), second, &apart(5), first, &apart(2)].concat();
        let (starts, lengths) = ([8 + second.len(), 3], [first.len(), second.len()]);
        Self { buffer: buffer(&all), starts, lengths }
    }

    /// From one half of the values and the other.
    pub(crate) fn halves(values: &[f32]) -> Self {
        let (first, second) = values.split_at(values.len() / 2);
        Self::of(first, second)
    }

    pub(crate) fn parts(&self) -> [Part<'_>; 2] {
        [0, 1].map(|i| self.buffer.part(self.starts[i], self.lengths[i]))
    }

    pub(crate) fn affine(&self) -> Affine<'_> {
        let [gamma, beta] = self.parts();
        Affine { gamma, beta }
    }

    pub(crate) fn running(&self, momentum: f32) -> Running<'_> {
        let [mean, variance] = self.parts();
        Running { mean, variance, momentum }
    }

    /// The first row, then the second.
    ///
    /// # Panics
    /// If a float beside them was written.
    pub(crate) fn read(&self) -> Vec<f32> {
        let mut all = read(&self.buffer);
        let rows: Vec<f32> =
            [0, 1].iter().flat_map(|&i| all[self.starts[i]..][..self.lengths[i]].to_vec()).collect();
        [0, 1].iter().for_each(|&i| all[self.starts[i]..][..self.lengths[i]].fill(f32::NAN));
        assert!(all.iter().all(|value| value.is_nan()), "a float beside the rows was written");
        rows
    }
}

/// The largest difference is at most `tolerance` of the largest value.
pub(crate) fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-6, |most: f64, value| most.max(value.abs()));
    for (place, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs() / largest;
        assert!(
            error <= tolerance,
            "{what}: {found} instead of {expected} at {place}, {error:.1e} of {largest}"
        );
    }
}

/// A gradient was added to what was there.
pub(crate) fn assert_added(what: &str, found: &[f32], there: &[f32], gradient: &[f32]) {
    let sum: Vec<_> = wide(there).iter().zip(wide(gradient)).map(|(old, new)| old + new).collect();
    assert_close(&format!("{what}: added gradient"), found, &sum, 1e-6);
}

pub(crate) fn assert_same_bits(what: &str, first: &[f32], second: &[f32]) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert!(bits(first) == bits(second), "{what}: other bits on repeat");
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Output, and gradients of input and weights, of a convolution `[out][tap][in]` on `[image][y][x][channel]`.
pub(crate) struct Convolved {
    pub(crate) shape: MapShape,
    pub(crate) output: Vec<f64>,
    pub(crate) grad_input: Vec<f64>,
    pub(crate) grad_weights: Vec<f64>,
}

pub(crate) fn convolved(
    spec: &ConvSpec,
    from: MapShape,
    [input, weights]: [&[f64]; 2],
    grad: impl FnOnce(MapShape) -> Vec<f64>,
) -> Convolved {
    let ConvSpec { in_channels, out_channels, kernel, stride, padding } = *spec;
    let [height, width] = [from.height, from.width].map(|size| spec.output_size(size));
    let shape = MapShape { height, width, channels: out_channels, ..from };
    let grad = grad(shape);
    let mut all = Convolved {
        shape,
        output: vec![0.0; shape.len()],
        grad_input: vec![0.0; input.len()],
        grad_weights: vec![0.0; weights.len()],
    };
    for image in 0..from.images {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let to = ((image * height + y) * width + x) * out_channels;
            for (dy, dx) in (0..kernel).flat_map(|dy| (0..kernel).map(move |dx| (dy, dx))) {
                let (sy, sx) = (y * stride + dy, x * stride + dx);
                if sy < padding || sx < padding || sy >= from.height + padding || sx >= from.width + padding {
                    continue;
                }
                let at = ((image * from.height + sy - padding) * from.width + sx - padding) * in_channels;
                for out in 0..out_channels {
                    let weight = (out * kernel * kernel + dy * kernel + dx) * in_channels;
                    let (given, mut sum) = (grad[to + out], 0.0);
                    for channel in 0..in_channels {
                        let (value, factor) = (input[at + channel], weights[weight + channel]);
                        sum += value * factor;
                        all.grad_input[at + channel] += given * factor;
                        all.grad_weights[weight + channel] += given * value;
                    }
                    all.output[to + out] += sum;
                }
            }
        }
    }
    all
}

/// A batch norm with its neighbours.
pub(crate) struct Norm<'a> {
    pub(crate) activation: Activation,
    pub(crate) from: MapShape,
    pub(crate) input: &'a [f64],
    /// Gamma, then beta.
    pub(crate) affine: &'a [f64],
    pub(crate) skip: Option<Vec<f64>>,
    pub(crate) grad: &'a [f64],
    pub(crate) epsilon: f64,
}

pub(crate) struct Normalised {
    pub(crate) mean: Vec<f64>,
    pub(crate) variance: Vec<f64>,
    pub(crate) output: Vec<f64>,
    pub(crate) grad_input: Vec<f64>,
    pub(crate) grad_affine: Vec<f64>,
    pub(crate) grad_skip: Vec<f64>,
}

/// The value of a function and its slope.
pub(crate) fn curve(function: Curve, x: f64) -> (f64, f64) {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match function {
        Curve::Identity => (x, 1.0),
        Curve::Relu => (x.max(0.0), f64::from(u8::from(x > 0.0))),
        Curve::Relu6 => (x.clamp(0.0, 6.0), f64::from(u8::from(x > 0.0 && x < 6.0))),
        Curve::Silu => (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))),
        Curve::Sigmoid => (sigmoid, sigmoid / (1.0 + x.exp())),
    }
}

pub(crate) fn normalised(norm: &Norm<'_>) -> Normalised {
    let (from, channels, count) = (norm.from, norm.from.channels, norm.from.pixels() as f64);
    let channel = |c: usize| norm.input.iter().skip(c).step_by(channels);
    let mean: Vec<f64> = (0..channels).map(|c| channel(c).sum::<f64>() / count).collect();
    let variance: Vec<f64> =
        (0..channels).map(|c| channel(c).map(|v| (v - mean[c]).powi(2)).sum::<f64>() / count).collect();
    let (gamma, beta) = norm.affine.split_at(channels);
    let hat = |i: usize| {
        let c = i % channels;
        (norm.input[i] - mean[c]) / (variance[c] + norm.epsilon).sqrt()
    };
    let scaled = |i: usize| gamma[i % channels] * hat(i) + beta[i % channels];
    let side = if norm.activation.pool { 2 } else { 1 };
    let [height, width] = [from.height / side, from.width / side];
    let mut all = Normalised {
        output: Vec::new(),
        grad_input: vec![0.0; norm.input.len()],
        grad_affine: vec![0.0; 2 * channels],
        grad_skip: vec![0.0; norm.grad.len()],
        mean: mean.clone(),
        variance: variance.clone(),
    };
    // The gradient before the activation, at the input's pixels.
    let mut d = vec![0.0; norm.input.len()];
    for (i, grad) in norm.grad.iter().enumerate() {
        let (pixel, c) = (i / channels, i % channels);
        let (image, y, x) = (pixel / (width * height), pixel / width % height, pixel % width);
        let places = (0..side).flat_map(|dy| (0..side).map(move |dx| (dy, dx))).map(|(dy, dx)| {
            ((image * from.height + side * y + dy) * from.width + side * x + dx) * channels + c
        });
        let best = places.reduce(|best, next| if scaled(next) > scaled(best) { next } else { best });
        let best = best.expect("a window has pixels");
        let before = scaled(best) + norm.skip.as_ref().map_or(0.0, |skip| skip[i]);
        let (value, slope) = curve(norm.activation.function.into(), before);
        all.output.push(value);
        d[best] += grad * slope;
        all.grad_skip[i] = grad * slope;
    }
    for (i, d) in d.iter().enumerate() {
        all.grad_affine[i % channels] += d * hat(i);
        all.grad_affine[channels + i % channels] += d;
    }
    for (i, grad) in all.grad_input.iter_mut().enumerate() {
        let c = i % channels;
        let [product, sum] = [0, channels].map(|at| all.grad_affine[at + c] / count);
        *grad = gamma[c] / (variance[c] + norm.epsilon).sqrt() * (d[i] - sum - hat(i) * product);
    }
    all
}
