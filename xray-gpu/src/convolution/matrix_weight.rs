//! The product of [`weight_tile`](super::weight_tile) by matrix instructions: factors are rounded when they are loaded
//! into shared memory, and summed in float32.

use super::fragments::{Fragments, Layout, STEP, leave, multiply, zeros};
use super::gather::GatherNumbers;
use super::weight_tile::inside;
use crate::curve::Curve;
use crate::map::Sizes;
use crate::source::normalise;
use cubecl::prelude::*;

/// Both sides are read along channels, so a term's rows lie together.
const LAYOUTS: [Layout; 2] = [Layout::BySide, Layout::BySide];

/// Writes `target[piece][out][tap][in]` from `numbers.weights_at` on. Both maps are read in fours; terms are pixels. `norm` is what
/// follows the norm that is applied to the input, whose `statistics` these are.
#[cube(launch_unchecked)]
pub(super) fn weights_by_matrices<E: Numeric>(
    input: &[Vector<f32, Const<4>>],
    grad: &[Vector<f32, Const<4>>],
    statistics: &[Vector<f32, Const<4>>],
    target: &mut [f32],
    from: Sizes,
    to: Sizes,
    numbers: GatherNumbers,
    #[comptime] fragments: Fragments,
    #[comptime] norm: Option<Curve>,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= numbers.tiles {
        terminate!();
    }
    let tile = comptime!(fragments.tile());
    let function = comptime!(norm.unwrap_or(Curve::Identity));
    let units = comptime!(tile.units());
    let row_quads = comptime!(tile.rows / 4);
    let column_quads = comptime!(tile.columns / 4);
    let column_parts = comptime!(STEP * column_quads / units);
    let mut left = Shared::<[Vector<E, Const<4>>]>::new_slice(comptime!(LAYOUTS[0].fours(tile.rows)));
    let mut right = Shared::<[Vector<E, Const<4>>]>::new_slice(comptime!(LAYOUTS[1].fours(tile.columns)));
    let unit = UNIT_POS as usize;
    let columns = numbers.kernel * numbers.kernel * from.channels;
    let row0 = group / numbers.tiles_across * comptime!(tile.rows);
    let column0 = group % numbers.tiles_across * comptime!(tile.columns);
    let pixels = to.images * to.height * to.width;
    let first = CUBE_POS_Z as usize * numbers.terms;
    let last = (first + numbers.terms).min(pixels);

    // A unit loads the same columns in every step: their taps are found once.
    let mut tap_y = Array::<usize>::new(column_parts);
    let mut tap_x = Array::<usize>::new(column_parts);
    let mut channel = Array::<usize>::new(column_parts);
    #[unroll]
    for part in 0..column_parts {
        let column = column0 + (unit + part * units) % column_quads * 4;
        let tap = column / from.channels;
        tap_y[part] = tap / numbers.kernel;
        tap_x[part] = tap % numbers.kernel;
        channel[part] = column % from.channels;
        if column >= columns {
            // Past every border.
            tap_y[part] = (1usize << 30).runtime();
        }
    }
    let sums = zeros(fragments);
    let mut k0 = first;
    while k0 < last {
        #[unroll]
        for part in 0..comptime!(STEP * row_quads / units) {
            let term = (unit + part * units) / row_quads;
            let quad = (unit + part * units) % row_quads;
            let row = row0 + quad * 4;
            let mut value = Vector::<f32, Const<4>>::new(0.0f32);
            if k0 + term < last && row < to.channels {
                value = grad[((k0 + term) * to.stride + to.first + row) / 4];
            }
            left[term * comptime!(Fragments::by_side(tile.rows) / 4) + quad] = Vector::cast_from(value);
        }
        #[unroll]
        for part in 0..column_parts {
            let term = (unit + part * units) / column_quads;
            let quad = (unit + part * units) % column_quads;
            let pixel = k0 + term;
            let x = pixel % to.width * numbers.stride + tap_x[part];
            let y = pixel / to.width % to.height * numbers.stride + tap_y[part];
            let image_at = pixel / (to.width * to.height) * from.height;
            let mut value = Vector::<f32, Const<4>>::new(0.0f32);
            if pixel < last && inside(y, x, &from, numbers.padding) {
                let at = (image_at + y - numbers.padding) * from.width + x - numbers.padding;
                value = input[(at * from.stride + from.first + channel[part]) / 4];
                if comptime!(norm.is_some()) {
                    let scale = statistics[(2 * from.channels + channel[part]) / 4];
                    let shift = statistics[(3 * from.channels + channel[part]) / 4];
                    value = normalise(value, scale, shift, function);
                }
            }
            right[term * comptime!(Fragments::by_side(tile.columns) / 4) + quad] = Vector::cast_from(value);
        }
        sync_cube();
        multiply::<E>(&left, &right, &sums, LAYOUTS, fragments);
        sync_cube();
        k0 += STEP;
    }
    let own = leave(&sums, fragments);
    let uy = unit / comptime!(tile.across());
    let ux = unit % comptime!(tile.across());
    let held_columns = comptime!(tile.register_columns);
    let base = numbers.weights_at + CUBE_POS_Z as usize * to.channels * columns;
    #[unroll]
    for i in 0..comptime!(tile.register_rows) {
        let row = row0 + uy + i * comptime!(tile.down());
        #[unroll]
        for j in 0..held_columns {
            let column = column0 + ux + j * comptime!(tile.across());
            if row < to.channels && column < columns {
                target[base + row * columns + column] = own[comptime!(i * held_columns + j)];
            }
        }
    }
}
