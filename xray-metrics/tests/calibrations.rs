//! Fitted calibrations against scikit-learn and scipy. `golden/calibrations.py` makes the golden file.

use serde_json::Value;
use xray_metrics::{Calibrator, Method, Scores, ValidationScores, calibrate};

const GOLDEN: &str = include_str!("golden/calibrations.json");

fn f64s(values: &Value) -> Vec<f64> {
    values.as_array().expect("an array").iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn fitted(case: &Value, method: Method) -> Calibrator {
    let f32s = |key: &str| f64s(&case[key]).into_iter().map(|value| value as f32);
    let (logits, truth): (Vec<_>, Vec<_>) =
        (f32s("logits").map(f64::from).collect(), f32s("truth").collect());
    let scores = ValidationScores::new(Scores::new(&logits, &truth, 1).expect("valid"));
    calibrate(scores, None, method).expect("no patients").remove(0).expect("both classes").calibrator
}

fn each_case(check: impl Fn(&Value)) {
    let golden: Value = serde_json::from_str(GOLDEN).expect("the golden file is JSON");
    let cases = golden["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 2);
    cases.iter().for_each(check);
}

#[test]
fn platts_fit_is_scikit_learns() {
    each_case(|case| {
        let Calibrator::Platt { scale, shift } = fitted(case, Method::Platt) else { panic!("Platt's") };
        let expected = f64s(&case["platt"]);
        assert!((scale - expected[0]).abs() < 1e-7 && (shift - expected[1]).abs() < 1e-7, "{scale} {shift}");
    });
}

/// scipy compares losses, not slopes, so it knows the place to the root of its precision.
#[test]
fn the_temperature_is_scipys() {
    each_case(|case| {
        let Calibrator::Temperature { scale } = fitted(case, Method::Temperature) else { panic!("a scale") };
        let expected = case["temperature"].as_f64().expect("a number");
        assert!((scale - expected).abs() < 1e-6, "{scale} is not {expected}");
    });
}

#[test]
fn isotonic_probabilities_are_scikit_learns() {
    each_case(|case| {
        let calibrator = fitted(case, Method::Isotonic);
        for (logit, expected) in f64s(&case["at"]).into_iter().zip(f64s(&case["isotonic"])) {
            let found = calibrator.probability(logit);
            assert!((found - expected).abs() < 1e-9, "at {logit}: {found} is not {expected}");
        }
    });
}
