//! `xray-eval out-of-fold`: the runs of a cross-validation as one.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use xray_artifacts::{Exit, Predictions, Split};
use xray_metrics::{Scores, auc};
use xray_train::run::RunOptions;

/// Finished runs of these folds, in `fold-0` and so on.
fn train(workplace: &Workplace, folds: &[u64], of: u64) {
    for fold in folds {
        let settings = [format!("data.folds={of}"), format!("data.fold={fold}"), format!("seed={fold}")];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        workplace
            .train(&format!("fold-{fold}"), &settings, RunOptions::default())
            .expect("a run of good settings");
    }
}

fn validation(workplace: &Workplace, run: &str) -> Predictions {
    let path = workplace.path(run).join("predictions-val.safetensors");
    Predictions::load(&path, Split::Val).expect("a finished run")
}

const THREE: [&str; 6] = ["out-of-fold", "fold-2", "fold-0", "fold-1", "--out", "all.safetensors"];

#[test]
fn every_record_is_scored_by_the_run_that_did_not_train_on_it() {
    let workplace = Workplace::new();
    train(&workplace, &[0, 1, 2], 3);
    let output = workplace.eval(&[&THREE[..], &["--format", "json"]].concat());
    assert_exit(&output, Exit::Ok);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let pool = Predictions::load(&workplace.path("all.safetensors"), Split::Val).expect("written");

    let manifest = workplace.json("shards/dataset.json");
    let images = |split: &str| manifest["splits"][split]["images"].as_u64().expect("a number") as usize;
    assert_eq!(pool.ids.len(), images("train") + images("val"));
    assert_eq!(pool.ids.iter().collect::<BTreeSet<_>>().len(), pool.ids.len());
    let mut rest = Vec::new();
    for (at, fold) in ["fold-0", "fold-1", "fold-2"].iter().enumerate() {
        let own = validation(&workplace, fold);
        let patients: BTreeSet<&String> = own.patients.iter().collect();
        assert_eq!(found["folds"][at]["records"], own.ids.len());
        assert_eq!(found["folds"][at]["patients"], patients.len());
        let test = workplace.path(fold).join("predictions-test.safetensors");
        let test = Predictions::load(&test, Split::Test).expect("a finished run");
        assert_eq!(test.ids.len(), images("test"), "test stays as it was");
        rest.push(own);
    }
    let place = |id: &String| pool.ids.iter().position(|other| other == id).expect("in the pool");
    let classes = pool.labels.len();
    for own in &rest {
        for (at, id) in own.ids.iter().enumerate() {
            let here = place(id);
            assert_eq!(pool.patients[here], own.patients[at]);
            assert_eq!(pool.logits[here * classes..][..classes], own.logits[at * classes..][..classes]);
        }
    }
    // The figures, by hand over the folds: each by its positives, and each alike.
    let of = |predictions: &Predictions, label: usize| {
        let scores = Scores::new(&predictions.logits, &predictions.truth, classes).expect("finite");
        Some((auc(&scores.column(label))?, scores.counts()[label].positives as f64))
    };
    let close = |found: &Value, expected: Option<f64>| match (found.as_f64(), expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
        (found, expected) => found == expected,
    };
    for label in 0..classes {
        let row = &found["labels"][label];
        let folds: Vec<(f64, f64)> = rest.iter().filter_map(|own| of(own, label)).collect();
        let positives: f64 = folds.iter().map(|fold| fold.1).sum();
        let some = |value: f64| (!folds.is_empty()).then_some(value);
        let within = some(folds.iter().map(|fold| fold.0 * fold.1).sum::<f64>() / positives);
        assert!(close(&row["within_folds"], within), "{row}, not {within:?}");
        let mean = some(folds.iter().map(|fold| fold.0).sum::<f64>() / folds.len() as f64);
        assert!(close(&row["mean_of_folds"], mean), "{row}, not {mean:?}");
        if let (Some([low, high]), Some(within)) =
            (serde_json::from_value::<Option<[f64; 2]>>(row["interval"].clone()).expect("two"), within)
        {
            assert!(low < within && within < high, "{row}");
        }
    }
    // The page of mistakes says the same, by calibrated probabilities.
    let page = ["errors", "fold-0", "fold-1", "fold-2", "--out", "errors.html", "--format", "json"];
    let output = workplace.eval(&page);
    assert_exit(&output, Exit::Ok);
    let errors: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (label, row) in errors["labels"].as_array().expect("a list").iter().enumerate() {
        assert!(close(&row["auc"], found["labels"][label]["within_folds"].as_f64()), "{row}");
    }
    assert_eq!(found["unit"], "patient");
    assert!(found["macro_auc"]["interval"].is_array(), "{found}");

    let refused = workplace.eval(&THREE);
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("all.safetensors is there already"), "{}", stderr(&refused));
    let text = workplace.eval(&[&THREE[..], &["--overwrite"]].concat());
    assert_exit(&text, Exit::Ok);
    let patients = found["units"].as_u64().expect("a number");
    let said = format!("{} records of {patients} patients, each scored by", pool.ids.len());
    assert!(stdout(&text).starts_with(&said), "{}", stdout(&text));
}

#[test]
fn what_is_no_whole_cross_validation_is_refused() {
    let workplace = Workplace::new();
    train(&workplace, &[0, 1], 2);
    workplace.train("plain", &[], RunOptions::default()).expect("a run of good settings");
    let other = ["data.folds=2", "data.fold=1", "schedule.learning_rate=0.5"];
    workplace.train("other", &other, RunOptions::default()).expect("a run of good settings");
    let refused = |exit: Exit, runs: &[&str], part: &str| {
        let output = workplace.eval(&[&["out-of-fold"], runs, &["--out", "x.safetensors"]].concat());
        assert_exit(&output, exit);
        assert!(stderr(&output).contains(part), "{part} is not in {}", stderr(&output));
        assert!(!workplace.path("x.safetensors").exists());
    };
    refused(
        Exit::NothingMatches,
        &["fold-0"],
        "there is no run of fold 1: the cross-validation is of 2 folds",
    );
    refused(Exit::Usage, &["fold-0", "fold-1", "fold-0"], "fold-0 and fold-0 are both fold 0");
    refused(Exit::NothingMatches, &["fold-0", "plain"], "plain is not a run of a cross-validation");
    refused(Exit::NothingMatches, &["fold-0", "nowhere"], "nowhere is not a run directory");
    refused(
        Exit::ModelMismatch,
        &["fold-0", "other"],
        "fold-0 and other differ in schedule.learning_rate: 0.001 and 0.5",
    );
    let output = workplace.eval(&["out-of-fold", "fold-0", "fold-1", "--out", "x.csv"]);
    assert_exit(&output, Exit::Usage);
    assert!(stderr(&output).contains("x.csv is not named .safetensors"), "{}", stderr(&output));

    let change = |what: &dyn Fn(&mut Predictions)| {
        let path = workplace.path("fold-1/predictions-val.safetensors");
        let mut predictions = validation(&workplace, "fold-1");
        what(&mut predictions);
        let before = fs::read(&path).expect("there");
        predictions.save(&path).expect("writable");
        before
    };
    let first = validation(&workplace, "fold-0");
    let before = change(&|predictions| predictions.ids[0].clone_from(&first.ids[3]));
    refused(
        Exit::BadData,
        &["fold-0", "fold-1"],
        &format!("record {} is in fold 0 (fold-0) and in fold 1 (fold-1)", first.ids[3]),
    );
    fs::write(workplace.path("fold-1/predictions-val.safetensors"), before).expect("writable");
    let before = change(&|predictions| predictions.patients[0].clone_from(&first.patients[3]));
    refused(
        Exit::BadData,
        &["fold-0", "fold-1"],
        &format!("patient {} is in fold 0 (fold-0) and in fold 1 (fold-1)", first.patients[3]),
    );
    fs::write(workplace.path("fold-1/predictions-val.safetensors"), before).expect("writable");
    change(&|predictions| predictions.patients.clear());
    let output = workplace.eval(&["out-of-fold", "fold-0", "fold-1", "--out", "x.safetensors"]);
    assert_exit(&output, Exit::Ok);
    let said = stdout(&output);
    assert!(
        said.contains("note: fold-1 does not name its patients: folds are checked to share no record"),
        "{said}"
    );
    assert!(said.contains("of unknown patients"), "{said}");
}
