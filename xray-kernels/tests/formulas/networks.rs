//! What residual, mobile and gated networks add to a block equals its formula in double precision, in every form and
//! with the same bits on any number of threads.

use crate::reference;
use crate::reference::norm::{Norm, moments, nonlinearities};
use crate::reference::{Images, Random, assert_close, assert_outside, single};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use xray_kernels::{
    Activation, BlockGradients, BlockParameters, Context, ConvBlock, ConvInput, ConvSpec, DepthwiseBlock,
    DepthwiseInput, DepthwiseSpec, FoldedBlock, FoldedDepthwise, GradientMap, Isa, MapShape, Nonlinearity,
    SqueezeGradients, SqueezeParameters, squeeze_excitation, squeeze_excitation_backward,
};

const EPSILON: f64 = 1e-3;

/// Calls with every form on one thread, and asserts that up to 64 give the same bits.
fn in_every_form(run: impl Fn(&Context) -> Vec<Vec<f32>> + Sync, check: impl Fn(Isa, &[Vec<f32>])) {
    for isa in Isa::available() {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| run(&Context::new(isa)))
        };
        let bits = |lists: &[Vec<f32>]| -> Vec<u32> { lists.iter().flatten().map(|v| v.to_bits()).collect() };
        let one = on(1);
        for threads in [2, 4, 16, 64] {
            assert!(bits(&one) == bits(&on(threads)), "{isa}: other bits on {threads} threads");
        }
        check(isa, &one);
    }
}

fn plus(one: &Images, other: &Images) -> Images {
    let data = one.data.iter().zip(&other.data).map(|(one, other)| one + other).collect();
    Images { data, ..one.clone() }
}

fn without(map: &[f32], shape: &MapShape, summand: f64) -> Vec<f32> {
    Images::from_map(map, shape).data.iter().map(|value| (value - summand) as f32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, rng_seed: RngSeed::Fixed(4), ..ProptestConfig::default() })]

    #[test]
    fn the_end_of_a_residual_block_equals_its_formula(
        (in_channels, out_channels) in (1..40_usize, 1..40_usize),
        (n, h, w) in (2..5_usize, 3..12_usize, 3..12_usize),
        (kernel, relu) in (prop::sample::select(vec![1_usize, 3]), any::<bool>()),
        seed in any::<u64>(),
    ) {
        let conv = ConvSpec { in_channels, out_channels, kernel, stride: 1, padding: kernel / 2 };
        let mut random = Random::new(seed);
        let input = Images::random([n, in_channels, h, w], &mut random);
        let skip = Images::random([n, out_channels, h, w], &mut random);
        let weights = random.values(conv.weight_len());
        let (gamma, beta) = (random.values(out_channels), random.values(out_channels));
        let z = reference::convolve(&conv, &input, &weights);
        let plain = Activation::of(Nonlinearity::Identity);
        let given = moments(&z);
        let norm = Norm { moments: &given, gamma: &gamma, beta: &beta, epsilon: EPSILON, activation: plain };
        let mut output = plus(&norm.forward(&z), &skip);
        let gradient = Images::random(output.size, &mut random);
        let mut grad_sum = gradient.clone();
        if relu {
            for (gradient, value) in grad_sum.data.iter_mut().zip(&mut output.data) {
                *gradient = if *value > 0.0 { *gradient } else { 0.0 };
                *value = value.max(0.0);
            }
        }
        let (dz, grad_gamma, grad_beta) = norm.backward(&z, &grad_sum);
        let (grad_input, grad_weights) = reference::convolve_backward(&conv, &input, &weights, &dz);

        let shape = MapShape::new(n, in_channels, h, w, conv.padding);
        let [out_shape, skip_shape] = [1, 2].map(|halo| MapShape::new(n, out_channels, h, w, halo));
        let grad_shape = out_shape.with_halo(0);
        let (map, skip_map) = (input.blocked(&shape, f32::NAN), skip.blocked(&skip_shape, f32::NAN));
        let grad_map = gradient.blocked(&grad_shape, f32::NAN);
        let (weights, gamma, beta) = (single(&weights), single(&gamma), single(&beta));
        let parameters = BlockParameters { weights: &weights, gamma: &gamma, beta: &beta };
        let function = if relu { Nonlinearity::Relu } else { Nonlinearity::Identity };
        let block = ConvBlock { conv, activation: Activation::of(function), epsilon: EPSILON as f32 };
        let run = |context: &Context| {
            let given = ConvInput::Map(&map, shape);
            let (mut trained, mut inferred) = (vec![f32::NAN; out_shape.len()], vec![f32::NAN; out_shape.len()]);
            let onto = (&skip_map[..], skip_shape);
            let saved = block.forward_training_onto(context, given, onto, parameters, (&mut trained, out_shape));
            let folded = FoldedBlock::new(context, block, false, &weights, &saved.normalisation);
            folded.forward_onto(context, given, onto, (&mut inferred, out_shape));
            let mut grad_sum = grad_map.clone();
            let mut found = [vec![0.0; weights.len()], vec![0.0; out_channels], vec![0.0; out_channels]];
            let [grad_weights, grad_gamma, grad_beta] = &mut found;
            let mut grad_input = vec![1.0; shape.len()];
            let gradients = BlockGradients {
                weights: grad_weights,
                gamma: grad_gamma,
                beta: grad_beta,
                input: Some(GradientMap::added_to(&mut grad_input, shape)),
            };
            let of_output = (&mut grad_sum[..], grad_shape);
            block.backward_onto(context, given, parameters, &saved, (&trained, out_shape), of_output, gradients);
            let [weights, gamma, beta] = found;
            vec![trained, inferred, grad_sum, weights, gamma, beta, grad_input]
        };
        in_every_form(run, |isa, found| {
            output.assert_map(&found[0], &out_shape, 0.0, 1e-4, &format!("{isa}, training"));
            output.assert_map(&found[1], &out_shape, 0.0, 1e-4, &format!("{isa}, inference"));
            grad_sum.assert_map(&found[2], &grad_shape, 0.0, 1e-6, &format!("{isa}, skip"));
            assert_close(&found[3], &grad_weights, 5e-4, "weights");
            assert_close(&found[4], &grad_gamma, 5e-4, "gamma");
            assert_close(&found[5], &grad_beta, 5e-4, "beta");
            assert_close(&without(&found[6], &shape, 1.0), &grad_input.data, 5e-4, "input");
        });
    }

    #[test]
    fn depthwise_blocks_equal_their_formulas(
        (channels, function) in (1..40_usize, nonlinearities()),
        (n, h, w) in (2..5_usize, 5..12_usize, 5..12_usize),
        (kernel, stride) in (prop::sample::select(vec![3_usize, 5]), 1..3_usize),
        seed in any::<u64>(),
    ) {
        let conv = DepthwiseSpec { channels, kernel, stride, padding: kernel / 2 };
        let mut random = Random::new(seed);
        let input = Images::random([n, channels, h, w], &mut random);
        let weights = random.values(conv.weight_len());
        let (gamma, beta) = (random.values(channels), random.values(channels));
        // A depthwise convolution is one whose other weights are zero.
        let whole = ConvSpec { in_channels: channels, out_channels: channels, kernel, stride, padding: kernel / 2 };
        let taps = kernel * kernel;
        let mut spread = vec![0.0; whole.weight_len()];
        for (index, weight) in weights.iter().enumerate() {
            let channel = index / taps;
            spread[(channel * channels + channel) * taps + index % taps] = *weight;
        }
        let z = reference::convolve(&whole, &input, &spread);
        let given = moments(&z);
        let activation = Activation::of(function);
        let norm = Norm { moments: &given, gamma: &gamma, beta: &beta, epsilon: EPSILON, activation };
        let output = norm.forward(&z);
        let gradient = Images::random(output.size, &mut random);
        let (dz, grad_gamma, grad_beta) = norm.backward(&z, &gradient);
        let (grad_input, all_weights) = reference::convolve_backward(&whole, &input, &spread, &dz);
        let of_channel = |index: usize| (index / taps * channels + index / taps) * taps + index % taps;
        let grad_weights: Vec<f64> = (0..weights.len()).map(|index| all_weights[of_channel(index)]).collect();

        let block = DepthwiseBlock { conv, function, epsilon: EPSILON as f32 };
        let shape = MapShape::new(n, channels, h, w, kernel / 2);
        let out_shape = block.output_shape(&shape, 1);
        let (map, grad_map) = (input.blocked(&shape, f32::NAN), gradient.blocked(&out_shape, f32::NAN));
        let (weights, gamma, beta) = (single(&weights), single(&gamma), single(&beta));
        let parameters = BlockParameters { weights: &weights, gamma: &gamma, beta: &beta };
        let run = |context: &Context| {
            let (mut trained, mut inferred) = (vec![f32::NAN; out_shape.len()], vec![f32::NAN; out_shape.len()]);
            let given = (&map[..], shape);
            let read = DepthwiseInput::map(&map, shape);
            let saved = block.forward_training(context, read, parameters, (&mut trained, out_shape));
            let folded = FoldedDepthwise::new(block, &weights, &saved.normalisation);
            folded.forward(context, given, (&mut inferred, out_shape));
            let mut found = [vec![0.0; weights.len()], vec![0.0; channels], vec![0.0; channels]];
            let [grad_weights, grad_gamma, grad_beta] = &mut found;
            let mut grad_input = vec![1.0; shape.len()];
            let gradients = BlockGradients {
                weights: grad_weights,
                gamma: grad_gamma,
                beta: grad_beta,
                input: Some(GradientMap::added_to(&mut grad_input, shape)),
            };
            block.backward(context, read, &weights, &saved, (&grad_map, out_shape), gradients);
            let [weights, gamma, beta] = found;
            vec![trained, inferred, weights, gamma, beta, grad_input]
        };
        in_every_form(run, |isa, found| {
            output.assert_map(&found[0], &out_shape, 0.0, 1e-4, &format!("{isa}, training"));
            output.assert_map(&found[1], &out_shape, 0.0, 1e-4, &format!("{isa}, inference"));
            assert_close(&found[2], &grad_weights, 5e-4, "weights");
            assert_close(&found[3], &grad_gamma, 5e-4, "gamma");
            assert_close(&found[4], &grad_beta, 5e-4, "beta");
            assert_close(&without(&found[5], &shape, 1.0), &grad_input.data, 5e-4, "input");
        });
    }

    #[test]
    fn gates_equal_their_formula(
        (n, channels, h, w) in (1..4_usize, 1..70_usize, 1..9_usize, 1..20_usize),
        (squeezed, accumulate) in (1..40_usize, any::<bool>()),
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed);
        let [input, gradient] = [0, 1].map(|_| Images::random([n, channels, h, w], &mut random));
        let weights = [0, 1].map(|_| random.values(squeezed * channels));
        let biases = [squeezed, channels].map(|length| random.values(length));
        let expected = Squeezed::new(&input, &gradient, [&weights[0], &weights[1]], [&biases[0], &biases[1]]);
        let [shape, out_shape] = [0, 1].map(|halo| MapShape::new(n, channels, h, w, halo));
        let (map, grad_map) = (input.blocked(&shape, 0.0), gradient.blocked(&out_shape, 0.0));
        let [weights, biases] = [weights, biases].map(|lists| lists.map(|list| single(&list)));
        let run = |context: &Context| {
            let parameters = SqueezeParameters {
                weights: weights.each_ref().map(Vec::as_slice),
                biases: biases.each_ref().map(Vec::as_slice),
            };
            let mut output = vec![f32::NAN; out_shape.len()];
            let saved = squeeze_excitation(context, parameters, (&map, shape), (&mut output, out_shape));
            let [mut grad_weights, mut grad_biases] =
                [&weights, &biases].map(|lists| lists.each_ref().map(|list| vec![f32::NAN; list.len()]));
            let mut grad_input = vec![2.0; out_shape.len()];
            let gradients = SqueezeGradients {
                weights: grad_weights.each_mut().map(Vec::as_mut_slice),
                biases: grad_biases.each_mut().map(Vec::as_mut_slice),
                input: GradientMap { buffer: &mut grad_input, shape: out_shape, accumulate },
            };
            let given = (&grad_map[..], out_shape);
            squeeze_excitation_backward(context, parameters, &saved, (&map, shape), given, gradients);
            let ([first, second], [first_bias, second_bias]) = (grad_weights, grad_biases);
            vec![output, grad_input, first, second, first_bias, second_bias]
        };
        in_every_form(run, |isa, found| {
            expected.output.assert_map(&found[0], &out_shape, 0.0, 1e-5, &format!("{isa}"));
            assert_outside(&found[1], &out_shape, 2.0, "input gradient");
            let held = if accumulate { 2.0 } else { 0.0 };
            assert_close(&without(&found[1], &out_shape, held), &expected.grad_input.data, 1e-4, "input");
            for (layer, name) in ["first", "second"].into_iter().enumerate() {
                assert_close(&found[2 + layer], &expected.grad_weights[layer], 1e-4, name);
                assert_close(&found[4 + layer], &expected.grad_biases[layer], 1e-4, name);
            }
        });
    }
}

/// Squeeze-and-excitation in double precision, by its formula.
struct Squeezed {
    output: Images,
    grad_input: Images,
    grad_weights: [Vec<f64>; 2],
    grad_biases: [Vec<f64>; 2],
}

impl Squeezed {
    fn new(input: &Images, gradient: &Images, weights: [&[f64]; 2], biases: [&[f64]; 2]) -> Self {
        let [images, channels, height, width] = input.size;
        let squeezed = biases[0].len();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (mut output, mut grad_input) = (input.clone(), gradient.clone());
        let mut grad_weights = weights.map(|list| vec![0.0; list.len()]);
        let mut grad_biases = biases.map(|list| vec![0.0; list.len()]);
        for image in 0..images {
            let pixels = |c| (0..height * width).map(move |at| (image * channels + c) * height * width + at);
            let area = (height * width) as f64;
            let means: Vec<f64> =
                (0..channels).map(|c| pixels(c).map(|at| input.data[at]).sum::<f64>() / area).collect();
            let arguments: Vec<f64> = (0..squeezed)
                .map(|j| {
                    biases[0][j] + (0..channels).map(|c| weights[0][j * channels + c] * means[c]).sum::<f64>()
                })
                .collect();
            let values: Vec<f64> = arguments.iter().map(|&x| x * sigmoid(x)).collect();
            let mut of_values = vec![0.0; squeezed];
            for c in 0..channels {
                let row = &weights[1][c * squeezed..][..squeezed];
                let factor =
                    sigmoid(biases[1][c] + row.iter().zip(&values).map(|(w, value)| w * value).sum::<f64>());
                let of_factor: f64 = pixels(c).map(|at| input.data[at] * gradient.data[at]).sum();
                let of_argument = of_factor * factor * (1.0 - factor);
                grad_biases[1][c] += of_argument;
                for j in 0..squeezed {
                    grad_weights[1][c * squeezed + j] += of_argument * values[j];
                    of_values[j] += of_argument * row[j];
                }
                for at in pixels(c) {
                    output.data[at] *= factor;
                    grad_input.data[at] *= factor;
                }
            }
            for j in 0..squeezed {
                let s = sigmoid(arguments[j]);
                let of_argument = of_values[j] * s * (1.0 + arguments[j] * (1.0 - s));
                grad_biases[0][j] += of_argument;
                for c in 0..channels {
                    grad_weights[0][j * channels + c] += of_argument * means[c];
                    for at in pixels(c) {
                        grad_input.data[at] += of_argument * weights[0][j * channels + c] / area;
                    }
                }
            }
        }
        Self { output, grad_input, grad_weights, grad_biases }
    }
}
