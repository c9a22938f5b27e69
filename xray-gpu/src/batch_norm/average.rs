//! Batch norm, activation and the mean of 2 x 2 pixels in one pass, and back: between dense blocks. The 1 x 1
//! convolution that stands before the mean in the papers commutes with it, and is a quarter of the work behind it.
#![expect(unsafe_code, reason = "launches without bounds checks; shapes are checked before")]

use super::backward::{CHANNELS, Chunks, LINES, UNITS, chunk_sums, complete, statistics_pass};
use crate::buffer::Buffer;
use crate::curve::{Curve, carry_each};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{Element, GradientMap, Map, MapShape, Sizes, element, element_of, load, put_each};
use crate::pass::{Pass, bytes};
use crate::source::{Normalised, normalise};
use crate::statistics::{Affine, row};
use crate::width::Width;
use cubecl::prelude::*;

/// A unit makes `N` neighbouring channels of a pixel of the output.
#[cube(launch_unchecked)]
fn average<N: Size>(
    input: &[Vector<f32, N>],
    statistics: &[Vector<f32, N>],
    output: &mut [Vector<f32, N>],
    from: Sizes,
    to: Sizes,
    length: usize,
    #[comptime] function: Curve,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let own = element::<N>(i, &to);
        let scale = row(statistics, 2usize, to.channels, own.channel);
        let shift = row(statistics, 3usize, to.channels, own.channel);
        let corner = (own.image * from.height + 2 * own.y) * from.width + 2 * own.x;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        #[unroll]
        for q in 0..4usize {
            let pixel = corner + comptime!(q / 2) * from.width + comptime!(q % 2);
            sum += normalise(load(input, &from, pixel, own.channel), scale, shift, function);
        }
        let value = sum * Vector::<f32, N>::new(0.25f32);
        put_each(output, &to, own.pixel, own.channel, value, false);
    }
}

/// The gradients before the activation of an element of the input; the last odd row and column have none.
#[cube]
fn averaged_gradient<N: Size>(
    grad: &[Vector<f32, N>],
    own: &Element,
    x: Vector<f32, N>,
    statistics: &[Vector<f32, N>],
    to: &Sizes,
    #[comptime] function: Curve,
) -> Vector<f32, N> {
    let mut d = Vector::<f32, N>::new(0.0f32);
    if own.y / 2 < to.height && own.x / 2 < to.width {
        let scale = row(statistics, 2usize, to.channels, own.channel);
        let shift = row(statistics, 3usize, to.channels, own.channel);
        let pixel = (own.image * to.height + own.y / 2) * to.width + own.x / 2;
        let gradient = load(grad, to, pixel, own.channel) * Vector::<f32, N>::new(0.25f32);
        d = carry_each(gradient, fma(x, scale, shift), function);
    }
    d
}

/// Writes `partials[chunk][2][channels]`: of `chunk` pixels of the input, the sums of `d` and of `d n`.
#[cube(launch_unchecked)]
fn average_sums(
    input: &[Vector<f32, Const<1>>],
    statistics: &[Vector<f32, Const<1>>],
    grad: &[Vector<f32, Const<1>>],
    partials: &mut [f32],
    from: Sizes,
    to: Sizes,
    groups: usize,
    groups_across: usize,
    chunk: usize,
    #[comptime] function: Curve,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= groups {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let part = group / groups_across;
    let channel0 = group % groups_across * CHANNELS;
    let c = channel0 + unit % CHANNELS;
    let last = ((part + 1) * chunk).min(from.images * from.height * from.width);
    let mut sum = 0.0f32;
    let mut product = 0.0f32;
    if c < from.channels {
        let mean = statistics[c];
        let inverse = statistics[from.channels + c];
        let mut pixel = part * chunk + unit / CHANNELS;
        while pixel < last {
            let own = element_of(pixel, c, &from);
            let x = load(input, &from, pixel, c);
            let d = averaged_gradient(grad, &own, x, statistics, &to, function);
            sum += d.extract(0usize);
            product += (d * (x - mean) * inverse).extract(0usize);
            pixel += LINES;
        }
    }
    chunk_sums(sum, product, partials, part, channel0, from.channels);
}

/// A unit makes `N` neighbouring channels of a pixel of the input.
#[cube(launch_unchecked)]
fn average_backward<N: Size>(
    input: &[Vector<f32, N>],
    statistics: &[Vector<f32, N>],
    grad: &[Vector<f32, N>],
    grad_input: &mut [Vector<f32, N>],
    from: Sizes,
    to: Sizes,
    grad_sizes: Sizes,
    length: usize,
    #[comptime] function: Curve,
    #[comptime] accumulate: bool,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let own = element::<N>(i, &from);
        let c = own.channel;
        let x = load(input, &from, own.pixel, c);
        let d = averaged_gradient(grad, &own, x, statistics, &to, function);
        let mean = row(statistics, 0usize, from.channels, c);
        let inverse = row(statistics, 1usize, from.channels, c);
        let scale = row(statistics, 2usize, from.channels, c);
        let mean_d = row(statistics, 5usize, from.channels, c);
        let mean_product = row(statistics, 6usize, from.channels, c);
        let value = scale * (d - mean_d - (x - mean) * inverse * mean_product);
        put_each(grad_input, &grad_sizes, own.pixel, c, value, accumulate);
    }
}

/// The map that [`average_normalised`] makes: half as high and wide, without an odd last row or column.
pub fn averaged_shape(input: MapShape) -> MapShape {
    input.with_size(input.height / 2, input.width / 2)
}

/// The launch of [`average_normalised`].
pub fn average_normalised_pass(input: MapShape) -> Pass {
    pass(input, input.in_fours())
}

fn pass(input: MapShape, fours: bool) -> Pass {
    let output = averaged_shape(input).len();
    Pass { bytes: bytes(input.len() + output), ..Pass::in_lanes("average normalised", output, fours) }
}

/// Writes the means of 2 x 2 pixels of the normalised map, `function(scale * x + shift)`.
///
/// # Panics
/// If a shape does not fit.
pub fn average_normalised(gpu: &Gpu, input: Normalised<'_>, output: Map<'_>) {
    let shape = averaged_shape(input.map.shape());
    input.expect_channels();
    output.expect(shape, "the averaged map");
    let fours = input.map.in_fours() && output.in_fours();
    let pass = pass(input.map.shape(), fours);
    let lanes = if fours { 4 } else { 1 };
    // SAFETY: shapes fit, and maps have their lengths.
    unsafe {
        average::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            lanes,
            input.map.argument(),
            input.statistics.buffer().argument(),
            output.argument(),
            input.map.sizes(),
            output.sizes(),
            shape.len() / lanes,
            input.function.into(),
        );
    }
}

/// The launches of [`average_normalised_gradient`] on a device so wide.
pub fn average_normalised_gradient_passes(width: Width, input: MapShape) -> [Pass; 3] {
    gradient_passes(width, input, input.in_fours())
}

fn gradient_passes(width: Width, input: MapShape, fours: bool) -> [Pass; 3] {
    let (chunks, output) = (Chunks::new(width, input), averaged_shape(input).len());
    let partials = chunks.count * 2 * input.channels;
    [
        Pass {
            name: "average sums",
            groups: [chunks.count * chunks.across, 1],
            units: UNITS,
            multiply_adds: 0,
            bytes: bytes(input.len() + output + partials),
        },
        statistics_pass(chunks.count, input.channels),
        Pass {
            bytes: bytes(2 * input.len() + output),
            ..Pass::in_lanes("average gradient", input.len(), fours)
        },
    ]
}

/// Writes or adds the gradient of the map that was normalised, given that of the means, and writes those of gamma and
/// beta.
///
/// # Errors
/// If the device makes no buffer for the sums.
///
/// # Panics
/// If a shape does not fit, or the gradients of gamma and beta lie in two buffers.
pub fn average_normalised_gradient(
    gpu: &Gpu,
    input: Normalised<'_>,
    grad_output: Map<'_>,
    grad_input: GradientMap<'_>,
    grad_affine: Affine<'_>,
) -> Result<(), Error> {
    let GradientMap { map: grad_input, accumulate } = grad_input;
    let shape = input.map.shape();
    input.expect_channels();
    grad_output.expect(averaged_shape(shape), "the output's gradient");
    grad_input.expect(shape, "the input's gradient");
    grad_affine.expect(shape.channels);
    let width = gpu.products().width();
    let chunks = Chunks::new(width, shape);
    let partials = Buffer::empty(gpu, chunks.count * 2 * shape.channels)?;
    let fours = [input.map, grad_output, grad_input].iter().all(Map::in_fours);
    let [first, second, third] = gradient_passes(width, shape, fours);
    let lanes = if fours { 4 } else { 1 };
    // SAFETY: shapes fit, maps have their lengths, and partials hold every chunk.
    unsafe {
        average_sums::launch_unchecked(
            gpu.launch(&first),
            gpu.grid(&first),
            first.dim(),
            input.map.argument(),
            input.statistics.buffer().argument(),
            grad_output.argument(),
            partials.argument(),
            input.map.sizes(),
            grad_output.sizes(),
            chunks.count * chunks.across,
            chunks.across,
            chunks.pixels,
            input.function.into(),
        );
    }
    complete(gpu, &second, &partials, input.statistics, shape, grad_affine);
    // SAFETY: as above.
    unsafe {
        average_backward::launch_unchecked(
            gpu.launch(&third),
            gpu.grid(&third),
            third.dim(),
            lanes,
            input.map.argument(),
            input.statistics.buffer().argument(),
            grad_output.argument(),
            grad_input.argument(),
            input.map.sizes(),
            grad_output.sizes(),
            grad_input.sizes(),
            shape.len() / lanes,
            input.function.into(),
            accumulate,
        );
    }
    Ok(())
}
