//! The exponential function, from arithmetic that every form has.
#![expect(unsafe_code, reason = "vector instructions")]

use super::{EXPONENT, Lanes};

/// `1 + e^-x`, the denominator of a sigmoid, to a relative error of 3e-7; below -88 and above 87 as there, so that it
/// is never infinite.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
pub(crate) unsafe fn one_and_exp_of_negative<L: Lanes>(x: L) -> L {
    // ln 2 in two parts, the first with few bits: its multiples are exact (Cody and Waite, 1980).
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    // Of e^-r, least relative error for |r| <= ln(2) / 2 with the last two given: 1.5e-7 (Remez's algorithm).
    const POLYNOMIAL: [f32; 6] = [-8.369_716e-3, 4.191_759e-2, -0.166_665_18, 0.499_989_94, -1.0, 1.0];
    // SAFETY: the caller has the instructions.
    unsafe {
        let x = L::splat(87.0).min(L::splat(-88.0).max(x));
        // Adding it rounds to a whole number, the power of two.
        let exponent = L::splat(EXPONENT);
        let rounded = x.mul_add(L::splat(-std::f32::consts::LOG2_E), exponent);
        let whole = rounded.sub(exponent);
        let rest = whole.mul_add(L::splat(LN_2[1]), whole.mul_add(L::splat(LN_2[0]), x));
        let mut sum = L::splat(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            sum = sum.mul_add(rest, L::splat(*coefficient));
        }
        sum.mul_add(rounded.power_of_two(), L::splat(1.0))
    }
}
