//! Patches of 6 x 6 inputs to their 36 points.
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

pub(super) struct InputTransform;

impl Kernel for InputTransform {
    type Arguments = InputStrip;

    #[inline(always)]
    unsafe fn run<L: Lanes>(strip: &InputStrip) {
        // SAFETY: the caller's pointers are good for the strip's patches, which overlap by two columns, and points.
        unsafe {
            let column = |x: usize| {
                let mut pixels = [L::zero(); PATCH];
                for (y, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = L::load(strip.from.add(y * strip.row + x * LANES));
                }
                transform::input(pixels)
            };
            let mut columns = [[L::zero(); PATCH]; PATCH];
            columns[TILE] = column(0);
            columns[TILE + 1] = column(1);
            for tile in 0..strip.tiles {
                columns[0] = columns[TILE];
                columns[1] = columns[TILE + 1];
                for x in PATCH - TILE..PATCH {
                    columns[x] = column(tile * TILE + x);
                }
                let to = strip.to.add(tile * strip.tile);
                for y in 0..PATCH {
                    let points = transform::input(std::array::from_fn::<L, PATCH, _>(|x| columns[x][y]));
                    for (x, point) in points.iter().enumerate() {
                        point.store(to.add((y * PATCH + x) * strip.point));
                    }
                }
            }
        }
    }
}
