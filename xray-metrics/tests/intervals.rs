//! Intervals against what is known of them: the true value, and what copies of records must not change.

use std::ops::Range;
use xray_metrics::units::Unit;
use xray_metrics::{Scores, auc, auc_intervals, evaluate};
use xray_random::Random;

/// Normal scores of a simulated set: every patient has `rows` records, and a part of the score is shared.
struct Simulation {
    patients: u32,
    rows: u32,
    shared: f64,
    /// How far positives lie above negatives, in standard deviations.
    separation: f64,
}

struct Records {
    scores: Vec<f64>,
    labels: Vec<f32>,
    patients: Vec<u32>,
}

impl Records {
    fn scores(&self) -> Scores<'_> {
        Scores::new(&self.scores, &self.labels, 1).expect("valid")
    }
}

impl Simulation {
    fn draw(&self, seed: u64) -> Records {
        let mut random = Random::keyed(&[seed]);
        let mut records = Records { scores: vec![], labels: vec![], patients: vec![] };
        for patient in 0..self.patients {
            // The truth belongs to the patient, so that the true AUC is the binormal one.
            let positive = f64::from(u8::from(patient % 4 == 0));
            let shared = random.normal() * self.shared.sqrt();
            for _ in 0..self.rows {
                let score =
                    positive * self.separation + shared + random.normal() * (1.0 - self.shared).sqrt();
                records.scores.push(score);
                records.labels.push(positive as f32);
                records.patients.push(patient);
            }
        }
        records
    }
}

fn width_of(interval: Option<[f64; 2]>) -> f64 {
    let [low, high] = interval.expect("enough patients");
    high - low
}

/// How often an interval holds the true AUC, in 400 simulated sets.
fn coverage(seeds: Range<u64>, by_patient: bool) -> f64 {
    let simulation = Simulation { patients: 160, rows: 3, shared: 0.7, separation: 1.0 };
    let truth = 0.760_250; // the normal distribution function at 1 / sqrt(2)
    let count = (seeds.end - seeds.start) as f64;
    let holds = seeds.filter(|&seed| {
        let records = simulation.draw(seed * 7919 + 1);
        let patients = by_patient.then_some(records.patients.as_slice());
        let intervals = auc_intervals(records.scores(), patients).expect("valid");
        intervals.labels[0].is_ok_and(|[low, high]| (low..=high).contains(&truth))
    });
    holds.count() as f64 / count
}

#[test]
fn patients_that_recur_are_covered_only_if_patients_are_named() {
    let by_patient = coverage(0..400, true);
    // The standard deviation of a share of 0.95 in 400 is 0.011.
    assert!((0.91..=0.98).contains(&by_patient), "{by_patient}");
    let by_record = coverage(0..400, false);
    assert!(by_record < 0.85, "three records of a patient are not three patients: {by_record}");
}

#[test]
fn copies_of_every_record_change_nothing() {
    let once = Simulation { patients: 80, rows: 1, shared: 0.0, separation: 0.7 }.draw(5);
    let twice = Records {
        scores: once.scores.iter().flat_map(|&v| [v, v]).collect(),
        labels: once.labels.iter().flat_map(|&v| [v, v]).collect(),
        patients: once.patients.iter().flat_map(|&v| [v, v]).collect(),
    };
    let interval = |records: &Records, patients| {
        auc_intervals(records.scores(), patients).expect("valid").labels[0].ok()
    };
    let expected = interval(&once, Some(&once.patients));
    let close = |found: Option<[f64; 2]>| {
        let ends = found.zip(expected).map(|(a, b)| (a[0] - b[0]).abs().max((a[1] - b[1]).abs()));
        assert!(ends.is_some_and(|apart| apart < 1e-12), "{found:?} is not {expected:?}");
    };
    close(interval(&twice, Some(&twice.patients)));
    // A record each is a patient each.
    close(interval(&once, None));
    assert!(
        width_of(interval(&twice, None)) < 0.8 * width_of(expected),
        "as records, copies look like evidence"
    );
}

#[test]
fn labels_on_few_patients_have_an_auc_but_no_interval() {
    let check = |positive_patients: u32, expected: bool| {
        let patients: Vec<_> = (0..60).map(|record| record / 2).collect();
        let labels: Vec<_> = patients.iter().map(|&p| f32::from(p < positive_patients)).collect();
        let values: Vec<_> = (0..60_u16).map(|record| f64::from(record * 7 % 13)).collect();
        let scores = Scores::new(&values, &labels, 1).expect("valid");
        let intervals = auc_intervals(scores, Some(&patients)).expect("valid");
        assert!(auc(&scores.column(0)).is_some());
        assert_eq!(intervals.labels[0].is_ok(), expected, "{positive_patients}");
        assert_eq!(intervals.macro_auc.is_ok(), expected, "{positive_patients}");
        assert_eq!((intervals.unit, intervals.units), (Unit::Patient, 30));
    };
    check(4, false);
    check(5, true);
    check(25, true);
    check(26, false); // four patients without
}

#[test]
fn one_label_is_its_own_mean() {
    let records = Simulation { patients: 100, rows: 2, shared: 0.5, separation: 1.0 }.draw(1);
    let evaluation =
        evaluate(&["Mass".into()], records.scores(), &[0.25], Some(&records.patients)).expect("valid");
    let [label, mean] = [evaluation.labels[0].auc_interval, evaluation.macro_auc_interval].map(width_of);
    assert!((label - mean).abs() < 1e-12, "{label} {mean}");
}
