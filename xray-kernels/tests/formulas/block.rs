//! A whole block equals convolution, normalisation and activation one after the other, in double precision.

use crate::reference;
use crate::reference::norm::{Norm, moments, nonlinearities};
use crate::reference::{Images, Random, assert_close, single};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use xray_kernels::{
    Activation, BlockGradients, BlockParameters, Context, ConvBlock, ConvInput, ConvSpec, FoldedBlock,
    GradientMap, Isa, MapShape, PlanarShape,
};

const EPSILON: f64 = 1e-3;

#[derive(Clone, Debug)]
struct Case {
    conv: ConvSpec,
    activation: Activation,
    size: [usize; 3],
    planar: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let kernel = prop::sample::select(vec![1_usize, 3, 5, 7]);
    let shape = (1..50_usize, 1..50_usize, kernel, 1..3_usize, nonlinearities(), any::<[bool; 2]>());
    (shape, (1..12_usize, 2..24_usize, 2..24_usize), any::<u64>()).prop_filter_map(
        "something is left after pooling",
        |((in_channels, out_channels, kernel, stride, function, [pool, planar]), (n, h, w), seed)| {
            let in_channels = if planar { in_channels % 3 + 1 } else { in_channels };
            let conv = ConvSpec { in_channels, out_channels, kernel, stride, padding: kernel / 2 };
            let left = conv.output_size(h).min(conv.output_size(w));
            let work = conv.weight_len() * n * h * w / (stride * stride);
            // Few values in a channel make its variance small and errors large.
            let enough = n * conv.output_size(h) * conv.output_size(w) >= 16;
            let size = [n, h, w];
            let activation = Activation { function, pool };
            (left >= 2 && enough && work < 3_000_000).then_some(Case { conv, activation, size, planar, seed })
        },
    )
}

fn check(case: &Case) {
    let Case { conv, activation, size: [n, h, w], planar, seed } = *case;
    let mut random = Random::new(seed);
    let input = Images::random([n, conv.in_channels, h, w], &mut random);
    let weights = random.values(conv.weight_len());
    let gamma: Vec<f64> = random.values(conv.out_channels).iter().map(|value| value + 0.5).collect();
    let beta = random.values(conv.out_channels);
    let z = reference::convolve(&conv, &input, &weights);
    let moments = moments(&z);
    let norm = Norm { moments: &moments, gamma: &gamma, beta: &beta, epsilon: EPSILON, activation };
    let output = norm.forward(&z);
    let gradient = Images::random(output.size, &mut random);
    let (dz, grad_gamma, grad_beta) = norm.backward(&z, &gradient);
    let (grad_input, grad_weights) = reference::convolve_backward(&conv, &input, &weights, &dz);

    let planar_shape = PlanarShape { images: n, channels: conv.in_channels, height: h, width: w };
    let in_shape = MapShape::new(n, conv.in_channels, h, w, conv.padding);
    let (planar_data, map) = (input.planar(), input.blocked(&in_shape, f32::NAN));
    let given =
        if planar { ConvInput::Planar(&planar_data, planar_shape) } else { ConvInput::Map(&map, in_shape) };
    let (weights, gamma, beta) = (single(&weights), single(&gamma), single(&beta));
    let parameters = BlockParameters { weights: &weights, gamma: &gamma, beta: &beta };
    let block = ConvBlock { conv, activation, epsilon: EPSILON as f32 };
    let out_shape = block.output_shape(&given, 1);
    let grad_map = gradient.blocked(&out_shape, f32::NAN);

    for isa in Isa::available() {
        let context = Context::watched(isa);
        let mut found = vec![f32::NAN; out_shape.len()];
        let saved = block.forward_training(&context, given, parameters, (&mut found, out_shape));
        output.assert_map(&found, &out_shape, 0.0, 1e-4, &format!("{isa}, training"));

        let folded = FoldedBlock::new(&context, block, planar, &weights, &saved.normalisation);
        found.fill(f32::NAN);
        folded.forward(&context, given, (&mut found, out_shape));
        output.assert_map(&found, &out_shape, 0.0, 1e-4, &format!("{isa}, inference"));

        let mut weight_gradient = vec![f32::NAN; weights.len()];
        let (mut gamma_gradient, mut beta_gradient) =
            (vec![f32::NAN; gamma.len()], vec![f32::NAN; gamma.len()]);
        let mut input_gradient = vec![1.0; in_shape.len()];
        let gradients = BlockGradients {
            weights: &mut weight_gradient,
            gamma: &mut gamma_gradient,
            beta: &mut beta_gradient,
            input: (!planar).then_some(GradientMap::added_to(&mut input_gradient, in_shape)),
        };
        block.backward(&context, given, parameters, &saved, (&grad_map, out_shape), gradients);
        assert_close(&weight_gradient, &grad_weights, 5e-4, &format!("{isa}, weights"));
        assert_close(&gamma_gradient, &grad_gamma, 5e-4, &format!("{isa}, gamma"));
        assert_close(&beta_gradient, &grad_beta, 5e-4, &format!("{isa}, beta"));
        if !planar {
            let mut found = Images::from_map(&input_gradient, &in_shape);
            found.data.iter_mut().for_each(|value| *value -= 1.0);
            assert_close(&single(&found.data), &grad_input.data, 5e-4, &format!("{isa}, input"));
        }
    }
}

proptest! {
    // Random seeds would now and then put two values of a pool within a rounding error of each other, and the
    // gradient then goes to another pixel than in double precision.
    #![proptest_config(ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(2), ..ProptestConfig::default() })]

    #[test]
    fn blocks_equal_their_formulas(case in cases()) {
        check(&case);
    }
}
