//! The rings of zeros around planes.
#![expect(unsafe_code, reason = "parts of a buffer that threads share")]

use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use std::ops::Range;

/// Zeroes the halo of some blocks of an image.
///
/// # Safety
/// Nobody else uses the halo of these blocks meanwhile.
pub(crate) unsafe fn clear_halo(buffer: Shared<f32>, shape: &MapShape, image: usize, blocks: Range<usize>) {
    if shape.halo == 0 {
        return;
    }
    for block in blocks {
        // SAFETY: the halo only, which is the caller's alone.
        unsafe { clear_around(buffer, shape, [image, block], shape.halo..shape.halo + shape.height) };
    }
}

/// Zeroes a plane around some of its rows, which are counted from the top of its halo.
///
/// # Safety
/// Nobody else uses other pixels than those of the rows meanwhile.
pub(crate) unsafe fn clear_around(
    buffer: Shared<f32>,
    shape: &MapShape,
    [image, block]: [usize; 2],
    rows: Range<usize>,
) {
    let (corner, row, side) = (shape.corner(image, block), shape.row(), shape.halo * LANES);
    // The right margin of a row and the left one of the next are neighbours: one gap per row, and the rest lies before
    // the first and after the last.
    let (start, end) = (rows.start * row + side, rows.end * row - side);
    // SAFETY: none of it belongs to the rows, and all of it is the caller's alone.
    unsafe {
        buffer.part(corner, start).fill(0.0);
        for y in rows.skip(1) {
            buffer.part(corner + y * row - side, 2 * side).fill(0.0);
        }
        buffer.part(corner + end, shape.plane() - end).fill(0.0);
    }
}
