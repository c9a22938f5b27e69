//! Points back to tiles of 4 x 4 outputs, with what can be done to them before they leave the registers.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::{PATCH, TILE, transform};
use crate::lanes::{Kernel, LANES, Lanes};

/// The tiles of a strip, in one block of channels.
pub(super) struct OutputStrip {
    /// The first tile's first point; tiles are 16 floats apart, points so many.
    pub(super) from: *const f32,
    pub(super) point: usize,
    pub(super) tiles: usize,
    /// The first pixel, and the floats to the next row.
    pub(super) to: *mut f32,
    pub(super) row: usize,
    /// Rows and columns of output that there are; tiles may reach beyond them.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// `[16]`, or null for zero.
    pub(super) bias: *const f32,
    pub(super) clamp: Option<f32>,
    /// Whether outputs are added to what is there.
    pub(super) accumulate: bool,
    /// Where the sums and sums of squares go, `[2][16]`; null where nobody wants them.
    pub(super) sums: *mut f32,
}

/// `POOL`: 2 x 2 max pooling follows, and rows and columns are those of the pooled map.
pub(super) struct OutputTransform<const POOL: bool>;

impl<const POOL: bool> Kernel for OutputTransform<POOL> {
    type Arguments = OutputStrip;

    #[inline(always)]
    unsafe fn run<L: Lanes>(strip: &OutputStrip) {
        // SAFETY: the caller's pointers are good for the strip's tiles, and the output for its rows and columns.
        unsafe {
            let bias = if strip.bias.is_null() { L::zero() } else { L::load(strip.bias) };
            let mut sums = [L::zero(); 2];
            for tile in 0..strip.tiles {
                let from = strip.from.add(tile * LANES);
                let mut columns = [[L::zero(); TILE]; PATCH];
                for (x, column) in columns.iter_mut().enumerate() {
                    let points = transform::column(from.add(x * strip.point), PATCH * strip.point);
                    *column = transform::output(points);
                }
                let mut pixels = [[L::zero(); TILE]; TILE];
                for (y, row) in pixels.iter_mut().enumerate() {
                    *row = transform::output(transform::row(&columns, y));
                    for pixel in row {
                        *pixel = pixel.add(bias);
                    }
                }
                if POOL {
                    finish(strip, tile, &pooled(&pixels), &mut sums);
                } else {
                    finish(strip, tile, &pixels, &mut sums);
                }
            }
            if !strip.sums.is_null() {
                sums[0].store(strip.sums);
                sums[1].store(strip.sums.add(LANES));
            }
        }
    }
}

#[inline(always)]
unsafe fn pooled<L: Lanes>(pixels: &[[L; TILE]; TILE]) -> [[L; TILE / 2]; TILE / 2] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut most = [[L::zero(); TILE / 2]; TILE / 2];
        for (y, row) in most.iter_mut().enumerate() {
            let (above, below) = (&pixels[2 * y], &pixels[2 * y + 1]);
            for (x, value) in row.iter_mut().enumerate() {
                let (left, right) = (2 * x, 2 * x + 1);
                *value = above[left].max(above[right]).max(below[left].max(below[right]));
            }
        }
        most
    }
}

/// Writes what of a tile lies in the map.
#[inline(always)]
unsafe fn finish<L: Lanes, const SIZE: usize>(
    strip: &OutputStrip,
    tile: usize,
    pixels: &[[L; SIZE]; SIZE],
    sums: &mut [L; 2],
) {
    // SAFETY: rows and columns are those of the output.
    unsafe {
        let columns = strip.columns - (tile * SIZE).min(strip.columns);
        if columns >= SIZE && strip.rows == SIZE {
            for (y, row) in pixels.iter().enumerate() {
                for (x, value) in row.iter().enumerate() {
                    write(strip, [y, tile * SIZE + x], *value, sums);
                }
            }
            return;
        }
        for (y, row) in pixels.iter().enumerate() {
            for (x, value) in row.iter().enumerate() {
                if y < strip.rows && x < columns {
                    write(strip, [y, tile * SIZE + x], *value, sums);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn write<L: Lanes>(strip: &OutputStrip, [y, x]: [usize; 2], mut value: L, sums: &mut [L; 2]) {
    // SAFETY: the pixel is one of the output's.
    unsafe {
        let to = strip.to.add(y * strip.row + x * LANES);
        if strip.accumulate {
            value = value.add(L::load(to));
        }
        if let Some(most) = strip.clamp {
            value = L::splat(most).min(L::zero().max(value));
        }
        value.store(to);
        *sums = [sums[0].add(value), value.mul_add(value, sums[1])];
    }
}
