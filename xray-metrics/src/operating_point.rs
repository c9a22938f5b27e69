//! What the chosen thresholds do on the test records.

use crate::clustered::check_patients;
use crate::error::check_per_label;
use crate::threshold::Fitted;
use crate::{Confusion, Proportion, Result, TestScores};
use serde::{Deserialize, Serialize};

/// One label at its threshold. Intervals are by patient where patients are named ([`Proportion::by_patient`]); otherwise
/// they count records as independent ([`crate::wilson()`]). What the records do not define is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Scores of this or more are called positive.
    pub threshold: f64,
    /// Right and wrong calls.
    pub confusion: Confusion,
    /// Positives that are called so.
    pub sensitivity: Option<Proportion>,
    /// Negatives that are called so.
    pub specificity: Option<Proportion>,
    /// Positives among those called positive, at the prevalence of these records.
    pub ppv: Option<Proportion>,
    /// Negatives among those called negative, at the prevalence of these records.
    pub npv: Option<Proportion>,
    /// Harmonic mean of sensitivity and PPV, which is not a share of records and has no such interval.
    pub f1: Option<f64>,
}

/// Applies one threshold per label; none for a label that has none. `patients` holds one number per record, equal for
/// records of one patient.
///
/// ```
/// use xray_metrics::{Rule, Scores, TestScores, ValidationScores, operating_points, threshold};
///
/// let validation = Scores::new(&[-2.0, -1.0, 0.0, 2.0], &[0.0, 0.0, 1.0, 1.0], 1)?;
/// let test = Scores::new(&[-2.0, 1.0, -0.7, 2.0], &[0.0, 0.0, 1.0, 1.0], 1)?;
///
/// let thresholds = threshold::fit(ValidationScores::new(validation), Rule::Youden);
/// let points = operating_points(TestScores::new(test), &thresholds, None)?;
/// let point = points[0].as_ref().expect("a threshold");
/// assert_eq!(point.threshold, -0.5);
/// assert_eq!(point.sensitivity.map(|share| share.value), Some(0.5)); // it was 1 on the other records
/// # Ok::<(), xray_metrics::Error>(())
/// ```
///
/// # Errors
/// If there is not one threshold per label, or not one patient per record.
pub fn operating_points(
    scores: TestScores<'_>,
    fitted: &[Fitted],
    patients: Option<&[u32]>,
) -> Result<Vec<Option<OperatingPoint>>> {
    check_per_label("thresholds", fitted.len(), scores.num_labels())?;
    check_patients(patients, scores.num_records())?;
    let of_label = |(label, fitted): (usize, &Fitted)| {
        let threshold = fitted.threshold()?;
        let calls = scores.scores().rows_of(label).enumerate().filter_map(|(record, (score, truth))| {
            let patient = patients.map(|patients| patients[record]);
            Some(Call { patient, called: score >= threshold, positive: truth? })
        });
        let confusion = Confusion::at(&scores.column(label), threshold);
        Some(OperatingPoint::new(threshold, confusion, &calls.collect::<Vec<_>>()))
    };
    Ok(fitted.iter().enumerate().map(of_label).collect())
}

/// What is said of a record that is known.
struct Call {
    patient: Option<u32>,
    called: bool,
    positive: bool,
}

impl OperatingPoint {
    fn new(threshold: f64, confusion: Confusion, calls: &[Call]) -> Self {
        let right = |call: &Call| (call.patient, call.called == call.positive);
        let share = |among: fn(&Call) -> bool| {
            Proportion::of_trials(calls.iter().filter(|call| among(call)).map(right))
        };
        OperatingPoint {
            threshold,
            confusion,
            sensitivity: share(|call| call.positive),
            specificity: share(|call| !call.positive),
            ppv: share(|call| call.called),
            npv: share(|call| !call.called),
            f1: confusion.f1(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threshold::Undefined;
    use crate::{Error, Scores};
    use proptest::prelude::*;

    fn point(rows: &[(f64, f32)], threshold: f64) -> OperatingPoint {
        let (scores, labels): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
        let scores = TestScores::new(Scores::new(&scores, &labels, 1).expect("valid"));
        let mut points =
            operating_points(scores, &[Fitted::Threshold(threshold)], None).expect("one per label");
        points.remove(0).expect("a threshold")
    }

    #[test]
    fn labels_without_a_threshold_have_no_point() {
        let truth = [1.0, 1.0, 0.0, f32::NAN];
        let scores = TestScores::new(Scores::new(&[1.0, 1.0, 0.0, 0.0], &truth, 2).expect("valid"));
        let why = Fitted::Undefined(Undefined::NoPositives);
        let points = operating_points(scores, &[why, Fitted::Threshold(0.5)], None).expect("one per label");
        assert_eq!(points[0], None);
        let found = points[1].as_ref().expect("a threshold");
        let called = |share: Option<Proportion>| share.map(|share| share.value);
        assert_eq!((called(found.sensitivity), called(found.specificity)), (Some(1.0), None));
        let error = operating_points(scores, &[why], None);
        assert_eq!(error, Err(Error::PerLabel { what: "thresholds", found: 1, expected: 2 }));
        let error = operating_points(scores, &[why, why], Some(&[1, 2, 3]));
        assert_eq!(error, Err(Error::PerRecord { found: 3, expected: 2 }));
    }

    /// Each of ten patients has three records that the model calls alike: worth ten, not thirty.
    #[test]
    fn records_of_one_patient_are_no_new_evidence() {
        let score = |record: usize| [0.0, 1.0, 1.0, 1.0, 1.0][record / 3 % 5];
        let truth: Vec<_> = (0..60).map(|record| f32::from(u8::from(record < 30))).collect();
        let patients: Vec<_> = (0..60_u32).map(|record| record / 3).collect();
        let logits: Vec<_> = (0..60).map(score).collect();
        let test = TestScores::new(Scores::new(&logits, &truth, 1).expect("valid"));
        let of = |patients: Option<&[u32]>| {
            let points = operating_points(test, &[Fitted::Threshold(0.5)], patients).expect("fits");
            points[0].clone().expect("a threshold")
        };
        let (independent, by_patient) = (of(None), of(Some(&patients)));
        let figures = |of: &OperatingPoint| {
            [of.sensitivity, of.specificity, of.ppv, of.npv].map(|it| it.expect("known"))
        };
        for (plain, found) in figures(&independent).iter().zip(figures(&by_patient)) {
            assert_eq!(plain.value, found.value);
            let width = |of: &Proportion| of.interval[1] - of.interval[0];
            assert!(width(&found) > 1.4 * width(plain), "{found:?}");
        }
        // Eight of ten patients, each wholly right or wholly wrong.
        let expected = crate::wilson(8, 10).expect("ten");
        let found = by_patient.sensitivity.expect("known").interval;
        assert!((found[0] - expected[0]).abs() < 0.02, "{found:?} {expected:?}");
        // A record each.
        assert_eq!(of(Some(&(0..60).collect::<Vec<_>>())), independent);
    }

    #[test]
    fn json_keeps_everything() {
        let point = point(&[(0.1, 1.0), (0.0, 0.0)], 0.1);
        let text = serde_json::to_string(&point).expect("finite");
        assert!(text.starts_with(r#"{"threshold":0.1,"confusion":{"true_positives":1,"#), "{text}");
        assert_eq!(serde_json::from_str::<OperatingPoint>(&text).expect("its own shape"), point);
    }

    proptest! {
        /// Each share from its own definition, a record at a time.
        #[test]
        fn shares_are_those_of_the_records(
            rows in prop::collection::vec(((-3_i8..3).prop_map(f64::from), 0_u8..3), 0..40),
            threshold in -4.0..4.0_f64,
        ) {
            let rows: Vec<_> = rows.iter().map(|row| (row.0, [0.0, 1.0, f32::NAN][row.1 as usize])).collect();
            let point = point(&rows, threshold);
            let share = |of: fn(bool, bool) -> bool, among: fn(bool, bool) -> bool| {
                let known = rows.iter().filter(|row| !row.1.is_nan());
                let among = known.map(|row| (row.0 >= threshold, row.1 == 1.0)).filter(|&(c, p)| among(c, p));
                let of = among.clone().filter(|&(c, p)| of(c, p)).count();
                Proportion::of(of as u64, among.count() as u64)
            };
            prop_assert_eq!(point.sensitivity, share(|called, _| called, |_, positive| positive));
            prop_assert_eq!(point.specificity, share(|called, _| !called, |_, positive| !positive));
            prop_assert_eq!(point.ppv, share(|_, positive| positive, |called, _| called));
            prop_assert_eq!(point.npv, share(|_, positive| !positive, |called, _| !called));
            prop_assert_eq!(point.ppv.map(|share| share.value), point.confusion.ppv());
        }
    }
}
