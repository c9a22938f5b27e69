//! Two models on the same records: differences of AUC with intervals and p-values, both by one method.
//!
//! It is DeLong's paired test by patient ([`mod@crate::delong`]) with Student's distribution: few positive patients show
//! little of how a difference varies, so a t of as many degrees of freedom as there are patients of the rarer class, less
//! one, stands for the normal number; they count by their effective number where some have more records than others. An interval excludes 0 just where its p-value is below 0.05. Where two models rank
//! the records alike there is neither: that they do so on these records is not certainty about others. Fourteen p-values
//! are fourteen chances of a false alarm, so Holm's (Scandinavian Journal of Statistics 6, 1979) stand beside them.
//!
//! The macro difference's variance is the sum of the labels' and of all covariances between labels, by patient. A label
//! of fewer than [`MIN_UNITS`](crate::units::MIN_UNITS) patients tells no variance of its own and gets the mean of the
//! others', as long as such labels make at most half of the sum; the degrees of freedom are Satterthwaite's (Biometrics
//! Bulletin 2, 1946).

use crate::auc_interval::{NoInterval, covariances, enough_units};
use crate::mean::mean_of_defined;
use crate::placements::{Contributions, Placements};
use crate::student;
use crate::units::{Unit, Units};
use crate::{Error, Result, Scores, auc};
use serde::{Deserialize, Serialize};

/// How two models differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// How intervals and p-values were made.
    pub method: ComparisonMethod,
    /// What counts as independent.
    pub unit: Unit,
    /// How many distinct units there are.
    pub units: usize,
    /// Of the macro-AUCs, over the labels that both define.
    pub macro_auc: Difference,
    /// Of each label's AUCs.
    pub labels: Vec<Difference>,
}

/// How intervals and p-values were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonMethod {
    /// DeLong's paired test by unit, with Student's t.
    PairedDelong,
}

impl std::fmt::Display for ComparisonMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeLong's paired test with Student's t")
    }
}

/// One figure of two models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The first model's.
    pub a: Option<f64>,
    /// The second model's.
    pub b: Option<f64>,
    /// The first less the second.
    pub difference: Option<f64>,
    /// Of the difference; none where there is no interval.
    pub standard_error: Option<f64>,
    /// Of Student's t; none where there is no interval.
    pub degrees_of_freedom: Option<f64>,
    /// Low and high end of what the difference could be on other patients.
    pub interval: Option<[f64; 2]>,
    /// Chance of a difference at least this large between equally good models; none where there is no interval.
    pub p_value: Option<f64>,
    /// The same for all labels together, by Holm's rule; none for the macro-AUC, which is one test.
    pub p_value_holm: Option<f64>,
    /// Why there is no interval and no p-value.
    pub missing: Option<NoInterval>,
}

/// A standard error below this is rounding: placements are multiples of one over twice a class's records.
const ROUNDING: f64 = 1e-12;

/// Compares models `a` and `b`; `patients` as in [`crate::auc_intervals`].
///
/// # Errors
/// If the two are not of the same records, or there is not one patient per record.
pub fn compare(a: Scores<'_>, b: Scores<'_>, patients: Option<&[u32]>) -> Result<Comparison> {
    compare_with_mean(a, &[b], patients)
}

/// Compares a model with others taken together: `b` is the mean of their AUCs, and the test is the same, because a mean of
/// AUCs is a sum over the same placements.
///
/// # Errors
/// As [`compare`] for each of them.
///
/// # Panics
/// If there are no others.
pub fn compare_with_mean(
    a: Scores<'_>,
    others: &[Scores<'_>],
    patients: Option<&[u32]>,
) -> Result<Comparison> {
    assert!(!others.is_empty(), "a mean is of one or more");
    others.iter().try_for_each(|&b| check_same_truth(a, b))?;
    let units = Units::new(a.num_records(), patients)?;
    let mut labels = Vec::with_capacity(a.num_labels());
    let mut defined = Vec::new();
    for label in 0..a.num_labels() {
        let of_others: Option<Vec<f64>> = others.iter().map(|b| auc(&b.column(label))).collect();
        let b_auc = of_others.map(|aucs| aucs.iter().sum::<f64>() / aucs.len() as f64);
        let a_auc = auc(&a.column(label));
        let figures = Difference {
            a: a_auc,
            b: b_auc,
            difference: a_auc.zip(b_auc).map(|(a, b)| a - b),
            ..Difference::default()
        };
        let of = |scores| Placements::of(scores, label, &units);
        let of_others: Option<Vec<Placements>> = others.iter().map(|&b| of(b)).collect();
        let of_others = of_others.and_then(|of_others| Placements::mean(&of_others));
        let Some((of_a, of_b)) = of(a).zip(of_others) else {
            labels.push(Difference { missing: Some(NoInterval::NoAuc), ..figures });
            continue;
        };
        let found = of_a.minus(&of_b).contributions();
        labels.push(figures.tested(enough_units(&found, &units).and_then(|()| spread_of(&found))));
        defined.push(found);
    }
    holm(&mut labels);
    let macro_auc = mean(&labels).tested(spread_of_mean(&defined, &units));
    Ok(Comparison {
        method: ComparisonMethod::PairedDelong,
        unit: units.unit,
        units: units.count,
        macro_auc,
        labels,
    })
}

/// Two models are compared on the same records only.
fn check_same_truth(a: Scores<'_>, b: Scores<'_>) -> Result<()> {
    let shape = |scores: Scores<'_>| (scores.num_records(), scores.num_labels());
    if shape(a) != shape(b) {
        return Err(Error::OtherRecords { record: a.num_records().min(b.num_records()), label: 0 });
    }
    for label in 0..a.num_labels() {
        if let Some(record) = a.truth_of(label).zip(b.truth_of(label)).position(|(a, b)| a != b) {
            return Err(Error::OtherRecords { record, label });
        }
    }
    Ok(())
}

/// How far a difference varies.
struct Spread {
    standard_error: f64,
    freedom: f64,
}

impl Difference {
    fn tested(self, spread: std::result::Result<Spread, NoInterval>) -> Self {
        let (difference, Spread { standard_error, freedom }) = match (self.difference, spread) {
            (Some(difference), Ok(spread)) => (difference, spread),
            (None, Ok(_)) => return Difference { missing: Some(NoInterval::NoAuc), ..self },
            (_, Err(why)) => return Difference { missing: Some(why), ..self },
        };
        let half = student::quantile(freedom) * standard_error;
        Difference {
            standard_error: Some(standard_error),
            degrees_of_freedom: Some(freedom),
            interval: Some([(difference - half).max(-1.0), (difference + half).min(1.0)]),
            p_value: Some(student::two_sided_p(difference / standard_error, freedom)),
            ..self
        }
    }
}

fn mean(labels: &[Difference]) -> Difference {
    let mean = |figure: fn(&Difference) -> Option<f64>| {
        mean_of_defined(&labels.iter().map(figure).collect::<Vec<_>>())
    };
    Difference {
        a: mean(|label| label.a),
        b: mean(|label| label.b),
        difference: mean(|label| label.difference),
        ..Difference::default()
    }
}

fn spread_of(found: &Contributions) -> std::result::Result<Spread, NoInterval> {
    let standard_error = found.variance.map(f64::sqrt).filter(|&error| error > ROUNDING);
    let standard_error = standard_error.ok_or(NoInterval::SameRanking)?;
    Ok(Spread { standard_error, freedom: freedom_of(found) })
}

/// At least 1, which [`enough_units`] all but says: one patient may have nearly all records.
fn freedom_of(found: &Contributions) -> f64 {
    (found.effective - 1.0).max(1.0)
}

/// Of the mean of some labels' differences.
fn spread_of_mean(parts: &[Contributions], units: &Units) -> std::result::Result<Spread, NoInterval> {
    let tested = |found: &Contributions| enough_units(found, units);
    match parts {
        [] => return Err(NoInterval::NoAuc),
        // One label is its own mean.
        [only] => return tested(only).and_then(|()| spread_of(only)),
        _ if parts.iter().all(|found| tested(found).is_err()) => return Err(NoInterval::NoLabel),
        _ => {}
    }
    let (known, rare): (Vec<_>, Vec<_>) = parts.iter().partition(|found| tested(found).is_ok());
    let variance = |found: &Contributions| found.jackknife.unwrap_or(0.0);
    // The mean variance of a placement, by what the labels with enough patients tell.
    let freedom: f64 = known.iter().map(|found| freedom_of(found)).sum();
    let of_placement = |found: &Contributions| freedom_of(found) * variance(found) / found.per_placement;
    let pooled = known.iter().map(|found| of_placement(found)).sum::<f64>() / freedom;
    let of_rare: f64 = rare.iter().map(|found| variance(found).max(found.per_placement * pooled)).sum();
    let of_known: f64 = known.iter().map(|found| variance(found)).sum();
    if of_rare > of_known {
        return Err(NoInterval::RareLabels { unit: units.unit });
    }
    let alone = of_known + of_rare;
    // Labels that vary against each other make the mean surer: believed down to half the variance.
    let sum = alone + covariances(parts.iter(), units.count).max(-alone / 2.0);
    let standard_error = sum.sqrt() / parts.len() as f64;
    if standard_error <= ROUNDING {
        return Err(NoInterval::SameRanking);
    }
    // Each known label's variance counts once for itself and for its part of the pooled one.
    let per_placement: f64 = rare.iter().map(|found| found.per_placement).sum();
    let weighted = |found: &&Contributions| {
        variance(found) * (1.0 + per_placement * freedom_of(found) / found.per_placement / freedom)
    };
    let squares: f64 = known.iter().map(|found| weighted(found).powi(2) / freedom_of(found)).sum();
    let total: f64 = known.iter().map(weighted).sum();
    // Of labels that vary together no more is seen than of one.
    Ok(Spread { standard_error, freedom: total * total / squares * (alone / sum).min(1.0) })
}

/// The smallest p-value times the number of tests, the next times one less, and never falling.
fn holm(labels: &mut [Difference]) {
    let mut order: Vec<(usize, f64)> =
        labels.iter().enumerate().filter_map(|(at, label)| Some((at, label.p_value?))).collect();
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let tests = order.len();
    let mut least = 0.0_f64;
    for (rank, (at, p)) in order.into_iter().enumerate() {
        least = least.max((p * (tests - rank) as f64).min(1.0));
        labels[at].p_value_holm = Some(least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use proptest::prelude::*;

    /// Forty records of twenty patients; the scores of `sharp` follow the truth, those of `blunt` hardly.
    fn example() -> (Vec<f64>, Vec<f64>, Vec<f32>, Vec<u32>) {
        let truth: Vec<f32> = (0..40_u8).map(|at| f32::from(at % 4 >= 2)).collect();
        let noise = |at: u8, step: u8| f64::from(at.wrapping_mul(step) % 17) / 17.0;
        let sick = |at: u8| f64::from(truth[usize::from(at)]);
        let sharp = (0..40_u8).map(|at| sick(at) * 0.8 + noise(at, 7)).collect();
        let blunt = (0..40_u8).map(|at| sick(at) * 0.1 + noise(at, 5)).collect();
        (sharp, blunt, truth, (0..40).map(|at| at / 2).collect())
    }

    #[test]
    fn a_model_equals_itself_and_beats_a_blunt_one() {
        let (sharp, blunt, truth, patients) = example();
        let scores = |values| Scores::new(values, &truth, 1).expect("valid");
        let of = |a, b| compare(scores(a), scores(b), Some(&patients)).expect("same records");
        let same = of(&sharp, &sharp);
        assert_eq!((same.macro_auc.difference, same.macro_auc.p_value), (Some(0.0), None));
        assert_eq!((same.labels[0].interval, same.macro_auc.interval), (None, None));
        assert_eq!([same.labels[0].missing, same.macro_auc.missing], [Some(NoInterval::SameRanking); 2]);
        let doubled: Vec<_> = sharp.iter().map(|score| 2.0 * score).collect();
        assert_eq!(of(&sharp, &doubled).labels[0].missing, Some(NoInterval::SameRanking));
        let found = of(&sharp, &blunt);
        assert!(found.labels[0].interval.is_some_and(|[low, _]| low > 0.0), "{found:?}");
        assert!(found.labels[0].p_value.is_some_and(|p| p < 0.05), "{found:?}");
        assert_eq!(found.labels[0].p_value, found.labels[0].p_value_holm);
        // One label is its own mean.
        assert_eq!(Difference { p_value_holm: None, ..found.labels[0] }, found.macro_auc);
        let [low, high] = found.macro_auc.interval.expect("seen above");
        let [other_low, other_high] = of(&blunt, &sharp).macro_auc.interval.expect("as many records");
        assert!((low + other_high).abs() < 1e-12 && (high + other_low).abs() < 1e-12);
    }

    /// What a model is better by than the mean of itself and another is half of what it is better by than the other.
    #[test]
    fn the_mean_of_models_is_between_them() {
        let (sharp, blunt, truth, patients) = example();
        let scores = |values| Scores::new(values, &truth, 1).expect("valid");
        let (a, b) = (scores(&sharp), scores(&blunt));
        let of = |others: &[Scores<'_>]| {
            compare_with_mean(a, others, Some(&patients)).expect("same records").labels[0]
        };
        let (whole, half) = (of(&[b]), of(&[b, a]));
        assert_eq!(whole, compare(a, b, Some(&patients)).expect("same records").labels[0]);
        let halves = |whole: Option<f64>, half: Option<f64>| {
            let (whole, half) = (whole.expect("defined"), half.expect("defined"));
            assert!((whole / 2.0 - half).abs() < 1e-12, "{half} is not half of {whole}");
        };
        halves(whole.difference, half.difference);
        halves(whole.standard_error, half.standard_error);
        assert_eq!(of(&[b, b]).interval.map(|_| ()), whole.interval.map(|_| ()));
        halves(Some(2.0 * whole.standard_error.expect("defined")), of(&[b, b]).standard_error);
        let other_truth = vec![1.0; truth.len()];
        let other = Scores::new(&blunt, &other_truth, 1).expect("valid");
        assert!(compare_with_mean(a, &[b, other], None).is_err(), "other records");
    }

    /// Every record twice, by the same patient, is not new evidence; as records it would look like some.
    #[test]
    fn copies_of_every_record_change_nothing_when_the_patient_is_known() {
        let (sharp, blunt, truth, patients) = example();
        let (sharp2, blunt2, truth2) = (sharp.repeat(2), blunt.repeat(2), truth.repeat(2));
        let once = |values| Scores::new(values, &truth, 1).expect("valid");
        let copied = |values| Scores::new(values, &truth2, 1).expect("valid");
        let patients2 = patients.repeat(2);
        let expected = compare(once(&sharp), once(&blunt), Some(&patients)).expect("same").labels[0];
        let compared = |patients| compare(copied(&sharp2), copied(&blunt2), patients).expect("same records");
        let found = compared(Some(&patients2[..]));
        assert_eq!((found.unit, found.units), (Unit::Patient, 20));
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        let ends = |found: Difference| found.interval.expect("ten patients of each class");
        close(ends(found.labels[0])[0], ends(expected)[0]);
        close(ends(found.labels[0])[1], ends(expected)[1]);
        close(found.labels[0].p_value.expect("they differ"), expected.p_value.expect("they differ"));
        let by_record = compared(None);
        let width = |found: Difference| ends(found)[1] - ends(found)[0];
        assert!(width(by_record.labels[0]) < 0.9 * width(expected), "{by_record:?}");
        assert!(by_record.labels[0].p_value < expected.p_value, "{by_record:?}");
        assert_eq!(by_record.unit, Unit::Record);
    }

    proptest! {
        /// One method: an interval excludes 0 just where p is below 0.05.
        #[test]
        fn intervals_and_p_values_never_contradict(
            rows in prop::collection::vec((-9_i8..9, -9_i8..9, prop::bool::weighted(0.3), 0_u32..30), 20..80)
        ) {
            let of = |value: fn(&(i8, i8, bool, u32)) -> f64| rows.iter().map(value).collect::<Vec<_>>();
            let (a, b) = (of(|row| f64::from(row.0)), of(|row| f64::from(row.1)));
            let truth: Vec<_> = rows.iter().map(|row| f32::from(u8::from(row.2))).collect();
            let patients: Vec<_> = rows.iter().map(|row| row.3).collect();
            let scores = |values| Scores::new(values, &truth, 1).expect("valid");
            let found = compare(scores(&a), scores(&b), Some(&patients)).expect("same records").labels[0];
            prop_assert_eq!(found.interval.is_some(), found.missing.is_none());
            prop_assert_eq!(found.interval.is_some(), found.p_value.is_some());
            if let Some(([low, high], p)) = found.interval.zip(found.p_value) {
                prop_assert_eq!(low > 0.0 || high < 0.0, p < 0.05, "{:?}", found);
            }
        }
    }

    /// Fifty patients with two records each; label `at` has as many positive ones as `positive` says.
    fn of_rarities(positive: &[u32]) -> Comparison {
        let labels = positive.len();
        let (mut a, mut b, mut truth, mut patients) = (vec![], vec![], vec![], vec![]);
        for record in 0..100_u32 {
            patients.push(record / 2);
            for (at, &positive) in positive.iter().enumerate() {
                let mut random = xray_random::Random::keyed(&[u64::from(record), at as u64]);
                let is = record / 2 < positive;
                truth.push(f32::from(u8::from(is)));
                a.push(random.normal() + if is { 1.5 } else { 0.0 });
                b.push(random.normal() + if is { 0.5 } else { 0.0 });
            }
        }
        let of = |values| Scores::new(values, &truth, labels).expect("valid");
        compare(of(&a), of(&b), Some(&patients)).expect("same records")
    }

    #[test]
    fn a_mean_over_rare_labels_is_tested_as_long_as_the_others_tell_how_it_varies() {
        let check = |positive: &[u32], expected: Option<NoInterval>| {
            let found = of_rarities(positive).macro_auc;
            assert_eq!(found.missing, expected, "{positive:?}");
            assert_eq!(found.interval.is_some(), expected.is_none(), "{positive:?}");
        };
        check(&[20, 20, 20], None);
        check(&[20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 4], None);
        check(&[20, 1, 1], Some(NoInterval::RareLabels { unit: Unit::Patient }));
        check(&[4, 3], Some(NoInterval::NoLabel));
        check(&[4], Some(NoInterval::FewUnits { unit: Unit::Patient, positive: 4, negative: 46 }));
        check(&[0], Some(NoInterval::NoAuc));
        // What a rare label adds is not forgotten.
        let error = |positive: &[u32]| of_rarities(positive).macro_auc.standard_error.expect("tested");
        assert!(error(&[30, 30, 30, 30, 4]) > error(&[30, 30, 30, 30, 30]));
    }

    #[test]
    fn other_records_are_refused() {
        let a = Scores::new(&[1.0, 2.0], &[0.0, 1.0], 1).expect("valid");
        let b = Scores::new(&[1.0], &[0.0], 1).expect("valid");
        assert_eq!(compare(a, b, None), Err(Error::OtherRecords { record: 1, label: 0 }));
    }

    /// The example of Holm's paper's rule: 0.01, 0.04, 0.03 of three tests.
    #[test]
    fn holm_orders_by_p_and_never_falls() {
        let label = |p| Difference { p_value: p, ..Difference::default() };
        let mut labels = [label(Some(0.01)), label(Some(0.04)), label(None), label(Some(0.03))];
        holm(&mut labels);
        let found = labels.map(|label| label.p_value_holm);
        assert_eq!(found, [Some(0.03), Some(0.06), None, Some(0.06)]);
    }
}
