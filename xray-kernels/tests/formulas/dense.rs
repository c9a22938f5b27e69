//! A layer of a DenseNet: it reads the first blocks of a buffer and its features go behind them.

use crate::reference;
use crate::reference::norm::{Norm, moments};
use crate::reference::{Images, Random, assert_close, single};
use xray_kernels::{
    Activation, BlockGradients, BlockParameters, Context, ConvSpec, GradientMap, Isa, MapShape, Nonlinearity,
    PreActivation, Sums,
};

#[test]
fn a_dense_layer_equals_its_formula() {
    for (kernel, channels, out_channels, size) in [(1, 48, 40, [3, 7, 7]), (3, 32, 32, [2, 9, 14])] {
        check(kernel, channels, out_channels, size);
    }
}

fn check(kernel: usize, channels: usize, out_channels: usize, [n, h, w]: [usize; 3]) {
    let conv = ConvSpec { in_channels: channels, out_channels, kernel, stride: 1, padding: kernel / 2 };
    let mut random = Random::new(21);
    let input = Images::random([n, channels, h, w], &mut random);
    let weights = random.values(conv.weight_len());
    let (gamma, beta) = (random.values(channels), random.values(channels));
    let activation = Activation::of(Nonlinearity::Relu);
    let given = moments(&input);
    let norm = Norm { moments: &given, gamma: &gamma, beta: &beta, epsilon: 1e-3, activation };
    let activated = norm.forward(&input);
    let output = reference::convolve(&conv, &activated, &weights);
    let gradient = Images::random(output.size, &mut random);
    let (inner, grad_weights) = reference::convolve_backward(&conv, &activated, &weights, &gradient);
    let (grad_input, grad_gamma, grad_beta) = norm.backward(&input, &inner);

    let blocks = channels.div_ceil(16) + out_channels.div_ceil(16);
    let shape = MapShape::new(n, channels, h, w, 0).within(0, blocks);
    let out_shape = MapShape::new(n, out_channels, h, w, 0).within(channels.div_ceil(16), blocks);
    let (weights, gamma, beta) = (single(&weights), single(&gamma), single(&beta));
    let parameters = BlockParameters { weights: &weights, gamma: &gamma, beta: &beta };
    let layer = PreActivation { conv, epsilon: 1e-3 };
    let grad_map = gradient.blocked(&out_shape, f32::NAN);
    for isa in Isa::available() {
        let context = Context::watched(isa);
        let concatenation = input.blocked(&shape, f32::NAN);
        let sums = Sums::of_map(&context.arena, (&concatenation, shape));
        let mut features = vec![3.0; out_shape.len()];
        let mut own = Sums::new(&context.arena, &out_shape);
        let to = (&mut features[..], out_shape);
        let saved = layer.forward_training(
            &context,
            (&concatenation, shape),
            &sums.totals(),
            parameters,
            to,
            Some(&mut own),
        );
        output.assert_map(&features, &out_shape, 3.0, 2e-5, &format!("{isa}, features"));

        let mut found = [vec![0.0; weights.len()], vec![0.0; channels], vec![0.0; channels]];
        let [weight_gradient, gamma_gradient, beta_gradient] = &mut found;
        // The gradient of the concatenation holds what later layers sent, here 1 everywhere.
        let mut whole = vec![1.0; shape.len()];
        let gradients = BlockGradients {
            weights: weight_gradient,
            gamma: gamma_gradient,
            beta: beta_gradient,
            input: Some(GradientMap::added_to(&mut whole, shape)),
        };
        let input = (&concatenation[..], shape);
        layer.backward(&context, input, &weights, &saved, (&grad_map, out_shape), gradients);
        assert_close(&found[0], &grad_weights, 5e-5, "weights");
        assert_close(&found[1], &grad_gamma, 5e-5, "gamma");
        assert_close(&found[2], &grad_beta, 5e-5, "beta");
        let mut sum = Images::from_map(&whole, &shape);
        sum.data.iter_mut().for_each(|value| *value -= 1.0);
        assert_close(&single(&sum.data), &grad_input.data, 5e-5, &format!("{isa}, input"));
    }
}
