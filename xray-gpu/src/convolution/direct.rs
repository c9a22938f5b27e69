//! Weight gradients without tiles, where a weight has one input channel: the first layer, and depthwise convolutions.
//! Every unit adds up all taps of one output channel over its share of the pixels.

use super::weight_tile::inside;
use crate::curve::Curve;
use crate::map::Sizes;
use crate::source::normalise_one;
use cubecl::prelude::*;

/// Channels of a group, and the units that share one.
pub(super) const CHANNELS: usize = 32;
const LINES: usize = 8;
pub(super) const UNITS: usize = CHANNELS * LINES;

/// How [`tap_sums`] is compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) kernel: usize,
    /// Each output channel reads the input's channel of its own; otherwise all read the one there is.
    pub(super) depthwise: bool,
    /// What follows the norm that is applied to the input where it is loaded.
    pub(super) norm: Option<Curve>,
}

/// Writes `target[piece][out][tap]`. A group takes 32 channels and `terms` pixels.
#[cube(launch_unchecked)]
pub(super) fn tap_sums(
    input: &[f32],
    grad: &[f32],
    statistics: &[f32],
    target: &mut [f32],
    from: Sizes,
    to: Sizes,
    stride: usize,
    padding: usize,
    target_at: usize,
    groups: usize,
    groups_across: usize,
    terms: usize,
    #[comptime] form: Form,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= groups {
        terminate!();
    }
    let taps = comptime!(form.kernel * form.kernel);
    let mut place = Shared::<[f32]>::new_slice(UNITS);
    let mut sums = Array::<f32>::new(taps);
    #[unroll]
    for tap in 0..taps {
        sums[tap] = 0.0f32;
    }
    let unit = UNIT_POS as usize;
    let piece = group / groups_across;
    let channel0 = group % groups_across * CHANNELS;
    let channel = channel0 + unit % CHANNELS;
    let pixels = to.images * to.height * to.width;
    let last = ((piece + 1) * terms).min(pixels);
    let mut own = 0usize.runtime();
    if comptime!(form.depthwise) {
        own = channel;
    }
    let read = from.first + own;
    let mut scale = 0.0f32;
    let mut shift = 0.0f32;
    if comptime!(form.norm.is_some()) {
        // Units past the last channel load its numbers, and add up nothing.
        let c = own.min(from.channels - 1);
        scale = statistics[2 * from.channels + c];
        shift = statistics[3 * from.channels + c];
    }
    let mut pixel = piece * terms + unit / CHANNELS;
    while pixel < last {
        if channel < to.channels {
            let gradient = grad[pixel * to.stride + to.first + channel];
            let x = pixel % to.width * stride;
            let y = pixel / to.width % to.height * stride;
            let image_at = pixel / (to.width * to.height) * from.height;
            #[unroll]
            for tap in 0..taps {
                let tap_y = y + comptime!(tap / form.kernel);
                let tap_x = x + comptime!(tap % form.kernel);
                if inside(tap_y, tap_x, &from, padding) {
                    let at = (image_at + tap_y - padding) * from.width + tap_x - padding;
                    let mut value = input[at * from.stride + read];
                    if comptime!(form.norm.is_some()) {
                        let function = comptime!(form.norm.unwrap_or(Curve::Identity));
                        value = normalise_one(value, scale, shift, function);
                    }
                    sums[tap] += gradient * value;
                }
            }
        }
        pixel += LINES;
    }
    #[unroll]
    for tap in 0..taps {
        place[unit] = sums[tap];
        sync_cube();
        if unit < CHANNELS && channel < to.channels {
            let mut sum = 0.0f32;
            for line in 0..LINES {
                sum += place[line * CHANNELS + unit];
            }
            target[target_at + (piece * to.channels + channel) * taps + tap] = sum;
        }
        sync_cube();
    }
}
