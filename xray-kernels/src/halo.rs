//! The rings around planes: zeros, or of maps of bytes what stands for zero.
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
    // SAFETY: the caller's.
    unsafe { fill_halo(buffer, shape, image, blocks, 0.0) };
}

/// Fills the halo of some blocks of an image.
///
/// # Safety
/// Nobody else uses the halo of these blocks meanwhile.
pub(crate) unsafe fn fill_halo<T: Copy>(
    buffer: Shared<T>,
    shape: &MapShape,
    image: usize,
    blocks: Range<usize>,
    value: T,
) {
    if shape.halo == 0 {
        return;
    }
    for block in blocks {
        let rows = shape.halo..shape.halo + shape.height;
        // SAFETY: the halo only, which is the caller's alone.
        unsafe { fill_around(buffer, shape, [image, block], rows, value) };
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
    // SAFETY: the caller's.
    unsafe { fill_around(buffer, shape, [image, block], rows, 0.0) };
}

unsafe fn fill_around<T: Copy>(
    buffer: Shared<T>,
    shape: &MapShape,
    [image, block]: [usize; 2],
    rows: Range<usize>,
    value: T,
) {
    let (corner, row, side) = (shape.corner(image, block), shape.row(), shape.halo * LANES);
    // The right margin of a row and the left one of the next are neighbours: one gap per row, and the rest lies before
    // the first and after the last.
    let (start, end) = (rows.start * row + side, rows.end * row - side);
    // SAFETY: none of it belongs to the rows, and all of it is the caller's alone.
    unsafe {
        buffer.part(corner, start).fill(value);
        for y in rows.skip(1) {
            buffer.part(corner + y * row - side, 2 * side).fill(value);
        }
        buffer.part(corner + end, shape.plane() - end).fill(value);
    }
}
