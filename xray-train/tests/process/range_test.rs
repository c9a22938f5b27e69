//! `--find-learning-rate`: rates to learn with, nothing where nothing can be learnt, and no trace.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::process::Output;
use xray_artifacts::Exit;
use xray_model::{Learner, LearnerConfig, ModelConfig};

/// Enough phantoms for 150 steps without one of them twice.
const IMAGES: u64 = 3_400;

const SETTINGS: [&str; 9] =
    ["--data", "shards", "--size", "32", "--batch-size", "16", "--set", "model.width=8", "--quiet"];

fn range_test(workplace: &Workplace, more: &[&str]) -> Output {
    let arguments = [&SETTINGS[..], more].concat();
    workplace.command(&arguments).output().expect("the binary starts")
}

fn json(workplace: &Workplace, more: &[&str]) -> Value {
    let output = range_test(workplace, &[&["--find-learning-rate=150", "--format", "json"], more].concat());
    assert_exit(&output, Exit::Ok);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_rate_is_suggested_for_every_loss_and_optimizer() {
    let workplace = Workplace::of(IMAGES);
    let check = |loss: &str, optimizer: &str, [low, high]: [f64; 2]| {
        let optimizer = format!("optimizer.algorithm={optimizer}");
        let found = json(&workplace, &["--loss", loss, "--set", &optimizer]);
        let conclusion = &found["conclusion"];
        let rate = conclusion["rate"].as_f64().unwrap_or_else(|| panic!("{loss}, {optimizer}: {conclusion}"));
        assert!((low..=high).contains(&rate), "{loss}, {optimizer}: {rate}");
        let chance = found["evidence"]["chance"].as_f64().expect("a number");
        assert!(chance < 1e-4, "{found}");
    };
    check("bce", "adam", [3e-4, 1e-2]);
    check("focal", "adamw", [3e-4, 1e-2]);
    check("asymmetric", "sgd", [2e-2, 2.0]);
    check("weighted-bce", "sgd", [5e-4, 1e-1]);
}

#[test]
fn nothing_is_suggested_where_nothing_is_learnt_or_more_lies_beyond() {
    let workplace = Workplace::of(IMAGES);
    let kind = |rates: &str| json(&workplace, &["--rates", rates])["conclusion"]["kind"].clone();
    assert_eq!(kind("1e-12..1e-10"), "nothing-learnt");
    assert_eq!(kind("1e-7..1e-4"), "at-the-high-end");
    let said = range_test(&workplace, &["--find-learning-rate", "--rates", "1e-12..1e-10"]);
    assert_exit(&said, Exit::Ok);
    let text = stdout(&said);
    assert!(
        text.contains("no learning rate is suggested: nothing was learned") && text.contains("\n hint: "),
        "{text}"
    );
    assert!(!text.contains("suggested learning rate"), "{text}");
    // 200 steps of 16, and fewer images.
    assert!(stderr(&said).contains("warning: 200 steps are 1."), "{}", stderr(&said));
}

/// Where no weight moves, the network and its copy say the same of each batch, in parts of it too.
#[test]
fn the_copy_keeps_the_first_weights() {
    let workplace = Workplace::of(1_000);
    let model = ModelConfig { width: 8, ..ModelConfig::default() }.resolved();
    let learner = Learner::new(&LearnerConfig { model, ..LearnerConfig::new(14) }, 77).expect("a CPU");
    let weights = learner.weights().expect("a CPU");
    weights.save(&workplace.path("other.safetensors"), &[]).expect("writable");
    for more in [
        &["--set", "training.micro_batch=6"][..],
        &["--set", "training.average_decay=0.9"],
        &["--init", "other.safetensors"],
    ] {
        let found = json(&workplace, &[&["--rates", "1e-38..1e-36"], more].concat());
        let measurements = found["measurements"].as_array().expect("a list");
        assert_eq!(measurements.len(), 150);
        assert!(measurements.iter().all(|batch| batch["loss"] == batch["first"]), "{more:?}");
        assert!(measurements.iter().any(|batch| batch["loss"] != measurements[0]["loss"]), "{more:?}");
    }
}

#[test]
fn it_is_the_same_for_any_number_of_threads_and_leaves_the_chart_alone() {
    let workplace = Workplace::of(IMAGES);
    let steps = "--find-learning-rate=120";
    let text = |threads: &str, more: &[&str]| {
        let output = range_test(&workplace, &[&[steps, "--threads", threads], more].concat());
        assert_exit(&output, Exit::Ok);
        stdout(&output)
    };
    let of_one = text("1", &["--format", "json"]);
    assert!(of_one == text("3", &["--format", "json"]), "another number of threads");
    assert!(of_one != text("1", &["--format", "json", "--seed", "5"]), "another seed");

    fs::write(workplace.path("rates.svg"), "of another test").expect("writable");
    let said = text("1", &["--out", "rates.svg", "--overwrite"]);
    assert!(said.ends_with("chart: rates.svg\n"), "{said}");
    let mut names: Vec<_> = fs::read_dir(workplace.path("")).expect("a folder").collect();
    names.sort_by_key(|entry| entry.as_ref().expect("readable").file_name());
    let names: Vec<_> = names.into_iter().map(|entry| entry.expect("readable").file_name()).collect();
    assert_eq!(names, ["rates.svg", "shards"]);

    let svg = fs::read_to_string(workplace.path("rates.svg")).expect("written");
    let suggested =
        said.split_once("suggested learning rate: ").expect("one").1.split(' ').next().expect("a number");
    for part in [">learning rate<", ">1e-6<", ">0.001<", ">smoothed<", &format!(">suggested: {suggested}<")] {
        assert!(svg.contains(part), "{part} is not in {svg}");
    }
    // One for each batch, and one in the legend.
    assert_eq!(svg.matches("class=\"dot c1\"").count(), 121, "{svg}");
}

#[test]
fn a_range_that_cannot_be_is_refused_before_data_are_opened() {
    let workplace = Workplace::of(60);
    let check = |more: &[&str], part: &str| {
        let output = range_test(&workplace, more);
        assert_exit(&output, Exit::Usage);
        let said = stderr(&output);
        assert!(said.contains(part) && !said.contains("panicked"), "{part} is not in {said}");
    };
    let find = "--find-learning-rate";
    check(&[find, "--rates", "1..1e-3"], "1 is not below 0.001");
    check(&[find, "--rates", "0..1"], "`0..1` is not LOW..HIGH");
    check(&[find, "--rates", "1e-3..1e-2"], "0.01 is less than 100 times 0.001");
    check(&["--rates", "1e-6..1"], "--find-learning-rate");
    check(&["--out", "runs/first"], "the folder of a run is --run runs/first");
    check(&["--find-learning-rate=49"], "--find-learning-rate is 49, it must be 50 steps or more");
    check(&[find, "--out", "rates.png"], "rates.png is not named .svg");
    for run in [&["--run", "shards"][..], &["--resume"], &["--steps", "9"], &["--dry-run"]] {
        check(&[&[find], run].concat(), &format!("cannot be used with '{}", run[0]));
    }
    check(&[find, "--out", "nowhere/rates.svg"], "nowhere/rates.svg lies in a folder that does not exist");
    fs::write(workplace.path("old.svg"), "").expect("writable");
    check(&[find, "--out", "old.svg"], "old.svg is there already");
    check(&[find, "--overwrite"], "nothing that --overwrite could replace");
}
