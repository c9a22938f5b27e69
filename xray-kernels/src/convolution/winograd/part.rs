//! What a weight gradient holds of a group of tiles: one part of their points at a time.

use super::PATCH;
use super::gradient::GradientTransform;
use super::input::{InputStrip, InputTransform};
use super::products::Points;
use crate::isa::{Form, Isa};
use crate::lanes::LANES;

/// Points are taken in three parts, so that those of many tiles stay in the second cache: then sums, which may lie in
/// the third, pass by less often.
pub(super) const PARTS: usize = 3;
/// Rows of points in a part.
const ROWS: usize = PATCH / PARTS;
pub(super) const PART_POINTS: usize = ROWS * PATCH;

/// A part of the points of a group of tiles: inputs as `[point][tile][in lanes]`, gradients as [`Points`].
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) in_lanes: usize,
    pub(super) gradients: Points,
}

impl Group {
    /// Floats between tiles and between points of inputs. Both are odd numbers of vectors, so that neither tiles
    /// nor points share a place in the cache.
    pub(super) fn input_tile(self) -> usize {
        self.in_lanes + LANES
    }

    pub(super) fn input_point(self) -> usize {
        self.gradients.tiles * self.input_tile() + LANES
    }

    pub(super) fn input_len(self) -> usize {
        PART_POINTS * self.input_point()
    }
}

/// The transform of inputs to a part of their points.
pub(super) fn input_form(isa: Isa, part: usize) -> Form<InputStrip> {
    match part {
        0 => isa.form::<InputTransform<ROWS, 0>>(),
        1 => isa.form::<InputTransform<ROWS, 1>>(),
        _ => isa.form::<InputTransform<ROWS, 2>>(),
    }
}

/// That of gradients.
pub(super) fn gradient_form(isa: Isa, part: usize) -> Form<InputStrip> {
    match part {
        0 => isa.form::<GradientTransform<ROWS, 0>>(),
        1 => isa.form::<GradientTransform<ROWS, 1>>(),
        _ => isa.form::<GradientTransform<ROWS, 2>>(),
    }
}
