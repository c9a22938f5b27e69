//! How far the mean of a few repetitions could be from what many would give: Student's interval (Biometrika 6, 1908).

use crate::mean::mean;

/// Quantiles 0.975 of Student's t with 1 to 30 degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The mean and the 95 % interval of the mean of independent repetitions; no interval of fewer than two, nothing of
/// none.
pub fn mean_interval(values: &[f64]) -> Option<(f64, Option<[f64; 2]>)> {
    let centre = mean(values.iter().copied())?;
    let half = (values.len() > 1)
        .then(|| student_quantile(values.len() as f64 - 1.0) * standard_error(values, centre));
    Some((centre, half.map(|half| [centre - half, centre + half])))
}

/// The difference of the means of `a` and `b`, which need not scatter alike, and its 95 % interval (Welch,
/// Biometrika 34, 1947); no interval if either has fewer than two, nothing if either has none.
pub fn difference_interval(a: &[f64], b: &[f64]) -> Option<(f64, Option<[f64; 2]>)> {
    let (mean_a, mean_b) = (mean(a.iter().copied())?, mean(b.iter().copied())?);
    let difference = mean_a - mean_b;
    if a.len() < 2 || b.len() < 2 {
        return Some((difference, None));
    }
    let (of_a, of_b) = (standard_error(a, mean_a).powi(2), standard_error(b, mean_b).powi(2));
    let sum = of_a + of_b;
    let share = |variance: f64, count: usize| variance * variance / (count as f64 - 1.0);
    let freedom = if sum > 0.0 { sum * sum / (share(of_a, a.len()) + share(of_b, b.len())) } else { 1.0 };
    let half = student_quantile(freedom) * sum.sqrt();
    Some((difference, Some([difference - half, difference + half])))
}

fn standard_error(values: &[f64], centre: f64) -> f64 {
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0) / values.len() as f64).sqrt()
}

/// The quantile 0.975; between whole degrees of freedom linear in their inverse, which is a little too wide, never
/// too narrow.
pub(crate) fn student_quantile(freedom: f64) -> f64 {
    const NORMAL: f64 = 1.959_964;
    let last = T.len() as f64;
    if freedom >= last {
        // Straight in the inverse from 30 to infinity.
        return NORMAL + (T[T.len() - 1] - NORMAL) * last / freedom;
    }
    let below = freedom.max(1.0).floor();
    let (at, next) = (T[below as usize - 1], T[below as usize]);
    let share = (1.0 / below - 1.0 / freedom.max(1.0)) / (1.0 / below - 1.0 / (below + 1.0));
    at + (next - at) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `scipy.stats.t.interval` and `scipy.stats.ttest_ind(equal_var=False).confidence_interval()`.
    #[test]
    fn intervals_are_scipys() {
        let close = |found: Option<(f64, Option<[f64; 2]>)>, expected: [f64; 3], tolerance: f64| {
            let (centre, Some([low, high])) = found.expect("a mean") else { panic!("an interval") };
            for (found, expected) in [centre, low, high].into_iter().zip(expected) {
                assert!((found - expected).abs() < tolerance, "{found} is not {expected}");
            }
        };
        let a = [0.71, 0.73, 0.70, 0.76, 0.72];
        close(mean_interval(&a), [0.724000, 0.695415, 0.752585], 1e-4);
        close(difference_interval(&a, &[0.61, 0.69, 0.66]), [0.070667, -0.013850, 0.155184], 1e-3);
    }

    #[test]
    fn one_repetition_has_no_interval_and_none_has_no_mean() {
        assert_eq!(mean_interval(&[]), None);
        assert_eq!(mean_interval(&[0.7]), Some((0.7, None)));
        assert_eq!(difference_interval(&[0.5], &[0.25, 0.25]), Some((0.25, None)));
        assert_eq!(difference_interval(&[0.5, 0.5], &[0.25, 0.25]), Some((0.25, Some([0.25, 0.25]))));
    }

    #[test]
    fn many_degrees_of_freedom_come_to_the_normal_quantile() {
        let t = student_quantile;
        assert!(
            (t(60.0) - 2.000).abs() < 2e-3 && (t(120.0) - 1.980).abs() < 2e-3 && (t(1e9) - 1.96).abs() < 1e-3
        );
        assert!(
            (1..300).all(|tenth| t(1.0 + f64::from(tenth) / 10.0) <= t(1.0 + f64::from(tenth - 1) / 10.0))
        );
    }
}
