//! `xray-eval ensemble`: several models as one, from what they said.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use xray_artifacts::{Exit, Split};
use xray_bundle::Bundle;
use xray_data::{Dataset, Draw, OpenOptions};
use xray_image::Budget;
use xray_train::run::RunOptions;

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
        "0.csv and truth.csv: they have different labels for Mass of r6",
    );
    // Its patient p3 is called p4 once, and p3 in the next record.
    member(&workplace, "patient.csv", 3, |at, row| {
        if at == 6 {
            *row = row.replacen(",p3,", ",p4,", 1);
        }
    });
    refused(Exit::BadData, &["0.csv", "patient.csv"], "they name different patients for record r7");
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

/// Columns of a table, by the id of each row.
fn columns(workplace: &Workplace, file: &str, prefix: &str) -> HashMap<String, HashMap<String, f64>> {
    let mut table = csv::Reader::from_path(workplace.path(file)).expect("written");
    let header: Vec<String> = table.headers().expect("a header").iter().map(str::to_owned).collect();
    let id = header.iter().position(|name| name == "id").expect("the column");
    let of_row = |row: csv::StringRecord| {
        let cells = header.iter().zip(&row).filter_map(|(name, cell)| {
            Some((name.strip_prefix(prefix)?.to_owned(), cell.parse().expect("a number")))
        });
        (row[id].to_owned(), cells.collect())
    };
    table.records().map(|row| of_row(row.expect("a row"))).collect()
}

/// Runs of three widths.
#[test]
fn a_bundle_of_several_members_says_what_the_ensemble_says() {
    let workplace = Workplace::with_run();
    workplace.train("other", &["seed=1", "model.width=8"], RunOptions::default()).expect("a second run");
    workplace.train("third", &["seed=2", "model.width=6"], RunOptions::default()).expect("a third run");
    let arguments = ["ensemble", "run", "other", "third", "--out", "e.csv", "--bundle", "all"];
    let output = workplace.eval(&arguments);
    assert_exit(&output, Exit::Ok);
    assert!(stdout(&output).contains("all"), "{}", stdout(&output));
    let card = workplace.json("all/model.json");
    assert_eq!((card["members"].as_array().map(Vec::len), &card["calibration"]), (Some(3), &json!([])));
    let seeds = [0, 1, 2].map(|at: usize| card["members"][at]["provenance"]["seed"].clone());
    assert_eq!(seeds[1..], [json!(1), json!(2)]);

    let expected = columns(&workplace, "e.csv", "prob_");
    for (batch, threads) in [("32", "1"), ("5", "2")] {
        let out = ["--out", "p.csv", "--overwrite", "--batch-size", batch, "--threads", threads];
        let predict = ["predict", "all", "shards", "--split", "test"];
        assert_exit(&workplace.eval(&[&predict[..], &out].concat()), Exit::Ok);
        let found = columns(&workplace, "p.csv", "probability_");
        assert_eq!(found.len(), workplace.predictions(Split::Test).ids.len());
        assert!(found.iter().all(|(id, row)| expected[id] == *row), "every probability, bit for bit");
    }
    // As a server opens it, image by image.
    let bundle = Bundle::open(&workplace.path("all")).expect("just written");
    let dataset = Dataset::open(&workplace.path("shards"), &OpenOptions::default()).expect("there");
    for id in dataset.select(Split::Test, &Draw::default()).expect("some") {
        let sample = dataset.sample(id).expect("good");
        let prepared = bundle.prepare(sample.image, &Budget::default()).expect("an image");
        for finding in bundle.findings(&bundle.predict(&prepared)).expect("finite") {
            assert_eq!(expected[&sample.image_id][&finding.label], finding.probability, "{}", finding.label);
            let threshold = &card["thresholds"][finding.index];
            let call = threshold["logit"].as_f64().map(|logit| finding.logit >= logit);
            assert_eq!((finding.positive, threshold["rule"].as_str()), (call, Some("youden")));
        }
    }
    // What the thresholds have on test is what is seen of the calls.
    let calls = columns(&workplace, "p.csv", "positive_Effusion");
    let truth = columns(&workplace, "e.csv", "true_Effusion");
    let sick: Vec<&String> = calls.keys().filter(|id| truth[*id][""] == 1.0).collect();
    let found = sick.iter().filter(|id| calls[**id][""] == 1.0).count() as f64 / sick.len() as f64;
    assert_eq!(card["thresholds"][2]["test_sensitivity"].as_f64(), Some(found), "{}", card["thresholds"][2]);

    let there = ["run", "all", "--data", "shards", "--split", "test", "--format", "json"];
    let output = workplace.eval(&there);
    assert_exit(&output, Exit::Ok);
    let there: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let scored = workplace.eval(&["score", "e.csv", "--format", "json"]);
    let scored: Value = serde_json::from_slice(&scored.stdout).expect("JSON");
    let auc = |of: &Value| of["test"]["macro_auc"].as_f64().expect("a number");
    assert!((auc(&there["appraisal"]) - auc(&scored)).abs() < 1e-3, "log-odds in 32 bits may tie");
    assert_eq!(card["scores"]["test"]["records"], scored["test"]["records"]);
    fs::write(workplace.path("chest.png"), dataset_image(&dataset)).expect("writable");
    assert_exit(
        &workplace.eval(&["explain", "all", "chest.png", "--label", "Mass", "--out", "maps"]),
        Exit::Ok,
    );
}

fn dataset_image(dataset: &Dataset) -> Vec<u8> {
    let id = dataset.select(Split::Test, &Draw::default()).expect("some")[0];
    dataset.sample(id).expect("good").image.to_vec()
}

#[test]
fn what_makes_no_bundle_and_what_no_ensemble_does_is_said() {
    let workplace = Workplace::with_run();
    workplace.train("other", &["seed=1"], RunOptions::default()).expect("a second run");
    workplace.train("small", &["preprocessing.size=24"], RunOptions::default()).expect("a third run");
    let refused = |exit: Exit, arguments: &[&str], part: &str| {
        let output = workplace.eval(arguments);
        assert_exit(&output, exit);
        let said = stderr(&output);
        assert!(said.contains(part) && said.contains("hint: "), "{part} is not in {said}");
    };
    let ensemble = |members: &[&'static str], bundle: &'static str| {
        [&["ensemble"], members, &["--out", "e.csv", "--bundle", bundle]].concat()
    };
    refused(
        Exit::ModelMismatch,
        &ensemble(&["run", "small"], "both"),
        "run and small prepare images in different ways, for 32 and 24 pixels",
    );
    assert!(!workplace.path("e.csv").exists() && !workplace.path("both").exists(), "nothing is half written");
    assert_exit(&workplace.eval(&["ensemble", "run", "other", "--out", "table.csv"]), Exit::Ok);
    refused(
        Exit::Usage,
        &ensemble(&["run", "table.csv"], "both"),
        "table.csv is a table of scores, which has no network",
    );
    refused(Exit::Usage, &ensemble(&["run", "other"], "run"), "run is there already");
    assert_exit(&workplace.eval(&ensemble(&["run", "other"], "both")), Exit::Ok);
    for (arguments, part) in [
        (
            ["export", "both", "--to", "onnx"].to_vec(),
            "both cannot be exported: it is an ensemble of 2 networks",
        ),
        (
            ["calibrate", "both", "--data", "shards"].to_vec(),
            "not calibrated as a whole: it is an ensemble of 2 networks",
        ),
    ] {
        refused(Exit::Usage, &arguments, part);
    }
    // What has no predictions is not a member, and says what it is.
    let with = |member: &'static str| ["ensemble", "run", member, "--out", "more.csv"];
    let keeps_none = "which keeps no predictions of records";
    let of_two = format!("both is the bundle of an ensemble of 2 networks, {keeps_none}");
    refused(Exit::NothingMatches, &with("both"), &of_two);
    refused(Exit::NothingMatches, &with("other/model"), &format!("other/model is a bundle, {keeps_none}"));
    refused(Exit::NothingMatches, &with("shards"), "shards is not a run directory");
    // What an interrupted start leaves is not a bundle yet, and is replaced.
    fs::remove_file(workplace.path("both/model.json")).expect("there");
    let again =
        [&ensemble(&["run", "other"], "both")[..], &["--overwrite", "--rule", "sensitivity>=0.9"]].concat();
    assert_exit(&workplace.eval(&again), Exit::Ok);
    assert_eq!(workplace.json("both/model.json")["thresholds"][0]["rule"], "sensitivity>=0.9");
}
