//! Depthwise convolutions equal their formula: a convolution of each channel by itself.

use crate::reference;
use crate::reference::norm::nonlinearities;
use crate::reference::{Images, Random, assert_close, assert_outside, single};
use proptest::prelude::*;
use xray_kernels::{
    Activation, BlockGradients, BlockParameters, Context, ConvSpec, DepthwiseBlock, DepthwiseInput,
    DepthwiseSpec, GradientMap, Isa, MapShape, Normalisation, Sums, depthwise, depthwise_backward, normalise,
};

/// A channel as images of one.
fn channel(images: &Images, channel: usize) -> Images {
    let [n, _, h, w] = images.size;
    let mut one = Images::zeros([n, 1, h, w]);
    for [n, _, y, x] in one.places() {
        let index = one.index(n, 0, y, x);
        one.data[index] = images.at(n, channel, y, x);
    }
    one
}

fn set_channel(images: &mut Images, channel: usize, one: &Images) {
    for [n, _, y, x] in one.places() {
        let index = images.index(n, channel, y, x);
        images.data[index] = one.at(n, 0, y, x);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn depthwise_convolutions_equal_their_formula(
        (n, channels, h, w) in (1..4_usize, 1..40_usize, 1..12_usize, 1..20_usize),
        kernel in prop::sample::select(vec![1_usize, 2, 3, 5, 7]),
        (stride, padding, halo) in (1..4_usize, 0..4_usize, 0..2_usize),
        seed in any::<u64>(),
    ) {
        prop_assume!(h.min(w) + 2 * padding >= kernel);
        let spec = DepthwiseSpec { channels, kernel, stride, padding };
        let one = ConvSpec { in_channels: 1, out_channels: 1, kernel, stride, padding };
        let mut random = Random::new(seed);
        let input = Images::random([n, channels, h, w], &mut random);
        let weights = random.values(spec.weight_len());
        let size = [n, channels, spec.output_size(h), spec.output_size(w)];
        let gradient = Images::random(size, &mut random);
        let (mut output, mut grad_input) = (Images::zeros(size), Images::zeros(input.size));
        let mut grad_weights = Vec::new();
        for (index, weights) in weights.chunks(kernel * kernel).enumerate() {
            let (input, gradient) = (channel(&input, index), channel(&gradient, index));
            set_channel(&mut output, index, &reference::convolve(&one, &input, weights));
            let (of_input, of_weights) = reference::convolve_backward(&one, &input, weights, &gradient);
            set_channel(&mut grad_input, index, &of_input);
            grad_weights.extend(of_weights);
        }

        let shape = MapShape::new(n, channels, h, w, padding + halo);
        let shape = shape.within(1, shape.blocks() + 1);
        let out_shape = MapShape::new(n, channels, size[2], size[3], halo);
        let (map, grad) = (input.blocked(&shape, f32::NAN), gradient.blocked(&out_shape, f32::NAN));
        let weights = single(&weights);
        for isa in Isa::available() {
            let context = Context::watched(isa);
            let mut found = vec![f32::NAN; out_shape.len()];
            let mut sums = Sums::new(&context.arena, &out_shape);
            let to = (&mut found[..], out_shape);
            depthwise(&context, &spec, (&map, shape), &weights, to, Some(&mut sums));
            // Bit for bit, whichever form of the kernel wrote the map.
            prop_assert_eq!(sums.totals(), Sums::of_map(&context.arena, (&found, out_shape)).totals());
            output.assert_map(&found, &out_shape, 0.0, 1e-5, &format!("{isa}, forward"));
            let (mut found_weights, mut found) = (vec![f32::NAN; weights.len()], vec![f32::NAN; shape.len()]);
            let target = Some(GradientMap::new(&mut found, shape));
            let given = (&grad[..], out_shape);
            depthwise_backward(&context, &spec, (&map, shape), &weights, given, &mut found_weights, target);
            assert_close(&found_weights, &grad_weights, 1e-5, &format!("{isa}, weights"));
            assert_outside(&found, &shape, f32::NAN, "input gradient");
            let found = Images::from_map(&found, &shape);
            assert_close(&single(&found.data), &grad_input.data, 1e-5, &format!("{isa}, input"));
        }
    }

    /// Bit for bit.
    #[test]
    fn what_is_normalised_while_it_is_read_need_not_be_written(
        (n, channels, h, w) in (1..4_usize, 1..40_usize, 1..12_usize, 1..20_usize),
        kernel in prop::sample::select(vec![1_usize, 2, 3, 5, 7]),
        (stride, padding) in (1..4_usize, 0..4_usize),
        functions in (nonlinearities(), nonlinearities()),
        seed in any::<u64>(),
    ) {
        prop_assume!(h.min(w) + 2 * padding >= kernel);
        let conv = DepthwiseSpec { channels, kernel, stride, padding };
        let block = DepthwiseBlock { conv, function: functions.1, epsilon: 1e-5 };
        let mut random = Random::new(seed);
        let before = MapShape::new(n, channels, h, w, 0);
        let z = Images::random([n, channels, h, w], &mut random).blocked(&before, 0.0);
        let mut values = |length| single(&random.values(length));
        let weights = values(conv.weight_len());
        let [mean, gamma, beta, of_output, shift] = [0; 5].map(|_| values(channels));
        let variance: Vec<f32> = mean.iter().map(|mean| 0.5 + mean * mean).collect();
        let normalisation = Normalisation::of_statistics(&mean, &variance, &gamma, &beta, 1e-5);
        let out_shape = block.output_shape(&before, 1);
        let size = [n, channels, out_shape.height, out_shape.width];
        let gradient = Images::random(size, &mut random).blocked(&out_shape, 0.0);
        let written_shape = before.with_halo(padding);
        for isa in Isa::available() {
            let context = Context::watched(isa);
            let mut written = vec![f32::NAN; written_shape.len()];
            let to = (&mut written[..], written_shape);
            normalise(&context, &normalisation, Activation::of(functions.0), (&z, before), to);
            let run = |input: DepthwiseInput| {
                let parameters = BlockParameters { weights: &weights, gamma: &of_output, beta: &shift };
                let mut output = vec![f32::NAN; out_shape.len()];
                let saved = block.forward_training(&context, input, parameters, (&mut output, out_shape));
                let mut found = [vec![f32::NAN; weights.len()], vec![0.0; channels], vec![0.0; channels]];
                let [grad_weights, grad_gamma, grad_beta] = &mut found;
                let mut grad_input = vec![0.0; before.len()];
                let gradients = BlockGradients {
                    weights: grad_weights,
                    gamma: grad_gamma,
                    beta: grad_beta,
                    input: Some(GradientMap::new(&mut grad_input, before)),
                };
                block.backward(&context, input, &weights, &saved, (&gradient, out_shape), gradients);
                found.into_iter().chain([output, grad_input]).flatten().map(f32::to_bits).collect::<Vec<_>>()
            };
            let read = run(DepthwiseInput::map(&written, written_shape));
            let normalised = DepthwiseInput::normalised((&z, before), &normalisation, functions.0);
            prop_assert_eq!(run(normalised), read, "{}", isa);
        }
    }
}
