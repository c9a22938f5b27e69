//! Logistic regressions against scikit-learn's, learning curves against scipy's. `golden/fits.py` makes the golden
//! file.

use serde_json::Value;
use xray_metrics::{Form, Logistic, Training, fit_learning_curve};

fn golden(kind: &str) -> Vec<Value> {
    let golden: Value =
        serde_json::from_str(include_str!("golden/fits.json")).expect("the golden file is JSON");
    golden[kind].as_array().expect("cases").clone()
}

fn f64s(values: &Value) -> Vec<f64> {
    values.as_array().expect("an array").iter().map(|value| value.as_f64().expect("a number")).collect()
}

#[test]
fn logistic_regressions_are_scikit_learns() {
    let cases = golden("logistic");
    assert_eq!(cases.len(), 2);
    for case in cases {
        let truth: Vec<_> = f64s(&case["truth"]).into_iter().map(|truth| truth == 1.0).collect();
        let fitted = Logistic::fit(&f64s(&case["features"]), &truth, 3).expect("both classes");
        let intercept = case["intercept"].as_f64().expect("a number");
        assert!((fitted.intercept - intercept).abs() < 1e-7, "{} is not {intercept}", fitted.intercept);
        for (found, expected) in fitted.weights.iter().zip(f64s(&case["weights"])) {
            assert!((found - expected).abs() < 1e-7, "{found} is not {expected}");
        }
    }
}

/// Two searches for the lowest sum of squares end near each other, not at the same digits.
#[test]
fn learning_curves_are_scipys() {
    let cases = golden("curves");
    assert_eq!(cases.len(), 3);
    for case in cases {
        let points: Vec<_> = f64s(&case["images"]).into_iter().zip(f64s(&case["score"])).collect();
        // Small parts far apart, so that no two trainings share images, as scipy takes for granted.
        let training = |(at, &(images, score)): (usize, &(f64, f64))| Training {
            images,
            score,
            start: at as f64 / points.len() as f64,
            share: 1e-6,
        };
        let trainings: Vec<_> = points.iter().enumerate().map(training).collect();
        let fitted = fit_learning_curve(&trainings).expect("rising");
        let power_law = fitted.forms.iter().find(|form| form.curve.form == Form::PowerLaw);
        let curve = power_law.expect("every form is fitted").curve;
        let squares: f64 = points.iter().map(|&(images, score)| (curve.score(images) - score).powi(2)).sum();
        let expected = case["squares"].as_f64().expect("a number");
        assert!(squares <= expected * (1.0 + 1e-6), "{squares} is above {expected}");
        for (images, expected) in [100.0, 1000.0, 20000.0].into_iter().zip(f64s(&case["fitted"])) {
            let found = curve.score(images);
            assert!((found - expected).abs() < 1e-5, "at {images}: {found} is not {expected}");
        }
    }
}
