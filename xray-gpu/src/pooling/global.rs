//! The mean of each channel over an image.
#![expect(unsafe_code, reason = "launches without bounds checks; shapes are checked before")]

use crate::buffer::Part;
use crate::gpu::Gpu;
use crate::map::{GradientMap, Map, MapShape, Sizes, element, put};
use crate::pass::{Pass, bytes};
use cubecl::prelude::*;

/// Channels of a group, and the units that share one.
pub(crate) const CHANNELS: usize = 32;
pub(crate) const LINES: usize = 8;
pub(crate) const UNITS: usize = CHANNELS * LINES;

/// Sums over an image of a map, or of the product of two, times `factor`. A group takes an image and 32 channels.
#[cube(launch_unchecked)]
fn image_sums(
    input: &[f32],
    other: &[f32],
    output: &mut [f32],
    from: Sizes,
    other_sizes: Sizes,
    output_at: usize,
    groups: usize,
    groups_across: usize,
    factor: f32,
    #[comptime] product: bool,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= groups {
        terminate!();
    }
    let mut place = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    let image = group / groups_across;
    let channel = group % groups_across * CHANNELS + unit % CHANNELS;
    let pixels = from.height * from.width;
    let mut sum = 0.0f32;
    if channel < from.channels {
        let mut pixel = unit / CHANNELS;
        while pixel < pixels {
            let at = image * pixels + pixel;
            let value = input[at * from.stride + from.first + channel];
            if comptime!(product) {
                sum += value * other[at * other_sizes.stride + other_sizes.first + channel];
            } else {
                sum += value;
            }
            pixel += LINES;
        }
    }
    place[unit] = sum;
    sync_cube();
    if unit < CHANNELS && channel < from.channels {
        let mut total = 0.0f32;
        for line in 0..LINES {
            total += place[line * CHANNELS + unit];
        }
        output[output_at + image * from.channels + channel] = total * factor;
    }
}

#[cube(launch_unchecked)]
fn spread(
    features: &[f32],
    output: &mut [f32],
    to: Sizes,
    features_at: usize,
    length: usize,
    factor: f32,
    #[comptime] accumulate: bool,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let own = element::<Const<1>>(i, &to);
        let feature = features[features_at + own.image * to.channels + own.channel];
        put(output, own.pixel * to.stride + to.first + own.channel, feature * factor, accumulate);
    }
}

/// The launch of [`image_sums`] over `maps` maps.
pub(crate) fn image_sums_pass(name: &'static str, input: MapShape, maps: usize) -> Pass {
    let groups = [input.images * input.channels.div_ceil(CHANNELS), 1];
    let bytes = bytes(maps * input.len() + input.images * input.channels);
    Pass { name, groups, units: UNITS, multiply_adds: 0, bytes }
}

pub(crate) fn launch_image_sums(
    gpu: &Gpu,
    pass: &Pass,
    input: Map<'_>,
    other: Option<Map<'_>>,
    output: Part<'_>,
    factor: f32,
) {
    let shape = input.shape();
    output.expect(shape.images * shape.channels, "a float for each image and channel");
    let product = other.is_some();
    let other = other.unwrap_or(input);
    other.expect(shape, "the other map");
    // SAFETY: shapes fit, and maps and the part have their lengths.
    unsafe {
        image_sums::launch_unchecked(
            gpu.launch(pass),
            gpu.grid(pass),
            pass.dim(),
            input.argument(),
            other.argument(),
            output.argument(),
            input.sizes(),
            other.sizes(),
            output.start(),
            pass.groups[0],
            shape.channels.div_ceil(CHANNELS),
            factor,
            product,
        );
    }
}

/// The launch of [`global_average`].
pub fn global_average_pass(input: MapShape) -> Pass {
    image_sums_pass("global average", input, 1)
}

/// Writes the mean over each image, `[images][channels]`.
///
/// # Panics
/// If a length does not fit.
pub fn global_average(gpu: &Gpu, input: Map<'_>, output: Part<'_>) {
    let shape = input.shape();
    let factor = 1.0 / (shape.height * shape.width) as f32;
    launch_image_sums(gpu, &global_average_pass(shape), input, None, output, factor);
}

/// The launch of [`global_average_gradient`].
pub fn global_average_gradient_pass(input: MapShape) -> Pass {
    Pass::elements("global average gradient", input.len(), 1)
}

/// Writes or adds the gradient of the input, given that of the means, `[images][channels]`.
///
/// # Panics
/// If a length does not fit.
pub fn global_average_gradient(
    gpu: &Gpu,
    grad_output: Part<'_>,
    GradientMap { map: grad_input, accumulate }: GradientMap<'_>,
) {
    let shape = grad_input.shape();
    grad_output.expect(shape.images * shape.channels, "a gradient for each image and channel");
    let pass = global_average_gradient_pass(shape);
    // SAFETY: the map and the part have their lengths.
    unsafe {
        spread::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            grad_output.argument(),
            grad_input.argument(),
            grad_input.sizes(),
            grad_output.start(),
            shape.len(),
            1.0 / (shape.height * shape.width) as f32,
            accumulate,
        );
    }
}
