//! `xray-eval ensemble`: several models as one, from what they said.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::{Value, json};
use std::fs;
use xray_artifacts::Exit;

/// Numbers from 0 to 1 that are a function of two.
fn noise(at: usize, of: usize) -> f64 {
    ((at * 7919 + of * 104_729 + at * at * 31) % 997) as f64 / 997.0
}

/// 160 records of 80 patients, half of them validation; a member sees the truth through a noise of its own.
fn member(workplace: &Workplace, name: &str, number: usize, change: impl Fn(usize, &mut String)) {
    let mut table = "id,patient,split,Mass,logit_Mass\n".to_owned();
    for at in 0..160 {
        let split = if at % 4 < 2 { "val" } else { "test" };
        let truth = at / 4 % 2;
        let logit = 2.0 * truth as f64 + 6.0 * noise(at, number) - 4.0;
        let mut row = format!("r{at},p{},{split},{truth},{logit}", at / 2);
        change(at, &mut row);
        table += &row;
        table.push('\n');
    }
    fs::write(workplace.path(name), table).expect("writable");
}

fn three(workplace: &Workplace) {
    for number in 0..3 {
        member(workplace, &format!("{number}.csv"), number, |_, _| ());
    }
}

const THREE: [&str; 6] = ["ensemble", "0.csv", "1.csv", "2.csv", "--out", "all.csv"];

#[test]
fn the_mean_of_calibrated_probabilities_is_better_than_its_members() {
    let workplace = Workplace::empty();
    three(&workplace);
    let output = workplace.eval(&[&THREE[..], &["--format", "json"]].concat());
    assert_exit(&output, Exit::Ok);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let auc = |name: &str| {
        let output = workplace.eval(&["score", name, "--format", "json"]);
        assert_exit(&output, Exit::Ok);
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        found["test"]["macro_auc"].as_f64().expect("a number")
    };
    let aucs = [auc("0.csv"), auc("1.csv"), auc("2.csv")];
    let mean = aucs.iter().sum::<f64>() / 3.0;
    let of = |side: &str, figure: &str| found[side]["macro_auc"][figure].as_f64().expect("a number");
    assert!((of("beside_mean", "b") - mean).abs() < 1e-12, "{found}");
    let best = found["best"].as_u64().expect("a place") as usize;
    assert!((of("beside_best", "b") - aucs[best]).abs() < 1e-12, "{found}");
    let val = |at: usize| found["members"][at]["val_macro_auc"].as_f64().expect("a number");
    assert!((0..3).all(|at| val(at) <= val(best)), "{found}");
    // The table holds the ensemble, to the last digit that ranks see.
    assert_eq!(of("beside_mean", "a"), auc("all.csv"));
    assert!(of("beside_mean", "difference") > 0.0, "noises of their own cancel: {found}");
    assert_eq!(found["beside_mean"]["unit"], "patient");
    assert_eq!(found["beside_mean"]["units"], json!(40));
    let interval = &found["beside_mean"]["macro_auc"]["interval"];
    assert!(interval[0].as_f64() < interval[1].as_f64(), "{found}");

    // By hand: Platt's calibrations of the three, and their mean.
    let card = |name: &str| {
        let output = workplace.eval(&["compare", "all.csv", name, "--format", "json"]);
        assert_exit(&output, Exit::Ok);
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let compared = card(&format!("{best}.csv"));
    assert_eq!(compared["comparison"]["labels"], found["beside_best"]["labels"]);

    let refused = workplace.eval(&THREE);
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("all.csv is there already"), "{}", stderr(&refused));
    let text = workplace.eval(&[&THREE[..], &["--overwrite"]].concat());
    assert_exit(&text, Exit::Ok);
    assert!(stdout(&text).contains("80 test records of 40 patients"), "{}", stdout(&text));
    assert!(stdout(&text).contains(&format!("{best}.csv (best)")), "{}", stdout(&text));
}

#[test]
fn members_in_another_order_are_put_beside_each_other() {
    let workplace = Workplace::empty();
    three(&workplace);
    assert_exit(&workplace.eval(&THREE), Exit::Ok);
    let expected = fs::read_to_string(workplace.path("all.csv")).expect("written");
    let text = fs::read_to_string(workplace.path("2.csv")).expect("written");
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    fs::write(workplace.path("2.csv"), lines.join("\n")).expect("writable");
    assert_exit(&workplace.eval(&[&THREE[..], &["--overwrite"]].concat()), Exit::Ok);
    let found = fs::read_to_string(workplace.path("all.csv")).expect("written");
    // The calibration of the turned member sums in another order.
    for (found, expected) in found.lines().zip(expected.lines()).skip(1) {
        let (found, expected) =
            (found.rsplit_once(',').expect("cells"), expected.rsplit_once(',').expect("cells"));
        assert_eq!(found.0, expected.0);
        let [a, b]: [f64; 2] = [found.1, expected.1].map(|cell| cell.parse().expect("a number"));
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }
}

#[test]
fn members_of_other_records_labels_or_truths_are_refused_by_name() {
    let workplace = Workplace::empty();
    three(&workplace);
    let refused = |exit: Exit, arguments: &[&str], part: &str| {
        let output = workplace.eval(&[&["ensemble"], arguments, &["--out", "x.csv"]].concat());
        assert_exit(&output, exit);
        assert!(stderr(&output).contains(part), "{part} is not in {}", stderr(&output));
        assert!(!workplace.path("x.csv").exists());
    };
    member(&workplace, "other.csv", 3, |at, row| {
        if at == 7 {
            *row = row.replacen("r7,", "r700,", 1);
        }
    });
    refused(
        Exit::BadData,
        &["0.csv", "1.csv", "other.csv"],
        "0.csv and other.csv: the second model has no score of r7",
    );
    member(&workplace, "truth.csv", 3, |at, row| {
        if at == 6 {
            *row = row.replacen(",test,1,", ",test,0,", 1);
        }
    });
    refused(
        Exit::BadData,
        &["0.csv", "truth.csv"],
        "0.csv and truth.csv: they differ in whether r6 has Mass",
    );
    // Its patient p3 is called p4 once, and p3 in the next record.
    member(&workplace, "patient.csv", 3, |at, row| {
        if at == 6 {
            *row = row.replacen(",p3,", ",p4,", 1);
        }
    });
    refused(Exit::BadData, &["0.csv", "patient.csv"], "they differ in whose record r7 is");
    let text = fs::read_to_string(workplace.path("1.csv")).expect("written");
    fs::write(workplace.path("label.csv"), text.replace("Mass", "Edema")).expect("writable");
    refused(Exit::BadData, &["0.csv", "label.csv"], "only one of the two models scores Mass");
    fs::write(workplace.path("alone.csv"), text.replace(",val,", ",test,")).expect("writable");
    refused(Exit::NothingMatches, &["0.csv", "alone.csv"], "alone.csv has no validation records");
    refused(Exit::Usage, &["0.csv"], "two members or more");
    refused(Exit::Usage, &["0.csv", "./0.csv"], "./0.csv is named twice");
    let output = workplace.eval(&["ensemble", "0.csv", "1.csv", "--out", "x.txt"]);
    assert_exit(&output, Exit::Usage);
    assert!(stderr(&output).contains("x.txt is not named .csv"), "{}", stderr(&output));
}
