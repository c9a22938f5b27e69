//! One pass from a convolution's output to the next layer's input: scale and shift, the largest of 2 x 2 pixels, the
//! skip connection, the activation.
#![expect(unsafe_code, reason = "a launch without bounds checks; shapes are checked before")]

use super::window::{Form, pre_activation};
use crate::curve::curve_each;
use crate::gpu::Gpu;
use crate::map::{Map, MapShape, Sizes, element, put_each};
use crate::pass::{Pass, bytes};
use crate::statistics::{Statistics, row};
use cubecl::prelude::*;
use xray_kernels::Activation;

/// A unit makes `N` neighbouring channels of a pixel.
#[cube(launch_unchecked)]
fn apply<N: Size>(
    input: &[Vector<f32, N>],
    skip: &[Vector<f32, N>],
    statistics: &[Vector<f32, N>],
    output: &mut [Vector<f32, N>],
    from: Sizes,
    skip_sizes: Sizes,
    to: Sizes,
    length: usize,
    #[comptime] form: Form,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let own = element::<N>(i, &to);
        let scale = row(statistics, 2usize, to.channels, own.channel);
        let shift = row(statistics, 3usize, to.channels, own.channel);
        let found = pre_activation(input, skip, &from, &skip_sizes, &own, scale, shift, form);
        let value = curve_each(found.value, comptime!(form.function));
        put_each(output, &to, own.pixel, own.channel, value, false);
    }
}

/// The map that [`normalise`] makes.
pub fn normalised_shape(activation: Activation, input: MapShape) -> MapShape {
    input.with_size(activation.output_size(input.height), activation.output_size(input.width))
}

/// The launch of [`normalise`].
pub fn normalise_pass(activation: Activation, input: MapShape, skip: bool) -> Pass {
    pass(activation, input, skip, input.in_fours())
}

fn pass(activation: Activation, input: MapShape, skip: bool, fours: bool) -> Pass {
    let output = normalised_shape(activation, input).len();
    let floats = input.len() + output + if skip { output } else { 0 };
    Pass { bytes: bytes(floats), ..Pass::in_lanes("normalise", output, fours) }
}

/// Writes `function(largest of 2 x 2 of (scale * input + shift) + skip)`; pooling and skip are optional.
///
/// # Panics
/// If a shape does not fit.
pub fn normalise(
    gpu: &Gpu,
    activation: Activation,
    statistics: &Statistics,
    input: Map<'_>,
    skip: Option<Map<'_>>,
    output: Map<'_>,
) {
    let shape = normalised_shape(activation, input.shape());
    output.expect(shape, "the normalised map");
    assert_eq!(statistics.channels(), shape.channels, "channels of the statistics");
    skip.iter().for_each(|skip| skip.expect(shape, "the skip connection"));
    let form = Form::new(activation, skip.is_some());
    let skip = skip.unwrap_or(output);
    let fours = [input, skip, output].iter().all(Map::in_fours);
    let pass = pass(activation, input.shape(), form.skip, fours);
    let lanes = if fours { 4 } else { 1 };
    // SAFETY: shapes fit, and maps have their lengths.
    unsafe {
        apply::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            lanes,
            input.argument(),
            skip.argument(),
            statistics.buffer().argument(),
            output.argument(),
            input.sizes(),
            skip.sizes(),
            output.sizes(),
            shape.len() / lanes,
            form,
        );
    }
}
