//! How far Winograd's convolutions are from the truth on layers as networks have them, next to direct ones.
#![expect(clippy::print_stderr, reason = "the errors are worth reading")]

use crate::reference;
use crate::reference::{Images, Random, single};
use xray_kernels::{
    Context, ConvInput, ConvOutput, ConvSpec, GradientMap, Isa, MapShape, PackedWeights, TransposedWeights,
    convolve, convolve_backward,
};

/// Of the largest value of what is computed.
const BOUND: f64 = 5e-6;

/// Nearly normal values: sums of twelve uniform ones.
fn normal(random: &mut Random, scale: f64) -> f64 {
    let sum: f64 = random.values(12).iter().sum();
    f64::from((sum * 0.5 * scale) as f32)
}

fn images(size: [usize; 4], random: &mut Random) -> Images {
    let data = (0..size.iter().product()).map(|_| normal(random, 1.0)).collect();
    Images { size, data }
}

/// The largest difference, relative to the largest value.
fn error(got: impl IntoIterator<Item = f64>, wanted: &[f64]) -> f64 {
    let largest = wanted.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let difference =
        got.into_iter().zip(wanted).fold(0.0_f64, |most, (got, wanted)| most.max((got - wanted).abs()));
    difference / largest
}

struct Truth {
    spec: ConvSpec,
    input: Images,
    weights: Vec<f64>,
    output: Images,
    gradient: Images,
    grad_input: Images,
    grad_weights: Vec<f64>,
}

impl Truth {
    fn new([in_channels, out_channels]: [usize; 2], count: usize, size: usize) -> Self {
        let mut random = Random::new(11);
        let spec = ConvSpec { in_channels, out_channels, kernel: 3, stride: 1, padding: 1 };
        let input = images([count, in_channels, size, size], &mut random);
        // As He et al. (2015) begin.
        let scale = (2.0 / (9 * in_channels) as f64).sqrt();
        let weights: Vec<f64> = (0..spec.weight_len()).map(|_| normal(&mut random, scale)).collect();
        let output = reference::convolve(&spec, &input, &weights);
        let gradient = images(output.size, &mut random);
        let (grad_input, grad_weights) = reference::convolve_backward(&spec, &input, &weights, &gradient);
        Self { spec, input, weights, output, gradient, grad_input, grad_weights }
    }

    /// Of the output, the input gradient and the weight gradient.
    fn errors(&self, context: &Context) -> [f64; 3] {
        let shape = |images: &Images| {
            let [n, c, h, w] = images.size;
            MapShape::new(n, c, h, w, 1)
        };
        let (in_shape, out_shape) = (shape(&self.input), shape(&self.output));
        let (input, gradient) = (self.input.blocked(&in_shape, 0.0), self.gradient.blocked(&out_shape, 0.0));
        let weights = single(&self.weights);
        let packed = PackedWeights::new(&context.arena, self.spec, false, &weights, None);
        let transposed = TransposedWeights::new(&context.arena, self.spec, &weights);
        let mut output = vec![0.0; out_shape.len()];
        let to = ConvOutput { buffer: &mut output, shape: out_shape, bias: None, clamp: None, sums: None };
        convolve(context, ConvInput::Map(&input, in_shape), &packed, to);
        let mut grad_input = vec![0.0; in_shape.len()];
        let mut grad_weights = vec![0.0; weights.len()];
        let target = (&transposed, GradientMap::new(&mut grad_input, in_shape));
        let (given, input) = ((&gradient[..], out_shape), ConvInput::Map(&input, in_shape));
        convolve_backward(context, self.spec, input, given, &mut grad_weights, Some(target));
        [
            error(Images::from_map(&output, &out_shape).data, &self.output.data),
            error(Images::from_map(&grad_input, &in_shape).data, &self.grad_input.data),
            error(grad_weights.into_iter().map(f64::from), &self.grad_weights),
        ]
    }
}

/// Winograd's errors are within the bound, and they are not those of a direct convolution: it was Winograd's.
fn check(channels: [usize; 2], count: usize, size: usize) {
    let truth = Truth::new(channels, count, size);
    for isa in Isa::available() {
        let [minimal, direct] =
            [true, false].map(|winograd| truth.errors(&Context { winograd, ..Context::watched(isa) }));
        let list = |errors: [f64; 3]| errors.map(|error| format!("{error:.1e}")).join(" ");
        let what = format!("{isa}, {channels:?} at {size}: {} against {}", list(minimal), list(direct));
        eprintln!("{what}");
        assert!(minimal.iter().all(|&error| error < BOUND), "{what}");
        assert!(minimal.iter().zip(direct).all(|(minimal, direct)| *minimal != direct), "{what}");
    }
}

#[test]
fn a_second_layer() {
    check([32, 64], 1, 64);
}

#[test]
fn a_third_layer() {
    check([64, 128], 2, 32);
}

#[test]
fn a_fourth_layer() {
    check([128, 128], 8, 16);
}

/// A batch that trains: without sums of batch norm, what is computed is one image's own result.
#[test]
fn gradients_of_a_last_layer() {
    let truth = Truth::new([256, 256], 4, 7);
    for isa in Isa::available() {
        let [minimal, direct] =
            [true, false].map(|winograd| truth.errors(&Context { winograd, ..Context::watched(isa) }));
        assert!(minimal.iter().all(|&error| error < BOUND), "{isa}: {minimal:?} against {direct:?}");
        let is_other = [0, 1, 2].map(|of| minimal[of] != direct[of]);
        assert_eq!(is_other, [false, true, true], "{isa}: {minimal:?} against {direct:?}");
    }
}
