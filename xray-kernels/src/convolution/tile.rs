//! The register tile: `ROWS x COLS` pixels by `BLOCKS` blocks of output channels, held in registers over all
//! input channels and taps, then stored once.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use crate::isa::{Form, Isa, LanesVisitor};
use crate::lanes::{Kernel, LANES, Lanes};

/// A run of equal tiles, left to right.
pub(super) struct TileRun {
    /// The input of the first pixel, before any tap is added.
    pub(super) input: *const f32,
    /// Floats between two input blocks, and how many blocks.
    pub(super) input_block: usize,
    pub(super) blocks: usize,
    /// Floats between the inputs of neighbours in a row, and of neighbours in a column.
    pub(super) input_step: usize,
    pub(super) input_row: usize,
    /// Offsets into an input block, in floats.
    pub(super) taps: *const usize,
    pub(super) tap_count: usize,
    /// Input channels per tap: 16, or 1 of a planar input.
    pub(super) depth: usize,
    /// `[block][tap][depth][16]` for each block of output channels.
    pub(super) weights: [*const f32; 2],
    /// The first pixel of each block of output channels, and the distances of neighbours.
    pub(super) output: [*mut f32; 2],
    pub(super) output_step: usize,
    pub(super) output_row: usize,
    /// What the sum starts with, `[16]` each; null for zero.
    pub(super) bias: [*const f32; 2],
    /// Zero where a sum is less, and this where it is more.
    pub(super) clamp: Option<f32>,
    /// Whether the sum is added to what the output holds.
    pub(super) accumulate: bool,
    /// Where sums and sums of squares are added, `[BLOCKS][2][16]`; null where nobody wants them.
    pub(super) sums: *mut f32,
    /// Tiles.
    pub(super) count: usize,
}

/// `STEP` is `input_step`, so that a pixel is a constant away from its neighbour; 0 for any, with one column.
struct Tile<const ROWS: usize, const COLS: usize, const BLOCKS: usize, const STEP: usize>;

impl<const ROWS: usize, const COLS: usize, const BLOCKS: usize, const STEP: usize> Kernel
    for Tile<ROWS, COLS, BLOCKS, STEP>
{
    type Arguments = TileRun;

    #[inline(always)]
    unsafe fn run<L: Lanes>(run: &TileRun) {
        for tile in 0..run.count {
            // SAFETY: the caller's pointers are good for `count` tiles.
            unsafe {
                let input = run.input.add(tile * COLS * run.input_step);
                let sums = Self::accumulate::<L>(run, input);
                Self::finish::<L>(run, sums, tile * COLS * run.output_step);
            }
        }
    }
}

type Accumulators<L, const ROWS: usize, const COLS: usize, const BLOCKS: usize> = [[[L; BLOCKS]; COLS]; ROWS];

impl<const ROWS: usize, const COLS: usize, const BLOCKS: usize, const STEP: usize>
    Tile<ROWS, COLS, BLOCKS, STEP>
{
    #[inline(always)]
    unsafe fn accumulate<L: Lanes>(run: &TileRun, input: *const f32) -> Accumulators<L, ROWS, COLS, BLOCKS> {
        // SAFETY: taps, blocks and channels are those that `run` describes.
        unsafe {
            let mut sums = [[[L::zero(); BLOCKS]; COLS]; ROWS];
            if !run.bias[0].is_null() {
                for block in 0..BLOCKS {
                    let bias = L::load(run.bias[block]);
                    for row in &mut sums {
                        for pixel in row {
                            pixel[block] = bias;
                        }
                    }
                }
            }
            let mut weights = run.weights;
            for block in 0..run.blocks {
                let input = input.add(block * run.input_block);
                for tap in 0..run.tap_count {
                    let mut pixel = input.add(*run.taps.add(tap));
                    for _ in 0..run.depth {
                        let mut vectors = [L::zero(); BLOCKS];
                        for (vector, weights) in vectors.iter_mut().zip(&mut weights) {
                            *vector = L::load(*weights);
                            *weights = weights.add(LANES);
                        }
                        for (row, sums) in sums.iter_mut().enumerate() {
                            for (column, sums) in sums.iter_mut().enumerate() {
                                let value = L::splat(*pixel.add(row * run.input_row + column * STEP));
                                for (sum, vector) in sums.iter_mut().zip(vectors) {
                                    *sum = value.mul_add(vector, *sum);
                                }
                            }
                        }
                        pixel = pixel.add(1);
                    }
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn finish<L: Lanes>(run: &TileRun, mut sums: Accumulators<L, ROWS, COLS, BLOCKS>, at: usize) {
        // SAFETY: the tile's pixels lie in the output, and `sums` is null or has room for its blocks.
        unsafe {
            for (row, sums) in sums.iter_mut().enumerate() {
                for (column, sums) in sums.iter_mut().enumerate() {
                    let at = at + row * run.output_row + column * run.output_step;
                    for (value, output) in sums.iter_mut().zip(run.output) {
                        let to = output.add(at);
                        if run.accumulate {
                            *value = value.add(L::load(to));
                        }
                        if let Some(most) = run.clamp {
                            *value = L::splat(most).min(L::zero().max(*value));
                        }
                        value.store(to);
                    }
                }
            }
            if run.sums.is_null() {
                return;
            }
            for block in 0..BLOCKS {
                let (plain, squared) =
                    (run.sums.add(block * 2 * LANES), run.sums.add((block * 2 + 1) * LANES));
                let (mut sum, mut squares) = (L::load(plain), L::load(squared));
                for row in &sums {
                    for pixel in row {
                        sum = sum.add(pixel[block]);
                        squares = pixel[block].mul_add(pixel[block], squares);
                    }
                }
                sum.store(plain);
                squares.store(squared);
            }
        }
    }
}

/// The form of a tile for an instruction set. It has at most as many pixels and blocks as [`limits`] says.
pub(super) fn tile_form(isa: Isa, rows: usize, columns: usize, blocks: usize, step: usize) -> Form<TileRun> {
    isa.visit(Choice { rows, columns, blocks, step })
}

/// The largest tile: pixels in all, and blocks.
pub(super) fn limits(isa: Isa) -> (usize, usize) {
    struct Limits;
    impl LanesVisitor for Limits {
        type Output = (usize, usize);
        fn visit<L: Lanes>(self) -> Self::Output {
            (L::TILE_PIXELS, L::TILE_BLOCKS)
        }
    }
    isa.visit(Limits)
}

/// The most rows of a tile.
pub(super) const MOST_ROWS: usize = 3;

/// Input steps that tiles of several columns are compiled for: planar and blocked inputs, strides 1 and 2.
pub(super) fn has_wide_tiles(step: usize) -> bool {
    matches!(step, 1 | 2) || has_tall_tiles(step)
}

/// Those of several rows: blocked inputs, whose weights are many.
pub(super) fn has_tall_tiles(step: usize) -> bool {
    matches!(step, LANES | 32)
}

struct Choice {
    rows: usize,
    columns: usize,
    blocks: usize,
    step: usize,
}

macro_rules! sized {
    ($L:ident, $columns:expr, $rows:literal, $blocks:literal, $step:literal: $($size:literal)*) => {
        match $columns {
            $($size => {
                // Tiles that would not fit into the registers are not compiled.
                if const { $size * $rows <= $L::TILE_PIXELS && $blocks <= $L::TILE_BLOCKS } {
                    $L::form::<Tile<$rows, $size, $blocks, $step>>()
                } else {
                    unreachable!("a tile of {} columns", $size)
                }
            })*
            columns => unreachable!("a tile of {columns} columns"),
        }
    };
}

macro_rules! flat {
    ($L:ident, $choice:ident, $step:literal) => {
        match $choice.blocks {
            1 => sized!($L, $choice.columns, 1, 1, $step: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            _ => sized!($L, $choice.columns, 1, 2, $step: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        }
    };
}

macro_rules! tall {
    ($L:ident, $choice:ident, $step:literal) => {
        match ($choice.rows, $choice.blocks) {
            (1, _) => flat!($L, $choice, $step),
            (2, 1) => sized!($L, $choice.columns, 2, 1, $step: 1 2 3 4 5 6 7),
            (2, _) => sized!($L, $choice.columns, 2, 2, $step: 1 2 3 4 5 6 7),
            (_, 1) => sized!($L, $choice.columns, 3, 1, $step: 1 2 3 4),
            (_, _) => sized!($L, $choice.columns, 3, 2, $step: 1 2 3 4),
        }
    };
}

impl LanesVisitor for Choice {
    type Output = Form<TileRun>;

    fn visit<L: Lanes>(self) -> Form<TileRun> {
        match self.step {
            1 => flat!(L, self, 1),
            2 => flat!(L, self, 2),
            16 => tall!(L, self, 16),
            32 => tall!(L, self, 32),
            _ if self.blocks == 2 => sized!(L, self.columns, 1, 2, 0: 1),
            _ => sized!(L, self.columns, 1, 1, 0: 1),
        }
    }
}
