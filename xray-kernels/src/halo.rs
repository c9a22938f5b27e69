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
    let (row, side) = (shape.row(), shape.halo * LANES);
    // The right margin of a row and the left one of the next are neighbours: one gap per row, and the rest of
    // the halo lies before the first and after the last.
    let ends = shape.halo * row + side;
    for block in blocks {
        let corner = shape.corner(image, block);
        // SAFETY: parts of the halo only, which is the caller's alone.
        unsafe {
            buffer.part(corner, ends).fill(0.0);
            for y in 1..shape.height {
                buffer.part(corner + (shape.halo + y) * row - side, 2 * side).fill(0.0);
            }
            buffer.part(corner + shape.plane() - ends, ends).fill(0.0);
        }
    }
}
