//! Pools over windows and whole maps, and gates.

use crate::reference::{
    Maps, assert_added, assert_close, assert_same_bits, buffer, gpu, random, read, shape, unwritten, wide,
};
use xray_gpu::{
    GradientMap, MapShape, gate, gate_gradient, global_average, global_average_gradient, pool, pool_gradient,
    pooled_shape,
};
use xray_kernels::{Pool, PoolKind};

const TOLERANCE: f64 = 1e-6;

/// Output, and gradient of the input.
fn pooled(pool: &Pool, from: MapShape, input: &[f64], grad: &[f64]) -> [Vec<f64>; 2] {
    let to = pooled_shape(pool, from);
    let (mut output, mut grad_input) = (vec![0.0; to.len()], vec![0.0; from.len()]);
    for (i, output) in output.iter_mut().enumerate() {
        let (pixel, c) = (i / to.channels, i % to.channels);
        let (image, y, x) = (pixel / (to.width * to.height), pixel / to.width % to.height, pixel % to.width);
        let span = |window: usize, size: usize| {
            let start = window * pool.stride;
            start.saturating_sub(pool.padding)..(start + pool.kernel - pool.padding).min(size)
        };
        let places: Vec<_> = span(y, from.height)
            .flat_map(|y| span(x, from.width).map(move |x| (y, x)))
            .map(|(y, x)| ((image * from.height + y) * from.width + x) * from.channels + c)
            .collect();
        match pool.kind {
            PoolKind::Average => {
                *output = places.iter().map(|&at| input[at]).sum::<f64>() / places.len() as f64;
                places.iter().for_each(|&at| grad_input[at] += grad[i] / places.len() as f64);
            }
            PoolKind::Max => {
                let best =
                    places.into_iter().reduce(|best, at| if input[at] > input[best] { at } else { best });
                let best = best.expect("a window has pixels");
                *output = input[best];
                grad_input[best] += grad[i];
            }
        }
    }
    [output, grad_input]
}

fn check(kind: PoolKind, [kernel, stride, padding]: [usize; 3], from: MapShape, spare: [usize; 2]) {
    let this = Pool { kind, kernel, stride, padding };
    let what = format!("{this:?} on {from:?}");
    let to = pooled_shape(&this, from);
    // Few values, so that windows hold equal ones.
    let input: Vec<f32> = random(from.len(), 1).iter().map(|value| (value * 4.0).round()).collect();
    let grad = random(to.len(), 2);
    let expected = pooled(&this, from, &wide(&input), &wide(&grad));
    let (input, grad) = (Maps::of(&input, from, spare), Maps::of(&grad, to, spare));
    let there = random(from.len(), 3);
    let run = |accumulate: bool| {
        let output = Maps::unwritten(to, spare);
        let grad_input =
            if accumulate { Maps::of(&there, from, spare) } else { Maps::unwritten(from, spare) };
        let target = GradientMap { map: grad_input.map(), accumulate };
        pool(gpu(), &this, input.map(), output.map());
        pool_gradient(gpu(), &this, input.map(), grad.map(), target);
        [output.read(), grad_input.read()]
    };
    let found = run(false);
    for ((found, expected), again) in found.iter().zip(&expected).zip(run(false)) {
        assert_close(&what, found, expected, TOLERANCE);
        assert_same_bits(&what, found, &again);
    }
    assert_added(&what, &run(true)[1], &there, &found[1]);
}

#[test]
fn every_window() {
    for kind in [PoolKind::Max, PoolKind::Average] {
        for window in [[3, 2, 1], [2, 2, 0], [2, 1, 1], [3, 3, 0], [5, 2, 2], [1, 1, 0]] {
            check(kind, window, shape(2, 9, 7, 5), [0, 0]);
            check(kind, window, shape(1, 6, 5, 32), [4, 4]);
        }
        check(kind, [3, 2, 1], shape(3, 1, 2, 2), [0, 0]);
    }
}

#[test]
fn the_mean_of_a_map_and_its_gradient() {
    for from in [shape(3, 4, 5, 7), shape(1, 1, 1, 64), shape(2, 7, 7, 100)] {
        let (input, grad, places) =
            (random(from.len(), 3), random(from.images * from.channels, 4), from.height * from.width);
        let (map, features) = (Maps::of(&input, from, [1, 2]), unwritten(grad.len()));
        global_average(gpu(), map.map(), features.whole());
        let mut expected = vec![0.0; grad.len()];
        for (i, value) in wide(&input).iter().enumerate() {
            expected[i / (places * from.channels) * from.channels + i % from.channels] +=
                value / places as f64;
        }
        assert_close("means", &read(&features), &expected, TOLERANCE);
        let grad_input = Maps::unwritten(from, [1, 2]);
        global_average_gradient(gpu(), buffer(&grad).whole(), grad_input.map().into());
        let expected: Vec<_> = (0..from.len())
            .map(|i| {
                f64::from(grad[i / (places * from.channels) * from.channels + i % from.channels])
                    / places as f64
            })
            .collect();
        assert_close("their gradient", &grad_input.read(), &expected, TOLERANCE);
        let added = Maps::of(&input, from, [2, 0]);
        let target = GradientMap { map: added.map(), accumulate: true };
        global_average_gradient(gpu(), buffer(&grad).whole(), target);
        assert_added("their gradient", &added.read(), &input, &grad_input.read());
    }
}

#[test]
fn gates_and_their_gradients() {
    let from = shape(3, 5, 4, 34);
    let (input, factors, grad) = (random(from.len(), 5), random(3 * 34, 6), random(from.len(), 7));
    let at = |i: usize| i / (20 * 34) * 34 + i % 34;
    let product = |values: &[f32]| -> Vec<f64> {
        values.iter().enumerate().map(|(i, v)| f64::from(*v) * f64::from(factors[at(i)])).collect()
    };
    let mut expected = vec![0.0; factors.len()];
    for (i, (value, grad)) in input.iter().zip(&grad).enumerate() {
        expected[at(i)] += f64::from(*value) * f64::from(*grad);
    }
    let [maps, grads] = [&input, &grad].map(|values| Maps::of(values, from, [2, 0]));
    let (output, grad_input) = (Maps::unwritten(from, [0, 3]), Maps::unwritten(from, [0, 3]));
    let (gates, grad_gates) = (buffer(&factors), unwritten(factors.len()));
    gate(gpu(), maps.map(), gates.whole(), output.map());
    let given = (maps.map(), gates.whole());
    gate_gradient(gpu(), given, grads.map(), grad_input.map().into(), grad_gates.whole());
    assert_close("a gate", &output.read(), &product(&input), TOLERANCE);
    assert_close("gradient of the input", &grad_input.read(), &product(&grad), TOLERANCE);
    assert_close("gradient of the factors", &read(&grad_gates), &expected, TOLERANCE);
    let added = Maps::of(&input, from, [1, 2]);
    let target = GradientMap { map: added.map(), accumulate: true };
    gate_gradient(gpu(), given, grads.map(), target, grad_gates.whole());
    assert_added("gradient of the input", &added.read(), &input, &grad_input.read());
}
