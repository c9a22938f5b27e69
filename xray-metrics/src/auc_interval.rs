//! How far AUCs could differ on other patients, by formula.
//!
//! An AUC is a mean of placements, each between 0 and 1, so its interval is Wilson's
//! ([`mod@crate::wilson`]) with an effective number of patients: the number of trials of which a share as large has the
//! variance of the AUC. The variance is DeLong's by patient ([`mod@crate::delong`]). Few patients show little of it: five
//! positive ones may all lie high by chance, and then seem to say that all do. So it is averaged with the largest that
//! any scores could have, which counts for three patients (`PRIOR`), and the normal quantile is Student's. That an AUC
//! of 1 gets an interval follows.
//!
//! The macro-AUC's variance is the sum of the labels', the largest possible one standing for what is not seen of a
//! rare label's, and of all covariances between labels, by patient.
//!
//! `cargo xtask bench coverage` counts how often the intervals hold the truth; results/benchmarks/coverage.md.

use crate::placements::{Contributions, Placements};
use crate::student;
use crate::units::{MIN_UNITS, Unit, Units};
use crate::{Result, Scores};
use serde::{Deserialize, Serialize};

/// For how many patients the largest possible variance counts: the least with which 95 % intervals held the truth in at
/// least 93 % of simulations with 5 to 150 positive patients, AUCs of 0.6 to 0.95, normal and exponential scores.
const PRIOR: f64 = 3.0;

/// An AUC so near to 0 or 1 is 0 or 1.
const ROUNDING: f64 = 1e-12;

/// Why there is no interval, or no p-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NoInterval {
    /// There is no AUC either.
    #[error("no positive or no negative record")]
    NoAuc,
    /// Every record has the same score, whatever is on it.
    #[error("the same score for every image")]
    SameScore,
    /// Nobody else was seen.
    #[error("all records are of one patient")]
    OnePatient,
    /// Too few to see how they vary: fewer than [`MIN_UNITS`].
    #[error("only {positive} {unit}s with it and {negative} without; an interval needs {MIN_UNITS} of each")]
    FewUnits {
        /// What was counted.
        unit: Unit,
        /// Units with a positive record.
        positive: usize,
        /// Units with a negative record.
        negative: usize,
    },
    /// Of a macro figure: no label has one.
    #[error("no label has one")]
    NoLabel,
    /// Of a difference: it is the same on every record, which says nothing of others.
    #[error("both models rank the records alike")]
    SameRanking,
    /// Of a macro difference: labels of too few units make more than half of its variance, and how much is not known.
    #[error("more than half of its variance comes from labels with too few {unit}s")]
    RareLabels {
        /// What was counted.
        unit: Unit,
    },
}

/// Intervals of level [`crate::units::LEVEL`], as `[low, high]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AucIntervals {
    /// What counts as independent.
    pub unit: Unit,
    /// How many distinct units there are.
    pub units: usize,
    /// Of each label's AUC, or why there is none.
    pub labels: Vec<std::result::Result<[f64; 2], NoInterval>>,
    /// Of the mean AUC of the labels that define one, or why there is none.
    pub macro_auc: std::result::Result<[f64; 2], NoInterval>,
    /// The fewest labels that make more than half of the macro-AUC's variance, where one of them has too few units for
    /// an interval of its own: what the macro-AUC's interval says is then mostly that these are not known.
    pub dominant: Vec<usize>,
}

/// Intervals of the per-label and macro AUCs. `patients` holds one number per record, equal for records of one patient.
///
/// # Errors
/// If there is not one patient per record.
pub fn auc_intervals(scores: Scores<'_>, patients: Option<&[u32]>) -> Result<AucIntervals> {
    let units = Units::new(scores.num_records(), patients)?;
    let mut labels = Vec::with_capacity(scores.num_labels());
    let mut defined = Vec::new();
    for label in 0..scores.num_labels() {
        let Some(placements) = Placements::of(scores, label, &units) else {
            labels.push(Err(NoInterval::NoAuc));
            continue;
        };
        let found = placements.contributions();
        labels.push(interval_of(&placements, &found, &units));
        defined.push(Part { label, constant: placements.one_score, found });
    }
    let (macro_auc, dominant) = if labels.iter().any(std::result::Result::is_ok) {
        let mean = Mean::of(&defined, defined.len(), units.count);
        (Ok(mean.interval()), mean.dominant(&labels))
    } else if defined.is_empty() {
        (Err(NoInterval::NoAuc), Vec::new())
    } else {
        (Err(NoInterval::NoLabel), Vec::new())
    };
    Ok(AucIntervals { unit: units.unit, units: units.count, labels, macro_auc, dominant })
}

/// That of one label's AUC, or why there is none.
pub(crate) fn interval_of(
    placements: &Placements,
    found: &Contributions,
    units: &Units,
) -> std::result::Result<[f64; 2], NoInterval> {
    if placements.one_score {
        return Err(NoInterval::SameScore);
    }
    enough_units(found, units)?;
    let (share, freedom) = (effective_share(found, spread(found.value)), found.freedom() + PRIOR);
    Ok(wilson(found.value, share, freedom))
}

/// Whether both classes have [`MIN_UNITS`].
pub(crate) fn enough_units(found: &Contributions, units: &Units) -> std::result::Result<(), NoInterval> {
    if units.unit == Unit::Patient && units.count == 1 {
        Err(NoInterval::OnePatient)
    } else if found.rarer() < MIN_UNITS {
        let Contributions { positive_units: positive, negative_units: negative, .. } = *found;
        Err(NoInterval::FewUnits { unit: units.unit, positive, negative })
    } else {
        Ok(())
    }
}

/// The variance of one trial whose chance is `auc`: no placement with this mean has a larger one.
fn spread(auc: f64) -> f64 {
    auc * (1.0 - auc)
}

/// One over the effective number of units, where the variance of one is `spread`.
fn effective_share(found: &Contributions, spread: f64) -> f64 {
    let seen = found.variance.filter(|_| spread > ROUNDING).map_or(0.0, |variance| variance / spread);
    let freedom = found.freedom();
    (freedom * seen + PRIOR * found.per_placement) / (freedom + PRIOR)
}

/// Wilson's interval of a share `value` of 1/`share` trials, with Student's quantile.
fn wilson(value: f64, share: f64, freedom: f64) -> [f64; 2] {
    let t = student::quantile(freedom);
    let square = t * t * share;
    let middle = (value + square / 2.0) / (1.0 + square);
    let half = (square * spread(value) + square * square / 4.0).sqrt() / (1.0 + square);
    [(middle - half).max(0.0).min(value), (middle + half).min(1.0).max(value)]
}

/// A label that has an AUC, or its share of one.
pub(crate) struct Part {
    pub(crate) label: usize,
    pub(crate) constant: bool,
    pub(crate) found: Contributions,
}

/// The mean of some AUCs, each of one part or the sum of several.
pub(crate) struct Mean<'a> {
    parts: &'a [Part],
    figures: f64,
    value: f64,
    /// One over the effective number of units of each part, all at the spread of the mean.
    shares: Vec<f64>,
    /// The sum of their covariances at that scale.
    shared: f64,
}

impl<'a> Mean<'a> {
    /// Of `figures` AUCs.
    pub(crate) fn of(parts: &'a [Part], figures: usize, units: usize) -> Self {
        let figures = figures as f64;
        let value = parts.iter().map(|part| part.found.value).sum::<f64>() / figures;
        // Not each at its own: a single positive record that lies high has next to none of its own.
        let spread = spread(value);
        let share = |part: &Part| if part.constant { 0.0 } else { effective_share(&part.found, spread) };
        let shared = covariances(parts.iter().map(|part| &part.found), units);
        Mean {
            parts,
            figures,
            value,
            shares: parts.iter().map(share).collect(),
            shared: if spread > ROUNDING { shared / spread } else { 0.0 },
        }
    }

    pub(crate) fn value(&self) -> f64 {
        self.value
    }

    pub(crate) fn interval(&self) -> [f64; 2] {
        let alone: f64 = self.shares.iter().sum();
        // Labels that vary against each other make the mean surer, but not surer than half as sure as were they alone.
        let sum = alone + self.shared.max(-alone / 2.0);
        let squares = |(share, part): (&f64, &Part)| share * share / (part.found.freedom() + PRIOR);
        let squares: f64 = self.shares.iter().zip(self.parts).map(squares).sum();
        // Of labels that vary together no more is seen than of one.
        let freedom = alone * alone / squares * (alone / sum).min(1.0);
        wilson(self.value, sum / self.figures.powi(2), freedom)
    }

    fn dominant(&self, labels: &[std::result::Result<[f64; 2], NoInterval>]) -> Vec<usize> {
        let mut order: Vec<_> = self.shares.iter().zip(self.parts).collect();
        order.sort_by(|a, b| b.0.total_cmp(a.0));
        let (half, mut sum) = (self.shares.iter().sum::<f64>() / 2.0, 0.0);
        let mut dominant = Vec::new();
        for (share, part) in order {
            if sum > half {
                break;
            }
            sum += share;
            dominant.push(part.label);
        }
        let rare = |&label: &usize| matches!(labels[label], Err(NoInterval::FewUnits { .. }));
        if dominant.iter().any(rare) { dominant } else { Vec::new() }
    }
}

/// Of all pairs of figures, twice: the variance of their sum less the sum of their variances.
pub(crate) fn covariances<'a>(parts: impl Iterator<Item = &'a Contributions>, units: usize) -> f64 {
    let mut sums = vec![0.0; units];
    let mut alone = 0.0;
    for part in parts {
        for (sum, of_unit) in sums.iter_mut().zip(&part.of_unit) {
            *sum += of_unit;
            alone += of_unit * of_unit;
        }
    }
    sums.iter().map(|sum| sum * sum).sum::<f64>() - alone
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_no_interval_says_why() {
        let check = |values: &dyn Fn(u16) -> f64, truth: &dyn Fn(u16) -> f32, patients, expected| {
            let (values, truth): (Vec<_>, Vec<_>) = (0..40).map(|at| (values(at), truth(at))).unzip();
            let scores = Scores::new(&values, &truth, 1).expect("valid");
            let found = auc_intervals(scores, patients).expect("one patient per record");
            assert_eq!(found.labels[0].err(), expected);
            assert_eq!(found.macro_auc.is_ok(), expected.is_none());
            let delong = crate::delong(scores, 0, patients).expect("one patient per record");
            let expected = found.labels[0].ok().filter(|[low, high]| *low > 0.0 && *high < 1.0);
            assert_eq!(delong.and_then(|delong| delong.interval), expected);
        };
        let mixed = |at: u16| f64::from(at * 7 % 13);
        let half = |at: u16| f32::from(at % 2);
        let pairs: Vec<u32> = (0..40).map(|at| at / 2).collect();
        check(&mixed, &half, Some(&pairs[..]), None);
        check(&mixed, &half, None, None);
        check(&mixed, &|_| 0.0, None, Some(NoInterval::NoAuc));
        check(&mixed, &|_| f32::NAN, None, Some(NoInterval::NoAuc));
        check(&|_| -2.0, &half, Some(&pairs[..]), Some(NoInterval::SameScore));
        check(&|at| f64::from(half(at)), &half, Some(&pairs[..]), None);
        check(&mixed, &half, Some(&[7; 40][..]), Some(NoInterval::OnePatient));
        let few = |unit, positive, negative| Some(NoInterval::FewUnits { unit, positive, negative });
        let rare = |at: u16| f32::from(u8::from(at < 8));
        check(&mixed, &rare, Some(&pairs[..]), few(Unit::Patient, 4, 16));
        check(&mixed, &|at| 1.0 - rare(at), Some(&pairs[..]), few(Unit::Patient, 16, 4));
        check(&mixed, &|at| f32::from(u8::from(at < 4)), None, few(Unit::Record, 4, 36));
        let said = few(Unit::Patient, 4, 16).expect("just made").to_string();
        assert_eq!(said, "only 4 patients with it and 16 without; an interval needs 5 of each");
    }

    /// Five positives above 195 negatives: by the formula with t of 4 + 3 degrees of freedom and 3 of 7 parts of
    /// 1/5 + 1/195, 1 / (1 + t² · 3/7 · (1/5 + 1/195)).
    #[test]
    fn an_auc_of_one_is_bounded_below() {
        let truth: Vec<_> = (0..200).map(|at| f32::from(u8::from(at >= 195))).collect();
        let interval = |sign: f64| {
            let values: Vec<_> = (0..200_u16).map(|at| sign * f64::from(at)).collect();
            let scores = Scores::new(&values, &truth, 1).expect("valid");
            auc_intervals(scores, None).expect("no patients").labels[0].expect("five positives")
        };
        let t: f64 = 2.364_624_251_592_784_4; // scipy.stats.t.ppf(0.975, 7)
        let expected = 1.0 / (1.0 + t * t * 3.0 / 7.0 * (1.0 / 5.0 + 1.0 / 195.0));
        let ([low, high], [other_low, other_high]) = (interval(1.0), interval(-1.0));
        assert!((low - expected).abs() < 1e-12 && high == 1.0, "{low} {high} {expected}");
        assert!((low + other_high - 1.0).abs() < 1e-12 && other_low == 0.0, "{other_low} {other_high}");
    }

    /// With many patients what counts for three counts for nothing: DeLong's ends, which pROC gives.
    #[test]
    fn many_patients_get_delongs_interval() {
        let mut random = xray_random::Random::keyed(&[1]);
        let truth: Vec<_> = (0..40_000).map(|at| f32::from(u8::from(at % 4 == 0))).collect();
        let values: Vec<_> = truth.iter().map(|&truth| f64::from(truth) + random.normal()).collect();
        let scores = Scores::new(&values, &truth, 1).expect("valid");
        let delong = crate::delong(scores, 0, None).expect("no patients").expect("both classes");
        let [low, high] = delong.interval.expect("enough");
        let half = 1.959_964 * delong.standard_error;
        assert!((low - (delong.auc - half)).abs() < 0.01 * half, "{low}");
        assert!((high - (delong.auc + half)).abs() < 0.01 * half, "{high}");
    }

    #[test]
    fn the_labels_that_dominate_are_named_where_one_is_rare() {
        let check = |positive: &[usize], expected: &[usize]| {
            let labels = positive.len();
            let truth: Vec<_> = (0..200 * labels)
                .map(|at| f32::from(u8::from(at / labels < positive[at % labels])))
                .collect();
            let mut random = xray_random::Random::keyed(&[3]);
            let values: Vec<_> = truth.iter().map(|&truth| f64::from(truth) + random.normal()).collect();
            let scores = Scores::new(&values, &truth, labels).expect("valid");
            let found = auc_intervals(scores, None).expect("no patients");
            assert_eq!(found.dominant, expected, "{positive:?}");
            assert_eq!(found.macro_auc.is_ok(), positive.iter().any(|&positive| positive >= MIN_UNITS));
        };
        check(&[100, 1, 60], &[1]);
        check(&[100, 2, 60, 2, 50, 2, 90], &[1, 5]);
        check(&[100, 5, 60], &[]);
        check(&[100, 0, 60], &[]);
        check(&[1, 2], &[]);
    }

    proptest! {
        /// An interval lies on the scale, holds its figure, turns with the scores, and one label is its own mean.
        #[test]
        fn intervals_hold_their_figure_and_mirror(
            rows in prop::collection::vec((-4_i8..4, any::<bool>(), 0_u32..15), 12..60)
        ) {
            let truth: Vec<_> = rows.iter().map(|row| f32::from(u8::from(row.1))).collect();
            let patients: Vec<_> = rows.iter().map(|row| row.2).collect();
            let of = |sign: f64| {
                let values: Vec<_> = rows.iter().map(|row| sign * f64::from(row.0)).collect();
                let scores = Scores::new(&values, &truth, 1).expect("valid");
                let found = auc_intervals(scores, Some(&patients)).expect("one patient per record");
                (crate::auc(&scores.column(0)), found)
            };
            let ((auc, found), (_, turned)) = (of(1.0), of(-1.0));
            prop_assert_eq!(found.labels[0].is_ok(), found.macro_auc.is_ok());
            if let (Ok(label), Ok(mean)) = (found.labels[0], found.macro_auc) {
                prop_assert!((0..2).all(|end| (label[end] - mean[end]).abs() < 1e-12), "{:?}", found);
            }
            if let (Some(auc), Ok([low, high]), Ok(turned)) = (auc, found.labels[0], turned.labels[0]) {
                prop_assert!(0.0 <= low && low <= auc + 1e-12 && auc - 1e-12 <= high && high <= 1.0);
                prop_assert!(low < high);
                prop_assert!((low + turned[1] - 1.0).abs() < 1e-9 && (high + turned[0] - 1.0).abs() < 1e-9);
            }
        }
    }
}
