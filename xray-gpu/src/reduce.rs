//! The sum of one value a unit over a group, in a fixed order.

use cubecl::prelude::*;

/// Units of a group that adds up one number.
pub(crate) const REDUCE_UNITS: usize = 128;

/// The sum over a group of [`REDUCE_UNITS`], left in every unit: halves are added to halves, so the order is fixed.
#[cube]
pub(crate) fn group_sum(place: &mut Shared<[f32]>, value: f32) -> f32 {
    let unit = UNIT_POS as usize;
    place[unit] = value;
    sync_cube();
    let mut step = (REDUCE_UNITS / 2).runtime();
    while step > 0 {
        if unit < step {
            let other = place[unit + step];
            place[unit] += other;
        }
        sync_cube();
        step /= 2;
    }
    let sum = place[0];
    sync_cube();
    sum
}
