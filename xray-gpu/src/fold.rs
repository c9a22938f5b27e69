//! Inference without batch norm: its running statistics become part of the weights before it, and a bias.
#![expect(unsafe_code, reason = "a launch without bounds checks; lengths are checked before")]

use crate::buffer::{Buffer, Part};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::pass::{Pass, bytes};
use crate::statistics::{Affine, NormPlaces, Running};
use cubecl::prelude::*;

/// A unit a weight; the first of each channel writes the bias.
#[cube(launch_unchecked)]
fn fold_weights(
    weights: &[f32],
    affine: &[f32],
    running: &[f32],
    folded: &mut [f32],
    bias: &mut [f32],
    places: NormPlaces,
    weights_at: usize,
    length: usize,
    each: usize,
    epsilon: f32,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let c = i / each;
        let scale = affine[places.gamma + c] / (running[places.variance + c] + epsilon).sqrt();
        folded[i] = weights[weights_at + i] * scale;
        if i == c * each {
            bias[c] = affine[places.beta + c] - running[places.mean + c] * scale;
        }
    }
}

/// The launch of [`fold`] on so many weights of so many output channels.
pub fn fold_pass(weights: usize, channels: usize) -> Pass {
    Pass { bytes: bytes(2 * weights + 5 * channels), ..Pass::elements("fold", weights, 0) }
}

/// Weights and bias that make of an input what the weights, `[channels][..]`, and the batch norm that follows in
/// inference make of it. For [`convolve_folded`](crate::convolve_folded) and
/// [`depthwise_folded`](crate::depthwise_folded).
///
/// # Errors
/// If the device makes no buffer.
///
/// # Panics
/// If the channels do not have as many weights each, a part does not have a float a channel, or a pair lies in two
/// buffers.
pub fn fold(
    gpu: &Gpu,
    weights: Part<'_>,
    affine: Affine<'_>,
    running: Running<'_>,
    epsilon: f32,
) -> Result<(Buffer, Buffer), Error> {
    let (length, channels) = (weights.len(), affine.gamma.len());
    assert!(channels > 0 && length.is_multiple_of(channels), "{length} weights of {channels} channels");
    let places = NormPlaces::of(affine, running, channels);
    let (folded, bias) = (Buffer::empty(gpu, length)?, Buffer::empty(gpu, channels)?);
    let pass = fold_pass(length, channels);
    // SAFETY: lengths were checked.
    unsafe {
        fold_weights::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            weights.argument(),
            affine.gamma.argument(),
            running.mean.argument(),
            folded.argument(),
            bias.argument(),
            places,
            weights.start(),
            length,
            length / channels,
            epsilon,
        );
    }
    Ok((folded, bias))
}
