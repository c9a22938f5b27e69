//! Pools equal their formulas, with ties.

use crate::reference::{Images, Random, assert_close, assert_outside, single};
use proptest::prelude::*;
use xray_kernels::{Context, GradientMap, Isa, MapShape, Pool, PoolKind};

/// The output, and the gradient of the input.
fn reference_pool(pool: &Pool, input: &Images, gradient: &Images) -> (Images, Images) {
    let [_, _, height, width] = input.size;
    let (mut output, mut grad_input) = (Images::zeros(gradient.size), Images::zeros(input.size));
    let span = |index: usize, size: usize| {
        let start = (index * pool.stride) as isize - pool.padding as isize;
        (start.max(0) as usize)..((start + pool.kernel as isize) as usize).min(size)
    };
    for [n, c, y, x] in gradient.places() {
        let (g, to) = (gradient.at(n, c, y, x), gradient.index(n, c, y, x));
        let window: Vec<usize> = span(y, height)
            .flat_map(|row| span(x, width).map(move |column| (row, column)))
            .map(|(row, column)| input.index(n, c, row, column))
            .collect();
        match pool.kind {
            PoolKind::Max => {
                let best = window
                    .iter()
                    .copied()
                    .reduce(|best, index| if input.data[index] > input.data[best] { index } else { best });
                let best = best.expect("a window has a pixel");
                output.data[to] = input.data[best];
                grad_input.data[best] += g;
            }
            PoolKind::Average => {
                for &index in &window {
                    output.data[to] += input.data[index] / window.len() as f64;
                    grad_input.data[index] += g / window.len() as f64;
                }
            }
        }
    }
    (output, grad_input)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn pools_equal_their_formulas(
        (images, channels, height, width) in (1..3_usize, 1..35_usize, 1..14_usize, 1..14_usize),
        (kernel, stride, padding, max) in (1..4_usize, 1..4_usize, 0..2_usize, any::<bool>()),
        seed in any::<u64>(),
    ) {
        prop_assume!(2 * padding <= kernel && height.min(width) + 2 * padding >= kernel);
        let kind = if max { PoolKind::Max } else { PoolKind::Average };
        let pool = Pool { kind, kernel, stride, padding };
        let mut random = Random::new(seed);
        let mut input = Images::random([images, channels, height, width], &mut random);
        input.data.iter_mut().for_each(|value| *value = (*value * 3.0).round());
        let size = [images, channels, pool.output_size(height), pool.output_size(width)];
        let gradient = Images::random(size, &mut random);
        let (output, grad_input) = reference_pool(&pool, &input, &gradient);
        let shape = MapShape::new(images, channels, height, width, 1);
        let shape = shape.within(1, shape.blocks() + 1);
        let out_shape = MapShape::new(images, channels, size[2], size[3], 1);
        let (map, grad) = (input.blocked(&shape, f32::NAN), gradient.blocked(&out_shape, f32::NAN));
        for isa in Isa::available() {
            let context = Context::watched(isa);
            let mut found = vec![f32::NAN; out_shape.len()];
            pool.forward(&context, (&map, shape), (&mut found, out_shape));
            output.assert_map(&found, &out_shape, 0.0, 1e-6, &format!("{isa}, {pool:?}"));
            let mut found = vec![f32::NAN; shape.len()];
            pool.backward(&context, (&map, shape), (&grad, out_shape), GradientMap::new(&mut found, shape));
            assert_outside(&found, &shape, f32::NAN, "input gradient");
            let found = Images::from_map(&found, &shape);
            assert_close(&single(&found.data), &grad_input.data, 1e-5, &format!("{isa}, {pool:?}"));
        }
    }
}
