//! Convolutions of maps that are normalised where they are loaded, and the gradient on its way back through the norm.

use crate::reference::{
    Maps, Norm, Pair, assert_close, assert_same_bits, buffer, convolved, gpu, normalised, random, read,
    shape, unwritten, wide,
};
use xray_gpu::{
    Gpu, GradientMap, MapShape, Normalised, convolve, input_gradient_with_sums, map_sums,
    normalised_gradient, statistics, weight_gradient,
};
use xray_kernels::{Activation, ConvSpec, Nonlinearity};

const TOLERANCE: f64 = 2e-5;
const EPSILON: f32 = 1e-5;

/// `accumulate`: a gradient of the map is there already.
fn check(
    function: Nonlinearity,
    geometry: [usize; 3],
    channels: [usize; 2],
    size: [usize; 3],
    spare: [usize; 2],
    accumulate: bool,
) {
    check_on((gpu(), TOLERANCE), function, geometry, channels, size, spare, accumulate);
}

pub(crate) fn check_on(
    (gpu, tolerance): (&Gpu, f64),
    function: Nonlinearity,
    [kernel, stride, padding]: [usize; 3],
    [from, to]: [usize; 2],
    size: [usize; 3],
    spare: [usize; 2],
    accumulate: bool,
) {
    let spec = ConvSpec { in_channels: from, out_channels: to, kernel, stride, padding };
    let what = format!("{function:?} {spec:?} on {size:?} beside {spare:?}, accumulate {accumulate}");
    let from = shape(size[0], size[1], size[2], from);
    let map: Vec<f32> = random(from.len(), 1).iter().map(|value| 2.0 * value + 5.0).collect();
    let (weights, affine) = (random(spec.weight_len(), 2), random(2 * from.channels, 3));
    let there = if accumulate { random(from.len(), 4) } else { vec![0.0; from.len()] };
    let norm = |grad: Vec<f64>| {
        normalised(&Norm {
            activation: Activation::of(function),
            from,
            input: &wide(&map),
            affine: &wide(&affine),
            skip: None,
            grad: &grad,
            epsilon: f64::from(EPSILON),
        })
    };
    let forward = norm(vec![0.0; from.len()]);
    let mut grad = Vec::new();
    let expected = convolved(&spec, from, [&forward.output, &wide(&weights)], |to: MapShape| {
        grad = random(to.len(), 5);
        wide(&grad)
    });
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
    let backward = norm(expected.grad_input.clone());

    let (input, grad) = (Maps::of(&map, from, spare), Maps::of(&grad, expected.shape, spare));
    let (weights, affine) = (buffer(&weights), Pair::halves(&affine));
    let running = Pair::halves(&vec![0.0; 2 * from.channels]);
    let run = || {
        let sums = map_sums(gpu, input.map()).expect("small");
        let statistics =
            statistics(gpu, &sums, affine.affine(), running.running(0.1), EPSILON).expect("small");
        let input = Normalised { map: input.map(), statistics: &statistics, function };
        let output = Maps::unwritten(expected.shape, spare);
        convolve(gpu, &spec, input, weights.whole(), output.map()).expect("small");
        let grad_weights = unwritten(spec.weight_len());
        weight_gradient(gpu, &spec, input, grad.map(), grad_weights.whole()).expect("small");
        let grad_input =
            if accumulate { Maps::of(&there, from, spare) } else { Maps::unwritten(from, spare) };
        let target = GradientMap { map: grad_input.map(), accumulate };
        let sums = input_gradient_with_sums(gpu, &spec, grad.map(), weights.whole(), input, target);
        let grad_affine = Pair::halves(&vec![f32::NAN; 2 * from.channels]);
        let sums = sums.expect("small");
        normalised_gradient(gpu, input, &sums, grad_input.map(), grad_affine.affine());
        [output.read(), read(&grad_weights), grad_affine.read(), grad_input.read()]
    };
    let found = run();
    assert_close(&format!("{what}: output"), &found[0], &expected.output, tolerance);
    assert_close(&format!("{what}: gradient of the weights"), &found[1], &expected.grad_weights, tolerance);
    assert_close(&format!("{what}: gradients of gamma, beta"), &found[2], &backward.grad_affine, tolerance);
    let grad_input = sum(&backward.grad_input, &wide(&there));
    assert_close(&format!("{what}: gradient of the map"), &found[3], &grad_input, tolerance);
    for (first, second) in found.iter().zip(run()) {
        assert_same_bits(&what, first, &second);
    }
}

#[test]
fn padding_is_zero_behind_the_norm() {
    let relu = Nonlinearity::Relu;
    check(relu, [3, 1, 1], [8, 12], [2, 6, 5], [0, 0], false);
    check(relu, [5, 1, 2], [6, 5], [1, 7, 6], [0, 0], true);
    check(relu, [1, 1, 0], [12, 8], [3, 4, 5], [4, 8], true);
    check(Nonlinearity::Silu, [3, 1, 1], [4, 8], [2, 5, 5], [3, 2], false);
    check(Nonlinearity::Identity, [3, 1, 1], [3, 2], [2, 5, 4], [0, 1], false);
}

#[test]
fn every_phase_of_a_stride_has_sums() {
    let relu = Nonlinearity::Relu;
    check(relu, [3, 2, 1], [8, 8], [2, 7, 9], [0, 4], false);
    check(relu, [1, 2, 0], [4, 8], [2, 5, 6], [0, 0], true);
    check(Nonlinearity::Relu6, [7, 2, 3], [5, 6], [1, 9, 8], [0, 0], false);
    // A map of one channel has a weight gradient of its own.
    check(relu, [7, 2, 3], [1, 12], [2, 10, 9], [0, 0], true);
}

/// Sums are taken where the pieces of a contraction are added up.
#[test]
fn a_contraction_in_pieces_has_sums() {
    let relu = Nonlinearity::Relu;
    check(relu, [3, 1, 1], [40, 32], [2, 9, 5], [0, 0], false);
    check(relu, [1, 1, 0], [288, 260], [1, 5, 6], [0, 8], true);
    check(relu, [3, 2, 1], [36, 130], [1, 8, 7], [0, 0], true);
}
