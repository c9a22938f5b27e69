//! Whether probabilities still hold on records of another place: their mean beside the share of positives, and the
//! intercept and slope of a logistic regression of the outcome on their log-odds (Cox, Biometrika 45, 1958; Van Calster et
//! al., BMC Medicine 17, 2019). Of probabilities that hold the intercept is 0 and the slope is 1. A wrong intercept says
//! that the finding is more or less common than the model takes it for; a slope below 1, that it is too sure of itself.
//!
//! Standard errors are of the sandwich by patient (Liang and Zeger, Biometrika 73, 1986), whose records tell less than as
//! many patients would.

use crate::probability::sigmoid;
use crate::student;
use crate::units::{MIN_UNITS, Units};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How probabilities hold on some records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Share of positives.
    pub observed: f64,
    /// Mean of the probabilities.
    pub expected: f64,
    /// What the log-odds lack on average, their slope being left at 1; null where all records are of one class.
    pub intercept: Option<Coefficient>,
    /// What they are to be multiplied by; null where all records are of one class, where all probabilities are equal, or
    /// where they separate the classes.
    pub slope: Option<Coefficient>,
}

/// A coefficient of a regression.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coefficient {
    /// Its value.
    pub value: f64,
    /// Low and high end of what it could be on other patients; null with few patients of either class.
    pub interval: Option<[f64; 2]>,
}

/// Log-odds are cut off here: an isotonic calibration may say 0 or 1.
const MOST: f64 = 15.0;

/// A slope beyond it is on its way to infinity.
const STEEPEST: f64 = 100.0;

/// How `probabilities` hold where `truth` is known; `patients` holds one number per record, equal for records of one
/// patient. None without a known record.
///
/// # Errors
/// If there is not one truth, and one patient, per record.
pub fn drift(
    probabilities: &[f64],
    truth: &[Option<bool>],
    patients: Option<&[u32]>,
) -> Result<Option<Drift>> {
    if probabilities.len() != truth.len() {
        return Err(Error::Lengths { scores: probabilities.len(), labels: truth.len() });
    }
    let units = Units::new(truth.len(), patients)?;
    let rows = probabilities.iter().zip(truth).enumerate().filter_map(|(at, (&probability, &positive))| {
        let log_odds = (probability / (1.0 - probability)).ln().clamp(-MOST, MOST);
        Some(Row { unit: units.of_record[at], x: log_odds, y: f64::from(u8::from(positive?)) })
    });
    let rows: Vec<Row> = rows.collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let known = probabilities.iter().zip(truth).filter(|(_, truth)| truth.is_some());
    let mean = |sum: f64| sum / rows.len() as f64;
    let observed = mean(rows.iter().map(|row| row.y).sum());
    let mixed = observed > 0.0 && observed < 1.0;
    Ok(Some(Drift {
        observed,
        expected: mean(known.map(|(probability, _)| probability).sum()),
        intercept: mixed.then(|| intercept(&rows)).flatten(),
        slope: mixed.then(|| slope(&rows)).flatten(),
    }))
}

struct Row {
    unit: usize,
    /// Log-odds.
    x: f64,
    /// 1 or 0.
    y: f64,
}

/// Newton's steps double the correct digits.
const STEPS: usize = 60;

fn intercept(rows: &[Row]) -> Option<Coefficient> {
    let mut shift = 0.0;
    for _ in 0..STEPS {
        let (gradient, curvature) = rows.iter().fold((0.0, 0.0), |(gradient, curvature), row| {
            let p = sigmoid(row.x + shift);
            (gradient + row.y - p, curvature + p * (1.0 - p))
        });
        // A step is bounded, so that it cannot go astray where the curve is flat.
        shift += (gradient / curvature.max(f64::MIN_POSITIVE)).clamp(-2.0, 2.0);
    }
    let curvature: f64 = rows.iter().map(|row| variance(row.x + shift)).sum();
    let scores = by_unit(rows, |row| [row.y - sigmoid(row.x + shift)]);
    let spread: f64 = scores.iter().map(|[score]| score * score).sum();
    coefficient(shift, spread / (curvature * curvature), rows)
}

fn slope(rows: &[Row]) -> Option<Coefficient> {
    let (mut a, mut b) = (0.0_f64, 1.0_f64);
    for _ in 0..STEPS {
        let gradient = rows.iter().fold([0.0; 2], |[of_a, of_b], row| {
            let rest = row.y - sigmoid(a + b * row.x);
            [of_a + rest, of_b + rest * row.x]
        });
        let inverse = inverse(information(rows, a, b))?;
        let step = times(inverse, gradient);
        let longest = step[0].abs().max(step[1].abs());
        let share = if longest > 2.0 { 2.0 / longest } else { 1.0 };
        (a, b) = (a + share * step[0], b + share * step[1]);
    }
    if !b.is_finite() || b.abs() > STEEPEST {
        return None;
    }
    let inverse = inverse(information(rows, a, b))?;
    let scores = by_unit(rows, |row| {
        let rest = row.y - sigmoid(a + b * row.x);
        [rest, rest * row.x]
    });
    let variance = scores.iter().map(|&score| times(inverse, score)[1].powi(2)).sum();
    coefficient(b, variance, rows)
}

fn variance(log_odds: f64) -> f64 {
    let p = sigmoid(log_odds);
    p * (1.0 - p)
}

/// Of the intercept and the slope: `[aa, ab, bb]`.
fn information(rows: &[Row], a: f64, b: f64) -> [f64; 3] {
    rows.iter().fold([0.0; 3], |[aa, ab, bb], row| {
        let weight = variance(a + b * row.x);
        [aa + weight, ab + weight * row.x, bb + weight * row.x * row.x]
    })
}

/// None where all log-odds are equal, or the classes are told apart.
fn inverse([aa, ab, bb]: [f64; 3]) -> Option<[f64; 3]> {
    let determinant = aa * bb - ab * ab;
    (determinant > 1e-10 * (aa * bb).max(1e-10))
        .then(|| [bb / determinant, -ab / determinant, aa / determinant])
}

fn times([aa, ab, bb]: [f64; 3], [a, b]: [f64; 2]) -> [f64; 2] {
    [aa * a + ab * b, ab * a + bb * b]
}

/// Sums over the records of each unit.
fn by_unit<const N: usize>(rows: &[Row], score: impl Fn(&Row) -> [f64; N]) -> Vec<[f64; N]> {
    let mut sums: BTreeMap<usize, [f64; N]> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry(row.unit).or_insert([0.0; N]);
        sum.iter_mut().zip(score(row)).for_each(|(sum, score)| *sum += score);
    }
    sums.into_values().collect()
}

fn coefficient(value: f64, variance: f64, rows: &[Row]) -> Option<Coefficient> {
    let units = |class: f64| {
        let of_class = rows.iter().filter(|row| row.y == class).map(|row| row.unit);
        of_class.collect::<BTreeSet<_>>().len()
    };
    let rarer = units(0.0).min(units(1.0));
    let half = student::quantile(rarer.saturating_sub(1).max(1) as f64) * variance.sqrt();
    let interval = (rarer >= MIN_UNITS && half.is_finite()).then_some([value - half, value + half]);
    value.is_finite().then_some(Coefficient { value, interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &[(f64, u8, usize)]) -> Drift {
        let expanded = rows.iter().flat_map(|&(p, y, times)| std::iter::repeat_n((p, Some(y == 1)), times));
        let (probabilities, truth): (Vec<_>, Vec<_>) = expanded.unzip();
        drift(&probabilities, &truth, None).expect("one each").expect("known")
    }

    fn log_odds(p: f64) -> f64 {
        (p / (1.0 - p)).ln()
    }

    fn close(found: Option<Coefficient>, expected: f64) -> [f64; 2] {
        let found = found.expect("defined");
        assert!((found.value - expected).abs() < 1e-9, "{found:?} {expected}");
        found.interval.expect("enough records")
    }

    /// Of one probability the intercept is the difference of the log-odds, and its variance 1 / (n p (1 - p)).
    #[test]
    fn an_intercept_is_what_the_log_odds_lack() {
        let drift = found(&[(0.2, 1, 40), (0.2, 0, 60)]);
        assert!((drift.observed - 0.4).abs() < 1e-12 && (drift.expected - 0.2).abs() < 1e-12);
        let [low, high] = close(drift.intercept, log_odds(0.4) - log_odds(0.2));
        let half = student::quantile(39.0) / (100.0_f64 * 0.4 * 0.6).sqrt();
        assert!(((high - low) / 2.0 - half).abs() < 1e-9, "{low} {high} {half}");
        assert_eq!(drift.slope, None, "one probability has no slope");
    }

    /// Of two probabilities the regression holds both shares: the slope is the ratio of the differences of log-odds,
    /// with variance (1 / n p q + 1 / m r s) over the squared difference.
    #[test]
    fn a_slope_is_how_much_of_the_difference_is_there() {
        let drift = found(&[(0.1, 1, 20), (0.1, 0, 80), (0.8, 1, 60), (0.8, 0, 40)]);
        let apart = log_odds(0.8) - log_odds(0.1);
        let [low, high] = close(drift.slope, (log_odds(0.6) - log_odds(0.2)) / apart);
        let half = student::quantile(79.0) * (1.0_f64 / 16.0 + 1.0 / 24.0).sqrt() / apart;
        assert!(((high - low) / 2.0 - half).abs() < 1e-9, "{low} {high} {half}");
        let holds = found(&[(0.2, 1, 20), (0.2, 0, 80), (0.6, 1, 60), (0.6, 0, 40)]);
        close(holds.slope, 1.0);
        close(holds.intercept, 0.0);
    }

    #[test]
    fn records_of_one_patient_count_as_often_as_they_tell() {
        let (probabilities, truth): (Vec<_>, Vec<_>) =
            (0..80).map(|at| (if at % 3 == 0 { 0.7 } else { 0.3 }, Some(at % 5 < 2))).unzip();
        let once = drift(&probabilities, &truth, None).expect("one each").expect("known");
        let double = |values: &[f64]| values.iter().flat_map(|value| [*value; 2]).collect::<Vec<_>>();
        let truths: Vec<_> = truth.iter().flat_map(|truth| [*truth; 2]).collect();
        let patients: Vec<u32> = (0..160).map(|at| at / 2).collect();
        let twice =
            drift(&double(&probabilities), &truths, Some(&patients)).expect("one each").expect("known");
        for (once, twice) in [(once.intercept, twice.intercept), (once.slope, twice.slope)] {
            let [once, twice] =
                [once, twice].map(|found| found.and_then(|found| found.interval).expect("enough"));
            assert!(
                (once[0] - twice[0]).abs() < 1e-9 && (once[1] - twice[1]).abs() < 1e-9,
                "{once:?} {twice:?}"
            );
        }
    }

    #[test]
    fn what_is_not_defined_is_null() {
        let one_class = found(&[(0.2, 0, 9), (0.4, 0, 9)]);
        assert_eq!((one_class.intercept, one_class.slope), (None, None));
        let separated = found(&[(0.2, 0, 9), (0.4, 1, 9)]);
        assert_eq!(separated.slope, None);
        let certain = found(&[(0.0, 0, 9), (0.0, 1, 9), (1.0, 1, 9), (1.0, 0, 1)]);
        assert!(certain.slope.is_some_and(|slope| slope.value < 0.2), "{certain:?}");
        assert_eq!(drift(&[0.5], &[None], None), Ok(None));
        assert!(drift(&[0.5], &[], None).is_err());
    }
}
