//! One list of taps over whole planes: cut into register tiles.
#![expect(unsafe_code, reason = "pointers into planes, handed to the register tile")]

use super::tile::{MOST_ROWS, TileRun, has_tall_tiles, has_wide_tiles, limits, tile_form};
use crate::isa::{Form, Isa};
use crate::lanes::LANES;
use std::ops::Range;

/// A convolution's inner loops, for any image and any block of output channels.
pub(super) struct Pass {
    /// Offsets from the corner of an input image, for the first output pixel.
    pub(super) taps: Vec<usize>,
    /// Blocks of input channels, the floats between them, and the channels in each: 16 or 1.
    pub(super) in_blocks: usize,
    pub(super) in_plane: usize,
    pub(super) depth: usize,
    /// Floats between the inputs of neighbours.
    pub(super) input_step: usize,
    pub(super) input_row: usize,
    /// Output pixels.
    pub(super) height: usize,
    pub(super) width: usize,
    /// Where the first output pixel lies in its block's plane, and the floats to its neighbours.
    pub(super) output_first: usize,
    pub(super) output_step: usize,
    pub(super) output_row: usize,
    pub(super) output_plane: usize,
}

/// One image and one or two blocks of output channels.
pub(super) struct Target {
    /// The corner of the image's first input plane, or where it has rows only from some row of the output on, of those.
    pub(super) input: *const f32,
    /// That row.
    pub(super) input_first: usize,
    /// Weights of the first block.
    pub(super) weights: *const f32,
    /// The corner of the first block's plane.
    pub(super) output: *mut f32,
    pub(super) blocks: usize,
    pub(super) rows: Range<usize>,
    /// `[blocks][16]`, or null.
    pub(super) bias: *const f32,
    pub(super) clamp: Option<f32>,
    pub(super) accumulate: bool,
    /// `[blocks][2][16]`, or null.
    pub(super) sums: *mut f64,
}

/// Equal tiles side by side.
struct Segment {
    first: usize,
    form: Form<TileRun>,
    count: usize,
}

impl Pass {
    /// Floats of weights per block of output channels.
    pub(super) fn weight_block(&self) -> usize {
        self.in_blocks * self.taps.len() * self.depth * LANES
    }

    /// Runs over the rows of the target.
    ///
    /// # Safety
    /// The target's pointers are good for the planes that this pass describes, and nobody else uses its rows
    /// of the output and its sums meanwhile.
    pub(super) unsafe fn run(&self, isa: Isa, target: &Target) {
        let mut y = target.rows.start;
        for rows in (1..=self.tile_rows(isa)).rev() {
            let segments = self.segments(isa, target.blocks, rows);
            while y + rows <= target.rows.end {
                // SAFETY: rows from y on are the target's.
                unsafe { self.row(target, y, &segments) };
                y += rows;
            }
        }
    }

    /// The rows of a tile that let it have the most pixels: weights once loaded meet all of them.
    fn tile_rows(&self, isa: Isa) -> usize {
        if !has_tall_tiles(self.input_step) {
            return 1;
        }
        let (most, _) = limits(isa);
        // Tiles for so many rows of the plane, to compare pixels per tile without fractions.
        let tiles = |rows: usize| self.width.div_ceil(most / rows) * (6 / rows);
        let possible = 1..=MOST_ROWS.min(most).min(self.height);
        possible.min_by_key(|&rows| tiles(rows)).unwrap_or(1)
    }

    /// Rows as tiles of nearly equal width: a narrow one at the end would not keep the arithmetic units busy.
    fn segments(&self, isa: Isa, blocks: usize, rows: usize) -> Vec<Segment> {
        let most = if has_wide_tiles(self.input_step) { limits(isa).0 / rows } else { 1 };
        let tiles = self.width.div_ceil(most);
        let (narrow, wide_tiles) = (self.width / tiles, self.width % tiles);
        let mut segments = Vec::with_capacity(2);
        let mut first = 0;
        for (columns, count) in [(narrow + 1, wide_tiles), (narrow, tiles - wide_tiles)] {
            if count > 0 {
                let form = tile_form(isa, rows, columns, blocks, self.input_step);
                segments.push(Segment { first, form, count });
                first += columns * count;
            }
        }
        segments
    }

    unsafe fn row(&self, target: &Target, y: usize, segments: &[Segment]) {
        // Sums of a row in single precision, of all rows in double: see `batch_norm::statistics`.
        let mut sums = [0.0_f32; 2 * 2 * LANES];
        let weight_block = self.weight_block();
        for segment in segments {
            // SAFETY: the second block's addresses are made only where it exists; the others lie in the planes.
            unsafe {
                let other = target.blocks - 1;
                let output = target
                    .output
                    .add(self.output_first + y * self.output_row + segment.first * self.output_step);
                let second_bias =
                    if target.bias.is_null() { target.bias } else { target.bias.add(other * LANES) };
                let run = TileRun {
                    input: target
                        .input
                        .add((y - target.input_first) * self.input_row + segment.first * self.input_step),
                    input_block: self.in_plane,
                    blocks: self.in_blocks,
                    input_step: self.input_step,
                    input_row: self.input_row,
                    taps: self.taps.as_ptr(),
                    tap_count: self.taps.len(),
                    depth: self.depth,
                    weights: [target.weights, target.weights.add(other * weight_block)],
                    output: [output, output.add(other * self.output_plane)],
                    output_step: self.output_step,
                    output_row: self.output_row,
                    bias: [target.bias, second_bias],
                    clamp: target.clamp,
                    accumulate: target.accumulate,
                    sums: if target.sums.is_null() { std::ptr::null_mut() } else { sums.as_mut_ptr() },
                    count: segment.count,
                };
                (segment.form)(&run);
            }
        }
        if !target.sums.is_null() {
            // SAFETY: the target's sums have room for its blocks.
            let total = unsafe { std::slice::from_raw_parts_mut(target.sums, target.blocks * 2 * LANES) };
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += f64::from(sum);
            }
        }
    }
}
