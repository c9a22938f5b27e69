//! The regularised incomplete beta function, of which Student's and Fisher's distributions are made.

use std::f64::consts::PI;

/// Two terms of the fraction that differ by less than this are the same.
const CLOSE: f64 = 1e-15;
/// Keeps the fraction's denominators off 0.
const TINY: f64 = 1e-300;

/// `I_x(a, b)` for a, b above 0 and x from 0 to 1. `rest` is 1 − x: told apart from it, because a difference loses
/// digits. Lentz's form of the continued fraction 8.17.22 of the NIST Digital Library of Mathematical Functions, of
/// whichever of the two tails it converges faster for.
pub(crate) fn incomplete_beta(x: f64, rest: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || rest <= 0.0 {
        return x.clamp(0.0, 1.0);
    }
    let log = |share: f64, rest: f64| if share > 0.5 { (-rest).ln_1p() } else { share.ln() };
    let front = (a * log(x, rest) + b * log(rest, x) - ln_beta(a, b)).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(rest, b, a) / b
    }
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TERMS: u32 = 5_000;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for m in 1..TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            step = c * d;
            value *= step;
        }
        if (step - 1.0).abs() < CLOSE {
            break;
        }
    }
    value
}

/// The logarithm of the beta function. Of a large and a small argument it is the difference of two large numbers, which
/// is taken before they are made.
fn ln_beta(a: f64, b: f64) -> f64 {
    let (large, small) = (a.max(b), a.min(b));
    ln_gamma(small) - ln_gamma_step(large, small)
}

/// Stirling's series is used from here on.
const LARGE: f64 = 20.0;

/// `ln Γ(x) − (x − ½) ln x + x − ½ ln 2π` of a large x: Stirling's series.
fn correction(x: f64) -> f64 {
    let square = 1.0 / (x * x);
    (1.0 / 12.0
        - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0))))
        / x
}

/// `ln Γ(x)` above 0, of an argument raised until it is large.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut raised) = (x, 0.0);
    while x < LARGE {
        raised += x.ln();
        x += 1.0;
    }
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + correction(x) - raised
}

/// `ln Γ(x + step) − ln Γ(x)`.
fn ln_gamma_step(x: f64, step: f64) -> f64 {
    let (mut x, mut raised) = (x, 0.0);
    while x < LARGE {
        raised += (step / x).ln_1p();
        x += 1.0;
    }
    let sum = x + step;
    (x - 0.5) * (step / x).ln_1p() + step * sum.ln() - step + correction(sum) - correction(x) - raised
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `scipy.special.betainc`.
    #[test]
    fn values_are_scipys() {
        let check = |x: f64, a: f64, b: f64, expected: f64| {
            let found = incomplete_beta(x, 1.0 - x, a, b);
            assert!((found / expected - 1.0).abs() < 1e-12, "I_{x}({a}, {b}) is {found}, not {expected}");
        };
        check(0.5, 0.5, 0.5, 5.000_000_000_000_001e-1);
        check(0.1, 2.0, 3.0, 5.230_000_000_000_001e-2);
        check(0.9, 2.0, 3.0, 9.963e-1);
        check(0.3, 26.0, 5.0, 1.7837475074107955e-10);
        check(0.99, 0.5, 40.0, 1.0);
        check(0.02, 150.0, 0.5, 6.635_512_799_039_717e-257);
        check(0.5, 60.0, 60.0, 5.000_000_000_000_002e-1);
    }
}
