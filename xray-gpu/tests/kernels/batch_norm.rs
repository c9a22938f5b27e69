//! Batch norm with activation, pooling and skip connection, forward and backward, in training and inference.

use crate::reference::{
    Maps, Norm, Pair, assert_added, assert_close, assert_same_bits, buffer, convolved, gpu, normalised,
    random, read, shape, unwritten, wide,
};
use xray_gpu::{
    Error, GradientMap, MapShape, NormMaps, Statistics, TileSums, convolve_with_sums, map_sums, normalise,
    normalise_backward, normalised_shape, running_statistics, statistics,
};
use xray_kernels::{Activation, ConvSpec, Nonlinearity};

const TOLERANCE: f64 = 2e-5;
const EPSILON: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// Statistics, and the running values that they moved.
fn of_sums(sums: &Result<TileSums, Error>, affine: &[f32]) -> (Statistics, Vec<f32>) {
    let sums = sums.as_ref().expect("small");
    let (affine, running) = (Pair::halves(affine), Pair::halves(&vec![0.5; affine.len()]));
    let statistics =
        statistics(gpu(), sums, affine.affine(), running.running(MOMENTUM), EPSILON).expect("small");
    (statistics, running.read())
}

fn check(activation: Activation, from: MapShape, skip: bool, spare: [usize; 2]) {
    let what = format!("{activation:?} on {from:?}, skip {skip}, beside {spare:?}");
    let to = normalised_shape(activation, from);
    // A mean far from zero: a variance of squares less the mean's square would lose its digits.
    let input: Vec<f32> = random(from.len(), 4).iter().map(|value| 2.0 * value + 30.0).collect();
    let (affine, grad, skipped) =
        (random(2 * from.channels, 5), random(to.len(), 6), skip.then(|| random(to.len(), 7)));
    let expected = normalised(&Norm {
        activation,
        from,
        input: &wide(&input),
        affine: &wide(&affine),
        skip: skipped.as_ref().map(|skip| wide(skip)),
        grad: &wide(&grad),
        epsilon: f64::from(EPSILON),
    });
    let gpu = gpu();
    let input_values = input;
    let input = Maps::of(&input_values, from, spare);
    let grad = Maps::of(&grad, to, spare);
    let skipped_values = skipped;
    let skipped = skipped_values.as_ref().map(|skip| Maps::of(skip, to, spare));
    let run = |accumulate: bool| {
        let (statistics, running) = of_sums(&map_sums(gpu, input.map()), &affine);
        let output = Maps::unwritten(to, spare);
        normalise(gpu, activation, &statistics, input.map(), skipped.as_ref().map(Maps::map), output.map());
        let grad_input =
            if accumulate { Maps::of(&input_values, from, spare) } else { Maps::unwritten(from, spare) };
        let grad_skip = if let (Some(values), true) = (&skipped_values, accumulate) {
            Maps::of(values, to, spare)
        } else {
            Maps::unwritten(to, spare)
        };
        let grad_affine = Pair::halves(&vec![f32::NAN; 2 * from.channels]);
        let maps = NormMaps {
            input: input.map(),
            grad_output: grad.map(),
            grad_input: GradientMap { map: grad_input.map(), accumulate },
            skip: skipped.as_ref().map(|skip| (skip.map(), GradientMap { map: grad_skip.map(), accumulate })),
        };
        normalise_backward(gpu, activation, &statistics, maps, grad_affine.affine()).expect("small");
        let grad_skip = if skip { grad_skip.read() } else { Vec::new() };
        [running, output.read(), grad_input.read(), grad_affine.read(), grad_skip]
    };
    let found = run(false);
    let count = from.pixels() as f64;
    let moved = |value: &f64| 0.5 + f64::from(MOMENTUM) * (value - 0.5);
    let corrected = expected.variance.iter().map(|value| value * count / (count - 1.0).max(1.0));
    let running: Vec<_> = expected.mean.iter().copied().chain(corrected).map(|value| moved(&value)).collect();
    assert_close(&format!("{what}: running statistics"), &found[0], &running, TOLERANCE);
    assert_close(&format!("{what}: output"), &found[1], &expected.output, TOLERANCE);
    assert_close(&format!("{what}: gradient of the input"), &found[2], &expected.grad_input, TOLERANCE);
    assert_close(&format!("{what}: gradients of gamma, beta"), &found[3], &expected.grad_affine, TOLERANCE);
    if skip {
        assert_close(&format!("{what}: gradient of the skip"), &found[4], &expected.grad_skip, TOLERANCE);
    }
    // Again, the gradients of the input and of the skip connection added to what is there.
    let there = [(2, Some(&input_values)), (4, skipped_values.as_ref())];
    for (i, (first, mut second)) in found.iter().zip(run(true)).enumerate() {
        if let Some((_, Some(there))) = there.iter().find(|(place, _)| *place == i) {
            assert_added(&what, &second, there, first);
            second.clone_from(first);
        }
        assert_same_bits(&what, first, &second);
    }
}

const FUNCTIONS: [Nonlinearity; 4] =
    [Nonlinearity::Identity, Nonlinearity::Relu, Nonlinearity::Relu6, Nonlinearity::Silu];

#[test]
fn every_activation_with_pooling_and_skip() {
    for function in FUNCTIONS {
        check(Activation { function, pool: false }, shape(2, 5, 7, 20), false, [0, 0]);
        check(Activation { function, pool: true }, shape(3, 7, 6, 12), false, [0, 0]);
        check(Activation { function, pool: false }, shape(2, 4, 6, 33), true, [0, 0]);
    }
}

#[test]
fn every_size_of_batch_and_channels() {
    for (from, spare) in [
        (shape(1, 2, 2, 1), [0, 0]),
        (shape(5, 1, 1, 3), [2, 1]),
        (shape(1, 33, 40, 64), [0, 0]),
        (shape(4, 20, 16, 40), [8, 4]),
        (shape(2, 9, 11, 96), [0, 32]),
    ] {
        check(Activation::of(Nonlinearity::Relu), from, false, spare);
        if from.height > 1 {
            check(Activation { function: Nonlinearity::Relu, pool: true }, from, false, spare);
        }
    }
}

/// A convolution's sums are those of the map that it wrote, in one piece and in many.
#[test]
fn sums_of_a_convolution_are_those_of_its_map() {
    for (channels, size, pieces) in
        [([8, 20], [3, 9, 7], 1), ([64, 32], [2, 7, 7], 2), ([1, 130], [2, 12, 13], 1)]
    {
        let spec = ConvSpec {
            in_channels: channels[0],
            out_channels: channels[1],
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        let from = shape(size[0], size[1], size[2], channels[0]);
        let (input, weights) = (random(from.len(), 8), random(spec.weight_len(), 9));
        let passes = xray_gpu::forward_passes(&spec, from).len();
        assert_eq!(passes.min(2), pieces, "{spec:?}: a second pass only after pieces");
        let to = from.with_channels(channels[1]);
        let (input, weights, output) = (buffer(&input), buffer(&weights), unwritten(to.len()));
        let (input, map) = (xray_gpu::Map::new(&input, from), xray_gpu::Map::new(&output, to));
        let affine = [vec![1.0; to.channels], vec![0.0; to.channels]].concat();
        let sums = convolve_with_sums(gpu(), &spec, input, weights.whole(), map);
        let (own, _) = of_sums(&sums, &affine);
        let values = read(&output);
        let expected = normalised(&Norm {
            activation: Activation::of(Nonlinearity::Identity),
            from: to,
            input: &wide(&values),
            affine: &wide(&affine),
            skip: None,
            grad: &vec![0.0; to.len()],
            epsilon: f64::from(EPSILON),
        });
        let rows = read(own.buffer());
        let row = |row: usize| &rows[row * to.channels..][..to.channels];
        assert_close("means", row(0), &expected.mean, TOLERANCE);
        assert_close("variances", row(4), &expected.variance, TOLERANCE);
    }
}

#[test]
fn inference_normalises_with_running_statistics() {
    let from = shape(2, 3, 5, 6);
    let (input, affine) = (random(from.len(), 10), random(12, 11));
    let running: Vec<f32> = random(12, 12).iter().map(|value| value.abs() + 0.1).collect();
    let (parameters, kept, map) = (Pair::halves(&affine), Pair::halves(&running), buffer(&input));
    let output = unwritten(from.len());
    let statistics = running_statistics(gpu(), 6, parameters.affine(), kept.running(0.0), EPSILON);
    let statistics = statistics.expect("small");
    let activation = Activation::of(Nonlinearity::Silu);
    let maps = [&map, &output].map(|buffer| xray_gpu::Map::new(buffer, from));
    normalise(gpu(), activation, &statistics, maps[0], None, maps[1]);
    let expected: Vec<_> = wide(&input)
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let [gamma, beta] = [0, 6].map(|at| f64::from(affine[at + i % 6]));
            let [mean, variance] = [0, 6].map(|at| f64::from(running[at + i % 6]));
            let x = gamma * (value - mean) / (variance + f64::from(EPSILON)).sqrt() + beta;
            x / (1.0 + (-x).exp())
        })
        .collect();
    assert_close("inference", &read(&output), &expected, TOLERANCE);
}

/// The chain from a convolution through batch norm with pooling to the next one's input is that of the formulas.
#[test]
fn a_block_is_its_formula() {
    let spec = ConvSpec { in_channels: 4, out_channels: 8, kernel: 3, stride: 1, padding: 1 };
    let activation = Activation { function: Nonlinearity::Relu, pool: true };
    let from = shape(2, 6, 5, 4);
    let (input, weights, affine) = (random(from.len(), 13), random(spec.weight_len(), 14), random(16, 15));
    let expected = convolved(&spec, from, [&wide(&input), &wide(&weights)], |to| vec![0.0; to.len()]);
    let to = normalised_shape(activation, expected.shape);
    let expected = normalised(&Norm {
        activation,
        from: expected.shape,
        input: &expected.output,
        affine: &wide(&affine),
        skip: None,
        grad: &vec![0.0; to.len()],
        epsilon: f64::from(EPSILON),
    });
    let (input, weights) = (buffer(&input), buffer(&weights));
    let (z, y) = (unwritten(from.pixels() * 8), unwritten(to.len()));
    let z = xray_gpu::Map::new(&z, from.with_channels(8));
    let sums = convolve_with_sums(gpu(), &spec, xray_gpu::Map::new(&input, from), weights.whole(), z);
    let (statistics, _) = of_sums(&sums, &affine);
    normalise(gpu(), activation, &statistics, z, None, xray_gpu::Map::new(&y, to));
    assert_close("a block", &read(&y), &expected.output, TOLERANCE);
}
