//! The tail of the normal distribution.

use std::f64::consts::{PI, SQRT_2};

/// The chance that a standard normal number is at least as far from 0 as `z`.
pub(crate) fn two_sided_p(z: f64) -> f64 {
    erfc(z.abs() / SQRT_2)
}

/// 1 − erf(x) for x ≥ 0 (Abramowitz and Stegun 7.1.6 near 0, 7.1.14 beyond).
fn erfc(x: f64) -> f64 {
    let bell = (-x * x).exp() / PI.sqrt();
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        1.0 - 2.0 * bell * sum
    } else {
        // From the inside out: x + (1/2)/(x + 1/(x + (3/2)/(x + …))).
        let fraction = (1..100).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
        bell / fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_the_tabled_ones() {
        let check = |z: f64, expected: f64| {
            let found = two_sided_p(z);
            assert!((found / expected - 1.0).abs() < 1e-12, "{z}: {found} is not {expected}");
        };
        check(0.0, 1.0);
        check(1.959_963_984_540_054, 0.05);
        check(-1.0, 0.317_310_507_862_914_1);
        check(3.5, 4.652_581_580_710_499e-4);
        check(3.6, 3.182_171_803_150_672_7e-4);
        check(8.0, 1.244_192_114_854_348e-15);
        assert_eq!(two_sided_p(f64::INFINITY), 0.0);
    }
}
