//! Binary cross-entropy on logits, the mean over known labels; unknown ones are NaN.
#![expect(unsafe_code, reason = "a launch without bounds checks; lengths are checked before")]

use crate::buffer::Part;
use crate::curve::sigmoid;
use crate::gpu::Gpu;
use crate::pass::{Pass, bytes};
use crate::reduce::{REDUCE_UNITS, group_sum};
use cubecl::prelude::*;

/// One group: labels are few, and their mean must be one number before any gradient.
#[cube(launch_unchecked)]
fn cross_entropy(
    logits: &[f32],
    labels: &[f32],
    loss: &mut [f32],
    gradients: &mut [f32],
    logits_at: usize,
    labels_at: usize,
    loss_at: usize,
    gradients_at: usize,
    length: usize,
) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let unit = UNIT_POS as usize;
    let mut known = 0.0f32;
    let mut sum = 0.0f32;
    let mut i = unit;
    while i < length {
        let label = labels[labels_at + i];
        if !label.is_nan() {
            let z = logits[logits_at + i];
            let mut above = z;
            if z < 0.0f32 {
                above = 0.0f32;
            }
            known += 1.0f32;
            sum += above - z * label + (1.0f32 + (-z.abs()).exp()).ln();
        }
        i += REDUCE_UNITS;
    }
    let known = group_sum(&mut place, known).max(1.0f32);
    let sum = group_sum(&mut place, sum);
    if unit == 0 {
        loss[loss_at] = sum / known;
    }
    let mut i = unit;
    while i < length {
        let label = labels[labels_at + i];
        let mut gradient = 0.0f32;
        if !label.is_nan() {
            gradient = (sigmoid(logits[logits_at + i]) - label) / known;
        }
        gradients[gradients_at + i] = gradient;
        i += REDUCE_UNITS;
    }
}

/// The launch of [`binary_cross_entropy`] on so many logits.
pub fn binary_cross_entropy_pass(length: usize) -> Pass {
    Pass {
        name: "cross entropy",
        groups: [1, 1],
        units: REDUCE_UNITS,
        multiply_adds: 0,
        bytes: bytes(3 * length + 1),
    }
}

/// Writes the loss, one float, and the gradient of the logits. Without known labels both are zero.
///
/// # Panics
/// If a length does not fit.
pub fn binary_cross_entropy(
    gpu: &Gpu,
    logits: Part<'_>,
    labels: Part<'_>,
    loss: Part<'_>,
    grad_logits: Part<'_>,
) {
    labels.expect(logits.len(), "labels");
    grad_logits.expect(logits.len(), "the logits' gradient");
    loss.expect(1, "the loss");
    let pass = binary_cross_entropy_pass(logits.len());
    // SAFETY: lengths were checked.
    unsafe {
        cross_entropy::launch_unchecked(
            gpu.launch(&pass),
            pass.grid(),
            pass.dim(),
            logits.argument(),
            labels.argument(),
            loss.argument(),
            grad_logits.argument(),
            logits.start(),
            labels.start(),
            loss.start(),
            grad_logits.start(),
            logits.len(),
        );
    }
}
