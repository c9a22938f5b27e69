//! All parameters of a network at once: copied, added up, averaged.
#![expect(unsafe_code, reason = "a launch without bounds checks; lengths are checked before")]

use crate::buffer::Part;
use crate::gpu::Gpu;
use crate::pass::Pass;
use cubecl::prelude::*;

/// What becomes of the target.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Form {
    Copy,
    Add,
    Blend,
}

/// A unit a float.
#[cube(launch_unchecked)]
fn combine(
    source: &[f32],
    target: &mut [f32],
    source_at: usize,
    target_at: usize,
    length: usize,
    kept: f32,
    new: f32,
    #[comptime] form: Form,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let mut value = source[source_at + i];
        if comptime!(form == Form::Add) {
            value += target[target_at + i];
        }
        if comptime!(form == Form::Blend) {
            value = target[target_at + i] * kept + value * new;
        }
        target[target_at + i] = value;
    }
}

/// The launch of [`copy()`] on so many floats.
pub fn copy_pass(length: usize) -> Pass {
    Pass::elements("copy", length, 2)
}

/// The launch of [`add`] on so many floats.
pub fn add_pass(length: usize) -> Pass {
    Pass::elements("add", length, 3)
}

/// The launch of [`blend`] on so many floats.
pub fn blend_pass(length: usize) -> Pass {
    Pass::elements("blend", length, 3)
}

/// Writes `from` over `to`.
///
/// # Panics
/// If the lengths differ.
pub fn copy(gpu: &Gpu, from: Part<'_>, to: Part<'_>) {
    launch(gpu, &copy_pass(from.len()), from, to, 0.0, Form::Copy);
}

/// Adds `more` to `sum`: gradients of the parts of a batch.
///
/// # Panics
/// If the lengths differ.
pub fn add(gpu: &Gpu, sum: Part<'_>, more: Part<'_>) {
    launch(gpu, &add_pass(more.len()), more, sum, 0.0, Form::Add);
}

/// Moves `average` towards `values`: it becomes `kept * average + (1 - kept) * values`.
///
/// # Panics
/// If the lengths differ.
pub fn blend(gpu: &Gpu, average: Part<'_>, values: Part<'_>, kept: f32) {
    launch(gpu, &blend_pass(values.len()), values, average, kept, Form::Blend);
}

fn launch(gpu: &Gpu, pass: &Pass, source: Part<'_>, target: Part<'_>, kept: f32, form: Form) {
    target.expect(source.len(), "what is written, one for each that is read");
    // SAFETY: both parts have this length.
    unsafe {
        combine::launch_unchecked(
            gpu.launch(pass),
            gpu.grid(pass),
            pass.dim(),
            source.argument(),
            target.argument(),
            source.start(),
            target.start(),
            source.len(),
            kept,
            1.0 - kept,
            form,
        );
    }
}
