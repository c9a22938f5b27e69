//! Depthwise convolutions, against one convolution of a single channel for each.

use crate::reference::{
    Maps, assert_added, assert_close, assert_same_bits, buffer, convolved, gpu, random, read, shape,
    unwritten, wide,
};
use xray_gpu::{
    GradientMap, depthwise, depthwise_input_gradient, depthwise_shape, depthwise_weight_gradient,
};
use xray_kernels::{ConvSpec, DepthwiseSpec};

const TOLERANCE: f64 = 2e-6;

/// One of `channels` interleaved channels.
fn channel(values: &[f64], c: usize, channels: usize) -> Vec<f64> {
    values.iter().skip(c).step_by(channels).copied().collect()
}

fn check([kernel, stride, padding]: [usize; 3], size: [usize; 4], spare: [usize; 2]) {
    let [images, height, width, channels] = size;
    let spec = DepthwiseSpec { channels, kernel, stride, padding };
    let what = format!("{spec:?} on {size:?}");
    let from = shape(images, height, width, channels);
    let to = depthwise_shape(&spec, from);
    let (input, weights, grad) = (random(from.len(), 1), random(spec.weight_len(), 2), random(to.len(), 3));
    let single = ConvSpec { in_channels: 1, out_channels: 1, kernel, stride, padding };
    let taps = kernel * kernel;
    let parts: Vec<_> = (0..channels)
        .map(|c| {
            let own = [channel(&wide(&input), c, channels), wide(&weights[c * taps..][..taps])];
            convolved(&single, from.with_channels(1), [&own[0], &own[1]], |_| {
                channel(&wide(&grad), c, channels)
            })
        })
        .collect();
    let woven = |part: fn(&crate::reference::Convolved) -> &Vec<f64>, length: usize| -> Vec<f64> {
        (0..length).map(|i| part(&parts[i % channels])[i / channels]).collect()
    };
    let expected = [
        woven(|part| &part.output, to.len()),
        woven(|part| &part.grad_input, from.len()),
        parts.iter().flat_map(|part| part.grad_weights.clone()).collect(),
    ];
    let (input, grad) = (Maps::of(&input, from, spare), Maps::of(&grad, to, spare));
    let parameters = buffer(&[vec![f32::NAN; 3], weights].concat());
    let weights = parameters.part(3, spec.weight_len());
    let there = random(from.len(), 4);
    let run = |accumulate: bool| {
        let output = Maps::unwritten(to, spare);
        let grad_input =
            if accumulate { Maps::of(&there, from, spare) } else { Maps::unwritten(from, spare) };
        let target = GradientMap { map: grad_input.map(), accumulate };
        let grad_weights = unwritten(spec.weight_len());
        depthwise(gpu(), &spec, input.map(), weights, output.map());
        depthwise_input_gradient(gpu(), &spec, grad.map(), weights, target);
        depthwise_weight_gradient(gpu(), &spec, input.map(), grad.map(), grad_weights.whole())
            .expect("small");
        [output.read(), grad_input.read(), read(&grad_weights)]
    };
    let found = run(false);
    for ((found, expected), again) in found.iter().zip(&expected).zip(run(false)) {
        assert_close(&what, found, expected, TOLERANCE);
        assert_same_bits(&what, found, &again);
    }
    assert_added(&what, &run(true)[1], &there, &found[1]);
}

#[test]
fn every_kernel_and_stride() {
    for kernel in [3, 5] {
        for stride in [1, 2] {
            check([kernel, stride, kernel / 2], [2, 9, 8, 20], [0, 0]);
            check([kernel, stride, 0], [1, 7, 10, 33], [1, 2]);
        }
    }
    check([3, 1, 1], [3, 17, 15, 1], [0, 0]);
    check([3, 2, 1], [2, 12, 12, 96], [0, 0]);
    check([3, 1, 1], [5, 1, 1, 4], [0, 0]);
}
