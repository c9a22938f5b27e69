//! The backward pass after products that took its sums: the gradient of the map before the norm lacks two terms of each
//! channel only, `scale mean(d)` and `scale n mean(d n)`, with `n` the normalised value. They add up over all layers
//! that normalise a channel, so they are subtracted once.
#![expect(unsafe_code, reason = "launches without bounds checks; shapes are checked before")]

use crate::buffer::Buffer;
use crate::gpu::Gpu;
use crate::map::{Map, MapShape, Sizes, element, load, put, put_each};
use crate::pass::{Pass, bytes};
use crate::reduce::{REDUCE_UNITS, group_sum};
use crate::source::Normalised;
use crate::statistics::{Affine, NormSums, Statistics};
use cubecl::prelude::*;

/// Rows of a buffer, by where their first channel lies: means, what is subtracted of each element, and what of its
/// distance from the mean.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) buffer: &'a Buffer,
    pub(crate) mean: usize,
    pub(crate) constant: usize,
    pub(crate) slope: usize,
}

impl<'a> Terms<'a> {
    /// Of one norm: in the rows of its statistics that belong to the backward pass.
    fn of(statistics: &'a Statistics) -> Self {
        let channels = statistics.channels();
        Self { buffer: statistics.buffer(), mean: 0, constant: 5 * channels, slope: 6 * channels }
    }
}

/// A group a channel: gamma's and beta's gradients, and the terms, written or added to what is there.
#[cube(launch_unchecked)]
fn backward_terms(
    partials: &[f32],
    statistics: &[f32],
    terms: &mut [f32],
    grads: &mut [f32],
    channels: usize,
    tiles: usize,
    pixels: usize,
    constant_at: usize,
    slope_at: usize,
    gamma_at: usize,
    beta_at: usize,
    #[comptime] accumulate: bool,
) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let c = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    let mut product = 0.0f32;
    let mut tile = unit;
    while tile < tiles {
        sum += partials[tile * 2 * channels + c];
        product += partials[(tile * 2 + 1) * channels + c];
        tile += REDUCE_UNITS;
    }
    let sum = group_sum(&mut place, sum);
    let product = group_sum(&mut place, product);
    if unit == 0 {
        grads[gamma_at + c] = product;
        grads[beta_at + c] = sum;
        let inverse = statistics[channels + c];
        let share = statistics[2 * channels + c] / f32::cast_from(pixels);
        put(terms, constant_at + c, share * sum, accumulate);
        put(terms, slope_at + c, share * product * inverse, accumulate);
    }
}

/// A unit takes `N` neighbouring channels of a pixel: what their terms say is subtracted from the gradient.
#[cube(launch_unchecked)]
fn subtract_terms<N: Size>(
    input: &[Vector<f32, N>],
    terms: &[Vector<f32, N>],
    grad: &mut [Vector<f32, N>],
    from: Sizes,
    grad_sizes: Sizes,
    mean_at: usize,
    constant_at: usize,
    slope_at: usize,
    length: usize,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let lanes = N::value();
        let own = element::<N>(i, &from);
        let c = own.channel;
        let x = load(input, &from, own.pixel, c) - terms[(mean_at + c) / lanes];
        let value = -fma(x, terms[(slope_at + c) / lanes], terms[(constant_at + c) / lanes]);
        put_each(grad, &grad_sizes, own.pixel, c, value, true);
    }
}

/// The launch of [`add_terms`].
pub(crate) fn terms_pass(tiles: usize, channels: usize) -> Pass {
    Pass {
        name: "backward statistics",
        groups: [channels, 1],
        units: REDUCE_UNITS,
        multiply_adds: 0,
        bytes: bytes((2 * tiles + 6) * channels),
    }
}

/// Writes gamma's and beta's gradients, and writes or adds the terms of a norm.
pub(crate) fn add_terms(
    gpu: &Gpu,
    statistics: &Statistics,
    sums: &NormSums,
    terms: Terms<'_>,
    grad_affine: Affine<'_>,
    accumulate: bool,
) {
    let shape = sums.shape();
    assert_eq!(statistics.channels(), shape.channels, "channels of the sums");
    grad_affine.expect(shape.channels);
    let pass = terms_pass(sums.tiles(), shape.channels);
    // SAFETY: the parts of the gradient have their lengths, sums and terms theirs from the same shape.
    unsafe {
        backward_terms::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            sums.buffer().argument(),
            statistics.buffer().argument(),
            terms.buffer.argument(),
            grad_affine.gamma.argument(),
            shape.channels,
            sums.tiles(),
            shape.pixels(),
            terms.constant,
            terms.slope,
            grad_affine.gamma.start(),
            grad_affine.beta.start(),
            accumulate,
        );
    }
}

/// The launch of [`ChannelTable::settle`](crate::ChannelTable::settle) for channels of this shape.
pub fn settle_pass(shape: MapShape) -> Pass {
    pass(shape, shape.in_fours())
}

fn pass(shape: MapShape, fours: bool) -> Pass {
    Pass { bytes: bytes(3 * shape.len()), ..Pass::in_lanes("settle", shape.len(), fours) }
}

/// Subtracts terms from the gradient of a map; those of its first channel are the ones that `terms` names.
pub(crate) fn settle(gpu: &Gpu, terms: Terms<'_>, map: Map<'_>, grad: Map<'_>) {
    let shape = map.shape();
    grad.expect(shape, "the gradient of the map");
    let fours = map.in_fours() && grad.in_fours();
    let pass = pass(shape, fours);
    let lanes = if fours { 4 } else { 1 };
    // SAFETY: shapes fit, maps have their lengths, and the terms have rows for the channels.
    unsafe {
        subtract_terms::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            lanes,
            map.argument(),
            terms.buffer.argument(),
            grad.argument(),
            map.sizes(),
            grad.sizes(),
            terms.mean,
            terms.constant,
            terms.slope,
            shape.len() / lanes,
        );
    }
}

/// The launches of [`normalised_gradient`] after sums of `tiles` parts of the map, see
/// [`gradient_sum_tiles`](crate::gradient_sum_tiles).
pub fn normalised_gradient_passes(input: MapShape, tiles: usize) -> [Pass; 2] {
    [terms_pass(tiles, input.channels), settle_pass(input)]
}

/// Completes what [`input_gradient_with_sums`](crate::input_gradient_with_sums) left in `grad_input`, the gradient of
/// the map before the norm, and writes the gradients of gamma and beta. Statistics of a norm that one layer has for
/// itself; for those that many layers share see [`ChannelTable`](crate::ChannelTable).
///
/// # Panics
/// If a shape does not fit, or the gradients of gamma and beta lie in two buffers.
pub fn normalised_gradient(
    gpu: &Gpu,
    input: Normalised<'_>,
    sums: &NormSums,
    grad_input: Map<'_>,
    grad_affine: Affine<'_>,
) {
    input.expect_channels();
    input.map.expect(sums.shape(), "the map that was normalised");
    let terms = Terms::of(input.statistics);
    add_terms(gpu, input.statistics, sums, terms, grad_affine, false);
    settle(gpu, terms, input.map, grad_input);
}
