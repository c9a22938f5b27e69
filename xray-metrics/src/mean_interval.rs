//! How far the mean of a few repetitions could be from what many would give: Student's interval (Biometrika 6, 1908), on a
//! scale on which the figure has no ends.

use crate::mean::mean;
use crate::student;

/// Fewer repetitions than this have no interval: the quantile of two is 12.7 standard errors, and the standard error of
/// two is itself anyone's guess.
pub const MIN_REPETITIONS: usize = 3;

/// Where a figure can lie. Its interval is made on a scale without ends, so that it cannot leave this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// A share or an AUC, from 0 to 1: the logit.
    Share,
    /// A time, above 0: the logarithm.
    Positive,
}

/// The mean and the 95 % interval of the mean of independent repetitions. Student's interval is laid about the mean on
/// the scale of `bounds`, its standard error carried over by the slope there (the delta method). No interval of fewer
/// than [`MIN_REPETITIONS`], or of a mean at an end; nothing of none.
pub fn mean_interval(values: &[f64], bounds: Bounds) -> Option<(f64, Option<[f64; 2]>)> {
    let centre = mean(values.iter().copied())?;
    if values.len() < MIN_REPETITIONS {
        return Some((centre, None));
    }
    let half = student::quantile(values.len() as f64 - 1.0) * standard_error(values, centre);
    let interval = match bounds {
        Bounds::Share => (0.0 < centre && centre < 1.0).then(|| {
            let (logit, half) = ((centre / (1.0 - centre)).ln(), half / (centre * (1.0 - centre)));
            [logit - half, logit + half].map(|logit| 1.0 / (1.0 + (-logit).exp()))
        }),
        Bounds::Positive => {
            (centre > 0.0).then(|| [-1.0, 1.0].map(|side| centre * (side * half / centre).exp()))
        }
    };
    Some((centre, interval.map(|ends| around(ends, centre))))
}

/// The difference of the mean shares `a` and `b`, which need not scatter alike, and its 95 % interval (Welch,
/// Biometrika 34, 1947) on the scale of the inverse hyperbolic tangent, which keeps it from −1 to 1. No interval if
/// either has fewer than [`MIN_REPETITIONS`], nothing if either has none.
pub fn difference_interval(a: &[f64], b: &[f64]) -> Option<(f64, Option<[f64; 2]>)> {
    let (mean_a, mean_b) = (mean(a.iter().copied())?, mean(b.iter().copied())?);
    let difference = mean_a - mean_b;
    if a.len().min(b.len()) < MIN_REPETITIONS || difference.abs() >= 1.0 {
        return Some((difference, None));
    }
    let (of_a, of_b) = (standard_error(a, mean_a).powi(2), standard_error(b, mean_b).powi(2));
    let sum = of_a + of_b;
    let share = |variance: f64, count: usize| variance * variance / (count as f64 - 1.0);
    let freedom = if sum > 0.0 { sum * sum / (share(of_a, a.len()) + share(of_b, b.len())) } else { 1.0 };
    let half = student::quantile(freedom) * sum.sqrt() / (1.0 - difference * difference);
    let ends = [-half, half].map(|half| (difference.atanh() + half).tanh());
    Some((difference, Some(around(ends, difference))))
}

/// Rounding there and back does not put an interval beside its centre.
fn around([low, high]: [f64; 2], centre: f64) -> [f64; 2] {
    [low.min(centre), high.max(centre)]
}

fn standard_error(values: &[f64], centre: f64) -> f64 {
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0) / values.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_random::Random;

    /// By `scipy.stats`.
    #[test]
    fn intervals_are_scipys_on_the_scale_of_the_figure() {
        let close = |found: Option<(f64, Option<[f64; 2]>)>, expected: [f64; 3]| {
            let (centre, Some([low, high])) = found.expect("a mean") else { panic!("an interval") };
            for (found, expected) in [centre, low, high].into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
            }
        };
        let a = [0.71, 0.73, 0.70, 0.76, 0.72];
        // expit(logit(m) ± t.ppf(.975, 4) · sem(a) / (m (1 − m))), and m · exp(± t.ppf(.975, 4) · sem(a) / m).
        close(mean_interval(&a, Bounds::Share), [0.724, 0.69452, 0.751652]);
        close(mean_interval(&a, Bounds::Positive), [0.724, 0.695972, 0.753157]);
        // tanh(atanh(d) ± half / (1 − d²)), half that of ttest_ind(equal_var=False).confidence_interval().
        close(difference_interval(&a, &[0.61, 0.69, 0.66]), [0.070667, -0.014156, 0.154479]);
    }

    #[test]
    fn intervals_stay_where_the_figure_can_be() {
        let check = |values: &[f64]| {
            let (mean, interval) = mean_interval(values, Bounds::Share).expect("a mean");
            let [low, high] = interval.expect("three");
            assert!(0.0 <= low && low <= mean && mean <= high && high <= 1.0, "{low} {mean} {high}");
        };
        check(&[0.98, 0.99, 1.0]);
        check(&[0.2, 0.9, 0.95]);
        check(&[0.0, 0.0, 0.5]);
        check(&[0.7; 3]);
        let [low, _] =
            mean_interval(&[60.0, 90.0, 400.0], Bounds::Positive).expect("a mean").1.expect("three");
        assert!(low > 0.0, "{low}");
        let far = difference_interval(&[0.1, 0.9, 0.95], &[0.9, 0.2, 0.1]).expect("means").1.expect("three");
        assert!(-1.0 < far[0] && far[1] < 1.0, "{far:?}");
    }

    #[test]
    fn fewer_than_three_have_no_interval_and_none_has_no_mean() {
        assert_eq!(mean_interval(&[], Bounds::Share), None);
        assert_eq!(mean_interval(&[0.5, 0.75], Bounds::Share), Some((0.625, None)));
        assert_eq!(mean_interval(&[1.0; 3], Bounds::Share), Some((1.0, None)));
        assert_eq!(mean_interval(&[0.0; 3], Bounds::Positive), Some((0.0, None)));
        assert_eq!(difference_interval(&[0.5, 0.5], &[0.25; 3]), Some((0.25, None)));
        assert_eq!(difference_interval(&[0.5; 3], &[0.25; 3]), Some((0.25, Some([0.25, 0.25]))));
        assert_eq!(difference_interval(&[1.0; 3], &[0.0; 3]), Some((1.0, None)));
    }

    /// Of normal scores about 0.9, 2,000 times three trials; 95 % is 1,900, standard deviation 10.
    #[test]
    fn three_trials_hold_the_mean_about_as_often_as_they_say() {
        let mut random = Random::keyed(&[3]);
        let mut covers = || {
            let trials = [(); 3].map(|()| 0.9 + 0.02 * random.normal());
            let interval = mean_interval(&trials, Bounds::Share).and_then(|(_, interval)| interval);
            interval.is_some_and(|[low, high]| low <= 0.9 && 0.9 <= high)
        };
        let covered = (0..2000).filter(|_| covers()).count();
        assert!((1860..=1940).contains(&covered), "{covered} of 2000");
    }
}
