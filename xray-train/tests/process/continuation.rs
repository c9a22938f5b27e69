//! `--from`: a finished run continued in a new one.

use crate::workplace::{Workplace, assert_exit, stderr};
use std::collections::BTreeMap;
use std::path::Path;
use xray_artifacts::Exit;
use xray_model::{HostTensor, StateDict};

/// The first run keeps its last checkpoint.
const KEPT: [&str; 2] = ["--set", "training.keep=resumable"];

/// One pass over the records in a constant rate, which a second such pass continues.
const EPOCH: [&str; 4] = ["--data", "shards", "--epochs", "1"];

fn first(workplace: &Workplace, more: &[&str]) {
    assert_exit(&epochs(workplace, "first", "1", more), Exit::Ok);
}

/// The short run's settings, for so many epochs.
fn epochs(workplace: &Workplace, run: &str, epochs: &str, more: &[&str]) -> std::process::Output {
    let length = format!("training.duration={epochs} epochs");
    // A flag would override `--set`.
    let arguments = Workplace::arguments(run);
    let arguments: Vec<_> =
        arguments.iter().copied().filter(|word| !["--steps", "12"].contains(word)).collect();
    workplace.command(&[&arguments[..], &["--set", &length], more].concat()).output().expect("it starts")
}

fn continued(workplace: &Workplace, run: &str, more: &[&str]) -> std::process::Output {
    let from = ["--from", "first", "--threads", "1", "--run", run];
    workplace.command(&[&from[..], &EPOCH, more].concat()).output().expect("it starts")
}

/// All that a run's last checkpoint holds of the network and the optimizer.
fn tensors(workplace: &Workplace, run: &str) -> BTreeMap<String, HostTensor> {
    let path = workplace.path(run).join("checkpoints/last/state.safetensors");
    StateDict::load(&path).expect("a checkpoint").tensors
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string(), std::fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

/// One epoch, and one that continues it, are two epochs: weights, optimizer, order and augmentation.
#[test]
fn a_continued_run_is_the_longer_run() {
    let workplace = Workplace::new();
    for more in [&KEPT[..], &[&KEPT[..], &["--set", "training.average_decay=0.9"]].concat()] {
        first(&workplace, &[more, &["--overwrite"]].concat());
        let before = files(&workplace.path("first"));
        let output = continued(&workplace, "second", &["--overwrite"]);
        assert_exit(&output, Exit::Ok);
        assert!(
            stderr(&output).contains("the optimizer's state of its last checkpoint"),
            "{}",
            stderr(&output)
        );
        assert_exit(&epochs(&workplace, "whole", "2", &[more, &["--overwrite"]].concat()), Exit::Ok);
        let (second, whole) = (tensors(&workplace, "second"), tensors(&workplace, "whole"));
        assert!(second.len() > 50 && second == whole, "continued and uninterrupted differ");
        assert!(files(&workplace.path("first")) == before, "the finished run stays as it was");
        let card = workplace.json("second/model/model.json");
        assert_eq!(card["provenance"]["first_weights"], "first/checkpoints/last/state.safetensors");
    }
}

/// Interrupted and resumed equals uninterrupted, and the run says where it comes from in its settings.
#[test]
fn a_continued_run_is_resumed_bit_for_bit() {
    let workplace = Workplace::new();
    first(&workplace, &KEPT);
    let cosine = ["--set", "schedule.shape=cosine", "--learning-rate", "0.01"];
    assert_exit(&continued(&workplace, "whole", &cosine), Exit::Ok);
    let stopped = continued(&workplace, "parts", &[&cosine[..], &["--stop-at", "4 steps"]].concat());
    assert_exit(&stopped, Exit::Ok);
    assert_exit(&continued(&workplace, "parts", &[&cosine[..], &["--resume"]].concat()), Exit::Ok);
    workplace.fingerprint("parts").assert_equals(&workplace.fingerprint("whole"), "parts");
    let config = std::fs::read_to_string(workplace.path("parts/config.toml")).expect("written");
    for line in [
        "weights = \"first/checkpoints/last/state.safetensors\"",
        "optimizer = true",
        "first_epoch = 1",
        "shape = \"cosine\"",
        "width = 4",
    ] {
        assert!(config.lines().any(|found| found == line), "{line}: {config}");
    }
}

/// Without a checkpoint, or with another optimizer, it begins with the model's weights and says why.
#[test]
fn without_a_state_to_take_over_it_begins_with_the_model() {
    let workplace = Workplace::new();
    let check = |more: &[&str], why: &str| {
        let output = continued(&workplace, "second", &[more, &["--overwrite"]].concat());
        assert_exit(&output, Exit::Ok);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
        let card = workplace.json("second/model/model.json");
        assert_eq!(card["provenance"]["first_weights"], "first/model/model.safetensors");
    };
    first(&workplace, &[]);
    check(&[], "the run kept no checkpoint (training.keep=resumable keeps one)");
    first(&workplace, &[&KEPT[..], &["--overwrite"]].concat());
    check(&["--set", "optimizer.algorithm=sgd"], "optimizer.algorithm was adam, it is sgd");
}

#[test]
fn what_would_contradict_the_finished_run_is_refused() {
    let workplace = Workplace::new();
    let refused = |output: std::process::Output, exit: Exit, parts: &[&str]| {
        assert_exit(&output, exit);
        let said = stderr(&output);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    first(&workplace, &[]);
    // The error that refuses other settings in a finished run names the way.
    let longer = epochs(&workplace, "first", "2", &[]);
    refused(
        longer,
        Exit::ModelMismatch,
        &["training.duration is \"1 epochs\" there", "--from first --run NEW"],
    );
    let check = |more: &[&str], exit: Exit, parts: &[&str]| {
        refused(continued(&workplace, "second", more), exit, parts);
    };
    check(
        &["--set", "model.width=8"],
        Exit::Usage,
        &["--from: model.width is 4 in first, 8 here", "--init first/"],
    );
    check(&["--size", "48"], Exit::Usage, &["--from: preprocessing.size is 32 in first, 48 here"]);
    check(
        &["--set", "data.folds=3", "--set", "data.fold=0"],
        Exit::Usage,
        &["--from: data.fold is -1 in first, 0 here", "patients that the run trained on"],
    );
    check(
        &["--set", "fine_tuning.weights=other.pth"],
        Exit::Usage,
        &["fine_tuning.weights and --from both set the first weights"],
    );
    check(&["--run", "first"], Exit::Usage, &["--from and --run both name first"]);
    // Other images, so other patients may be in its splits.
    let other = Workplace::of(200);
    let elsewhere = other.path("shards");
    let elsewhere = elsewhere.to_str().expect("UTF-8");
    check(
        &["--data", elsewhere],
        Exit::ModelMismatch,
        &["--from: first was trained on other data", "give the same data with --data"],
    );
    let unfinished = epochs(&workplace, "half", "2", &["--stop-at", "1 steps"]);
    assert_exit(&unfinished, Exit::Ok);
    let half = ["--from", "half", "--run", "second"];
    let output = workplace.command(&half).output().expect("it starts");
    refused(output, Exit::Usage, &["--from: the run in half is not finished", "the command that started it"]);
}
