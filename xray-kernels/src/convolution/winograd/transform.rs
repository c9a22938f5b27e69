//! The transforms along one axis, over sixteen channels at a time.
//!
//! Tiles are polynomials, evaluated at 0, `±A`, `±B` and infinity, multiplied there, and interpolated (Toom and Cook).
//! Rows and columns are transformed one after the other.
#![expect(unsafe_code, reason = "vector instructions")]

use super::{PATCH, TILE};
use crate::lanes::Lanes;

// The usual points 1 and 2 lose a digit more: the powers of these stay nearer to one. Both are exact in binary, and
// so are the coefficients of all transforms but the weights'.
const A: f64 = 0.625;
const B: f64 = 1.5;
const A2: f64 = A * A;
const B2: f64 = B * B;

// One over the derivative of `x (x^2 - A^2) (x^2 - B^2)` at each point.
const WEIGHT_0: f64 = 1.0 / (A2 * B2);
const WEIGHT_A: f64 = 1.0 / (2.0 * A2 * (A2 - B2));
const WEIGHT_B: f64 = 1.0 / (2.0 * B2 * (B2 - A2));

// No closures in here or in the kernels: they would be compiled without the instructions, and not inlined.

#[inline(always)]
unsafe fn constant<L: Lanes>(value: f64) -> L {
    // SAFETY: the caller has the instructions.
    unsafe { L::splat(value as f32) }
}

/// Rows of points in the order of parts of two: those of a pair share their arithmetic.
pub(super) const PAIRS: [usize; PATCH] = [0, 5, 1, 2, 3, 4];

/// Those rows of points that a part of `ROWS` takes: all six in their order, or a pair.
#[inline(always)]
fn part<L: Copy, const ROWS: usize, const PART: usize>(all: [L; PATCH]) -> [L; ROWS] {
    let mut rows = [all[0]; ROWS];
    for (place, row) in rows.iter_mut().enumerate() {
        *row = if ROWS == PATCH { all[place] } else { all[PAIRS[PART * ROWS + place]] };
    }
    rows
}

/// [`input`], of which only a part is wanted, and only that is computed.
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn input_part<L: Lanes, const ROWS: usize, const PART: usize>(d: [L; PATCH]) -> [L; ROWS] {
    // SAFETY: the caller has the instructions.
    part::<L, ROWS, PART>(unsafe { input(d) })
}

/// [`gradient`], likewise.
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn gradient_part<L: Lanes, const ROWS: usize, const PART: usize>(
    y: [L; TILE],
) -> [L; ROWS] {
    // SAFETY: the caller has the instructions.
    part::<L, ROWS, PART>(unsafe { gradient(y) })
}

/// The second axis: element `y` of each column.
#[inline(always)]
pub(super) fn row<L: Copy, const ROWS: usize>(columns: &[[L; ROWS]; PATCH], y: usize) -> [L; PATCH] {
    [columns[0][y], columns[1][y], columns[2][y], columns[3][y], columns[4][y], columns[5][y]]
}

/// The pixels of a column from the first on, `row` floats apart.
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn column<L: Lanes, const ROWS: usize>(from: *const f32, row: usize) -> [L; ROWS] {
    // SAFETY: the caller's pointer is good for these pixels.
    unsafe {
        let mut pixels = [L::zero(); ROWS];
        for (y, pixel) in pixels.iter_mut().enumerate() {
            *pixel = L::load(from.add(y * row));
        }
        pixels
    }
}

/// Stores six points `step` floats apart.
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn store<L: Lanes>(points: [L; PATCH], to: *mut f32, step: usize) {
    // SAFETY: the caller's pointer is good for these points.
    unsafe {
        for (x, point) in points.iter().enumerate() {
            point.store(to.add(x * step));
        }
    }
}

/// Inputs to points: coefficients of that polynomial divided by each of its factors.
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn input<L: Lanes>(d: [L; PATCH]) -> [L; PATCH] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let even_a = d[2].mul_add(constant(-B2), d[4]);
        let even_b = d[2].mul_add(constant(-A2), d[4]);
        let odd_a = d[1].mul_add(constant(-B2), d[3]);
        let odd_b = d[1].mul_add(constant(-A2), d[3]);
        [
            d[0].mul_add(constant(A2 * B2), d[2].mul_add(constant(-A2 - B2), d[4])),
            odd_a.mul_add(constant(A), even_a),
            odd_a.mul_add(constant(-A), even_a),
            odd_b.mul_add(constant(B), even_b),
            odd_b.mul_add(constant(-B), even_b),
            d[1].mul_add(constant(A2 * B2), d[3].mul_add(constant(-A2 - B2), d[5])),
        ]
    }
}

/// Points to outputs: powers of the points.
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn output<L: Lanes>(m: [L; PATCH]) -> [L; TILE] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (even_a, odd_a) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (even_b, odd_b) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(even_a).add(even_b),
            odd_a.mul_add(constant(A), odd_b.mul(constant(B))),
            even_a.mul_add(constant(A2), even_b.mul(constant(B2))),
            odd_a.mul_add(constant(A * A2), odd_b.mul_add(constant(B * B2), m[5])),
        ]
    }
}

/// Gradients of outputs to points: the transpose of [`output`].
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn gradient<L: Lanes>(y: [L; TILE]) -> [L; PATCH] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let even_a = y[2].mul_add(constant(A2), y[0]);
        let even_b = y[2].mul_add(constant(B2), y[0]);
        let odd_a = y[3].mul_add(constant(A2), y[1]);
        let odd_b = y[3].mul_add(constant(B2), y[1]);
        [
            y[0],
            odd_a.mul_add(constant(A), even_a),
            odd_a.mul_add(constant(-A), even_a),
            odd_b.mul_add(constant(B), even_b),
            odd_b.mul_add(constant(-B), even_b),
            y[3],
        ]
    }
}

/// Weights to points.
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn weights<L: Lanes>(g: [L; 3]) -> [L; PATCH] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let even_a = g[2].mul_add(constant(WEIGHT_A * A2), g[0].mul(constant(WEIGHT_A)));
        let even_b = g[2].mul_add(constant(WEIGHT_B * B2), g[0].mul(constant(WEIGHT_B)));
        [
            g[0].mul(constant(WEIGHT_0)),
            g[1].mul_add(constant(WEIGHT_A * A), even_a),
            g[1].mul_add(constant(-WEIGHT_A * A), even_a),
            g[1].mul_add(constant(WEIGHT_B * B), even_b),
            g[1].mul_add(constant(-WEIGHT_B * B), even_b),
            g[2],
        ]
    }
}

/// Points to gradients of weights: the transpose of [`weights`].
///
/// # Safety
/// As all functions of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn weight_gradient<L: Lanes>(u: [L; PATCH]) -> [L; 3] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (even_a, odd_a) = (u[1].add(u[2]), u[1].sub(u[2]));
        let (even_b, odd_b) = (u[3].add(u[4]), u[3].sub(u[4]));
        let first = even_b.mul_add(constant(WEIGHT_B), u[0].mul(constant(WEIGHT_0)));
        [
            even_a.mul_add(constant(WEIGHT_A), first),
            odd_a.mul_add(constant(WEIGHT_A * A), odd_b.mul(constant(WEIGHT_B * B))),
            even_a.mul_add(constant(WEIGHT_A * A2), even_b.mul_add(constant(WEIGHT_B * B2), u[5])),
        ]
    }
}
