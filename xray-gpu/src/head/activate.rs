//! A function of each float: between and after the dense layers of a gate.
#![expect(unsafe_code, reason = "launches without bounds checks; lengths are checked before")]

use crate::buffer::Part;
use crate::curve::{Curve, carry, curve};
use crate::gpu::Gpu;
use crate::pass::Pass;
use cubecl::prelude::*;

#[cube(launch_unchecked)]
fn values(
    input: &[f32],
    output: &mut [f32],
    input_at: usize,
    output_at: usize,
    length: usize,
    #[comptime] function: Curve,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        output[output_at + i] = curve(input[input_at + i], function);
    }
}

#[cube(launch_unchecked)]
fn gradients(
    input: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
    input_at: usize,
    grad_output_at: usize,
    grad_input_at: usize,
    length: usize,
    #[comptime] function: Curve,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        grad_input[grad_input_at + i] = carry(grad_output[grad_output_at + i], input[input_at + i], function);
    }
}

/// The launch of [`activate`] on so many floats.
pub fn activate_pass(length: usize) -> Pass {
    Pass::elements("activate", length, 2)
}

/// The launch of [`activate_gradient`] on so many floats.
pub fn activate_gradient_pass(length: usize) -> Pass {
    Pass::elements("activate gradient", length, 3)
}

/// Writes the function of every float.
///
/// # Panics
/// If the lengths differ.
pub fn activate(gpu: &Gpu, function: impl Into<Curve>, input: Part<'_>, output: Part<'_>) {
    output.expect(input.len(), "what is activated");
    let pass = activate_pass(input.len());
    // SAFETY: lengths were checked.
    unsafe {
        values::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            input.argument(),
            output.argument(),
            input.start(),
            output.start(),
            input.len(),
            function.into(),
        );
    }
}

/// Writes the gradient of the input, given the input and the output's gradient.
///
/// # Panics
/// If the lengths differ.
pub fn activate_gradient(
    gpu: &Gpu,
    function: impl Into<Curve>,
    input: Part<'_>,
    grad_output: Part<'_>,
    grad_input: Part<'_>,
) {
    grad_output.expect(input.len(), "the output's gradient");
    grad_input.expect(input.len(), "the input's gradient");
    let pass = activate_gradient_pass(input.len());
    // SAFETY: lengths were checked.
    unsafe {
        gradients::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            input.argument(),
            grad_output.argument(),
            grad_input.argument(),
            input.start(),
            grad_output.start(),
            grad_input.start(),
            input.len(),
            function.into(),
        );
    }
}
