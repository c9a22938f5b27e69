//! One pass from a convolution's output to the next layer's input: scale and shift, the largest of 2 x 2 pixels, the
//! skip connection, the activation.
#![expect(unsafe_code, reason = "a launch without bounds checks; shapes are checked before")]

use super::window::{Form, element, pre_activation};
use crate::curve::curve;
use crate::gpu::Gpu;
use crate::map::{Map, MapShape, Sizes};
use crate::pass::{Pass, bytes};
use crate::statistics::Statistics;
use cubecl::prelude::*;
use xray_kernels::Activation;

#[cube(launch_unchecked)]
fn apply(
    input: &[f32],
    skip: &[f32],
    statistics: &[f32],
    output: &mut [f32],
    from: Sizes,
    skip_sizes: Sizes,
    to: Sizes,
    length: usize,
    #[comptime] form: Form,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let element = element(i, &to);
        let scale = statistics[2 * to.channels + element.channel];
        let shift = statistics[3 * to.channels + element.channel];
        let found = pre_activation(input, skip, &from, &skip_sizes, &element, scale, shift, form);
        output[element.pixel * to.stride + to.first + element.channel] =
            curve(found.value, comptime!(form.function));
    }
}

/// The map that [`normalise`] makes.
pub fn normalised_shape(activation: Activation, input: MapShape) -> MapShape {
    input.with_size(activation.output_size(input.height), activation.output_size(input.width))
}

/// The launch of [`normalise`].
pub fn normalise_pass(activation: Activation, input: MapShape, skip: bool) -> Pass {
    let output = normalised_shape(activation, input).len();
    let floats = input.len() + output + if skip { output } else { 0 };
    Pass { bytes: bytes(floats), ..Pass::elements("normalise", output, 0) }
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
    let pass = normalise_pass(activation, input.shape(), skip.is_some());
    let form = Form::new(activation, skip.is_some());
    let skip = skip.unwrap_or(output);
    // SAFETY: shapes fit, and maps have their lengths.
    unsafe {
        apply::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            input.argument(),
            skip.argument(),
            statistics.buffer().argument(),
            output.argument(),
            input.sizes(),
            skip.sizes(),
            output.sizes(),
            shape.len(),
            form,
        );
    }
}
