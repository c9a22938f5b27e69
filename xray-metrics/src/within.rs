//! AUCs within each source of the records. Where one hospital has a finding more often than another, whoever recognises
//! the hospital ranks its images higher and has seen no finding: 0.86 for pneumonia in two hospitals (Zech et al., PLOS
//! Medicine 15, 2018). Among the records of one hospital that earns nothing.
//!
//! The figure is the share of its own source's negative records that a positive one outranks, averaged over the positive
//! records: the mean of the sources' AUCs, each weighted by its positives, which is the covariate-adjusted AUC of Janes and
//! Pepe (Biometrika 96, 2009). So each positive counts once, as in the pooled AUC beside it. A plain mean would let a
//! hospital with two positives say as much as one with two thousand, and is seen in the sources' own AUCs. Positives of a
//! source without negatives have nobody to outrank and are left out.
//!
//! Intervals are those of [`mod@crate::auc_interval`], whose variance is the sum of the sources' and of the covariances by
//! patient; weights count as given.

use crate::auc_interval::{Mean, NoInterval, Part};
use crate::placements::Placements;
use crate::units::{MIN_UNITS, Unit, Units};
use crate::{Error, Result, Scores};

/// AUCs within each source.
#[derive(Clone, Debug, PartialEq)]
pub struct Within {
    /// Mean of the labels that define one.
    pub macro_auc: Option<f64>,
    /// What that could be on other patients, or why there is no interval.
    pub macro_interval: std::result::Result<[f64; 2], NoInterval>,
    /// One per label.
    pub labels: Vec<WithinLabel>,
}

/// That of one label.
#[derive(Clone, Debug, PartialEq)]
pub struct WithinLabel {
    /// None where no source has records of both classes.
    pub auc: Option<f64>,
    /// What that could be on other patients, or why there is no interval.
    pub interval: std::result::Result<[f64; 2], NoInterval>,
    /// Positive records whose source has no negative one.
    pub left_out: usize,
    /// The AUC of each source; none where it has records of one class.
    pub sources: Vec<Option<f64>>,
}

/// Compares each record with those of its own source. `sources` holds a number below `count` for each record; `patients`
/// one that is equal for records of one patient.
///
/// ```
/// use xray_metrics::{Scores, auc, within};
///
/// // A score that only says which hospital it was: the first has three of four, the second one of four.
/// let (scores, truth) = ([1., 1., 1., 1., 0., 0., 0., 0.], [1., 1., 1., 0., 1., 0., 0., 0.]);
/// let scores = Scores::new(&scores, &truth, 1)?;
/// let found = within(scores, &[0, 0, 0, 0, 1, 1, 1, 1], 2, None)?;
/// assert_eq!(auc(&scores.column(0)), Some(0.75));
/// assert_eq!(found.labels[0].auc, Some(0.5));
/// # Ok::<(), xray_metrics::Error>(())
/// ```
///
/// # Errors
/// If there is not one source or one patient per record.
///
/// # Panics
/// If a source is not below `count`.
pub fn within(
    scores: Scores<'_>,
    sources: &[usize],
    count: usize,
    patients: Option<&[u32]>,
) -> Result<Within> {
    let records = scores.num_records();
    if sources.len() != records {
        return Err(Error::PerRecord { found: sources.len(), expected: records });
    }
    let units = Units::new(records, patients)?;
    let truths: Vec<Vec<f32>> = (0..count).map(|source| truth_of(scores, sources, source)).collect();
    let (mut labels, mut all, mut defined) = (Vec::with_capacity(scores.num_labels()), Vec::new(), 0);
    for (label, counts) in scores.counts().iter().enumerate() {
        let of_source = |truth: &Vec<f32>| Placements::of(scores.with_truth(truth), label, &units);
        let placements: Vec<Option<Placements>> = truths.iter().map(of_source).collect();
        let compared: usize = placements.iter().flatten().map(Placements::positives).sum();
        let parts = parts_of(label, &placements, compared);
        labels.push(WithinLabel {
            auc: (compared > 0).then(|| Mean::of(&parts, 1, units.count).value()),
            interval: interval_of(&parts, &units),
            left_out: counts.positives as usize - compared,
            sources: placements.iter().map(|of| Some(of.as_ref()?.contributions().value)).collect(),
        });
        defined += usize::from(compared > 0);
        all.extend(parts);
    }
    let mean = Mean::of(&all, defined, units.count);
    let macro_interval = if labels.iter().any(|label| label.interval.is_ok()) {
        Ok(mean.interval())
    } else {
        Err(if defined > 0 { NoInterval::NoLabel } else { NoInterval::NoAuc })
    };
    Ok(Within { macro_auc: (defined > 0).then(|| mean.value()), macro_interval, labels })
}

/// What is true of the records of one source.
fn truth_of(scores: Scores<'_>, sources: &[usize], source: usize) -> Vec<f32> {
    let width = scores.num_labels();
    let of = |(at, &truth): (usize, &f32)| if sources[at / width] == source { truth } else { f32::NAN };
    scores.truth().iter().enumerate().map(of).collect()
}

/// Each source's share of a label's AUC.
fn parts_of(label: usize, sources: &[Option<Placements>], compared: usize) -> Vec<Part> {
    let part = |of: &Placements| {
        let weight = of.positives() as f64 / compared as f64;
        Part { label, constant: of.one_score, found: of.contributions().weighted(weight) }
    };
    sources.iter().flatten().map(part).collect()
}

fn interval_of(parts: &[Part], units: &Units) -> std::result::Result<[f64; 2], NoInterval> {
    let sum = |of: fn(&Part) -> usize| parts.iter().map(of).sum::<usize>();
    let (positive, negative) = (sum(|part| part.found.positive_units), sum(|part| part.found.negative_units));
    let unit = units.unit;
    if parts.is_empty() {
        Err(NoInterval::NoAuc)
    } else if parts.iter().all(|part| part.constant) {
        Err(NoInterval::SameScore)
    } else if unit == Unit::Patient && units.count == 1 {
        Err(NoInterval::OnePatient)
    } else if positive.min(negative) < MIN_UNITS {
        Err(NoInterval::FewUnits { unit, positive, negative })
    } else {
        Ok(Mean::of(parts, 1, units.count).interval())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auc_intervals;
    use proptest::prelude::*;
    use xray_random::Random;

    const NAN: f32 = f32::NAN;

    /// Two hospitals; of Mass 3 of 4 and 1 of 3 are positive, Edema is known in the second only, Hernia has no negative in
    /// the first.
    #[test]
    fn a_positive_is_compared_with_its_own_source() {
        #[rustfmt::skip]
        let (values, truth) = (
            [4.0, 1.0, 1.0,  3.0, 1.0, 2.0,  1.0, 1.0, 3.0,  2.0, 1.0, 4.0,  9.0, 2.0, 1.0,  8.0, 3.0, 2.0,  7.0, 1.0, 3.0],
            [1.0, NAN, 1.0,  1.0, NAN, 1.0,  1.0, NAN, 1.0,  0.0, NAN, 1.0,  0.0, 0.0, 0.0,  1.0, 1.0, 1.0,  0.0, 0.0, 1.0],
        );
        let scores = Scores::new(&values, &truth, 3).expect("valid");
        let found = within(scores, &[0, 0, 0, 0, 1, 1, 1], 2, None).expect("a source per record");
        let [mass, edema, hernia] = &found.labels[..] else { panic!("three labels") };
        // 2 of 3 positives outrank the negative of the first; of the second's two negatives the positive outranks one.
        assert_eq!(mass.sources, [Some(2.0 / 3.0), Some(0.5)]);
        assert!(
            (mass.auc.expect("both classes") - (3.0 * (2.0 / 3.0) + 0.5) / 4.0).abs() < 1e-15,
            "{mass:?}"
        );
        assert_eq!((edema.auc, &edema.sources[..], edema.left_out), (Some(1.0), &[None, Some(1.0)][..], 0));
        assert_eq!((hernia.auc, hernia.left_out), (Some(1.0), 4));
        let mean = (mass.auc.expect("both classes") + 2.0) / 3.0;
        assert!((found.macro_auc.expect("three labels") - mean).abs() < 1e-15, "{found:?}");
        let few = |positive, negative| NoInterval::FewUnits { unit: Unit::Record, positive, negative };
        assert_eq!((mass.interval, found.macro_interval), (Err(few(4, 3)), Err(NoInterval::NoLabel)));
    }

    #[test]
    fn what_no_source_defines_is_not_defined() {
        let scores = Scores::new(&[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0, 0.0, 0.0], 1).expect("valid");
        let found = within(scores, &[0, 0, 1, 1], 2, None).expect("a source per record");
        let expected = WithinLabel {
            auc: None,
            interval: Err(NoInterval::NoAuc),
            left_out: 2,
            sources: vec![None, None],
        };
        assert_eq!((found.macro_auc, found.macro_interval), (None, Err(NoInterval::NoAuc)));
        assert_eq!(found.labels, [expected]);
        let short = within(scores, &[0], 1, None).expect_err("one source");
        assert_eq!(short, Error::PerRecord { found: 1, expected: 4 });
    }

    /// Three of four of the first hospital's 60 patients have it, one of five of the second's 140; scores know the hospital
    /// perfectly and the finding a little.
    fn two_hospitals(seed: u64) -> (Vec<f64>, Vec<f32>, Vec<usize>, Vec<u32>) {
        let mut random = Random::keyed(&[seed]);
        let (mut values, mut truth, mut sources, mut patients) = (vec![], vec![], vec![], vec![]);
        for patient in 0..200_u32 {
            let source = usize::from(patient >= 60);
            let of_patient = random.normal();
            for _ in 0..=patient % 2 {
                let positive = random.unit() < [0.75, 0.2][source];
                let skill = f64::from(u8::from(positive)) + 0.6 * of_patient + 0.8 * random.normal();
                values.push([5.0, 0.0][source] + skill);
                truth.push(f32::from(u8::from(positive)));
                sources.push(source);
                patients.push(patient);
            }
        }
        (values, truth, sources, patients)
    }

    /// The scores of a positive and of a negative record of a hospital differ by one standard deviation: Φ(1/√2).
    #[test]
    fn intervals_by_patient_hold_the_truth() {
        let (expected, mut held, mut pooled, trials) = (0.760_249_938_906_523_3, 0, 0.0, 400_u32);
        for seed in 0..u64::from(trials) {
            let (values, truth, sources, patients) = two_hospitals(seed);
            let scores = Scores::new(&values, &truth, 1).expect("valid");
            let found = within(scores, &sources, 2, Some(&patients)).expect("one per record");
            let [low, high] = found.macro_interval.expect("many patients");
            held += u32::from((low..=high).contains(&expected));
            pooled += crate::auc(&scores.column(0)).expect("both classes") / f64::from(trials);
        }
        assert!(pooled > expected + 0.05, "telling hospitals apart earns: {pooled}");
        assert!((0.93..=0.985).contains(&(f64::from(held) / f64::from(trials))), "{held}");
    }

    proptest! {
        /// With one source it is the pooled AUC with its interval, to rounding.
        #[test]
        fn one_source_is_the_pool(
            rows in prop::collection::vec((-4_i8..4, any::<bool>(), any::<bool>(), 0_u32..12), 1..60),
        ) {
            let values: Vec<f64> = rows.iter().flat_map(|row| [f64::from(row.0), f64::from(-row.0)]).collect();
            let truth: Vec<f32> = rows.iter().flat_map(|row| [row.1, row.2].map(|t| f32::from(u8::from(t)))).collect();
            let patients: Vec<u32> = rows.iter().map(|row| row.3).collect();
            let scores = Scores::new(&values, &truth, 2).expect("valid");
            let pooled = auc_intervals(scores, Some(&patients)).expect("one per record");
            let found = within(scores, &vec![0; rows.len()], 1, Some(&patients)).expect("one per record");
            for (at, label) in found.labels.iter().enumerate() {
                prop_assert_eq!(label.auc.is_some(), crate::auc(&scores.column(at)).is_some());
                prop_assert_eq!(label.interval.err(), pooled.labels[at].err());
            }
            match (found.macro_interval, pooled.macro_auc) {
                (Ok(found), Ok(pooled)) => {
                    prop_assert!((found[0] - pooled[0]).abs() + (found[1] - pooled[1]).abs() < 1e-12);
                }
                (found, pooled) => prop_assert_eq!(found, pooled),
            }
        }
    }
}
