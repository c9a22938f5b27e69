//! How far AUCs could differ on other patients: percentile intervals from a bootstrap that draws patients
//! with replacement, each with all of their records (Davison and Hinkley, Bootstrap Methods, 1997, 3.8).
//!
//! Records of one patient resemble each other. Drawing records as if they were independent makes intervals
//! too narrow, so that is done only where nobody says whose record it is, and [`Unit`] says so.
//!
//! An interval stands only where the draws can tell one: see [`NoInterval`]. A label with the same score for every
//! record has an AUC of 0.5 by the definition of ties, in every draw, and [0.5, 0.5] would be no finding.
//!
//! Each label is sorted once; a resample is then a weight per patient and one walk over the sorted records.
//! A resample depends on the seed and its number only, so the intervals do not depend on the threads.

use crate::auc::Pairs;
use crate::mean::mean_of_defined;
use crate::{Error, Result, Scores};
use serde::{Deserialize, Serialize};
use std::num::NonZero;
use std::thread;
use xray_random::Random;

/// The share of resamples that an interval holds, the rest being halved between its two sides.
pub const LEVEL: f64 = 0.95;

/// A label gets an interval only if this many units have a positive record and this many a negative one.
/// With fewer the bootstrap sees next to none of the variation and its interval would look far too sure.
pub const MIN_UNITS: usize = 5;

/// Of fewer draws the ends of an interval are those of the outermost two or three.
pub const MIN_DRAWS: usize = 100;

/// What a resample draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Patients with all their records.
    Patient,
    /// Single records, because nobody says whose they are: intervals are too narrow if patients recur.
    Record,
}

/// Why an AUC has no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NoInterval {
    /// There is no AUC either.
    #[error("no positive or no negative record")]
    NoAuc,
    /// Every record has the same score, whatever is on it.
    #[error("the same score whatever the image")]
    SameScore,
    /// Nobody else was seen.
    #[error("all records are of one patient")]
    OnePatient,
    /// Too few to see how they vary: fewer than [`MIN_UNITS`].
    #[error("only {positive} {unit}s with it and {negative} without, of {MIN_UNITS} that an interval takes")]
    FewUnits {
        /// What was counted.
        unit: Unit,
        /// Units with a positive record.
        positive: usize,
        /// Units with a negative record.
        negative: usize,
    },
    /// Fewer draws than [`MIN_DRAWS`].
    #[error("{resamples} resamples, of {MIN_DRAWS} that an interval takes")]
    FewDraws {
        /// How many were asked for.
        resamples: u32,
    },
    /// Every draw gives 0 or every draw gives 1, which says little of other patients.
    #[error("the scores separate the classes, so every resample gives the same AUC")]
    Separated,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unit::Patient => "patient",
            Unit::Record => "record",
        })
    }
}

/// Intervals as `[low, high]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AucIntervals {
    /// What was drawn.
    pub unit: Unit,
    /// How many distinct units there are.
    pub units: usize,
    /// Of each label's AUC, over the resamples that define it; none where [`no_interval`] says why.
    pub labels: Vec<Option<[f64; 2]>>,
    /// Of the macro-AUC, which in a resample is the mean over the labels that the resample defines; none
    /// if no label has an interval.
    pub macro_auc: Option<[f64; 2]>,
}

/// Intervals of level [`LEVEL`] of the per-label and macro AUCs from `resamples` draws (0: no intervals).
/// `patients` holds one number per record, equal for records of one patient. All processors share the work:
/// 1,000 resamples of 25,596 records and 14 labels took 0.5 s on two.
///
/// # Errors
/// If there is not one patient per record.
pub fn auc_intervals(
    scores: Scores<'_>,
    patients: Option<&[u32]>,
    resamples: u32,
    seed: u64,
) -> Result<AucIntervals> {
    let units = Units::new(scores.num_records(), patients)?;
    let labels: Vec<_> =
        (0..scores.num_labels()).map(|label| SortedLabel::new(scores, label, &units)).collect();
    let drawn = draw_all(&labels, units.count, resamples, seed, available_threads());

    let of_label = |(at, label): (usize, &SortedLabel)| match label.no_interval(&units, resamples) {
        Some(_) => None,
        None => interval(drawn.iter().filter_map(|aucs| aucs[at])),
    };
    let of_labels: Vec<_> = labels.iter().enumerate().map(of_label).collect();
    let any = of_labels.iter().any(Option::is_some);
    let macro_auc = interval(drawn.iter().filter_map(|aucs| mean_of_defined(aucs))).filter(|_| any);
    Ok(AucIntervals { unit: units.unit, units: units.count, labels: of_labels, macro_auc })
}

/// Why [`auc_intervals`] with the same arguments gives a label no interval; none if it gives one.
///
/// # Errors
/// If there is not one patient per record.
pub fn no_interval(
    scores: Scores<'_>,
    label: usize,
    patients: Option<&[u32]>,
    resamples: u32,
) -> Result<Option<NoInterval>> {
    let units = Units::new(scores.num_records(), patients)?;
    Ok(SortedLabel::new(scores, label, &units).no_interval(&units, resamples))
}

pub(crate) fn available_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Who the records belong to, numbered from 0 without gaps.
pub(crate) struct Units {
    pub(crate) unit: Unit,
    pub(crate) of_record: Vec<usize>,
    pub(crate) count: usize,
}

impl Units {
    pub(crate) fn new(records: usize, patients: Option<&[u32]>) -> Result<Self> {
        let Some(patients) = patients else {
            return Ok(Units { unit: Unit::Record, of_record: (0..records).collect(), count: records });
        };
        if patients.len() != records {
            return Err(Error::PerRecord { found: patients.len(), expected: records });
        }
        let mut distinct = patients.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        // Each patient's place among those below it.
        let place = |patient: &u32| distinct.partition_point(|other| other < patient);
        Ok(Units {
            unit: Unit::Patient,
            of_record: patients.iter().map(place).collect(),
            count: distinct.len(),
        })
    }
}

/// The known records of one label in ascending order of score.
pub(crate) struct SortedLabel(Vec<SortedRecord>);

struct SortedRecord {
    unit: usize,
    positive: bool,
    /// The next record's score is higher.
    ends_tie: bool,
}

impl SortedLabel {
    pub(crate) fn new(scores: Scores<'_>, label: usize, units: &Units) -> Self {
        let known = |((score, truth), &unit): ((f64, Option<bool>), &usize)| Some((score, truth?, unit));
        let mut rows: Vec<_> = scores.rows_of(label).zip(&units.of_record).filter_map(known).collect();
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let ends = |at: usize| rows.get(at + 1).is_none_or(|next| next.0 != rows[at].0);
        let sorted = |(at, &(_, positive, unit))| SortedRecord { unit, positive, ends_tie: ends(at) };
        SortedLabel(rows.iter().enumerate().map(sorted).collect())
    }

    /// Whether both classes have [`MIN_UNITS`].
    pub(crate) fn enough_units(&self, units: usize) -> bool {
        [true, false].iter().all(|&class| self.units_of(class, units) >= MIN_UNITS)
    }

    fn units_of(&self, class: bool, units: usize) -> usize {
        let mut seen = vec![false; units];
        self.0.iter().filter(|record| record.positive == class).for_each(|record| seen[record.unit] = true);
        seen.iter().filter(|&&seen| seen).count()
    }

    fn has_one_score(&self) -> bool {
        self.0.iter().filter(|record| record.ends_tie).count() == 1
    }

    fn no_interval(&self, units: &Units, resamples: u32) -> Option<NoInterval> {
        let [positive, negative] = [true, false].map(|class| self.units_of(class, units.count));
        if positive == 0 || negative == 0 {
            Some(NoInterval::NoAuc)
        } else if self.has_one_score() {
            Some(NoInterval::SameScore)
        } else if units.unit == Unit::Patient && units.count == 1 {
            Some(NoInterval::OnePatient)
        } else if positive < MIN_UNITS || negative < MIN_UNITS {
            Some(NoInterval::FewUnits { unit: units.unit, positive, negative })
        } else if (resamples as usize) < MIN_DRAWS {
            Some(NoInterval::FewDraws { resamples })
        } else {
            let separated =
                self.weighted_auc(&vec![1; units.count]).is_some_and(|auc| auc == 0.0 || auc == 1.0);
            separated.then_some(NoInterval::Separated)
        }
    }

    /// The AUC if each unit's records were there as often as its weight says.
    fn weighted_auc(&self, weights: &[u32]) -> Option<f64> {
        let mut pairs = Pairs::default();
        let mut tied = [0_u64; 2];
        for record in &self.0 {
            tied[usize::from(record.positive)] += u64::from(weights[record.unit]);
            if record.ends_tie {
                pairs.add(tied[1], tied[0]);
                tied = [0; 2];
            }
        }
        pairs.auc()
    }
}

/// The AUCs of all labels, by resample.
pub(crate) fn draw_all(
    labels: &[SortedLabel],
    units: usize,
    resamples: u32,
    seed: u64,
    threads: usize,
) -> Vec<Vec<Option<f64>>> {
    let mut drawn = vec![Vec::new(); resamples as usize];
    let share = drawn.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        for (part, aucs) in drawn.chunks_mut(share).enumerate() {
            scope.spawn(move || {
                let mut weights = vec![0; units];
                for (at, aucs) in aucs.iter_mut().enumerate() {
                    draw_weights(&mut weights, &mut Random::of_task(seed, (part * share + at) as u64));
                    *aucs = labels.iter().map(|label| label.weighted_auc(&weights)).collect();
                }
            });
        }
    });
    drawn
}

/// Draws as many units as there are, with replacement, and counts how often each came.
fn draw_weights(weights: &mut [u32], random: &mut Random) {
    weights.fill(0);
    (0..weights.len()).for_each(|_| weights[random.below(weights.len())] += 1);
}

/// The middle share of [`LEVEL`]; none of fewer than [`MIN_DRAWS`].
pub(crate) fn interval(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let values: Vec<_> = values.collect();
    if values.len() < MIN_DRAWS { None } else { percentiles(values.into_iter()) }
}

/// The middle share of [`LEVEL`]; none of nothing.
pub(crate) fn percentiles(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    Some([quantile(&values, tail)?, quantile(&values, 1.0 - tail)?])
}

/// Linear between the two nearest of the sorted values, as numpy's `percentile` does; none of nothing.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auc;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_linear_between_values() {
        let check = |sorted: &[f64], share, expected| assert_eq!(quantile(sorted, share), expected);
        check(&[], 0.5, None);
        check(&[3.0], 0.975, Some(3.0));
        check(&[1.0, 2.0, 4.0], 0.0, Some(1.0));
        check(&[1.0, 2.0, 4.0], 0.75, Some(3.0));
        check(&[1.0, 2.0, 4.0], 1.0, Some(4.0));
    }

    #[test]
    fn what_has_no_interval_says_why() {
        let check =
            |values: &dyn Fn(u16) -> f64, truth: &dyn Fn(u16) -> f32, patients, resamples, expected| {
                let (values, truth): (Vec<_>, Vec<_>) = (0..40).map(|at| (values(at), truth(at))).unzip();
                let scores = Scores::new(&values, &truth, 1).expect("valid");
                let why = no_interval(scores, 0, patients, resamples).expect("one patient per record");
                assert_eq!(why, expected);
                let found = auc_intervals(scores, patients, resamples, 0).expect("one patient per record");
                assert_eq!(
                    (found.labels[0].is_none(), found.macro_auc.is_none()),
                    (why.is_some(), why.is_some())
                );
            };
        let mixed = |at: u16| f64::from(at * 7 % 13);
        let half = |at: u16| f32::from(at % 2);
        let pairs: Vec<u32> = (0..40).map(|at| at / 2).collect();
        check(&mixed, &half, Some(&pairs[..]), 100, None);
        check(&mixed, &half, None, 100, None);
        check(&mixed, &|_| 0.0, None, 100, Some(NoInterval::NoAuc));
        check(&mixed, &|_| f32::NAN, None, 100, Some(NoInterval::NoAuc));
        check(&|_| -2.0, &half, Some(&pairs[..]), 1000, Some(NoInterval::SameScore));
        check(&|at| f64::from(half(at)), &half, Some(&pairs[..]), 1000, Some(NoInterval::Separated));
        check(&|at| f64::from(-half(at)), &half, Some(&pairs[..]), 1000, Some(NoInterval::Separated));
        check(&mixed, &half, Some(&[7; 40][..]), 1000, Some(NoInterval::OnePatient));
        check(&mixed, &half, Some(&pairs[..]), 99, Some(NoInterval::FewDraws { resamples: 99 }));
        check(&mixed, &half, None, 0, Some(NoInterval::FewDraws { resamples: 0 }));
        let few = |unit, positive, negative| Some(NoInterval::FewUnits { unit, positive, negative });
        let rare = |at: u16| f32::from(u8::from(at < 8));
        check(&mixed, &rare, Some(&pairs[..]), 1000, few(Unit::Patient, 4, 16));
        check(&mixed, &|at| 1.0 - rare(at), Some(&pairs[..]), 1000, few(Unit::Patient, 16, 4));
        check(&mixed, &|at| f32::from(u8::from(at < 4)), None, 1000, few(Unit::Record, 4, 36));
        let said = few(Unit::Patient, 4, 16).expect("just made").to_string();
        assert_eq!(said, "only 4 patients with it and 16 without, of 5 that an interval takes");
    }

    #[test]
    fn patients_get_numbers_without_gaps() {
        let units = Units::new(4, Some(&[900, 3, 900, 50])).expect("one per record");
        assert_eq!((units.of_record, units.count), (vec![2, 0, 2, 1], 3));
        let error = Units::new(4, Some(&[1, 2])).err();
        assert_eq!(error, Some(Error::PerRecord { found: 2, expected: 4 }));
    }

    proptest! {
        /// A weight is the same as that many copies of the record.
        #[test]
        fn weights_stand_for_copies(
            rows in prop::collection::vec(((-3_i8..3).prop_map(f64::from), 0_u8..3, 0_u32..5), 1..40),
            weights in prop::collection::vec(0_u32..4, 5),
        ) {
            let scores: Vec<_> = rows.iter().map(|row| row.0).collect();
            let labels: Vec<_> = rows.iter().map(|row| [0.0, 1.0, f32::NAN][row.1 as usize]).collect();
            let scores = Scores::new(&scores, &labels, 1).expect("valid");
            let of_record = rows.iter().map(|row| row.2 as usize).collect();
            let units = Units { unit: Unit::Patient, of_record, count: 5 };

            let copies: Vec<_> =
                rows.iter().flat_map(|row| vec![row; weights[row.2 as usize] as usize]).collect();
            let copied_scores: Vec<_> = copies.iter().map(|row| row.0).collect();
            let copied_labels: Vec<_> = copies.iter().map(|row| [0.0, 1.0, f32::NAN][row.1 as usize]).collect();
            let copied = Scores::new(&copied_scores, &copied_labels, 1).expect("valid");
            prop_assert_eq!(SortedLabel::new(scores, 0, &units).weighted_auc(&weights), auc(&copied.column(0)));
        }
    }

    #[test]
    fn threads_do_not_change_what_is_drawn() {
        let values: Vec<_> = (0..300_u16).map(|i| f64::from(i * 37 % 101)).collect();
        let truth: Vec<_> = (0..300_u16).map(|i| f32::from(i % 3 == 0)).collect();
        let scores = Scores::new(&values, &truth, 1).expect("valid");
        let units = Units::new(300, None).expect("valid");
        let labels = [SortedLabel::new(scores, 0, &units)];
        let drawn = |threads| draw_all(&labels, 300, 10, 42, threads);
        let alone = drawn(1);
        assert!([2, 3, 4, 64].iter().all(|&threads| drawn(threads) == alone));
        assert_ne!(alone[0], alone[1], "resamples differ");
    }
}
