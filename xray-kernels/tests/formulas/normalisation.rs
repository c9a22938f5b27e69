//! Batch norm, ReLU and pooling equal their formulas, with ties and zeros where it matters.

use crate::reference::norm::{Norm, moments, nonlinearities};
use crate::reference::{Images, Random, assert_close, assert_outside, single};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use xray_kernels::{
    Activation, Context, ConvInput, ConvOutput, ConvSpec, GradientMap, Isa, MapShape, NormGradient,
    Normalisation, PackedWeights, Sums, convolve, normalise, normalise_backward,
};

fn activations() -> impl Strategy<Value = Activation> {
    (nonlinearities(), any::<bool>()).prop_map(|(function, pool)| Activation { function, pool })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    // Small whole numbers: many equal values in a pool and many exact zeros before ReLU.
    #[test]
    fn passes_equal_their_formulas(
        (images, channels, height, width) in (1..4_usize, 1..40_usize, 2..12_usize, 2..12_usize),
        activation in activations(),
        seed in any::<u64>(),
        accumulate in any::<bool>(),
    ) {
        let mut random = Random::new(seed);
        let mut z = Images::random([images, channels, height, width], &mut random);
        for value in &mut z.data {
            *value = (*value * 3.0).round();
        }
        let gamma: Vec<f64> = random.values(channels).iter().map(|value| (value * 2.0).round()).collect();
        let beta: Vec<f64> = random.values(channels).iter().map(|value| (value * 2.0).round()).collect();
        let given = vec![[1.0, 4.0]; channels];
        let norm = Norm { moments: &given, gamma: &gamma, beta: &beta, epsilon: 0.0, activation };
        let output = norm.forward(&z);
        let gradient = Images::random(output.size, &mut random);
        let (dz, grad_gamma, grad_beta) = norm.backward(&z, &gradient);

        let shape = MapShape::new(images, channels, height, width, 1);
        let shape = shape.within(1, shape.blocks() + 1);
        let out_shape = MapShape::new(images, channels, output.size[2], output.size[3], 2);
        let out_shape = out_shape.within(0, out_shape.blocks() + 1);
        let (map, grad) = (z.blocked(&shape, f32::NAN), gradient.blocked(&out_shape, f32::NAN));
        let normalisation = Normalisation::of_statistics(
            &vec![1.0; channels], &vec![4.0; channels], &single(&gamma), &single(&beta), 0.0,
        );
        for isa in Isa::available() {
            let context = Context::watched(isa);
            let mut found = vec![9.0; out_shape.len()];
            normalise(&context, &normalisation, activation, (&map, shape), (&mut found, out_shape));
            output.assert_map(&found, &out_shape, 9.0, 1e-6, "output");

            let mut found = vec![2.0; shape.len()];
            let gradient = NormGradient {
                input: &map, shape, normalisation: &normalisation, activation,
                grad_output: &grad, grad_shape: out_shape,
            };
            let target = GradientMap { buffer: &mut found, shape, accumulate };
            let (found_gamma, found_beta) = normalise_backward(&context, &gradient, target);
            assert_close(&found_gamma, &grad_gamma, 1e-5, "dgamma");
            assert_close(&found_beta, &grad_beta, 1e-5, "dbeta");
            assert_outside(&found, &shape, 2.0, "dz");
            let mut found = Images::from_map(&found, &shape);
            if accumulate {
                found.data.iter_mut().for_each(|value| *value -= 2.0);
            }
            assert_close(&single(&found.data), &dz.data, 1e-5, &format!("{isa}, dz"));
        }
    }
}

/// Moments of a convolution's output whose mean is a hundred times its deviation.
#[test]
fn the_variance_survives_a_large_mean() {
    let mut random = Random::new(5);
    let mut input = Images::random([4, 16, 40, 40], &mut random);
    input.data.iter_mut().for_each(|value| *value = (1.0 + 0.02 * *value) as f32 as f64);
    let spec = ConvSpec { in_channels: 16, out_channels: 16, kernel: 1, stride: 1, padding: 0 };
    let weights: Vec<f64> = (0..256).map(|index| if index % 17 == 0 { 1.0 } else { 0.0 }).collect();
    let expected = moments(&input);
    let shape = MapShape::new(4, 16, 40, 40, 0);
    for isa in Isa::available() {
        let context = Context::watched(isa);
        let packed = PackedWeights::new(&context.arena, spec, false, &single(&weights), None);
        let mut sums = Sums::new(&context.arena, &shape);
        let mut buffer = vec![0.0; shape.len()];
        let output =
            ConvOutput { buffer: &mut buffer, shape, bias: None, clamp: None, sums: Some(&mut sums) };
        convolve(&context, ConvInput::Map(&input.blocked(&shape, 0.0), shape), &packed, output);
        let found = Normalisation::of_batch(&sums.totals(), &shape, &[1.0; 16], &[0.0; 16], 1e-5);
        for (channel, [mean, variance]) in expected.iter().enumerate() {
            assert!((f64::from(found.mean[channel]) - mean).abs() < 1e-6, "{isa}");
            let ratio = f64::from(found.variance[channel]) / variance;
            assert!((ratio - 1.0).abs() < 2e-3, "{isa}: variance off by the factor {ratio}");
        }
    }
}
