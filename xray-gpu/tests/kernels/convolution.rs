//! Convolutions and their gradients.

use crate::reference::{
    Maps, assert_added, assert_close, assert_same_bits, buffer, convolved, gpu, random, read, shape,
    unwritten,
};
use xray_gpu::{Gpu, GradientMap, convolve, convolve_with_sums, input_gradient, weight_gradient};
use xray_kernels::ConvSpec;

/// Float32 sums of up to a few thousand products.
const TOLERANCE: f64 = 4e-6;

/// `size`: images, height, width. `spare`: channels beside the maps.
fn check(geometry: [usize; 3], channels: [usize; 2], size: [usize; 3], spare: [usize; 2]) {
    check_on(gpu(), |value| value, geometry, channels, size, spare);
}

/// The same on a device whose factors are rounded: products of rounded factors are exact in float32, and their sums are
/// as far from those in float64 as without rounding.
pub(crate) fn check_on(
    gpu: &Gpu,
    rounded: fn(f32) -> f32,
    [kernel, stride, padding]: [usize; 3],
    [from, to]: [usize; 2],
    size: [usize; 3],
    spare: [usize; 2],
) {
    let spec = ConvSpec { in_channels: from, out_channels: to, kernel, stride, padding };
    let what = format!("{spec:?} in {} on {size:?} beside {spare:?}", gpu.precision());
    let from = shape(size[0], size[1], size[2], from);
    let (input, weights) = (random(from.len(), 1), random(spec.weight_len(), 2));
    let mut grad = Vec::new();
    let factors = |values: &[f32]| values.iter().map(|&v| f64::from(rounded(v))).collect::<Vec<_>>();
    let expected = convolved(&spec, from, [&factors(&input), &factors(&weights)], |shape| {
        grad = random(shape.len(), 3);
        factors(&grad)
    });
    let there = input.clone();
    let input = Maps::of(&input, from, spare);
    let grad = Maps::of(&grad, expected.shape, spare);
    // Weights lie in the midst of the parameters of a network.
    let at = 4 + spare[0];
    let parameters = buffer(&[vec![f32::NAN; at], weights, vec![f32::NAN; 3]].concat());
    let weights = parameters.part(at, spec.weight_len());

    let run = |sums: bool| {
        let output = Maps::unwritten(expected.shape, spare);
        if sums {
            convolve_with_sums(gpu, &spec, input.map(), weights, output.map()).expect("small");
        } else {
            convolve(gpu, &spec, input.map(), weights, output.map()).expect("small");
        }
        // Once written, once added to what is there.
        let grad_input = if sums { Maps::of(&there, from, spare) } else { Maps::unwritten(from, spare) };
        let target = GradientMap { map: grad_input.map(), accumulate: sums };
        input_gradient(gpu, &spec, grad.map(), weights, target).expect("small");
        let gradients = unwritten(at + spec.weight_len() + 3);
        let part = gradients.part(at, spec.weight_len());
        weight_gradient(gpu, &spec, input.map(), grad.map(), part).expect("small");
        let gradients = read(&gradients);
        let (before, rest) = gradients.split_at(at);
        let (own, after) = rest.split_at(spec.weight_len());
        assert!(before.iter().chain(after).all(|value| value.is_nan()), "{what}: a neighbour's gradient");
        [output.read(), grad_input.read(), own.to_vec()]
    };
    let found = run(false);
    assert_same_bits(&what, &found[1], &run(false)[1]);
    assert_close(&format!("{what}: output"), &found[0], &expected.output, TOLERANCE);
    assert_close(&format!("{what}: gradient of the input"), &found[1], &expected.grad_input, TOLERANCE);
    assert_close(&format!("{what}: gradient of the weights"), &found[2], &expected.grad_weights, TOLERANCE);
    let [output, added, grad_weights] = run(true);
    assert_added(&what, &added, &there, &found[1]);
    assert_same_bits(&what, &found[0], &output);
    assert_same_bits(&what, &found[2], &grad_weights);
}

#[test]
fn every_kernel_stride_and_padding() {
    for kernel in [1, 3, 5, 7] {
        for stride in [1, 2] {
            for padding in 0..4.min(kernel) {
                check([kernel, stride, padding], [8, 12], [2, 9, 8], [0, 0]);
                check([kernel, stride, padding], [3, 5], [1, 7, 10], [0, 0]);
            }
        }
    }
    check([2, 2, 0], [4, 4], [1, 5, 7], [0, 0]);
    check([3, 3, 1], [4, 6], [2, 7, 5], [0, 0]);
}

#[test]
fn every_number_of_channels() {
    for (from, to) in
        [(1, 1), (1, 20), (1, 64), (3, 32), (20, 40), (32, 96), (40, 3), (64, 20), (96, 32), (70, 130)]
    {
        check([3, 1, 1], [from, to], [3, 6, 5], [0, 0]);
        check([1, 1, 0], [from, to], [5, 4, 3], [0, 0]);
    }
    check([7, 2, 3], [1, 64], [2, 16, 18], [0, 0]);
    check([7, 2, 3], [3, 16], [2, 15, 13], [0, 0]);
}

/// Layers that concatenate read and write some of the channels of a buffer.
#[test]
fn channels_of_a_wider_buffer() {
    for spare in [[4, 8], [8, 0], [3, 2], [0, 5]] {
        check([3, 1, 1], [16, 8], [2, 6, 7], spare);
        check([1, 2, 0], [8, 36], [2, 5, 6], spare);
        check([5, 1, 2], [1, 6], [2, 6, 7], spare);
    }
}

/// A pixel and a kernel as large as the map.
#[test]
fn the_smallest_maps() {
    check([1, 1, 0], [4, 4], [1, 1, 1], [0, 0]);
    check([3, 2, 1], [4, 4], [1, 1, 1], [0, 0]);
    check([3, 1, 0], [5, 4], [2, 3, 3], [0, 0]);
    check([1, 2, 0], [4, 8], [3, 1, 2], [0, 0]);
}

/// Each tile of the table, and contractions in one and in many pieces.
#[test]
fn large_maps_take_the_large_tiles() {
    check([3, 1, 1], [32, 32], [1, 48, 40], [0, 0]);
    check([1, 1, 0], [48, 200], [3, 24, 20], [0, 0]);
    check([1, 1, 0], [256, 64], [2, 7, 7], [0, 0]);
    check([3, 2, 1], [16, 132], [2, 33, 31], [0, 0]);
}
