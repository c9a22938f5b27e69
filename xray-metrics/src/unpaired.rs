//! How far a figure differs between two sets of records that share no patient, from the figure's interval on each.
//!
//! It is the method of variance estimates recovery (Zou and Donner, Statistics in Medicine 27, 2008): what each interval
//! says of its figure's variance near its ends is put together. Of shares with Wilson's intervals it is Newcombe's hybrid
//! score interval (Statistics in Medicine 17, 1998, method 10); of AUCs it keeps that their intervals are not
//! symmetric, which a normal interval of the difference would lose where one of them is near 1.

use serde::{Deserialize, Serialize};

/// A figure on two sets of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Unpaired {
    /// On the first set.
    pub a: Option<f64>,
    /// Low and high end of what that could be on other patients.
    pub a_interval: Option<[f64; 2]>,
    /// On the second.
    pub b: Option<f64>,
    /// Low and high end of what that could be on other patients.
    pub b_interval: Option<[f64; 2]>,
    /// The second less the first.
    pub difference: Option<f64>,
    /// Low and high end of what that could be; null where one of the two has no interval.
    pub interval: Option<[f64; 2]>,
}

/// The figures `a` and `b` and their difference, with the interval of level [`crate::units::LEVEL`] that theirs are of.
///
/// ```
/// use xray_metrics::{Proportion, unpaired};
///
/// // Newcombe's first example: 56 of 70 and 48 of 80.
/// let share = |successes, trials| {
///     let share = Proportion::of(successes, trials).expect("trials");
///     (Some(share.value), Some(share.interval))
/// };
/// let [low, high] = unpaired(share(48, 80), share(56, 70)).interval.expect("both have one");
/// assert!((low - 0.0524).abs() < 5e-5 && (high - 0.3339).abs() < 5e-5);
/// ```
pub fn unpaired(
    (a, a_interval): (Option<f64>, Option<[f64; 2]>),
    (b, b_interval): (Option<f64>, Option<[f64; 2]>),
) -> Unpaired {
    let known = |(a, of_a): (f64, [f64; 2]), (b, of_b): (f64, [f64; 2])| {
        let (difference, distance) = (b - a, |b: f64, a: f64| b.hypot(a));
        [difference - distance(b - of_b[0], of_a[1] - a), difference + distance(of_b[1] - b, a - of_a[0])]
    };
    let interval = a.zip(a_interval).zip(b.zip(b_interval)).map(|(a, b)| known(a, b));
    Unpaired { a, a_interval, b, b_interval, difference: a.zip(b).map(|(a, b)| b - a), interval }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Proportion;

    /// Newcombe's table II, method 10.
    #[test]
    fn shares_have_newcombes_interval() {
        let check = |(x, m): (u64, u64), (y, n): (u64, u64), expected: [f64; 2]| {
            let share = |successes, trials| {
                let share = Proportion::of(successes, trials).expect("trials");
                (Some(share.value), Some(share.interval))
            };
            let found = unpaired(share(y, n), share(x, m)).interval.expect("both have one");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 6e-5, "{x}/{m} - {y}/{n}: {found} {expected}");
            }
        };
        check((56, 70), (48, 80), [0.0524, 0.3339]);
        check((9, 10), (3, 10), [0.1705, 0.8090]);
    }

    #[test]
    fn what_is_not_known_has_no_interval() {
        let found = unpaired((Some(0.8), None), (Some(0.7), Some([0.6, 0.8])));
        assert!((found.difference.expect("both are known") + 0.1).abs() < 1e-12);
        assert_eq!(found.interval, None);
        assert_eq!(unpaired((None, None), (Some(0.7), Some([0.6, 0.8]))).difference, None);
    }
}
