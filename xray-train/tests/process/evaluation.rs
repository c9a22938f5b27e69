//! `xray-eval` on finished runs and on score files.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use assert_cmd::Command;
use serde_json::Value;
use std::process::Output;

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
