//! Inference with batch norm folded into weights and bias, against the layers one after the other.

use crate::reference::{
    Convolved, Maps, Pair, assert_close, assert_same_bits, buffer, convolved, curve, gpu, random, read,
    shape, wide,
};
use xray_gpu::{
    Curve, MapShape, convolve_folded, depthwise_folded, depthwise_shape, fold, forward_passes, output_shape,
};
use xray_kernels::{ConvSpec, DepthwiseSpec};

const TOLERANCE: f64 = 4e-6;
const EPSILON: f32 = 1e-3;
const FUNCTIONS: [Curve; 4] = [Curve::Relu, Curve::Identity, Curve::Relu6, Curve::Silu];

/// A batch norm's gamma and beta, and running means and variances.
struct Norm {
    affine: Vec<f32>,
    running: Vec<f32>,
}

impl Norm {
    fn new(channels: usize) -> Self {
        let mut running = random(2 * channels, 12);
        running[channels..].iter_mut().for_each(|variance| *variance = variance.abs() + 0.1);
        Self { affine: random(2 * channels, 11), running }
    }

    /// What it makes of a map, with the skip connection and the function that follow.
    fn apply(&self, map: &[f64], skip: Option<&[f32]>, function: Curve) -> Vec<f64> {
        let channels = self.affine.len() / 2;
        let (affine, running) = (wide(&self.affine), wide(&self.running));
        let value = |(i, x): (usize, &f64)| {
            let c = i % channels;
            let [gamma, beta] = [0, channels].map(|at| affine[at + c]);
            let [mean, variance] = [0, channels].map(|at| running[at + c]);
            let x = gamma * (x - mean) / (variance + f64::from(EPSILON)).sqrt() + beta;
            curve(function, x + skip.map_or(0.0, |skip| f64::from(skip[i]))).0
        };
        map.iter().enumerate().map(value).collect()
    }

    /// Folded into weights that lie in the midst of others: weights and bias, each with floats before.
    fn folded(&self, weights: &[f32]) -> Pair {
        let parameters = buffer(&[vec![f32::NAN; 5], weights.to_vec(), vec![f32::NAN; 2]].concat());
        let (affine, running) = (Pair::halves(&self.affine), Pair::halves(&self.running));
        let part = parameters.part(5, weights.len());
        let folded = fold(gpu(), part, affine.affine(), running.running(0.1), EPSILON);
        let (weights, bias) = folded.expect("small");
        Pair::of(&read(&weights), &read(&bias))
    }
}

fn check([kernel, stride, padding]: [usize; 3], [from, to]: [usize; 2], size: [usize; 3], spare: [usize; 2]) {
    let spec = ConvSpec { in_channels: from, out_channels: to, kernel, stride, padding };
    let from = shape(size[0], size[1], size[2], from);
    let to = output_shape(&spec, from);
    let (input, weights) = (random(from.len(), 1), random(spec.weight_len(), 2));
    let (norm, skip) = (Norm::new(to.channels), random(to.len(), 3));
    let map = convolved(&spec, from, [&wide(&input), &wide(&weights)], |to| vec![0.0; to.len()]).output;
    let folded = norm.folded(&weights);
    let ([weights, bias], input) = (folded.parts(), Maps::of(&input, from, spare));
    // The skip connection lies among other channels than the output.
    let skip_maps = Maps::of(&skip, to, [spare[1], spare[0] + 1]);
    for (i, function) in FUNCTIONS.into_iter().enumerate() {
        let skipped = i < 2;
        let what = format!("{spec:?} on {size:?} beside {spare:?}, {function:?}, skip {skipped}");
        let expected = norm.apply(&map, skipped.then_some(&skip), function);
        let run = || {
            let output = Maps::unwritten(to, spare);
            let skip = skipped.then(|| skip_maps.map());
            convolve_folded(gpu(), &spec, input.map(), weights, bias, function, skip, output.map())
                .expect("small");
            output.read()
        };
        let found = run();
        assert_close(&what, &found, &expected, TOLERANCE);
        assert_same_bits(&what, &found, &run());
    }
}

#[test]
fn convolutions_with_batch_norm_folded_in() {
    check([3, 1, 1], [8, 12], [2, 9, 8], [0, 0]);
    check([3, 2, 1], [3, 5], [1, 7, 10], [1, 2]);
    check([7, 2, 3], [1, 64], [2, 16, 18], [0, 0]);
    check([1, 1, 0], [20, 40], [2, 5, 7], [4, 4]);
    check([1, 2, 0], [34, 130], [1, 9, 9], [0, 3]);
}

/// Where the contraction is in pieces, the pass that adds them up does the rest.
#[test]
fn contractions_in_pieces_end_in_the_second_pass() {
    let spec = |from, to| ConvSpec { in_channels: from, out_channels: to, kernel: 3, stride: 1, padding: 1 };
    assert_eq!(forward_passes(&spec(64, 32), shape(2, 7, 7, 64)).len(), 2);
    assert_eq!(forward_passes(&spec(67, 33), shape(1, 5, 6, 67)).len(), 2);
    check([3, 1, 1], [64, 32], [2, 7, 7], [0, 0]);
    check([3, 1, 1], [67, 33], [1, 5, 6], [2, 1]);
}

#[test]
fn depthwise_convolutions_with_batch_norm_folded_in() {
    for (channels, [kernel, stride], [images, height, width], spare) in
        [(20, [3, 1], [2, 9, 8], [0, 0]), (33, [5, 2], [1, 7, 10], [1, 2]), (1, [3, 2], [2, 5, 5], [0, 0])]
    {
        let spec = DepthwiseSpec { channels, kernel, stride, padding: kernel / 2 };
        let from = shape(images, height, width, channels);
        let to = depthwise_shape(&spec, from);
        let (input, weights) = (random(from.len(), 4), random(spec.weight_len(), 5));
        let norm = Norm::new(channels);
        let map = each_channel(&spec, from, &input, &weights);
        let folded = norm.folded(&weights);
        let ([weights, bias], input) = (folded.parts(), Maps::of(&input, from, spare));
        for function in FUNCTIONS {
            let run = || {
                let output = Maps::unwritten(to, spare);
                depthwise_folded(gpu(), &spec, input.map(), weights, bias, function, output.map());
                output.read()
            };
            let (what, found) = (format!("{spec:?}, {function:?}"), run());
            assert_close(&what, &found, &norm.apply(&map, None, function), TOLERANCE);
            assert_same_bits(&what, &found, &run());
        }
    }
}

/// A convolution of a single channel for each.
fn each_channel(spec: &DepthwiseSpec, from: MapShape, input: &[f32], weights: &[f32]) -> Vec<f64> {
    let DepthwiseSpec { channels, kernel, stride, padding } = *spec;
    let single = ConvSpec { in_channels: 1, out_channels: 1, kernel, stride, padding };
    let of = |c: usize| -> Convolved {
        let own: Vec<f64> = wide(input).into_iter().skip(c).step_by(channels).collect();
        let kernel = wide(&weights[c * kernel * kernel..][..kernel * kernel]);
        convolved(&single, from.with_channels(1), [&own, &kernel], |to| vec![0.0; to.len()])
    };
    let parts: Vec<_> = (0..channels).map(of).collect();
    let length = channels * parts[0].output.len();
    (0..length).map(|i| parts[i % channels].output[i / channels]).collect()
}
