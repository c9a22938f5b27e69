//! The register tile of a weight gradient: `COUNT` neighbouring inputs by `BLOCKS` blocks of output channels,
//! held in registers over a patch of pixels.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use crate::isa::{Form, Isa, LanesVisitor};
use crate::lanes::{Kernel, LANES, Lanes};

/// A patch of pixels and where its products are added.
pub(super) struct WeightRun {
    /// The first of the neighbouring inputs, for the first pixel.
    pub(super) input: *const f32,
    /// Floats from a pixel's input to the next one's, and to that below.
    pub(super) input_step: usize,
    pub(super) input_row: usize,
    /// The gradient of the first pixel, for each block; pixels are 16 floats apart.
    pub(super) gradient: [*const f32; 2],
    pub(super) gradient_row: usize,
    /// The patch.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// `[COUNT][16]` for each block.
    pub(super) output: [*mut f32; 2],
    /// Whether products are added to what the outputs hold.
    pub(super) accumulate: bool,
}

struct WeightTile<const COUNT: usize, const BLOCKS: usize>;

impl<const COUNT: usize, const BLOCKS: usize> Kernel for WeightTile<COUNT, BLOCKS> {
    type Arguments = WeightRun;

    #[inline(always)]
    unsafe fn run<L: Lanes>(run: &WeightRun) {
        // SAFETY: the caller's pointers are good for the patch and the outputs.
        unsafe {
            let mut sums = [[L::zero(); BLOCKS]; COUNT];
            if run.accumulate {
                for (place, sums) in sums.iter_mut().enumerate() {
                    for (block, sum) in sums.iter_mut().enumerate() {
                        *sum = L::load(run.output[block].add(place * LANES));
                    }
                }
            }
            for y in 0..run.rows {
                let mut input = run.input.add(y * run.input_row);
                let mut gradient = run.gradient;
                for pointer in &mut gradient[..BLOCKS] {
                    *pointer = pointer.add(y * run.gradient_row);
                }
                for _ in 0..run.columns {
                    let mut vectors = [L::zero(); BLOCKS];
                    for (vector, pointer) in vectors.iter_mut().zip(&mut gradient) {
                        *vector = L::load(*pointer);
                        *pointer = pointer.add(LANES);
                    }
                    for (place, sums) in sums.iter_mut().enumerate() {
                        let value = L::splat(*input.add(place));
                        for (sum, vector) in sums.iter_mut().zip(vectors) {
                            *sum = value.mul_add(vector, *sum);
                        }
                    }
                    // After the last pixel a step of the stride may lead out of the buffer.
                    input = input.wrapping_add(run.input_step);
                }
            }
            for (place, sums) in sums.iter().enumerate() {
                for (block, sum) in sums.iter().enumerate() {
                    sum.store(run.output[block].add(place * LANES));
                }
            }
        }
    }
}

/// The form of a tile of `count` inputs, at most what [`weight_tile_limit`] says.
pub(super) fn weight_form(isa: Isa, count: usize, blocks: usize) -> Form<WeightRun> {
    isa.visit(Choice { count, blocks })
}

/// The most inputs of a tile.
pub(super) fn weight_tile_limit(isa: Isa) -> usize {
    struct Limit;
    impl LanesVisitor for Limit {
        type Output = usize;
        fn visit<L: Lanes>(self) -> usize {
            L::WEIGHT_TILE
        }
    }
    isa.visit(Limit)
}

struct Choice {
    count: usize,
    blocks: usize,
}

macro_rules! sized {
    ($L:ident, $count:expr, $blocks:literal: $($size:literal)*) => {
        match $count {
            $($size => {
                if const { $size <= $L::WEIGHT_TILE && $blocks <= $L::TILE_BLOCKS } {
                    $L::form::<WeightTile<$size, $blocks>>()
                } else {
                    unreachable!("a tile of {} inputs", $size)
                }
            })*
            count => unreachable!("a tile of {count} inputs"),
        }
    };
}

impl LanesVisitor for Choice {
    type Output = Form<WeightRun>;

    fn visit<L: Lanes>(self) -> Form<WeightRun> {
        if self.blocks == 2 {
            sized!(L, self.count, 2: 1 2 3 4 5 6 7 8 9 10 11 12)
        } else {
            sized!(L, self.count, 1: 1 2 3 4 5 6 7 8 9 10 11 12)
        }
    }
}
