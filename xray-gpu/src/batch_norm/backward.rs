//! The backward pass in three launches: sums over the pixels, what they mean for each channel, and the gradient.
//!
//! With `d` the gradient before the activation and `n` the normalised value, gamma's gradient is the sum of `d n`,
//! beta's that of `d`, and the input's is `scale (d - mean(d) - n mean(d n))` (Ioffe and Szegedy, 2015).
#![expect(unsafe_code, reason = "launches without bounds checks; shapes are checked before")]

use super::apply::normalised_shape;
use super::window::{Form, pre_activation};
use crate::buffer::Buffer;
use crate::curve::carry_each;
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{GradientMap, Map, MapShape, Sizes, element, element_of, load, put_each};
use crate::pass::{Pass, bytes};
use crate::reduce::{REDUCE_UNITS, group_sum};
use crate::statistics::{Affine, Statistics, row};
use crate::width::Width;
use cubecl::prelude::*;
use xray_kernels::Activation;

/// Channels of a group of [`backward_sums`], and the units that share one.
pub(super) const CHANNELS: usize = 32;
pub(super) const LINES: usize = 8;
pub(super) const UNITS: usize = CHANNELS * LINES;

/// Writes `partials[chunk][2][channels]`: of `chunk` pixels of the output, the sums of `d` and of `d n`.
#[cube(launch_unchecked)]
fn backward_sums(
    input: &[Vector<f32, Const<1>>],
    skip: &[Vector<f32, Const<1>>],
    statistics: &[Vector<f32, Const<1>>],
    grad: &[Vector<f32, Const<1>>],
    partials: &mut [f32],
    from: Sizes,
    skip_sizes: Sizes,
    to: Sizes,
    groups: usize,
    groups_across: usize,
    chunk: usize,
    #[comptime] form: Form,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= groups {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let part = group / groups_across;
    let channel0 = group % groups_across * CHANNELS;
    let c = channel0 + unit % CHANNELS;
    let pixels = to.images * to.height * to.width;
    let last = ((part + 1) * chunk).min(pixels);
    let mut sum = 0.0f32;
    let mut product = 0.0f32;
    if c < to.channels {
        let mean = statistics[c];
        let inverse = statistics[to.channels + c];
        let scale = statistics[2 * to.channels + c];
        let shift = statistics[3 * to.channels + c];
        let mut pixel = part * chunk + unit / CHANNELS;
        while pixel < last {
            let own = element_of(pixel, c, &to);
            let found = pre_activation(input, skip, &from, &skip_sizes, &own, scale, shift, form);
            let d = carry_each(load(grad, &to, pixel, c), found.value, comptime!(form.function));
            sum += d.extract(0usize);
            product += (d * (found.input - mean) * inverse).extract(0usize);
            pixel += LINES;
        }
    }
    chunk_sums(sum, product, partials, part, channel0, to.channels);
}

/// Writes `partials[part][2][channels]` of a group's channels from what its units added up.
#[cube]
pub(super) fn chunk_sums(
    sum: f32,
    product: f32,
    partials: &mut [f32],
    part: usize,
    channel0: usize,
    channels: usize,
) {
    let mut place = Shared::<[f32]>::new_slice(2 * UNITS);
    let unit = UNIT_POS as usize;
    place[unit] = sum;
    place[UNITS + unit] = product;
    sync_cube();
    if unit < 2 * CHANNELS {
        let half = unit / CHANNELS;
        let lane = unit % CHANNELS;
        if channel0 + lane < channels {
            let mut total = 0.0f32;
            for line in 0..LINES {
                total += place[half * UNITS + line * CHANNELS + lane];
            }
            partials[(part * 2 + half) * channels + channel0 + lane] = total;
        }
    }
}

/// A group a channel: gamma's and beta's gradients, and the two means, which complete the statistics.
#[cube(launch_unchecked)]
fn backward_statistics(
    partials: &[f32],
    statistics: &mut [f32],
    grads: &mut [f32],
    channels: usize,
    chunks: usize,
    pixels: usize,
    gamma_at: usize,
    beta_at: usize,
) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let c = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    let mut product = 0.0f32;
    let mut chunk = unit;
    while chunk < chunks {
        sum += partials[chunk * 2 * channels + c];
        product += partials[(chunk * 2 + 1) * channels + c];
        chunk += REDUCE_UNITS;
    }
    let sum = group_sum(&mut place, sum);
    let product = group_sum(&mut place, product);
    if unit == 0 {
        grads[gamma_at + c] = product;
        grads[beta_at + c] = sum;
        statistics[5 * channels + c] = sum / f32::cast_from(pixels);
        statistics[6 * channels + c] = product / f32::cast_from(pixels);
    }
}

/// A unit makes `N` neighbouring channels of a pixel of the input.
#[cube(launch_unchecked)]
fn backward_input<N: Size>(
    input: &[Vector<f32, N>],
    skip: &[Vector<f32, N>],
    statistics: &[Vector<f32, N>],
    grad: &[Vector<f32, N>],
    grad_input: &mut [Vector<f32, N>],
    grad_skip: &mut [Vector<f32, N>],
    from: Sizes,
    skip_sizes: Sizes,
    to: Sizes,
    grad_input_sizes: Sizes,
    grad_skip_sizes: Sizes,
    length: usize,
    #[comptime] form: Form,
    #[comptime] accumulate: bool,
    #[comptime] accumulate_skip: bool,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let own = element::<N>(i, &from);
        let c = own.channel;
        let scale = row(statistics, 2usize, from.channels, c);
        let shift = row(statistics, 3usize, from.channels, c);
        let mut d = Vector::<f32, N>::new(0.0f32);
        let mut y = own.y;
        let mut x = own.x;
        if comptime!(form.pool) {
            y = own.y / 2;
            x = own.x / 2;
        }
        // The last odd row and column belong to no window.
        if y < to.height && x < to.width {
            let out = element_of((own.image * to.height + y) * to.width + x, c, &to);
            let found = pre_activation(input, skip, &from, &skip_sizes, &out, scale, shift, form);
            let gradient = load(grad, &to, out.pixel, c);
            d = carry_each(gradient, found.value, comptime!(form.function));
            if comptime!(form.pool) {
                let place = (2 * (own.y - 2 * y) + own.x - 2 * x) as u32;
                #[unroll]
                for lane in 0..d.vector_size() {
                    if found.place.extract(lane) != place {
                        d.insert(lane, 0.0f32);
                    }
                }
            }
        }
        if comptime!(form.skip) {
            put_each(grad_skip, &grad_skip_sizes, own.pixel, c, d, accumulate_skip);
        }
        let mean = row(statistics, 0usize, from.channels, c);
        let inverse = row(statistics, 1usize, from.channels, c);
        let normalised = (load(input, &from, own.pixel, c) - mean) * inverse;
        let mean_d = row(statistics, 5usize, from.channels, c);
        let mean_product = row(statistics, 6usize, from.channels, c);
        let value = scale * (d - mean_d - normalised * mean_product);
        put_each(grad_input, &grad_input_sizes, own.pixel, c, value, accumulate);
    }
}

/// The maps of the backward pass: those of [`normalise`](super::normalise), and their gradients.
#[derive(Clone, Copy, Debug)]
pub struct NormMaps<'a> {
    /// What was normalised.
    pub input: Map<'a>,
    /// The gradient of what was made of it.
    pub grad_output: Map<'a>,
    /// Where the input's gradient goes.
    pub grad_input: GradientMap<'a>,
    /// The skip connection, and where its gradient goes. Not together with pooling.
    pub skip: Option<(Map<'a>, GradientMap<'a>)>,
}

/// The chunks of pixels that [`backward_sums`] adds up, each for 32 channels.
pub(super) struct Chunks {
    /// Pixels of one.
    pub(super) pixels: usize,
    pub(super) count: usize,
    /// Groups of channels.
    pub(super) across: usize,
}

impl Chunks {
    pub(super) fn new(width: Width, output: MapShape) -> Self {
        let across = output.channels.div_ceil(CHANNELS);
        let pixels = output.pixels();
        // Four times as many groups as are enough, of at least 64 pixels each.
        let wanted = (4 * width.groups()).div_ceil(across).min(pixels.div_ceil(64));
        let chunk = pixels.div_ceil(wanted);
        Self { pixels: chunk, count: pixels.div_ceil(chunk), across }
    }
}

/// The launch of [`complete`] after sums of `tiles` parts.
pub(super) fn statistics_pass(tiles: usize, channels: usize) -> Pass {
    Pass {
        name: "backward statistics",
        groups: [channels, 1],
        units: REDUCE_UNITS,
        multiply_adds: 0,
        bytes: bytes((2 * tiles + 4) * channels),
    }
}

/// Completes the statistics of a map of `shape` from sums `[tile][2][channels]`, and writes gamma's and beta's
/// gradients.
pub(super) fn complete(
    gpu: &Gpu,
    pass: &Pass,
    partials: &Buffer,
    statistics: &Statistics,
    shape: MapShape,
    grad_affine: Affine<'_>,
) {
    // SAFETY: the callers checked the parts of the gradient, and partials hold every tile.
    unsafe {
        backward_statistics::launch_unchecked(
            gpu.launch(pass),
            gpu.grid(pass),
            pass.dim(),
            partials.argument(),
            statistics.buffer().argument(),
            grad_affine.gamma.argument(),
            shape.channels,
            partials.len() / (2 * shape.channels),
            shape.pixels(),
            grad_affine.gamma.start(),
            grad_affine.beta.start(),
        );
    }
}

/// The launches of [`normalise_backward`] on a device so wide.
pub fn normalise_backward_passes(
    width: Width,
    activation: Activation,
    input: MapShape,
    skip: bool,
) -> [Pass; 3] {
    passes(width, activation, input, skip, input.in_fours())
}

fn passes(width: Width, activation: Activation, input: MapShape, skip: bool, fours: bool) -> [Pass; 3] {
    let output = normalised_shape(activation, input);
    let chunks = Chunks::new(width, output);
    let skipped = if skip { output.len() } else { 0 };
    let partials = chunks.count * 2 * output.channels;
    [
        Pass {
            name: "backward sums",
            groups: [chunks.count * chunks.across, 1],
            units: UNITS,
            multiply_adds: 0,
            bytes: bytes(input.len() + output.len() + skipped + partials),
        },
        statistics_pass(chunks.count, output.channels),
        Pass {
            bytes: bytes(2 * input.len() + output.len() + 2 * skipped),
            ..Pass::in_lanes("backward gradient", input.len(), fours)
        },
    ]
}

/// Writes or adds the gradients of the input and of the skip connection, and writes those of gamma and beta.
///
/// # Errors
/// If the device makes no buffer for the sums.
///
/// # Panics
/// If a shape does not fit, a skip connection follows pooling, or the gradients lie in two buffers.
pub fn normalise_backward(
    gpu: &Gpu,
    activation: Activation,
    statistics: &Statistics,
    maps: NormMaps<'_>,
    grad_affine: Affine<'_>,
) -> Result<(), Error> {
    let NormMaps { input, grad_output, grad_input: GradientMap { map: grad_input, accumulate }, skip } = maps;
    let (shape, output) = (input.shape(), normalised_shape(activation, input.shape()));
    grad_output.expect(output, "the output's gradient");
    grad_input.expect(shape, "the input's gradient");
    grad_affine.expect(shape.channels);
    assert_eq!(statistics.channels(), shape.channels, "channels of the statistics");
    assert!(!(activation.pool && skip.is_some()), "a skip connection that joins after pooling");
    let form = Form::new(activation, skip.is_some());
    let (skip, GradientMap { map: grad_skip, accumulate: accumulate_skip }) =
        skip.unwrap_or((grad_input, grad_input.into()));
    if form.skip {
        [skip, grad_skip].iter().for_each(|map| map.expect(output, "the skip connection"));
    }
    let width = gpu.products().width();
    let chunks = Chunks::new(width, output);
    let partials = Buffer::empty(gpu, chunks.count * 2 * output.channels)?;
    let fours = [input, grad_output, grad_input, skip, grad_skip].iter().all(Map::in_fours);
    let [first, second, third] = passes(width, activation, shape, form.skip, fours);
    let lanes = if fours { 4 } else { 1 };
    // SAFETY: shapes fit, maps and parts have their lengths, and partials hold every chunk.
    unsafe {
        backward_sums::launch_unchecked(
            gpu.launch(&first),
            gpu.grid(&first),
            first.dim(),
            input.argument(),
            skip.argument(),
            statistics.buffer().argument(),
            grad_output.argument(),
            partials.argument(),
            input.sizes(),
            skip.sizes(),
            grad_output.sizes(),
            chunks.count * chunks.across,
            chunks.across,
            chunks.pixels,
            form,
        );
    }
    // The means are over the pixels that were normalised, also those that pooling dropped.
    complete(gpu, &second, &partials, statistics, shape, grad_affine);
    // SAFETY: as above.
    unsafe {
        backward_input::launch_unchecked(
            gpu.launch(&third),
            gpu.grid(&third),
            third.dim(),
            lanes,
            input.argument(),
            skip.argument(),
            statistics.buffer().argument(),
            grad_output.argument(),
            grad_input.argument(),
            grad_skip.argument(),
            input.sizes(),
            skip.sizes(),
            grad_output.sizes(),
            grad_input.sizes(),
            grad_skip.sizes(),
            shape.len() / lanes,
            form,
            accumulate,
            accumulate_skip,
        );
    }
    Ok(())
}
