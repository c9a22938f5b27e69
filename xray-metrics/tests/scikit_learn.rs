//! Every figure against scikit-learn and numpy. `golden/scikit_learn.py` makes the golden file.

use serde_json::Value;
use xray_metrics::probability::{brier_of_probabilities, log_loss_of_probabilities};
use xray_metrics::{Column, Scores, auc_intervals, compare, delong, evaluate, probability, roc_curve};

const GOLDEN: &str = include_str!("golden/scikit_learn.json");

fn golden(key: &str) -> Value {
    let mut golden: Value = serde_json::from_str(GOLDEN).expect("the golden file is JSON");
    golden[key].take()
}

fn f64s(values: &Value) -> Vec<f64> {
    let values = values.as_array().expect("an array");
    values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

fn f32s(values: &Value) -> Vec<f32> {
    f64s(values).into_iter().map(|value| value as f32).collect()
}

/// Scores of a network, which are f32.
fn of_a_network(values: &Value) -> Vec<f64> {
    f32s(values).into_iter().map(f64::from).collect()
}

/// The names of the figures in `found` that are not those of `expected` to 1e-9; strict about null.
fn differences(found: &Value, expected: &Value, names: &[&str]) -> Vec<String> {
    let same = |name: &&str| match (found[*name].as_f64(), expected[*name].as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
        _ => found[*name].is_null() && expected[*name].is_null(),
    };
    let line = |name: &&str| format!("{name}: {} is not {}", found[*name], expected[*name]);
    names.iter().filter(|name| !same(name)).map(line).collect()
}

const PER_LABEL: [&str; 9] = [
    "positives",
    "negatives",
    "unknown",
    "prevalence",
    "auc",
    "average_precision",
    "brier",
    "log_loss",
    "logit_spread",
];

const OVERALL: [&str; 9] = [
    "macro_auc",
    "macro_average_precision",
    "macro_average_precision_baseline",
    "macro_brier",
    "macro_brier_baseline",
    "macro_log_loss",
    "macro_log_loss_baseline",
    "micro_auc",
    "micro_auc_baseline",
];

#[test]
fn evaluations_agree() {
    let cases = golden("cases");
    let cases = cases.as_array().expect("cases");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let num_labels = case["num_labels"].as_u64().expect("a count") as usize;
        let (values, truth) = (of_a_network(&case["scores"]), f32s(&case["labels"]));
        let scores = Scores::new(&values, &truth, num_labels).expect("valid");
        let names: Vec<_> = (0..num_labels).map(|at| at.to_string()).collect();
        let found = evaluate(&names, scores, &f64s(&case["train_prevalence"]), None).expect("valid");
        let found = serde_json::to_value(found).expect("figures are finite");

        let mut wrong = differences(&found, case, &OVERALL);
        for at in 0..num_labels {
            wrong.extend(differences(&found["labels"][at], &case["per_label"][at], &PER_LABEL));
        }
        assert!(wrong.is_empty(), "case {}:\n{}", case["name"], wrong.join("\n"));
    }
}

#[test]
fn probabilities_agree_clipped_ones_too() {
    let case = golden("probabilities");
    let positive = f64s(&case["labels"]).into_iter().map(|label| label == 1.0).collect();
    let column = Column::new(f64s(&case["probabilities"]), positive).expect("valid");
    let check = |found: Option<f64>, expected: &Value| {
        let (found, expected) = (found.expect("records"), expected.as_f64().expect("a number"));
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    };
    check(brier_of_probabilities(&column), &case["brier"]);
    check(log_loss_of_probabilities(&column), &case["log_loss"]);
}

/// Ranks are those of the probabilities to the last bit, though many of these have one logit.
#[test]
fn probabilities_that_hardly_differ_keep_their_ranks() {
    let edges = golden("edges");
    let edges = edges.as_array().expect("cases");
    assert_eq!(edges.len(), 10);
    for case in edges {
        let (probabilities, truth) = (f64s(&case["probabilities"]), f32s(&case["labels"]));
        let logits: Vec<f64> =
            probabilities.iter().map(|&p| probability::logit(p).clamp(-16.0, 16.0)).collect();
        let scores = Scores::new(&logits, &truth, 1).expect("finite");
        let scores = scores.with_probabilities(&probabilities).expect("probabilities");
        let found = evaluate(&["Mass".to_owned()], scores, &[0.3], None).expect("valid");
        let found = serde_json::to_value(&found.labels[0]).expect("figures are finite");
        let wrong = differences(&found, case, &["auc", "average_precision", "brier", "log_loss"]);
        assert!(wrong.is_empty(), "case {}:\n{}", case["name"], wrong.join("\n"));

        let curve = roc_curve(&scores.column(0)).expect("both classes");
        let points = curve.iter().filter_map(|point| {
            Some((point.threshold?, point.false_positive_rate, point.true_positive_rate))
        });
        let expected = f64s(&case["thresholds"]).into_iter().zip(f64s(&case["fpr"])).zip(f64s(&case["tpr"]));
        for (found, ((threshold, fpr), tpr)) in points.zip(expected) {
            assert_eq!(found.0, threshold, "case {}", case["name"]);
            assert!((found.1 - fpr).abs() < 1e-12 && (found.2 - tpr).abs() < 1e-12, "case {}", case["name"]);
        }
        assert_eq!(curve.len(), case["fpr"].as_array().map_or(0, Vec::len) + 1, "case {}", case["name"]);

        let by_delong = delong(scores, 0, None).expect("records").expect("both classes").auc;
        let compared = compare(scores, scores.on_logits(), None).expect("the same records");
        let expected = case["auc"].as_f64().expect("a number");
        for found in [by_delong, compared.labels[0].a.expect("both classes")] {
            assert!((found - expected).abs() < 1e-9, "case {}: {found} is not {expected}", case["name"]);
        }
    }
}

/// The golden file's 4,000 resamples of copies of patients know nothing of formulas; a width of theirs is good to 2 %.
#[test]
fn intervals_are_as_wide_as_those_of_a_bootstrap_by_copies() {
    let case = golden("bootstrap");
    let (values, truth) = (of_a_network(&case["scores"]), f32s(&case["labels"]));
    let patients: Vec<_> = f64s(&case["patients"]).into_iter().map(|patient| patient as u32).collect();
    let scores = Scores::new(&values, &truth, 2).expect("valid");
    let width = |ends: &[f64]| ends[1] - ends[0];
    let ratios = |patients: Option<&[u32]>| -> [f64; 3] {
        let found = auc_intervals(scores, patients).expect("valid");
        let found =
            [found.labels[0], found.labels[1], found.macro_auc].map(|interval| interval.expect("defined"));
        std::array::from_fn(|at| width(&found[at]) / width(&f64s(&case["intervals"][at])))
    };
    let (by_patient, by_record) = (ratios(Some(&patients)), ratios(None));
    assert!(by_patient.iter().all(|ratio| (0.95..1.15).contains(ratio)), "{by_patient:?}");
    assert!(by_record.iter().all(|ratio| *ratio < 0.85), "the data tell the two apart: {by_record:?}");
}
