//! What `xray-eval` says of scores that tell little or nothing: never a panic, never a figure that is none.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::{Value, json};
use xray_artifacts::{Exit, Split};

/// Both outputs of an evaluation that succeeds.
fn appraised(workplace: &Workplace, arguments: &[&str]) -> (Value, String) {
    let json = workplace.eval(&[arguments, &["--format", "json"]].concat());
    assert_exit(&json, Exit::Ok);
    let text = workplace.eval(arguments);
    assert_exit(&text, Exit::Ok);
    (serde_json::from_slice(&json.stdout).expect("JSON"), stdout(&text))
}

/// Sixty validation and sixty test rows of patients with two each; `row` gives truth and score.
fn write(workplace: &Workplace, patient: impl Fn(usize) -> String, row: impl Fn(usize) -> (String, String)) {
    let mut text = "id,patient,split,Mass,score_Mass\n".to_owned();
    for (at, split) in (0..120).map(|at| (at, if at < 60 { "val" } else { "test" })) {
        let (truth, score) = row(at);
        text += &format!("r{at},{},{split},{truth},{score}\n", patient(at));
    }
    std::fs::write(workplace.path("a.csv"), text).expect("writable");
}

fn own(at: usize) -> String {
    format!("p{}", at / 2)
}

fn half(at: usize) -> String {
    (at % 2).to_string()
}

fn mixed(at: usize) -> String {
    format!("0.{}", at * 7 % 41 + 10)
}

const FILE: [&str; 2] = ["score", "a.csv"];

#[test]
fn a_label_without_positives_has_no_auc_in_a_file() {
    let workplace = Workplace::empty();
    write(&workplace, own, |at| ("0".into(), mixed(at)));
    let (found, text) = appraised(&workplace, &FILE);
    assert_eq!(
        (&found["test"]["macro_auc"], &found["test"]["labels"][0]["auc"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(found["missing_intervals"], json!([{"label": "Mass", "why": "no_auc"}]));
    assert!(text.contains("no AUC for Mass: no positive or no negative record"), "{text}");
    assert!(text.contains("Mass: no validation record is positive"), "{text}");
    assert!(!text.contains("0.500"), "{text}");
}

#[test]
fn equal_scores_are_called_so_in_a_file() {
    let workplace = Workplace::empty();
    write(&workplace, own, |at| (half(at), "0.3".into()));
    let (found, text) = appraised(&workplace, &FILE);
    let label = &found["test"]["labels"][0];
    assert_eq!((&label["auc"], &label["auc_interval"]), (&json!(0.5), &Value::Null));
    assert_eq!((&found["test"]["macro_auc_interval"], &found["delong"]), (&Value::Null, &json!([null])));
    assert_eq!(found["missing_intervals"], json!([{"label": "Mass", "why": "same_score"}]));
    assert!(text.contains("0.500 the same score for every image"), "{text}");
    assert!(
        text.contains("Mass: every image gets the same score, so there is nothing to calibrate"),
        "{text}"
    );
    for method in ["temperature", "platt", "isotonic"] {
        let (found, _) = appraised(&workplace, &[&FILE[..], &["--calibration", method]].concat());
        assert_eq!(found["reliability"][0]["ece_calibrated"], Value::Null, "{method}");
    }
}

#[test]
fn one_patient_and_few_patients_have_no_interval_in_a_file() {
    let workplace = Workplace::empty();
    write(&workplace, |at| if at < 60 { own(at) } else { "p".into() }, |at| (half(at), mixed(at)));
    let (found, text) = appraised(&workplace, &FILE);
    assert!(
        found["test"]["macro_auc"].is_number() && found["test"]["macro_auc_interval"].is_null(),
        "{found}"
    );
    assert_eq!(found["missing_intervals"], json!([{"label": "Mass", "why": "one_patient"}]));
    assert!(text.contains("60 records of one patient"), "{text}");
    assert!(text.contains("no interval for Mass: all records are of one patient"), "{text}");
    let same = workplace.eval(&["compare", "a.csv", "a.csv"]);
    assert_exit(&same, Exit::Ok);
    assert!(stdout(&same).contains("of one patient"), "{}", stdout(&same));

    write(&workplace, own, |at| (u8::from(at % 60 < 8).to_string(), mixed(at)));
    let (found, text) = appraised(&workplace, &FILE);
    assert!(found["test"]["labels"][0]["auc_interval"].is_null(), "{found}");
    assert!(
        text.contains("no interval for Mass: only 4 patients with it and 26 without; an interval needs 5"),
        "{text}"
    );

    write(&workplace, |_| String::new(), |at| (half(at), mixed(at)));
    let (found, text) = appraised(&workplace, &FILE);
    assert!(
        found["test"]["labels"][0]["auc_interval"].is_array() && found["test_patients"].is_null(),
        "{found}"
    );
    assert!(text.contains("60 records; patients unknown, so records are taken as independent"), "{text}");
    write(&workplace, |at| if at == 70 { String::new() } else { own(at) }, |at| (half(at), mixed(at)));
    let (_, text) = appraised(&workplace, &FILE);
    assert!(text.contains("note: 1 of 60 test rows without a patient"), "{text}");
}

/// Scores with two digits, of which some are 0.00 and 1.00: no figure is ruined, and it says what they were taken for.
#[test]
fn zeros_and_ones_ruin_no_figure_in_a_file() {
    let workplace = Workplace::empty();
    let probability = |at: usize| (at * 37 % 120) as f64 / 119.0;
    let sick = |at: usize| u8::from((at * 53 % 120) as f64 / 119.0 < probability(at)).to_string();
    let exact = |at: usize| format!("{:?}", probability(at).clamp(1e-3, 1.0 - 1e-3));
    let digits = |at: usize| format!("{:.1}", probability(at));
    write(&workplace, own, |at| (sick(at), exact(at)));
    let (before, _) = appraised(&workplace, &FILE);
    write(&workplace, own, |at| (sick(at), digits(at)));
    let (found, text) = appraised(&workplace, &FILE);
    assert!(text.contains("scores (10.0 %) are exactly 0 or 1: calibration takes them for 0.005"), "{text}");
    for place in ["/test/labels/0/log_loss", "/test/labels/0/brier", "/reliability/0/ece_calibrated"] {
        let [before, found] = [&before, &found].map(|of| of.pointer(place).and_then(Value::as_f64));
        let (before, found) = before.zip(found).expect("defined");
        assert!((before - found).abs() < 0.05, "{place}: {found}, before rounding {before}");
    }
    // As scikit-learn's of the same numbers.
    let rows = (60..120).map(|at| (digits(at).parse::<f64>().expect("a number"), sick(at) == "1"));
    let loss = |(p, sick): (f64, bool)| {
        let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        -(if sick { p } else { 1.0 - p }).ln() / 60.0
    };
    let expected: f64 = rows.map(loss).sum();
    let log_loss = found["test"]["labels"][0]["log_loss"].as_f64().expect("defined");
    assert!((log_loss - expected).abs() < 1e-12, "{log_loss} is not {expected}");
}

#[test]
fn percentages_are_asked_about_and_read_when_said_so() {
    let workplace = Workplace::empty();
    write(&workplace, own, |at| (half(at), mixed(at)));
    let (probabilities, _) = appraised(&workplace, &FILE);
    write(&workplace, own, |at| (half(at), mixed(at).replace("0.", "") + ".0"));
    let output = workplace.eval(&FILE);
    assert_exit(&output, Exit::BadData);
    assert!(
        stderr(&output).contains("hint: say --scores percent, or --scores logits"),
        "{}",
        stderr(&output)
    );
    let (percent, text) = appraised(&workplace, &[&FILE[..], &["--scores", "percent"]].concat());
    assert!(text.contains("note: scores are taken for percentages"), "{text}");
    let without_notes = |mut found: Value| {
        found["notes"] = Value::Null;
        found
    };
    assert_eq!(without_notes(percent), without_notes(probabilities));
}

#[test]
fn scores_that_are_no_numbers_or_no_probabilities_are_refused_in_a_file() {
    let workplace = Workplace::empty();
    let check = |score: &str, more: &[&str], message: &str| {
        let of = |at| if at == 70 { score.to_owned() } else { mixed(at) };
        write(&workplace, own, |at| (half(at), of(at)));
        let output = workplace.eval(&[&FILE[..], more].concat());
        assert_exit(&output, Exit::BadData);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    check("NaN", &[], "line 72: the score of Mass is `NaN`, not a number");
    check("inf", &[], "line 72: the score of Mass is `inf`, not a number");
    check("", &[], "line 72: the score of Mass is ``, not a number");
    check("1.0000001", &[], "row r70: the score of Mass is 1.0000001, just outside 0 to 1");
    check("-3", &["--scores", "probabilities"], "row r70: the score of Mass is -3, no probability");
}

#[test]
fn a_run_that_tells_little_says_so() {
    let workplace = Workplace::with_run();
    let (test, val) = (workplace.predictions(Split::Test), workplace.predictions(Split::Val));
    let label = test.labels[0].clone();
    let missing = |found: &Value| {
        let list = found["missing_intervals"].as_array().expect("a list").clone();
        list.into_iter().find(|missing| missing["label"] == label).map(|missing| missing["why"].clone())
    };
    let every = |values: &mut [f32], value: f32| values.iter_mut().step_by(14).for_each(|at| *at = value);

    workplace.edit(Split::Test, |test| every(&mut test.truth, 0.0));
    let (found, text) = appraised(&workplace, &["run", "run"]);
    assert_eq!((&found["test"]["labels"][0]["auc"], missing(&found)), (&Value::Null, Some(json!("no_auc"))));
    assert!(text.contains(&format!("no AUC for {label}")), "{text}");

    workplace.edit(Split::Test, |all| *all = test.clone());
    for split in [Split::Val, Split::Test] {
        workplace.edit(split, |all| {
            all.logits.iter_mut().step_by(14).for_each(|at| *at = -1.5);
            every(&mut all.truth, 0.0);
            all.truth.iter_mut().step_by(3 * 14).for_each(|at| *at = 1.0);
        });
    }
    let (found, text) = appraised(&workplace, &["run", "run"]);
    let scored = &found["test"]["labels"][0];
    assert_eq!((&scored["auc"], &scored["auc_interval"]), (&json!(0.5), &Value::Null));
    assert_eq!(missing(&found), Some(json!("same_score")));
    assert!(text.contains("0.500 the same score for every image"), "{text}");
    assert_exit(&workplace.eval(&["calibrate", "run"]), Exit::Ok);
    let card = workplace.json("run/model/model.json");
    let why = "every image gets the same score, so there is nothing to calibrate";
    assert_eq!(card["calibration"][0]["left_as_it_is"], why);

    workplace.edit(Split::Val, |all| *all = val.clone());
    workplace.edit(Split::Test, |all| {
        *all = test.clone();
        all.patients.fill("p".into());
    });
    let (found, text) = appraised(&workplace, &["run", "run"]);
    assert_eq!((&found["test_patients"], &found["test"]["macro_auc_interval"]), (&json!(1), &Value::Null));
    assert!(text.contains("records of one patient"), "{text}");
    assert!(text.contains("all records are of one patient"), "{text}");

    let check = |change: &dyn Fn(&mut xray_artifacts::Predictions), message: &str| {
        workplace.edit(Split::Test, |all| {
            *all = test.clone();
            change(all);
        });
        for command in ["run", "calibrate"] {
            let output = workplace.eval(&[command, "run"]);
            assert_exit(&output, Exit::BadData);
            assert!(stderr(&output).contains(message), "{}", stderr(&output));
        }
    };
    check(&|all| all.logits[15] = f64::NAN, "test split: record 1, label 1: the score is NaN");
    check(&|all| all.truth[14] = 0.5, "test split: record 1, label 0: the label is 0.5");
    workplace.edit(Split::Test, |all| *all = test.clone());
    workplace.edit(Split::Val, |all| all.labels[0] = "Another".into());
    let output = workplace.eval(&["run", "run"]);
    assert_exit(&output, Exit::ModelMismatch);
    assert!(stderr(&output).contains("have different labels for val and test"), "{}", stderr(&output));
}
