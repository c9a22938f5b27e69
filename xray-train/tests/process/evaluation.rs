//! `xray-eval` on finished runs and on score files.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use assert_cmd::Command;
use serde_json::{Value, json};
use std::process::Output;
use xray_artifacts::{Predictions, Split};
use xray_data::{GrayImage, encode_png};
use xray_metrics::{Calibrator, Rule, Scores, ValidationScores, threshold};

fn eval(workplace: &Workplace, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("xray-eval").expect("the binary under test");
    command.current_dir(workplace.path("")).args(arguments).output().expect("the binary starts")
}

#[test]
fn a_run_is_appraised_with_the_figures_of_its_result() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &[]), 0);
    let json = eval(&workplace, &["run", "run", "--format", "json", "--resamples", "50"]);
    assert_exit(&json, 0);
    let found: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(found["test"], workplace.json("run/result.json")["scores"]["test"]);
    assert_eq!(found["operating_points"]["rule"], "youden");
    let groups = found["subgroups"].as_array().expect("a list");
    assert!(groups.iter().any(|group| group["by"] == "sex"), "{groups:?}");

    let text = stdout(&eval(&workplace, &["run", "run"]));
    assert!(found["metadata_baseline"]["macro_auc"].as_f64().is_some_and(|auc| auc > 0.0), "{found}");
    for part in
        ["without a look", "sex, age and view alone", "always no", "calibrated on validation", "sex F"]
    {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let same = stdout(&eval(&workplace, &["compare", "run", "run"]));
    assert!(same.contains("+0.000"), "{same}");
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    let workplace = Workplace::new();
    std::fs::write(workplace.path("a.csv"), "id,Mass,score_Mass\n1,1,0.9\n2,0,1.5\n").expect("writable");
    let check = |arguments: &[&str], code: i32, message: &str| {
        let output = eval(&workplace, arguments);
        assert_exit(&output, code);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    check(&["run", "nowhere"], 3, "nowhere is no run directory");
    check(&["score", "a.csv", "--scores", "probabilities"], 5, "a.csv: row 2: the score of Mass is 1.5");
    check(&["score", "a.csv", "--rule", "sensitivity>=2"], 2, "sensitivity>=2");
    let leaky = "patient,split,Mass,score_Mass\np,val,1,0.9\nq,val,0,0.2\np,test,1,0.8\nr,test,0,0.1\n";
    std::fs::write(workplace.path("leaky.csv"), leaky).expect("writable");
    let text = stdout(&eval(&workplace, &["score", "leaky.csv"]));
    assert!(text.contains("patients in validation and in test: 1;"), "{text}");
    let output = eval(&workplace, &["score", "a.csv"]);
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("No operating points and no calibration"), "{}", stdout(&output));
}

#[test]
fn calibrations_and_thresholds_of_validation_go_into_the_bundle() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &[]), 0);
    let before = workplace.json("run/model/model.json");
    assert_eq!((&before["calibration"], &before["thresholds"]), (&json!([]), &json!([])));
    let calibrate = |method: &str| {
        let rule = ["--rule", "sensitivity>=0.8", "--resamples", "0"];
        eval(&workplace, &[&["calibrate", "run", "--calibration", method][..], &rule].concat())
    };
    for method in ["temperature", "platt", "isotonic"] {
        assert_exit(&calibrate(method), 0);
        let card = workplace.json("run/model/model.json");
        for key in ["model", "preprocessing", "labels", "provenance", "scores", "format"] {
            assert_eq!(card[key], before[key], "{key}");
        }
        let val = predictions(&workplace, Split::Val);
        let scores = Scores::new(&val.logits, &val.truth, val.labels.len()).expect("finite");
        let fitted = threshold::fit(ValidationScores::new(scores), Rule::Sensitivity(0.8));
        let calibrators: Vec<Option<Calibrator>> = card["calibration"]
            .as_array()
            .expect("one per label")
            .iter()
            .map(|label| serde_json::from_value(label["calibrator"].clone()).expect("a calibrator or null"))
            .collect();
        assert!(calibrators.iter().any(Option::is_some), "{card}");
        for (at, fitted) in fitted.iter().enumerate() {
            let stored = &card["thresholds"][at];
            assert_eq!(stored["logit"].as_f64().map(|logit| logit as f32), fitted.threshold());
            assert_eq!(stored["undefined"].is_string(), fitted.threshold().is_none());
            assert_eq!((&stored["fitted_on"], &stored["rule"]), (&json!("val"), &json!("sensitivity>=0.8")));
            // Whoever is called positive by the logit is by the probability, too.
            let (Some(calibrator), Some(cut)) = (&calibrators[at], fitted.threshold()) else { continue };
            assert_eq!(stored["probability"].as_f64(), Some(calibrator.probability(f64::from(cut))));
            for logit in scores.scores_of(at).filter(|logit| *logit >= f64::from(cut)) {
                assert!(calibrator.probability(logit) >= calibrator.probability(f64::from(cut)));
            }
        }
    }
    let bytes = || std::fs::read(workplace.path("run/model/model.json")).expect("a card");
    let first = bytes();
    assert_exit(&calibrate("isotonic"), 0);
    assert!(first == bytes(), "the same again gives the same bytes");
    let nowhere = eval(&workplace, &["calibrate", "nowhere"]);
    assert_exit(&nowhere, 3);
}

#[test]
fn a_finding_is_drawn_where_its_score_comes_from() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &[]), 0);
    let image =
        GrayImage { width: 90, height: 70, pixels: (0..90 * 70).map(|at| (at % 251) as u8).collect() };
    std::fs::write(workplace.path("chest.png"), encode_png(&image)).expect("writable");
    let drawn = eval(
        &workplace,
        &["explain", "run", "chest.png", "--label", "Mass", "--out", "maps", "--format", "json"],
    );
    assert_exit(&drawn, 0);
    let found: Value = serde_json::from_slice(&drawn.stdout).expect("JSON");
    assert_eq!((&found[0]["label"], &found[0]["picture"]), (&json!("Mass"), &json!("maps/chest-Mass.png")));
    assert_eq!(found[0]["findings"].as_array().map(Vec::len), Some(14));
    let header =
        xray_data::read_header(&std::fs::read(workplace.path("maps/chest-Mass.png")).expect("a picture"));
    let header = header.expect("a PNG");
    assert!(header.width > 2 * 512 && header.height >= 512, "{} x {}", header.width, header.height);

    let check = |arguments: &[&str], code: i32, message: &str| {
        let output = eval(&workplace, arguments);
        assert_exit(&output, code);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    check(&["explain", "run", "chest.png", "--label", "mas"], 2, "did you mean Mass?");
    std::fs::write(workplace.path("broken.jpg"), b"\xff\xd8\xff").expect("writable");
    check(&["explain", "run", "broken.jpg"], 5, "broken.jpg");
    check(&["explain", "nowhere", "chest.png"], 3, "there is no bundle in nowhere");
}

fn predictions(workplace: &Workplace, split: Split) -> Predictions {
    Predictions::load(&workplace.path(&format!("run/predictions-{split}.safetensors")))
        .expect("a finished run")
}

/// The best threshold of the test rows would be 0.2, and of them 0.5 calls one of two positives.
#[test]
fn thresholds_are_chosen_on_validation_and_reported_on_test() {
    let workplace = Workplace::new();
    let rows = "split,Mass,score_Mass\nval,0,0.2\nval,1,0.8\n\
                test,1,0.9\ntest,0,0.6\ntest,1,0.3\ntest,0,0.1\ntest,0,0.05\n";
    std::fs::write(workplace.path("a.csv"), rows).expect("writable");
    let output = eval(&workplace, &["score", "a.csv", "--format", "json"]);
    assert_exit(&output, 0);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let label = &found["operating_points"]["labels"][0];
    assert!((label["threshold"].as_f64().expect("a threshold") - 0.5).abs() < 1e-6, "{label}");
    let calls = |name: &str| label["point"]["confusion"][name].as_u64().expect("a count");
    let names = ["true_positives", "false_positives", "true_negatives", "false_negatives"];
    assert_eq!(names.map(calls), [1, 1, 2, 1]);
}

#[test]
fn models_are_compared_record_by_record_in_whatever_order() {
    let workplace = Workplace::new();
    let header = "id,Mass,score_Mass\n";
    let rows = ["a,1,0.9\n", "b,0,0.4\n", "c,1,0.3\n", "d,0,0.2\n"];
    let write = |name: &str, rows: Vec<&str>| {
        std::fs::write(workplace.path(name), header.to_owned() + &rows.concat()).expect("writable");
    };
    write("a.csv", rows.to_vec());
    write("turned.csv", rows.iter().rev().copied().collect());
    write("others.csv", vec![rows[0], rows[1], rows[2], "e,0,0.2\n"]);
    let same = eval(&workplace, &["compare", "a.csv", "turned.csv"]);
    assert_exit(&same, 0);
    assert!(stdout(&same).contains("0.750  0.750    +0.000"), "{}", stdout(&same));
    let others = eval(&workplace, &["compare", "a.csv", "others.csv"]);
    assert_exit(&others, 5);
    assert!(stderr(&others).contains("the second model has no score of d"), "{}", stderr(&others));
}
