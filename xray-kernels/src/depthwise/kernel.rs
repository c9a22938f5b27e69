//! Rows of pixels, lane by lane.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::isa::{Form, Isa};
use crate::lanes::{Kernel, LANES, Lanes};
use crate::nonlinearity::{Curve, Identity, Nonlinearity, Relu, Relu6, Silu};
use std::marker::PhantomData;

/// Where an input pixel lies, and where the weights of its place in the kernel.
pub(super) struct WeightedTap {
    pub(super) offset: usize,
    pub(super) weight: usize,
}

/// A row of outputs of a block.
pub(super) struct PixelRow {
    /// The first pixel's input: of [`Shape::Taps`] before any tap is added, else under the left end of the kernel's first
    /// row.
    pub(super) input: *const f32,
    /// Floats to the next pixel's, of [`Shape::Taps`]; the others know theirs.
    pub(super) input_step: usize,
    /// From there to what lies under the kernel's next row, but for [`Shape::Taps`].
    pub(super) kernel_row: isize,
    /// Of [`Shape::Taps`].
    pub(super) taps: *const WeightedTap,
    pub(super) tap_count: usize,
    /// `[kernel * kernel][16]`.
    pub(super) weights: *const f32,
    pub(super) output: *mut f32,
    pub(super) output_step: usize,
    pub(super) columns: usize,
    /// Whether sums are added to what the output holds.
    pub(super) accumulate: bool,
    /// What sums begin with, `[16]`; null for zero.
    pub(super) start: *const f32,
    /// Sum and sum of squares of what is written, `[2][16]`, overwritten; null where nobody wants them.
    pub(super) sums: *mut f32,
}

/// How a row meets the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A square kernel of known size over pixels side by side or every second one: an input is loaded once for all outputs
    /// that it is under.
    Square { kernel: usize, stride: usize, is_flipped: bool },
    /// Any list of taps.
    Taps,
}

impl Shape {
    /// That of a kernel, where it is compiled for, else a list of taps.
    pub(super) fn of(kernel: usize, stride: usize, is_flipped: bool) -> Self {
        let is_known = matches!(kernel, 3 | 5) && (stride == 1 || stride == 2 && !is_flipped);
        if is_known { Self::Square { kernel, stride, is_flipped } } else { Self::Taps }
    }
}

/// Pixels whose sums are in registers together.
const TILE: usize = 4;

/// A `K x K` kernel; turned over where `FLIPPED`, as in an input gradient, so that its first column meets the last of
/// the inputs. Sums go through the kernel row by row, as those of a list of taps do.
struct Square<C, const K: usize, const STRIDE: usize, const FLIPPED: bool>(PhantomData<C>);

impl<C: Curve, const K: usize, const STRIDE: usize, const FLIPPED: bool> Kernel
    for Square<C, K, STRIDE, FLIPPED>
{
    type Arguments = PixelRow;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &PixelRow) {
        let mut x = 0;
        // SAFETY: the caller's pointers are good for the row.
        unsafe {
            let mut sums = [L::zero(); 2];
            while x + TILE <= row.columns {
                put::<L, C, _>(row, x, Self::tile::<L, TILE>(row, x), &mut sums);
                x += TILE;
            }
            while x < row.columns {
                put::<L, C, _>(row, x, Self::tile::<L, 1>(row, x), &mut sums);
                x += 1;
            }
            finish(row, sums);
        }
    }
}

impl<C: Curve, const K: usize, const STRIDE: usize, const FLIPPED: bool> Square<C, K, STRIDE, FLIPPED> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const COUNT: usize>(row: &PixelRow, x: usize) -> [L; COUNT] {
        // SAFETY: pixels of the row.
        unsafe {
            let mut sums = [begun(row); COUNT];
            let mut input = row.input.add(x * STRIDE * LANES);
            let mut from = row.weights;
            for _ in 0..K {
                let mut weights = [L::zero(); K];
                for (column, weight) in weights.iter_mut().enumerate() {
                    *weight = L::load(from.add(column * LANES));
                }
                let last = (COUNT - 1) * STRIDE + K - 1;
                for place in 0..=last {
                    let place = if FLIPPED { last - place } else { place };
                    let value = L::load(input.add(place * LANES));
                    for (pixel, sum) in sums.iter_mut().enumerate() {
                        // Where the input lies under this pixel's kernel, which ends to either side.
                        let column = place.wrapping_sub(pixel * STRIDE);
                        if column < K {
                            let column = if FLIPPED { K - 1 - column } else { column };
                            *sum = value.mul_add(weights[column], *sum);
                        }
                    }
                }
                input = input.offset(row.kernel_row);
                from = from.add(K * LANES);
            }
            sums
        }
    }
}

struct Taps<C>(PhantomData<C>);

impl<C: Curve> Kernel for Taps<C> {
    type Arguments = PixelRow;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &PixelRow) {
        let mut x = 0;
        // SAFETY: the caller's pointers are good for the row.
        unsafe {
            let mut sums = [L::zero(); 2];
            while x + TILE <= row.columns {
                put::<L, C, _>(row, x, tapped::<L, TILE>(row, x), &mut sums);
                x += TILE;
            }
            while x < row.columns {
                put::<L, C, _>(row, x, tapped::<L, 1>(row, x), &mut sums);
                x += 1;
            }
            finish(row, sums);
        }
    }
}

#[inline(always)]
unsafe fn tapped<L: Lanes, const COUNT: usize>(row: &PixelRow, x: usize) -> [L; COUNT] {
    // SAFETY: pixels of the row.
    unsafe {
        let input = row.input.add(x * row.input_step);
        let mut sums = [begun::<L>(row); COUNT];
        for number in 0..row.tap_count {
            let tap = &*row.taps.add(number);
            let weight = L::load(row.weights.add(tap.weight));
            for (pixel, sum) in sums.iter_mut().enumerate() {
                *sum = L::load(input.add(tap.offset + pixel * row.input_step)).mul_add(weight, *sum);
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn begun<L: Lanes>(row: &PixelRow) -> L {
    // SAFETY: the pointer is null or good for a vector.
    unsafe { if row.start.is_null() { L::zero() } else { L::load(row.start) } }
}

#[inline(always)]
unsafe fn put<L: Lanes, C: Curve, const COUNT: usize>(
    row: &PixelRow,
    x: usize,
    pixels: [L; COUNT],
    [plain, squared]: &mut [L; 2],
) {
    // SAFETY: pixels of the row.
    unsafe {
        for (pixel, value) in pixels.into_iter().enumerate() {
            let to = row.output.add((x + pixel) * row.output_step);
            let value = C::value(if row.accumulate { value.add(L::load(to)) } else { value });
            value.store(to);
            if !row.sums.is_null() {
                *plain = plain.add(value);
                *squared = squared.add(value.mul(value));
            }
        }
    }
}

#[inline(always)]
unsafe fn finish<L: Lanes>(row: &PixelRow, [plain, squared]: [L; 2]) {
    if !row.sums.is_null() {
        // SAFETY: the caller's pointer has room for both.
        unsafe {
            plain.store(row.sums);
            squared.store(row.sums.add(LANES));
        }
    }
}

/// A row of products to be added, for some places of the kernel side by side.
pub(super) struct ProductRow {
    pub(super) input: *const f32,
    pub(super) input_step: usize,
    pub(super) gradient: *const f32,
    pub(super) columns: usize,
    /// `[places][16]`, overwritten.
    pub(super) sums: *mut f32,
}

/// `PLACES` sums at once, for which a gradient is loaded once.
struct Products<const PLACES: usize>;

impl<const PLACES: usize> Kernel for Products<PLACES> {
    type Arguments = ProductRow;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &ProductRow) {
        // SAFETY: the caller's pointers are good for the row.
        unsafe {
            let mut sums = [L::zero(); PLACES];
            for x in 0..row.columns {
                let gradient = L::load(row.gradient.add(x * LANES));
                let input = row.input.add(x * row.input_step);
                for (place, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(input.add(place * LANES)).mul_add(gradient, *sum);
                }
            }
            for (place, sum) in sums.into_iter().enumerate() {
                sum.store(row.sums.add(place * LANES));
            }
        }
    }
}

/// The form that convolves, with a function of what comes out.
pub(super) fn row_form(isa: Isa, shape: Shape, function: Nonlinearity) -> Form<PixelRow> {
    match function {
        Nonlinearity::Identity => form_of::<Identity>(isa, shape),
        Nonlinearity::Relu => form_of::<Relu>(isa, shape),
        Nonlinearity::Relu6 => form_of::<Relu6>(isa, shape),
        Nonlinearity::Silu => form_of::<Silu>(isa, shape),
    }
}

fn form_of<C: Curve>(isa: Isa, shape: Shape) -> Form<PixelRow> {
    match shape {
        // An input gradient has no function behind it.
        Shape::Square { kernel: 3, is_flipped: true, .. } => isa.form::<Square<Identity, 3, 1, true>>(),
        Shape::Square { is_flipped: true, .. } => isa.form::<Square<Identity, 5, 1, true>>(),
        Shape::Square { kernel: 3, stride: 1, .. } => isa.form::<Square<C, 3, 1, false>>(),
        Shape::Square { kernel: 3, .. } => isa.form::<Square<C, 3, 2, false>>(),
        Shape::Square { stride: 1, .. } => isa.form::<Square<C, 5, 1, false>>(),
        Shape::Square { .. } => isa.form::<Square<C, 5, 2, false>>(),
        Shape::Taps => isa.form::<Taps<C>>(),
    }
}

/// The form that adds up products, and for how many places at once.
pub(super) fn product_form(isa: Isa, kernel: usize) -> (Form<ProductRow>, usize) {
    match kernel {
        3 => (isa.form::<Products<3>>(), 3),
        5 => (isa.form::<Products<5>>(), 5),
        _ => (isa.form::<Products<1>>(), 1),
    }
}
