//! A factor for each image and channel, as squeeze-and-excitation has (Hu et al., 2018).
#![expect(unsafe_code, reason = "a launch without bounds checks; shapes are checked before")]

use crate::buffer::Part;
use crate::gpu::Gpu;
use crate::map::{GradientMap, Map, MapShape, Sizes, element, put};
use crate::pass::{Pass, bytes};
use crate::pooling::{image_sums_pass, launch_image_sums};
use cubecl::prelude::*;

#[cube(launch_unchecked)]
fn multiply(
    input: &[f32],
    factors: &[f32],
    output: &mut [f32],
    from: Sizes,
    to: Sizes,
    factors_at: usize,
    length: usize,
    #[comptime] accumulate: bool,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let own = element::<Const<1>>(i, &to);
        let factor = factors[factors_at + own.image * to.channels + own.channel];
        let value = input[own.pixel * from.stride + from.first + own.channel];
        put(output, own.pixel * to.stride + to.first + own.channel, value * factor, accumulate);
    }
}

/// The launch of [`gate`].
pub fn gate_pass(input: MapShape) -> Pass {
    let floats = 2 * input.len() + input.images * input.channels;
    Pass { bytes: bytes(floats), ..Pass::elements("gate", input.len(), 0) }
}

/// Writes `input` times the factors, `[images][channels]`.
///
/// # Panics
/// If a shape does not fit.
pub fn gate(gpu: &Gpu, input: Map<'_>, factors: Part<'_>, output: Map<'_>) {
    launch(gpu, input, factors, output.into());
}

fn launch(
    gpu: &Gpu,
    input: Map<'_>,
    factors: Part<'_>,
    GradientMap { map: output, accumulate }: GradientMap<'_>,
) {
    let shape = input.shape();
    output.expect(shape, "the gated map");
    factors.expect(shape.images * shape.channels, "a factor for each image and channel");
    let pass = gate_pass(shape);
    // SAFETY: shapes fit, and maps and the part have their lengths.
    unsafe {
        multiply::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            input.argument(),
            factors.argument(),
            output.argument(),
            input.sizes(),
            output.sizes(),
            factors.start(),
            shape.len(),
            accumulate,
        );
    }
}

/// The launches of [`gate_gradient`].
pub fn gate_gradient_passes(input: MapShape) -> [Pass; 2] {
    [gate_pass(input), image_sums_pass("gate sums", input, 2)]
}

/// Writes or adds the gradient of the input, and writes that of the factors, given both and the output's gradient.
///
/// # Panics
/// If a shape does not fit.
pub fn gate_gradient(
    gpu: &Gpu,
    (input, factors): (Map<'_>, Part<'_>),
    grad_output: Map<'_>,
    grad_input: GradientMap<'_>,
    grad_factors: Part<'_>,
) {
    launch(gpu, grad_output, factors, grad_input);
    let [_, pass] = gate_gradient_passes(input.shape());
    launch_image_sums(gpu, &pass, input, Some(grad_output), grad_factors, 1.0);
}
