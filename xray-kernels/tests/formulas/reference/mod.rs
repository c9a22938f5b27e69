//! Convolutions as their formula says, in double precision, and conversions to and from the blocked layout.

pub(crate) mod norm;

use xray_kernels::{ConvSpec, MapShape};

/// Images `[n][c][h][w]` in double precision.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) size: [usize; 4],
    pub(crate) data: Vec<f64>,
}

impl Images {
    pub(crate) fn zeros(size: [usize; 4]) -> Self {
        Self { size, data: vec![0.0; size.iter().product()] }
    }

    pub(crate) fn random(size: [usize; 4], random: &mut Random) -> Self {
        let data = (0..size.iter().product()).map(|_| random.value()).collect();
        Self { size, data }
    }

    pub(crate) fn at(&self, n: usize, c: usize, y: usize, x: usize) -> f64 {
        self.data[self.index(n, c, y, x)]
    }

    pub(crate) fn index(&self, n: usize, c: usize, y: usize, x: usize) -> usize {
        let [_, channels, height, width] = self.size;
        ((n * channels + c) * height + y) * width + x
    }

    /// All places.
    pub(crate) fn places(&self) -> impl Iterator<Item = [usize; 4]> + use<> {
        let [images, channels, height, width] = self.size;
        (0..images * channels * height * width).map(move |index| {
            let (x, rest) = (index % width, index / width);
            let (y, rest) = (rest % height, rest / height);
            [rest / channels, rest % channels, y, x]
        })
    }

    pub(crate) fn planar(&self) -> Vec<f32> {
        self.data.iter().map(|&value| value as f32).collect()
    }

    /// In a blocked map; what the map does not hold is `outside`, the halo and surplus lanes are zero.
    pub(crate) fn blocked(&self, shape: &MapShape, outside: f32) -> Vec<f32> {
        let mut to = vec![outside; shape.len()];
        for n in 0..shape.images {
            for block in 0..shape.blocks() {
                let corner = shape.offset(n, block, 0, 0) - shape.halo * (shape.row() + 16);
                to[corner..corner + shape.plane()].fill(0.0);
            }
        }
        for [n, c, y, x] in self.places() {
            to[shape.offset(n, c / 16, y, x) + c % 16] = self.at(n, c, y, x) as f32;
        }
        to
    }

    /// Asserts that a map holds these values, zeros in its halo and surplus lanes, and `outside` elsewhere.
    pub(crate) fn assert_map(&self, map: &[f32], shape: &MapShape, outside: f32, tolerance: f64, what: &str) {
        let scale = self.data.iter().fold(1e-3_f64, |most, value| most.max(value.abs()));
        let expected = self.blocked(shape, outside);
        for (index, (&got, &wanted)) in map.iter().zip(&expected).enumerate() {
            let close = (f64::from(got) - f64::from(wanted)).abs() <= tolerance * scale;
            let same = got.to_bits() == wanted.to_bits() || close;
            assert!(same, "{what}: {got} instead of {wanted} at {index} of {shape:?}");
        }
        assert_eq!(map.len(), expected.len());
    }

    pub(crate) fn from_map(map: &[f32], shape: &MapShape) -> Self {
        let mut images = Self::zeros([shape.images, shape.channels, shape.height, shape.width]);
        for [n, c, y, x] in images.places() {
            let index = images.index(n, c, y, x);
            images.data[index] = f64::from(map[shape.offset(n, c / 16, y, x) + c % 16]);
        }
        images
    }
}

/// Asserts that every float of a buffer that is not a pixel of the map still has the bits of `outside`.
pub(crate) fn assert_outside(map: &[f32], shape: &MapShape, outside: f32, what: &str) {
    let mut pixel = vec![false; map.len()];
    for n in 0..shape.images {
        for block in 0..shape.blocks() {
            for y in 0..shape.height {
                pixel[shape.offset(n, block, y, 0)..][..shape.width * 16].fill(true);
            }
        }
    }
    for (index, (value, pixel)) in map.iter().zip(pixel).enumerate() {
        assert!(
            pixel || value.to_bits() == outside.to_bits(),
            "{what}: written outside, at {index} of {shape:?}"
        );
    }
}

/// Asserts that two lists agree, relative to the largest of the second.
pub(crate) fn assert_close(got: &[f32], wanted: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1e-3_f64, |most, value| most.max(value.abs()));
    for (index, (&got, &wanted)) in got.iter().zip(wanted).enumerate() {
        let close = (f64::from(got) - wanted).abs() <= tolerance * scale;
        assert!(close, "{what}: {got} instead of {wanted} at {index}");
    }
}

/// Single precision values, from a seed, by xorshift64*: some seeds were chosen so that no two values of a pool are
/// within a rounding error of each other, and another generator would need others.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn value(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        f64::from((bits as f32 / (1_u32 << 23) as f32) - 1.0)
    }

    pub(crate) fn values(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.value()).collect()
    }
}

pub(crate) fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// Calls with input place, output place and weight index of every product of a convolution.
pub(crate) fn products(
    spec: &ConvSpec,
    input: [usize; 4],
    mut call: impl FnMut([usize; 4], [usize; 4], usize),
) -> [usize; 4] {
    let [images, channels, height, width] = input;
    let output = [images, spec.out_channels, spec.output_size(height), spec.output_size(width)];
    let k = spec.kernel;
    for [n, o, y, x] in Images::zeros(output).places() {
        for c in 0..channels {
            for ky in 0..k {
                for kx in 0..k {
                    let (iy, ix) = (y * spec.stride + ky, x * spec.stride + kx);
                    let (Some(iy), Some(ix)) = (iy.checked_sub(spec.padding), ix.checked_sub(spec.padding))
                    else {
                        continue;
                    };
                    if iy < height && ix < width {
                        call([n, c, iy, ix], [n, o, y, x], ((o * channels + c) * k + ky) * k + kx);
                    }
                }
            }
        }
    }
    output
}

pub(crate) fn convolve(spec: &ConvSpec, input: &Images, weights: &[f64]) -> Images {
    let size = products(spec, [0, 0, input.size[2], input.size[3]], |_, _, _| {});
    let mut output = Images::zeros([input.size[0], spec.out_channels, size[2], size[3]]);
    products(spec, input.size, |[n, c, y, x], [m, o, oy, ox], weight| {
        let index = output.index(m, o, oy, ox);
        output.data[index] += input.at(n, c, y, x) * weights[weight];
    });
    output
}

/// Gradients of the input and the weights.
pub(crate) fn convolve_backward(
    spec: &ConvSpec,
    input: &Images,
    weights: &[f64],
    gradient: &Images,
) -> (Images, Vec<f64>) {
    let mut grad_input = Images::zeros(input.size);
    let mut grad_weights = vec![0.0; weights.len()];
    products(spec, input.size, |[n, c, y, x], [m, o, oy, ox], weight| {
        let g = gradient.at(m, o, oy, ox);
        let index = grad_input.index(n, c, y, x);
        grad_input.data[index] += g * weights[weight];
        grad_weights[weight] += g * input.at(n, c, y, x);
    });
    (grad_input, grad_weights)
}
