//! What a weight gradient holds of a group of tiles: all of their points, or one part at a time.

use super::gradient::GradientTransform;
use super::input::{InputStrip, InputTransform};
use super::products::Points;
use super::{PATCH, transform};
use crate::isa::{Form, Isa};
use crate::lanes::LANES;

/// Points are taken in three parts, so that those of many tiles stay in the second cache: then sums, which may lie in
/// the third, pass by less often.
pub(super) const PARTS: usize = 3;
/// Rows of points in a part.
const ROWS: usize = PATCH / PARTS;
pub(super) const PART_POINTS: usize = ROWS * PATCH;

/// The points of a group of tiles, or a part of them: inputs as `[point][tile][in lanes]`, gradients as [`Points`].
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) in_lanes: usize,
    pub(super) gradients: Points,
    /// Which part.
    pub(super) part: Option<usize>,
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
        self.gradients.count * self.input_point()
    }

    /// Which of all points, in the order of sums, is this one of the group.
    pub(super) fn place(self, number: usize) -> usize {
        match self.part {
            Some(part) => part * PART_POINTS + number,
            None => {
                let row = transform::PAIRS.iter().position(|&row| row == number / PATCH);
                row.expect("pairs are of all rows") * PATCH + number % PATCH
            }
        }
    }

    /// The transform of inputs to their points.
    pub(super) fn input_form(self, isa: Isa) -> Form<InputStrip> {
        match self.part {
            None => isa.form::<InputTransform<PATCH, 0>>(),
            Some(0) => isa.form::<InputTransform<ROWS, 0>>(),
            Some(1) => isa.form::<InputTransform<ROWS, 1>>(),
            Some(_) => isa.form::<InputTransform<ROWS, 2>>(),
        }
    }

    /// That of gradients.
    pub(super) fn gradient_form(self, isa: Isa) -> Form<InputStrip> {
        match self.part {
            None => isa.form::<GradientTransform<PATCH, 0>>(),
            Some(0) => isa.form::<GradientTransform<ROWS, 0>>(),
            Some(1) => isa.form::<GradientTransform<ROWS, 1>>(),
            Some(_) => isa.form::<GradientTransform<ROWS, 2>>(),
        }
    }
}
