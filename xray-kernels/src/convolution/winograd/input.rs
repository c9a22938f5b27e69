//! Patches of 6 x 6 inputs to their 36 points, or a part of them.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::{PATCH, TILE, transform};
use crate::lanes::{Kernel, LANES, Lanes};

/// The tiles of a strip, in one block of channels.
pub(super) struct InputStrip {
    /// The first pixel of the first patch, and the floats to the next row.
    pub(super) from: *const f32,
    pub(super) row: usize,
    pub(super) tiles: usize,
    /// The first tile's first point, the floats to the next tile's, and those to the next point.
    pub(super) to: *mut f32,
    pub(super) tile: usize,
    pub(super) point: usize,
}

/// `ROWS` rows of points: all, or the pair number `PART`.
pub(super) struct InputTransform<const ROWS: usize, const PART: usize>;

impl<const ROWS: usize, const PART: usize> Kernel for InputTransform<ROWS, PART> {
    type Arguments = InputStrip;

    #[inline(always)]
    unsafe fn run<L: Lanes>(strip: &InputStrip) {
        // SAFETY: the caller's pointers are good for the strip's patches, which overlap by two columns, and points.
        unsafe {
            let mut columns = [[L::zero(); ROWS]; PATCH];
            columns[TILE] = transform::input_part::<L, ROWS, PART>(transform::column(strip.from, strip.row));
            columns[TILE + 1] =
                transform::input_part::<L, ROWS, PART>(transform::column(strip.from.add(LANES), strip.row));
            for tile in 0..strip.tiles {
                let from = strip.from.add(tile * TILE * LANES);
                columns[0] = columns[TILE];
                columns[1] = columns[TILE + 1];
                for (x, column) in columns.iter_mut().enumerate().skip(PATCH - TILE) {
                    *column = transform::input_part::<L, ROWS, PART>(transform::column(
                        from.add(x * LANES),
                        strip.row,
                    ));
                }
                let to = strip.to.add(tile * strip.tile);
                for y in 0..ROWS {
                    let points = transform::input(transform::row(&columns, y));
                    transform::store(points, to.add(y * PATCH * strip.point), strip.point);
                }
            }
        }
    }
}
