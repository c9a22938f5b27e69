//! Rows of pixels, lane by lane.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::isa::{Form, Isa};
use crate::lanes::{Kernel, LANES, Lanes};

/// Where an input pixel lies, and where the weights of its place in the kernel.
pub(super) struct WeightedTap {
    pub(super) offset: usize,
    pub(super) weight: usize,
}

/// A row of outputs of a block.
pub(super) struct PixelRow {
    /// The first pixel's input, before any tap is added, and the floats to the next pixel's.
    pub(super) input: *const f32,
    pub(super) input_step: usize,
    pub(super) taps: *const WeightedTap,
    pub(super) tap_count: usize,
    /// `[kernel * kernel][16]`.
    pub(super) weights: *const f32,
    pub(super) output: *mut f32,
    pub(super) output_step: usize,
    pub(super) columns: usize,
    /// Whether sums are added to what the output holds.
    pub(super) accumulate: bool,
}

/// Pixels whose sums are in registers together.
const TILE: usize = 4;

struct Row;

impl Kernel for Row {
    type Arguments = PixelRow;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &PixelRow) {
        let mut x = 0;
        // SAFETY: the caller's pointers are good for the row.
        unsafe {
            while x + TILE <= row.columns {
                tile::<L, TILE>(row, x);
                x += TILE;
            }
            while x < row.columns {
                tile::<L, 1>(row, x);
                x += 1;
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<L: Lanes, const COUNT: usize>(row: &PixelRow, x: usize) {
    // SAFETY: pixels of the row.
    unsafe {
        let input = row.input.add(x * row.input_step);
        let mut sums = [L::zero(); COUNT];
        for number in 0..row.tap_count {
            let tap = &*row.taps.add(number);
            let weight = L::load(row.weights.add(tap.weight));
            for (pixel, sum) in sums.iter_mut().enumerate() {
                *sum = L::load(input.add(tap.offset + pixel * row.input_step)).mul_add(weight, *sum);
            }
        }
        for (pixel, sum) in sums.into_iter().enumerate() {
            let to = row.output.add((x + pixel) * row.output_step);
            let sum = if row.accumulate { sum.add(L::load(to)) } else { sum };
            sum.store(to);
        }
    }
}

/// A row of products to be added.
pub(super) struct ProductRow {
    pub(super) input: *const f32,
    pub(super) input_step: usize,
    pub(super) gradient: *const f32,
    pub(super) columns: usize,
    /// `[16]`, overwritten.
    pub(super) sum: *mut f32,
}

struct Products;

impl Kernel for Products {
    type Arguments = ProductRow;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &ProductRow) {
        // SAFETY: the caller's pointers are good for the row.
        unsafe {
            let mut sum = L::zero();
            for x in 0..row.columns {
                let gradient = L::load(row.gradient.add(x * LANES));
                sum = L::load(row.input.add(x * row.input_step)).mul_add(gradient, sum);
            }
            sum.store(row.sum);
        }
    }
}

/// The form that convolves.
pub(super) fn row_form(isa: Isa) -> Form<PixelRow> {
    isa.form::<Row>()
}

/// The form that adds up products.
pub(super) fn product_form(isa: Isa) -> Form<ProductRow> {
    isa.form::<Products>()
}
