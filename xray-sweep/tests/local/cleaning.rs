//! What finished cells hold can be freed, and nobody needs what is gone.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use crate::workplace::{Workplace, assert_exit, stderr};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xray_artifacts::{Exit, Keep};

const TWO: [&str; 4] = ["--fractions", "0.5,1", "--trials", "1"];

/// The files below a folder, with their sizes.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let size = path.metadata().expect("there").len();
                found.insert(path.strip_prefix(folder).expect("below").display().to_string(), size);
            }
        }
    }
    found
}

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What every command that reads finished runs says and writes, by the command.
fn results(workplace: &Workplace, evaluator: &Path, id: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let run = format!("s/cells/{id}/run");
    let _ = fs::remove_dir_all(workplace.path("out"));
    fs::create_dir(workplace.path("out")).expect("writable");
    for command in [
        // First: what the others say follows from it.
        format!("calibrate {run}"),
        format!("run {run} --format json"),
        format!("predict {run} shards --out out/predictions.csv"),
        format!("embed {run} shards --out out/embeddings.parquet"),
        format!("export {run} --to onnx --out out/onnx"),
        format!("export {run} --to safetensors --dtype f16 --max-auc-drop 1 --out out/f16"),
        format!("explain {run} --test-records 2 --label Effusion --out out/maps --format json"),
        format!("errors {run} --out out/errors.html"),
    ] {
        let mut program = Command::new(evaluator);
        let output =
            program.current_dir(workplace.path("")).args(command.split(' ')).output().expect("it starts");
        assert!(output.status.success(), "{command}: {}", stderr(&output));
        if command.ends_with("json") {
            found.insert(command, output.stdout);
        }
    }
    for command in [&["status", "s", "--format", "json"][..], &["collect", "s"], &["report", "s"]] {
        let output = workplace.sweep(command);
        assert_exit(&output, Exit::Ok);
        found.insert(command.join(" "), output.stdout);
    }
    for folder in ["out", "s/collected", "s/report"] {
        for name in files(&workplace.path(folder)).into_keys() {
            let path = format!("{folder}/{name}");
            found.insert(path.clone(), fs::read(workplace.path(&path)).expect("readable"));
        }
    }
    found
}

#[test]
fn whatever_is_kept_every_command_says_the_same() {
    let Some(workplace) = Workplace::new() else { return };
    let evaluator = PathBuf::from(env!("CARGO_BIN_EXE_xray-sweep")).with_file_name("xray-eval");
    if !evaluator.is_file() {
        eprintln!("skipped: xray-eval is not built beside xray-sweep (cargo xtask test builds it)");
        return;
    }
    let all = ["--set", "training.keep=all", "--set", "data.cache=disk"];
    assert_exit(&workplace.plan("s", "20", &[&TWO[..], &all].concat()), Exit::Ok);
    assert_exit(&workplace.sweep(&["run", "s"]), Exit::Ok);
    let id = workplace.id("s", 0);
    let cells = workplace.path("s/cells");
    let before = results(&workplace, &evaluator, &id);
    for keep in [Keep::Resumable, Keep::Result] {
        let (held, bytes) = (files(&cells), |files: &BTreeMap<String, u64>| files.values().sum::<u64>());
        let look = workplace.sweep(&["clean", "s", "--keep", keep.name(), "--format", "json"]);
        assert_exit(&look, Exit::Ok);
        let told: serde_json::Value = serde_json::from_slice(&look.stdout).expect("JSON");
        assert_eq!((&told["removed"], told["cells"].as_array().map(Vec::len)), (&false.into(), Some(2)));
        assert_eq!(files(&cells), held, "nothing goes without --yes");
        let done = workplace.sweep(&["clean", "s", "--keep", keep.name(), "--yes"]);
        assert_exit(&done, Exit::Ok);
        let left = files(&cells);
        assert_eq!(told["bytes"], bytes(&held) - bytes(&left), "{keep:?}");
        let freed = format!("freed {:.1} MB of 2 cells\n", told["bytes"].as_f64().expect("a number") / 1e6);
        assert!(stdout(&done).ends_with(&freed), "{}", stdout(&done));
        let after = results(&workplace, &evaluator, &id);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        let differing: Vec<_> =
            before.iter().filter(|(name, said)| after[*name] != **said).map(|(name, _)| name).collect();
        assert!(differing.is_empty(), "{keep:?}: {differing:?}");
        // A trainer that was told so leaves the same files.
        let named = format!("t-{}", keep.name());
        let kept = format!("training.keep={}", keep.name());
        let told_so = [&TWO[..], &all, &["--set", &kept]].concat();
        assert_exit(&workplace.plan(&named, "20", &told_so), Exit::Ok);
        assert_exit(&workplace.sweep(&["run", &named, "--cell", &id]), Exit::SweepIncomplete);
        let names = |sweep: &str| {
            files(&workplace.path(&format!("{sweep}/cells/{id}/run"))).into_keys().collect::<BTreeSet<_>>()
        };
        assert_eq!(names(&named), names("s"), "{keep:?}");
    }
    assert!(
        stdout(&workplace.sweep(&["clean", "s"]))
            .ends_with("nothing to free: finished cells hold only what `result` keeps\n")
    );
    // Nothing is done again, and what is new is.
    assert_exit(&workplace.sweep(&["plan", "s", "--no-pool", "--fractions", "0.2,0.5,1"]), Exit::Ok);
    let result = fs::read(workplace.cell_file("s", &id, "run/result.json")).expect("there");
    assert_exit(&workplace.sweep(&["run", "s"]), Exit::Ok);
    assert_eq!(fs::read(workplace.cell_file("s", &id, "run/result.json")).expect("there"), result);
}

#[test]
fn a_cell_at_work_or_stopped_keeps_what_it_goes_on_from() {
    let Some(workplace) = Workplace::new() else { return };
    let all = ["--set", "training.keep=all", "--set", "training.checkpoint_every=1 steps"];
    for sweep in ["s", "whole"] {
        assert_exit(&workplace.plan(sweep, "300", &[&TWO[..], &all].concat()), Exit::Ok);
    }
    let [done, stopped] = [0, 1].map(|at| workplace.id("s", at));
    assert_exit(&workplace.sweep(&["run", "s", "--cell", &done]), Exit::SweepIncomplete);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xray-sweep"));
    command.current_dir(workplace.path("")).args(["run", "s"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut launcher = command.spawn().expect("the binary starts");
    let last = workplace.cell_file("s", &stopped, "run/checkpoints/last/state.safetensors");
    let clock = Instant::now();
    while !last.exists() {
        assert!(clock.elapsed() < Duration::from_secs(120), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = workplace.sweep(&["clean", "s", "--yes"]);
    assert_exit(&refused, Exit::Usage);
    assert!(
        stderr(&refused).contains("another process works on s: `xray-sweep run`"),
        "{}",
        stderr(&refused)
    );
    let look = stdout(&workplace.sweep(&["clean", "s"]));
    assert!(look.contains(&done) && !look.contains(&stopped), "{look}");
    let sent = Command::new("kill").args(["-INT", &launcher.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
    launcher.wait().expect("a child");
    assert_eq!(workplace.result("s", &stopped)["state"], "interrupted");

    let held = files(&workplace.cell_file("s", &stopped, ""));
    let lock = fs::File::open(workplace.cell_file("s", &done, "run/.lock")).expect("the trainer's");
    lock.lock().expect("nobody is there");
    let busy = workplace.sweep(&["clean", "s", "--yes"]);
    assert_exit(&busy, Exit::Usage);
    assert!(
        stderr(&busy).contains(&format!("another process is running in s/cells/{done}/run")),
        "{}",
        stderr(&busy)
    );
    drop(lock);
    assert_exit(&workplace.sweep(&["clean", "s", "--yes"]), Exit::Ok);
    assert_eq!(files(&workplace.cell_file("s", &stopped, "")), held);
    assert!(!workplace.cell_file("s", &done, "run/checkpoints").exists());
    for sweep in ["s", "whole"] {
        assert_exit(&workplace.sweep(&["run", sweep]), Exit::Ok);
    }
    assert_eq!(workplace.result("s", &stopped)["scores"], workplace.result("whole", &stopped)["scores"]);
}
