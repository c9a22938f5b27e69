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
    for part in ["without a look", "always no", "calibrated on validation", "sex F"] {
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
    assert!(stdout(&output).contains("No operating points"), "{}", stdout(&output));
}
