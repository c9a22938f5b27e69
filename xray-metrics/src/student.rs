//! Student's t with any number of degrees of freedom: how often it is far from 0, and how far it is once in twenty times.
//!
//! Its tail is a regularised incomplete beta function (Abramowitz and Stegun 26.7.1 and 26.5.27).

use crate::beta::incomplete_beta;

/// The chance that a t of `freedom` degrees is at least as far from 0 as `t`; the normal distribution's for infinitely
/// many.
pub(crate) fn two_sided_p(t: f64, freedom: f64) -> f64 {
    let square = t * t;
    if freedom.is_infinite() || square.is_infinite() {
        return crate::normal::two_sided_p(t);
    }
    let sum = freedom + square;
    incomplete_beta(freedom / sum, square / sum, freedom / 2.0, 0.5)
}

/// The t that is exceeded, on either side, with chance 1 − [`LEVEL`](crate::units::LEVEL): [`two_sided_p`] of it is that
/// chance, so that an interval excludes 0 just where its p-value is below.
pub(crate) fn quantile(freedom: f64) -> f64 {
    let chance = 1.0 - crate::units::LEVEL;
    let (mut low, mut high) = (1.0, 2.0);
    while two_sided_p(high, freedom) > chance {
        (low, high) = (high, 2.0 * high);
    }
    // Halving an interval of that width leaves nothing but rounding.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if two_sided_p(middle, freedom) > chance { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `2 * scipy.stats.t.sf(t, freedom)`.
    #[test]
    fn tails_are_scipys() {
        let check = |t: f64, freedom: f64, expected: f64| {
            let found = two_sided_p(t, freedom);
            // The fraction loses digits where the degrees of freedom are many.
            assert!(
                (found / expected - 1.0).abs() < 1e-11 + 1e-16 * freedom,
                "{t}, {freedom}: {found} is not {expected}"
            );
        };
        check(0.1, 1.0, 0.936_548_965_138_893);
        check(-2.0, 1.0, 0.295_167_235_300_866_5);
        check(12.7, 1.0, 0.050_024_327_689_344_165);
        check(1.0, 2.5, 0.404_061_027_278_273_64);
        check(2.776, 4.0, 0.050_022_778_319_976_42);
        check(-0.5, 4.0, 0.643_329_963_181_863_3);
        check(3.3, 9.7, 0.008_344_133_266_052_793);
        check(1.96, 30.0, 0.059_342_312_896_050_49);
        check(6.0, 55.5, 1.563_571_191_328_739_6e-07);
        check(2.0, 1000.0, 0.045_770_346_493_251_66);
        check(0.3, 25000.0, 0.764_179_649_885_041_7);
        check(5.5, 1000000.0, 3.798_838_113_818_054e-08);
        assert_eq!((two_sided_p(0.0, 3.0), two_sided_p(f64::INFINITY, 3.0)), (1.0, 0.0));
    }

    /// `scipy.stats.t.ppf(0.975, freedom)`.
    #[test]
    fn quantiles_are_scipys() {
        let check = |freedom: f64, expected: f64| {
            let found = quantile(freedom);
            assert!(
                (found / expected - 1.0).abs() < 1e-11 + 1e-16 * freedom.min(1e8),
                "{freedom}: {found} is not {expected}"
            );
        };
        check(1.0, 12.706_204_736_174_694);
        check(1.5, 6.016_663_104_427_929);
        check(4.0, 2.776_445_105_197_793);
        check(7.0, 2.364_624_251_592_784);
        check(12.3, 2.172_933_481_758_962);
        check(30.0, 2.042_272_456_301_238);
        check(100.0, 1.983_971_518_523_552);
        check(5000.0, 1.960_438_551_706_507);
        check(10000000.0, 1.959_964_221_767_205);
        check(f64::INFINITY, 1.959_963_984_540_054);
    }
}
