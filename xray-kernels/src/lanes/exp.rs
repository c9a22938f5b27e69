//! The exponential function, from arithmetic that every form has.
#![expect(unsafe_code, reason = "vector instructions")]

use super::Lanes;

/// `e^x` to two units in the last place; below -87 and above 88 as there, so that it is neither zero nor infinite.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
pub(crate) unsafe fn exp<L: Lanes>(x: L) -> L {
    // Adding and subtracting it rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few bits: its multiples are exact (Cody and Waite, 1980).
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    // Of (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2 (Moshier's Cephes library).
    const POLYNOMIAL: [f32; 6] =
        [1.987_569_2e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    // SAFETY: the caller has the instructions.
    unsafe {
        let x = L::splat(88.0).min(L::splat(-87.0).max(x));
        let round = L::splat(ROUND);
        let whole = x.mul_add(L::splat(std::f32::consts::LOG2_E), round).sub(round);
        let rest = whole.mul_add(L::splat(-LN_2[1]), whole.mul_add(L::splat(-LN_2[0]), x));
        let mut sum = L::splat(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            sum = sum.mul_add(rest, L::splat(*coefficient));
        }
        let power = sum.mul_add(rest.mul(rest), rest).add(L::splat(1.0));
        power.mul(whole.power_of_two())
    }
}
