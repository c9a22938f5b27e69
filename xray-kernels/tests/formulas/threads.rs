//! The same bits on any number of threads.

use crate::reference;
use crate::reference::{Random, single};
use xray_kernels::{
    Activation, BlockGradients, BlockParameters, Context, ConvBlock, ConvInput, ConvSpec, FoldedBlock,
    GradientMap, Isa, MapShape, Nonlinearity, PlanarShape,
};

/// Everything that a block computes, as bits.
fn all_bits(isa: Isa, threads: usize, conv: ConvSpec, size: [usize; 3], planar: bool) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| bits(isa, conv, size, planar))
}

fn bits(isa: Isa, conv: ConvSpec, [images, height, width]: [usize; 3], planar: bool) -> Vec<u32> {
    let context = Context::new(isa);
    let mut random = Random::new(9);
    let shape = MapShape::new(images, conv.in_channels, height, width, conv.padding);
    let planar_shape = PlanarShape { images, channels: conv.in_channels, height, width };
    let pixels = reference::Images::random([images, conv.in_channels, height, width], &mut random);
    let (data, map) = (pixels.planar(), pixels.blocked(&shape, 0.0));
    let input = if planar { ConvInput::Planar(&data, planar_shape) } else { ConvInput::Map(&map, shape) };
    let weights = single(&random.values(conv.weight_len()));
    let gamma = single(&random.values(conv.out_channels));
    let beta = single(&random.values(conv.out_channels));
    let parameters = BlockParameters { weights: &weights, gamma: &gamma, beta: &beta };
    let block = ConvBlock {
        conv,
        activation: Activation { function: Nonlinearity::Relu, pool: true },
        epsilon: 1e-5,
    };
    let out_shape = block.output_shape(&input, 1);
    let gradient = single(&random.values(out_shape.len()));

    let mut output = vec![0.0; out_shape.len()];
    let saved = block.forward_training(&context, input, parameters, (&mut output, out_shape));
    let folded = FoldedBlock::new(&context, block, planar, &weights, &saved.normalisation);
    let mut inferred = vec![0.0; out_shape.len()];
    folded.forward(&context, input, (&mut inferred, out_shape));
    let mut grads = [vec![0.0; weights.len()], vec![0.0; gamma.len()], vec![0.0; gamma.len()]];
    let [weight_gradient, gamma_gradient, beta_gradient] = &mut grads;
    let mut grad_input = vec![0.0; shape.len()];
    let gradients = BlockGradients {
        weights: weight_gradient,
        gamma: gamma_gradient,
        beta: beta_gradient,
        input: (!planar).then_some(GradientMap::new(&mut grad_input, shape)),
    };
    block.backward(&context, input, parameters, &saved, (&gradient, out_shape), gradients);

    let normalisation = &saved.normalisation;
    let lists = [&output, &inferred, &grads[0], &grads[1], &grads[2], &grad_input, &normalisation.variance];
    lists.into_iter().flatten().map(|value| value.to_bits()).collect()
}

fn check(conv: [usize; 4], size: [usize; 3], planar: bool) {
    let [in_channels, out_channels, kernel, stride] = conv;
    let conv = ConvSpec { in_channels, out_channels, kernel, stride, padding: kernel / 2 };
    for isa in Isa::available() {
        let one = all_bits(isa, 1, conv, size, planar);
        for threads in [2, 4, 16, 64] {
            assert!(one == all_bits(isa, threads, conv, size, planar), "{isa}, {threads} threads, {conv:?}");
        }
    }
}

#[test]
fn a_batch_of_images() {
    check([32, 48, 3, 1], [9, 13, 15], false);
}

#[test]
fn a_single_image() {
    check([20, 64, 3, 1], [1, 24, 14], false);
}

#[test]
fn more_weights_than_pixels() {
    check([96, 96, 3, 1], [16, 4, 4], false);
}

#[test]
fn many_tiles() {
    check([64, 80, 3, 1], [8, 30, 28], false);
}

#[test]
fn more_weights_than_pixels_with_tiles() {
    check([96, 112, 3, 1], [9, 16, 18], false);
}

#[test]
fn many_weights_for_few_tiles() {
    check([96, 112, 3, 1], [5, 7, 7], false);
}

#[test]
fn a_strided_first_layer() {
    check([3, 32, 7, 2], [5, 30, 29], true);
}
