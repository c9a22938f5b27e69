//! Thresholds, curves and calibration against scikit-learn, statsmodels and numpy. `golden/points.py` makes
//! the golden file.

use serde_json::Value;
use xray_metrics::{
    Binning, Column, Confusion, Fitted, Rule, Scores, TestScores, ValidationScores, brier_decomposition,
    decision_curve, ece, operating_points, precision_recall_curve, reliability, roc_curve, threshold, wilson,
};

const GOLDEN: &str = include_str!("golden/points.json");

/// Runs `check` on each entry of a list of the golden file, which has `count`.
fn for_each(key: &str, count: usize, check: impl Fn(&Value)) {
    let golden: Value = serde_json::from_str(GOLDEN).expect("the golden file is JSON");
    let entries = golden[key].as_array().expect("a list");
    assert_eq!(entries.len(), count);
    entries.iter().for_each(check);
}

/// The numbers of a list; none for null.
fn numbers(values: &Value) -> Vec<Option<f64>> {
    values.as_array().expect("an array").iter().map(Value::as_f64).collect()
}

fn f64s(values: &Value) -> Vec<f64> {
    numbers(values).into_iter().map(|value| value.expect("a number")).collect()
}

/// Probabilities and labels of a case.
fn column(case: &Value) -> Column {
    let positive = f64s(&case["labels"]).into_iter().map(|label| label == 1.0).collect();
    Column::new(f64s(&case["probabilities"]), positive).expect("valid")
}

/// Scores and labels of a case as they come from a model.
fn rows(case: &Value) -> (Vec<f64>, Vec<f32>) {
    let f32s = |key: &str| f64s(&case[key]).into_iter().map(|value| value as f32);
    (f32s("scores").map(f64::from).collect(), f32s("labels").collect())
}

/// Equal to 1e-9; strict about what is undefined.
fn same(found: impl IntoIterator<Item = Option<f64>>, expected: &[Option<f64>], what: &str) {
    let found: Vec<_> = found.into_iter().collect();
    let close = |found: Option<f64>, expected: Option<f64>| match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
        (found, expected) => found == expected,
    };
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert!(close(found, expected), "{what}, {at}: {found:?} is not {expected:?}");
    }
}

#[test]
fn curves_agree() {
    for_each("cases", 6, |case| {
        let (scores, labels) = rows(case);
        let column = Scores::new(&scores, &labels, 1).expect("valid").column(0);
        let expected = &case["curves"];
        let (roc, precision_recall) = (roc_curve(&column), precision_recall_curve(&column));
        assert_eq!((roc.is_none(), precision_recall.is_none()), (expected.is_null(), expected.is_null()));
        let (Some(roc), Some(mut points)) = (roc, precision_recall) else { return };

        let list = |curve: &str, axis: &str| numbers(&expected[curve][axis]);
        same(roc.iter().map(|p| p.threshold), &list("roc", "threshold"), "threshold");
        same(roc.iter().map(|p| Some(p.false_positive_rate)), &list("roc", "fpr"), "fpr");
        same(roc.iter().map(|p| Some(p.true_positive_rate)), &list("roc", "tpr"), "tpr");

        points.reverse();
        let thresholds = points.iter().map(|p| p.threshold).take(points.len() - 1);
        same(thresholds, &list("precision_recall", "threshold"), "threshold");
        same(points.iter().map(|p| Some(p.precision)), &list("precision_recall", "precision"), "precision");
        same(points.iter().map(|p| Some(p.recall)), &list("precision_recall", "recall"), "recall");
    });
}

#[test]
fn calls_and_their_intervals_agree() {
    for_each("cases", 6, |case| {
        let (scores, labels) = rows(case);
        let test = TestScores::new(Scores::new(&scores, &labels, 1).expect("valid"));
        for expected in case["calls"].as_array().expect("a list") {
            let fitted = Fitted::Threshold(expected["threshold"].as_f64().expect("a number"));
            let points = operating_points(test, &[fitted], None).expect("one per label");
            let found = serde_json::to_value(points[0].as_ref().expect("a threshold")).expect("finite");
            for name in ["sensitivity", "specificity", "ppv", "npv"] {
                same([found[name]["value"].as_f64()], &[expected[name].as_f64()], name);
                let (found, expected) = (&found[name]["interval"], &expected["intervals"][name]);
                assert_eq!(found.is_null(), expected.is_null(), "{name}");
                if !found.is_null() {
                    same(numbers(found), &numbers(expected), name);
                }
            }
            let confusion: Confusion = serde_json::from_value(found["confusion"].clone()).expect("its shape");
            let Confusion { true_positives, false_positives, true_negatives, false_negatives } = confusion;
            let counts = [true_positives, false_positives, true_negatives, false_negatives];
            same(counts.map(|count| Some(count as f64)), &numbers(&expected["counts"]), "counts");
            let figures = [found["f1"].as_f64(), confusion.accuracy()];
            same(figures, &[expected["f1"].as_f64(), expected["accuracy"].as_f64()], "f1, accuracy");
        }
    });
}

#[test]
fn rules_choose_what_trying_everything_chooses() {
    for_each("cases", 6, |case| {
        let (scores, labels) = rows(case);
        let scores = Scores::new(&scores, &labels, 1).expect("valid");
        let (validation, column) = (ValidationScores::new(scores), scores.column(0));
        let Some(expected) = case["fitted"].as_object() else {
            assert!(threshold::fit(validation, Rule::Youden)[0].threshold().is_none(), "a class is missing");
            return;
        };
        assert_eq!(expected.len(), 7);
        for (rule, expected) in expected {
            let fitted = threshold::fit(validation, rule.parse().expect("a rule"))[0].threshold();
            let calls = fitted.map(|threshold| Confusion::at(&column, threshold));
            let found = calls.map(|calls| vec![calls.true_positives, calls.false_positives]);
            assert_eq!(serde_json::json!(found), *expected, "{} {rule}", case["name"]);
        }
    });
}

#[test]
fn reliability_and_its_sums_agree() {
    for_each("calibrations", 3, |case| {
        let column = column(case);
        for expected in case["reliability"].as_array().expect("a list") {
            let binning = match expected["strategy"].as_str() {
                Some("uniform") => Binning::EqualWidth,
                _ => Binning::EqualCount,
            };
            let count = expected["bins"].as_u64().expect("a count") as u16;
            let bins = reliability(&column, None, binning, count).expect("probabilities");
            let what = format!("{} {binning:?} {count}", case["name"]);
            same(bins.iter().map(|b| Some(b.records as f64)), &numbers(&expected["records"]), &what);
            same(bins.iter().map(|b| Some(b.observed.value)), &numbers(&expected["observed"]), &what);
            same(bins.iter().map(|b| Some(b.mean_predicted)), &numbers(&expected["predicted"]), &what);
            for (bin, expected) in bins.iter().zip(expected["intervals"].as_array().expect("a list")) {
                same(bin.observed.interval.map(Some), &numbers(expected), &what);
            }
            same([ece(&bins)], &[expected["ece"].as_f64()], &what);

            let parts = brier_decomposition(&column, binning, count).expect("probabilities");
            let parts = serde_json::to_value(parts.expect("records")).expect("finite");
            for name in ["reliability", "resolution", "uncertainty", "residual"] {
                same([parts[name].as_f64()], &[expected[name].as_f64()], &format!("{what} {name}"));
            }
        }
    });
}

#[test]
fn net_benefits_agree() {
    for_each("calibrations", 3, |case| {
        let column = column(case);
        for expected in case["net_benefit"].as_array().expect("a list") {
            let at = expected["threshold_probability"].as_f64().expect("a number");
            let found = decision_curve(&column, &[at]).expect("valid").expect("records")[0];
            let figures = [Some(found.model), Some(found.treat_all)];
            same(figures, &[expected["model"].as_f64(), expected["treat_all"].as_f64()], "net benefit");
        }
    });
}

#[test]
fn wilson_intervals_agree() {
    for_each("intervals", 9, |case| {
        let count = |key: &str| case[key].as_u64().expect("a count");
        let found = wilson(count("successes"), count("trials")).expect("trials");
        same(found.map(Some), &numbers(&case["interval"]), "interval");
    });
}
