//! Fisher's F distribution.

use crate::beta::incomplete_beta;

/// The chance that a ratio of two mean squares, of so many degrees of freedom above and below, is at least `ratio`
/// where both estimate one variance.
pub(crate) fn fisher_p(ratio: f64, above: f64, below: f64) -> f64 {
    if ratio <= 0.0 {
        return 1.0;
    }
    let sum = below + above * ratio;
    incomplete_beta(below / sum, above * ratio / sum, below / 2.0, above / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `scipy.stats.f.sf`.
    #[test]
    fn tails_are_scipys() {
        let check = |ratio: f64, above: f64, below: f64, expected: f64| {
            let found = fisher_p(ratio, above, below);
            assert!(
                (found / expected - 1.0).abs() < 1e-10,
                "{ratio} {above} {below}: {found} is not {expected}"
            );
        };
        check(4.07, 10.0, 52.0, 3.676_179_224_047_06e-4);
        check(0.38, 10.0, 52.0, 9.498_823_884_425_95e-1);
        check(1.0, 1.0, 1.0, 5.000_000_000_000_001e-1);
        check(18.5, 1.0, 2.0, 5.003_209_296_827_09e-2);
        check(3.3, 3.0, 200.0, 2.1425132079260684e-02);
        check(60.0, 9.0, 26.0, 4.116_472_465_035_134e-15);
        assert_eq!(fisher_p(0.0, 3.0, 4.0), 1.0);
    }
}
