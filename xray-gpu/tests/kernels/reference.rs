//! Formulas in float64, as plain loops, and how results are compared.

use std::sync::OnceLock;
use xray_gpu::{Buffer, Gpu, Map, MapShape};
use xray_kernels::ConvSpec;
use xray_random::Random;

/// One device for all tests.
pub(crate) fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open().expect("a device, or a renderer in software such as lavapipe"))
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
