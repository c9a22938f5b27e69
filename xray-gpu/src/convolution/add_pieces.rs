//! The sum of the pieces of weight gradients: of one, or of many in a launch.

use crate::pass::ELEMENT_UNITS;
use cubecl::prelude::*;

/// Weights that a group adds up where eight units share the pieces of one.
const LANES: usize = 32;
/// Units that share the pieces of a weight, where there are more pieces than that.
const LINES: usize = ELEMENT_UNITS / LANES;
/// Numbers of a gradient in the table of [`add_segments()`]: its first group, where its pieces start in `partials`, where
/// the sum goes in `target`, weights, pieces.
pub(super) const SEGMENT: usize = 5;

/// Weights that a group adds up. Where there are no more pieces than [`LINES`], one unit adds up those of a weight, which
/// is the same sum: eight units would take a piece each or none, and one of them add them up in their order.
pub(super) fn add_lanes(pieces: usize) -> usize {
    if pieces > LINES { LANES } else { ELEMENT_UNITS }
}

/// Of one gradient.
#[cube(launch_unchecked)]
pub(super) fn add_pieces(
    partials: &[f32],
    target: &mut [f32],
    length: usize,
    pieces: usize,
    target_at: usize,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    add_up(partials, target, group, length, pieces, 0usize.runtime(), target_at);
}

/// Of all gradients that `table` lists, `[segments][5]`.
#[cube(launch_unchecked)]
pub(super) fn add_segments(
    partials: &[f32],
    target: &mut [f32],
    table: &[u32],
    segments: usize,
    groups: usize,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= groups {
        terminate!();
    }
    // The last segment that starts at or before this group.
    let mut low = 0usize.runtime();
    let mut high = segments;
    while high - low > 1 {
        let middle = (low + high) / 2;
        if usize::cast_from(table[middle * SEGMENT]) <= group {
            low = middle;
        } else {
            high = middle;
        }
    }
    let row = low * SEGMENT;
    let first = usize::cast_from(table[row]);
    let partials_at = usize::cast_from(table[row + 1]);
    let target_at = usize::cast_from(table[row + 2]);
    let length = usize::cast_from(table[row + 3]);
    let pieces = usize::cast_from(table[row + 4]);
    add_up(partials, target, group - first, length, pieces, partials_at, target_at);
}

/// Each unit adds every eighth piece, then the eight sums are added in their order; or each adds all of a weight:
/// [`add_lanes`].
#[cube]
fn add_up(
    partials: &[f32],
    target: &mut [f32],
    group: usize,
    length: usize,
    pieces: usize,
    partials_at: usize,
    target_at: usize,
) {
    let mut place = Shared::<[f32]>::new_slice(ELEMENT_UNITS);
    let unit = UNIT_POS as usize;
    let mut lanes = ELEMENT_UNITS.runtime();
    if pieces > LINES {
        lanes = LANES.runtime();
    }
    let lines = ELEMENT_UNITS / lanes;
    let at = group * lanes + unit % lanes;
    let mut sum = 0.0f32;
    if at < length {
        let mut piece = unit / lanes;
        while piece < pieces {
            sum += partials[partials_at + piece * length + at];
            piece += lines;
        }
    }
    place[unit] = sum;
    sync_cube();
    if unit < lanes && at < length {
        let mut total = 0.0f32;
        for line in 0..lines {
            total += place[line * lanes + unit];
        }
        target[target_at + at] = total;
    }
}
