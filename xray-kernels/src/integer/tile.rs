//! The register tile: pixels by blocks of output channels, held in registers over all steps, then made bytes.
//!
//! Pixels are a list of places, so that a tile may go on in the next row, and any stride and a planar input are the
//! same kernel. A place costs a load beside that of its bytes, which the products leave time for.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::lanes::{ByteKernel, Integers};
use super::weights::QUAD;
use crate::isa::{Form, IntegersVisitor, Isa};
use crate::lanes::{LANES, Lanes};

/// A run of tiles.
pub(super) struct TileRun {
    /// The input image.
    pub(super) input: *const u8,
    /// Offsets of what each step multiplies.
    pub(super) steps: *const u32,
    pub(super) step_count: usize,
    /// Offsets of the pixels; with pooling the four of a window stand together.
    pub(super) pixels: *const u32,
    /// `[steps][16][4]` for each block of output channels.
    pub(super) weights: [*const i8; 2],
    /// `[blocks][16]` each: what a sum begins with, its factor, and what is added.
    pub(super) start: *const i32,
    pub(super) factor: *const f32,
    pub(super) summand: *const f32,
    pub(super) low: f32,
    pub(super) high: f32,
    /// The corner of each block's plane of the output, and offsets of the pixels in it.
    pub(super) output: [*mut u8; 2],
    pub(super) places: *const u32,
    /// The same of the skip connection, or null.
    pub(super) skip: [*const u8; 2],
    pub(super) skip_places: *const u32,
    pub(super) skip_factor: f32,
    /// Tiles.
    pub(super) count: usize,
}

/// Calls a function for each place of an array that has so many, place by place: a loop, or a closure, would pass the
/// registers through memory.
macro_rules! unrolled {
    ($count:expr, $($place:literal)*: $function:path, $run:expr, $sums:expr, $first:expr) => {
        $(if $place < $count {
            $function($run, $sums, $place, $first + $place);
        })*
    };
}

/// Pixels of a pooling window.
const WINDOW: usize = 4;

struct Tile<const PIXELS: usize, const BLOCKS: usize, const POOL: bool>;

impl<const PIXELS: usize, const BLOCKS: usize, const POOL: bool> ByteKernel for Tile<PIXELS, BLOCKS, POOL> {
    type Arguments = TileRun;

    #[inline(always)]
    unsafe fn run<I: Integers>(run: &TileRun) {
        for tile in 0..run.count {
            // SAFETY: the caller's lists are good for `count` tiles.
            unsafe {
                let sums = Self::accumulate::<I>(run, run.pixels.add(tile * PIXELS));
                let pixel = tile * PIXELS;
                if POOL {
                    let window = tile * (PIXELS / WINDOW);
                    unrolled!(PIXELS / WINDOW, 0 1 2: Self::finish_window::<I>, run, &sums, window);
                } else if run.skip[0].is_null() {
                    unrolled!(PIXELS, 0 1 2 3 4 5 6 7 8 9 10 11 12 13: Self::finish_pixel::<I, false>, run, &sums, pixel);
                } else {
                    unrolled!(PIXELS, 0 1 2 3 4 5 6 7 8 9 10 11 12 13: Self::finish_pixel::<I, true>, run, &sums, pixel);
                }
            }
        }
    }
}

impl<const PIXELS: usize, const BLOCKS: usize, const POOL: bool> Tile<PIXELS, BLOCKS, POOL> {
    #[inline(always)]
    unsafe fn accumulate<I: Integers>(run: &TileRun, pixels: *const u32) -> [[I; BLOCKS]; PIXELS] {
        // SAFETY: steps, pixels and blocks are those that `run` describes.
        unsafe {
            let start: [I; BLOCKS] = std::array::from_fn(|block| I::load(run.start.add(block * LANES)));
            let mut sums = [start; PIXELS];
            let mut weights = run.weights;
            for step in 0..run.step_count {
                let input = run.input.add(*run.steps.add(step) as usize);
                let vectors: [I::Weights; BLOCKS] = std::array::from_fn(|block| I::weights(weights[block]));
                for weights in &mut weights {
                    *weights = weights.add(LANES * QUAD);
                }
                for (pixel, sums) in sums.iter_mut().enumerate() {
                    I::dots(sums, input.add(*pixels.add(pixel) as usize), vectors);
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn finish_pixel<I: Integers, const SKIP: bool>(
        run: &TileRun,
        sums: &[[I; BLOCKS]; PIXELS],
        pixel: usize,
        place: usize,
    ) {
        // SAFETY: the caller's.
        unsafe { Self::finish::<I, SKIP>(run, sums[pixel], place) };
    }

    /// Requantising is monotone, so the largest sum gives the largest byte.
    #[inline(always)]
    unsafe fn finish_window<I: Integers>(
        run: &TileRun,
        sums: &[[I; BLOCKS]; PIXELS],
        window: usize,
        place: usize,
    ) {
        let pixel = window * WINDOW;
        let mut largest = sums[pixel];
        // SAFETY: the caller's.
        unsafe {
            for (block, most) in largest.iter_mut().enumerate() {
                let others = sums[pixel + 2][block].max(sums[pixel + 3][block]);
                *most = most.max(sums[pixel + 1][block]).max(others);
            }
            Self::finish::<I, false>(run, largest, place);
        }
    }

    #[inline(always)]
    unsafe fn finish<I: Integers, const SKIP: bool>(run: &TileRun, sums: [I; BLOCKS], pixel: usize) {
        // SAFETY: the pixel's places are those that `run` lists.
        unsafe {
            let place = *run.places.add(pixel) as usize;
            for (block, sum) in sums.into_iter().enumerate() {
                let factor = I::Floats::load(run.factor.add(block * LANES));
                let summand = I::Floats::load(run.summand.add(block * LANES));
                // Two roundings on every processor, so that all give the same bits.
                let mut value = sum.floats().mul(factor).add(summand);
                if SKIP {
                    let from = run.skip[block].add(*run.skip_places.add(pixel) as usize);
                    value = value.add(I::widen(from).floats().mul(I::Floats::splat(run.skip_factor)));
                }
                let limited = value.max(I::Floats::splat(run.low)).min(I::Floats::splat(run.high));
                I::rounded(limited).store(run.output[block].add(place));
            }
        }
    }
}

/// Sizes of tiles, the largest first.
const SIZES: [usize; 5] = [14, 12, 8, 4, 1];

/// Pixels of the largest tile, and blocks.
pub(super) fn limits(isa: Isa, pool: bool) -> (usize, usize) {
    struct Limits;
    impl IntegersVisitor for Limits {
        type Output = (usize, usize);
        fn visit<I: Integers>(self) -> Self::Output {
            (I::PIXELS, I::BLOCKS)
        }
    }
    let (pixels, blocks) = isa.visit_integers(Limits);
    (if pool { pixels / WINDOW * WINDOW } else { pixels }, blocks)
}

/// The smallest tile that holds so many pixels, of which the largest holds at least as many.
pub(super) fn size_for(isa: Isa, pixels: usize, pool: bool) -> usize {
    let (most, _) = limits(isa, pool);
    let fits = |size: &usize| *size <= most && *size >= pixels && (!pool || size.is_multiple_of(WINDOW));
    SIZES.into_iter().rev().find(fits).unwrap_or(most)
}

/// The form of a tile of one of the sizes that [`size_for`] gives.
pub(super) fn tile_form(isa: Isa, pixels: usize, blocks: usize, pool: bool) -> Form<TileRun> {
    isa.visit_integers(Choice { pixels, blocks, pool })
}

struct Choice {
    pixels: usize,
    blocks: usize,
    pool: bool,
}

macro_rules! sized {
    ($I:ident, $pixels:expr, $blocks:literal, $pool:literal: $($size:literal)*) => {
        match $pixels {
            $($size => {
                // Tiles that would not fit into the registers are not compiled.
                if const { $size <= $I::PIXELS && $blocks <= $I::BLOCKS } {
                    $I::form::<Tile<$size, $blocks, $pool>>()
                } else {
                    unreachable!("a tile of {} pixels", $size)
                }
            })*
            pixels => unreachable!("a tile of {pixels} pixels"),
        }
    };
}

impl IntegersVisitor for Choice {
    type Output = Form<TileRun>;

    fn visit<I: Integers>(self) -> Form<TileRun> {
        match (self.blocks, self.pool) {
            (1, false) => sized!(I, self.pixels, 1, false: 14 12 8 4 1),
            (_, false) => sized!(I, self.pixels, 2, false: 14 12 8 4 1),
            (1, true) => sized!(I, self.pixels, 1, true: 12 8 4),
            (_, true) => sized!(I, self.pixels, 2, true: 12 8 4),
        }
    }
}
