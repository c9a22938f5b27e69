//! The 36 matrix products of a group of tiles: tiles by input channels, times input channels by output channels.
#![expect(unsafe_code, reason = "pointers into points, handed to the register tile")]

use super::super::tile::{TileRun, limits, tile_form};
use super::POINTS;
use super::weights::point;
use crate::isa::{Form, Isa};
use crate::lanes::LANES;
use std::ptr;

/// Points of a group of tiles, `[block][point][tile][16]`, with a vector of nothing after each point that keeps
/// points from sharing a place in the cache. Blocks come first because a transform writes all points of one: they
/// should lie on few pages.
#[derive(Clone, Copy)]
pub(super) struct Points {
    pub(super) blocks: usize,
    /// Points: all 36, or a part.
    pub(super) count: usize,
    pub(super) tiles: usize,
}

impl Points {
    /// Floats between points.
    pub(super) fn point(self) -> usize {
        (self.tiles + 1) * LANES
    }

    pub(super) fn len(self) -> usize {
        self.blocks * self.count * self.point()
    }

    /// Where a tile's vector of a block begins.
    pub(super) fn offset(self, block: usize, tile: usize) -> usize {
        block * self.count * self.point() + tile * LANES
    }
}

/// Multiplies with weights.
#[derive(Clone, Copy)]
pub(super) struct Products<'a> {
    pub(super) isa: Isa,
    /// `[block][point][in lanes][16]`, from the first block of the output on.
    pub(super) weights: &'a [f32],
    pub(super) in_blocks: usize,
}

/// Equal register tiles side by side.
struct Segment {
    form: Form<TileRun>,
    first: usize,
    count: usize,
}

impl Products<'_> {
    /// Writes the products with one or two blocks of weights, as [`Points`] too.
    pub(super) fn run(&self, from: (&[f32], Points), to: (&mut [f32], Points)) {
        let ((from, inputs), (to, outputs)) = (from, to);
        let (weight_point, blocks) = (point(self.in_blocks), outputs.blocks);
        assert!(inputs.blocks == self.in_blocks && inputs.tiles == outputs.tiles);
        assert!(inputs.count == POINTS && outputs.count == POINTS);
        assert!(from.len() >= inputs.len() && to.len() >= outputs.len());
        let weights = &self.weights[..blocks * POINTS * weight_point];
        let segments = self.segments(outputs.tiles, blocks);
        for number in 0..POINTS {
            for segment in &segments {
                let other = blocks - 1;
                // SAFETY: inside the slices, whose lengths were looked at.
                unsafe {
                    let weights = weights.as_ptr().add(number * weight_point);
                    let output =
                        to.as_mut_ptr().add(number * outputs.point() + outputs.offset(0, segment.first));
                    let run = TileRun {
                        input: from.as_ptr().add(number * inputs.point() + inputs.offset(0, segment.first)),
                        input_block: inputs.offset(1, 0),
                        blocks: self.in_blocks,
                        input_step: LANES,
                        input_row: 0,
                        taps: &raw const NO_OFFSET,
                        tap_count: 1,
                        depth: LANES,
                        weights: [weights, weights.add(other * POINTS * weight_point)],
                        output: [output, output.add(other * outputs.offset(1, 0))],
                        output_step: LANES,
                        output_row: 0,
                        bias: [ptr::null(); 2],
                        clamp: None,
                        accumulate: false,
                        sums: ptr::null_mut(),
                        count: segment.count,
                    };
                    (segment.form)(&run);
                }
            }
        }
    }

    /// Tiles in runs of nearly equal register tiles.
    fn segments(&self, tiles: usize, blocks: usize) -> Vec<Segment> {
        let pieces = tiles.div_ceil(limits(self.isa).0);
        let (narrow, wider) = (tiles / pieces, tiles % pieces);
        let segment = |first, width, count| {
            let form = tile_form(self.isa, 1, width, blocks, LANES);
            (count > 0).then_some(Segment { form, first, count })
        };
        let rest = segment((narrow + 1) * wider, narrow, pieces - wider);
        if wider == 0 {
            return rest.into_iter().collect();
        }
        segment(0, narrow + 1, wider).into_iter().chain(rest).collect()
    }
}

static NO_OFFSET: usize = 0;
