//! Running cells here: nothing is lost, nothing is done twice, nothing false counts.

use crate::workplace::{Workplace, assert_exit, stderr};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xray_artifacts::Exit;

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn spawn(workplace: &Workplace, arguments: &[&str]) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xray-sweep"));
    command.current_dir(workplace.path("")).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the binary starts")
}

fn signal(child: &std::process::Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill is there");
    assert!(sent.success());
}

fn is_finished(workplace: &Workplace, dir: &str, id: &str) -> bool {
    let path = workplace.cell_file(dir, id, "run/result.json");
    fs::read_to_string(path).is_ok_and(|text| text.contains("\"state\": \"finished\""))
}

const GRID: [&str; 4] = ["--fractions", "0.3,0.6,1", "--trials", "2"];

#[test]
fn a_launcher_killed_at_any_moment_redoes_no_finished_cell_and_loses_none() {
    let Some(workplace) = Workplace::new() else { return };
    for dir in ["whole", "killed"] {
        assert_exit(&workplace.plan(dir, "40", &GRID), Exit::Ok);
    }
    assert_exit(&workplace.sweep(&["run", "whole", "-j", "2"]), Exit::Ok);
    let ids: Vec<_> = (0..6).map(|at| workplace.id("killed", at)).collect();
    let mut finished: Vec<(String, Vec<u8>)> = Vec::new();
    for kill in ["-KILL", "-INT", "-KILL"] {
        let mut child = spawn(&workplace, &["run", "killed", "-j", "2"]);
        let before = finished.len();
        let done = |ids: &[String]| ids.iter().filter(|id| is_finished(&workplace, "killed", id)).count();
        wait_for("one more result", || done(&ids) > before || child.try_wait().expect("a child").is_some());
        if child.try_wait().expect("a child").is_none() {
            signal(&child, kill);
        }
        child.wait().expect("a child");
        for (id, bytes) in &finished {
            let now = fs::read(workplace.cell_file("killed", id, "run/result.json")).expect("still there");
            assert!(&now == bytes, "{id} was done again");
        }
        finished = ids
            .iter()
            .filter(|id| is_finished(&workplace, "killed", id))
            .map(|id| {
                (id.clone(), fs::read(workplace.cell_file("killed", id, "run/result.json")).expect("there"))
            })
            .collect();
    }
    assert!(!finished.is_empty(), "something was done before a kill");
    assert_exit(&workplace.sweep(&["run", "killed", "-j", "2"]), Exit::Ok);
    for (id, bytes) in &finished {
        let now = fs::read(workplace.cell_file("killed", id, "run/result.json")).expect("still there");
        assert!(&now == bytes, "{id} was done again");
    }
    for id in &ids {
        let (whole, killed) = (workplace.result("whole", id), workplace.result("killed", id));
        assert_eq!(whole["scores"], killed["scores"], "{id}");
    }
}

/// A container may have no program `kill`.
#[test]
fn a_stopped_launcher_has_its_runs_save_themselves_without_another_program() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "100000", &["--fractions", "1", "--trials", "1"]), Exit::Ok);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xray-sweep"));
    command.current_dir(workplace.path("")).args(["run", "s"]).env("PATH", "");
    let mut launcher =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let id = workplace.id("s", 0);
    let log = workplace.cell_file("s", &id, "run/metrics.jsonl");
    wait_for("a step", || fs::metadata(&log).is_ok_and(|file| file.len() > 0));
    signal(&launcher, "-INT");
    assert_eq!(launcher.wait().expect("a child").code(), Some(Exit::Interrupted.code().into()));
    assert_eq!(workplace.result("s", &id)["state"], "interrupted");
}

#[test]
fn two_launchers_cannot_work_on_one_sweep() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "60", &["--fractions", "1", "--trials", "2"]), Exit::Ok);
    let mut first = spawn(&workplace, &["run", "s", "-j", "1"]);
    let id = workplace.id("s", 0);
    wait_for("a start", || workplace.cell_file("s", &id, "attempts.jsonl").exists());
    let second = workplace.sweep(&["run", "s"]);
    assert_exit(&second, Exit::Usage);
    assert!(stderr(&second).contains("another process works on s: `xray-sweep run`"), "{}", stderr(&second));
    assert!(first.wait().expect("a child").success());
}

#[test]
fn only_a_whole_result_of_this_very_cell_counts() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "0.5,1", "--trials", "2"]), Exit::Ok);
    assert_exit(&workplace.sweep(&["run", "s", "-j", "2"]), Exit::Ok);
    let (edited, swapped, cut) = (workplace.id("s", 0), workplace.id("s", 1), workplace.id("s", 2));
    let file = |id: &str| workplace.cell_file("s", id, "run/result.json");
    let untouched = fs::read(file(&workplace.id("s", 3))).expect("there");
    let original = fs::read_to_string(file(&edited)).expect("there");
    fs::write(file(&edited), original.replacen("\"macro_auc\": 0.", "\"macro_auc\": 0.9", 1))
        .expect("writable");
    fs::copy(file(&workplace.id("s", 3)), file(&swapped)).expect("writable");
    let half = fs::read(file(&cut)).expect("there");
    fs::write(file(&cut), &half[..half.len() / 2]).expect("writable");

    assert_exit(&workplace.sweep(&["collect", "s"]), Exit::SweepIncomplete);
    let status = workplace.sweep(&["status", "s", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let cells = status["cells"].as_array().expect("a list");
    let state = |id: &str| {
        let cell = cells.iter().find(|cell| cell["id"] == id).expect("a cell");
        (cell["state"].as_str().expect("a text").to_owned(), cell["reason"].to_string())
    };
    assert_eq!(state(&edited).0, "lost");
    assert!(state(&edited).1.contains("its checksum differs"), "{}", state(&edited).1);
    assert_eq!(state(&swapped).0, "stale");
    assert!(state(&swapped).1.contains("of another run"), "{}", state(&swapped).1);
    assert_eq!(state(&cut).0, "lost");

    assert_exit(&workplace.sweep(&["run", "s", "--stale"]), Exit::Ok);
    assert_eq!(
        workplace.result("s", &edited)["scores"],
        serde_json::from_str::<serde_json::Value>(&original).expect("JSON")["scores"]
    );
    assert!(workplace.cell_file("s", &edited, "run.1/result.json").exists(), "what was there is kept");
    assert_eq!(fs::read(file(&workplace.id("s", 3))).expect("there"), untouched);
}

#[test]
fn a_failed_cell_is_a_row_with_its_reason_and_is_run_again_only_when_asked() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(
        &workplace.plan(
            "s",
            "5",
            &["--fractions", "1", "--axis", "schedule.learning_rate=1e-3,1e30", "--trials", "1"],
        ),
        Exit::Ok,
    );
    assert_exit(&workplace.sweep(&["run", "s"]), Exit::SweepIncomplete);
    let bad = workplace.id("s", 1);
    assert_eq!(workplace.result("s", &bad)["exit"], Exit::Diverged.code());
    let attempts = || {
        fs::read_to_string(workplace.cell_file("s", &bad, "attempts.jsonl")).expect("there").lines().count()
    };
    assert_eq!(attempts(), 2, "a start is two lines");
    assert_exit(&workplace.sweep(&["run", "s"]), Exit::SweepIncomplete);
    assert_eq!(attempts(), 2, "the same would happen again");
    let text = String::from_utf8(workplace.sweep(&["status", "s"]).stdout).expect("text");
    assert!(text.contains("diverged"), "{text}");
    let story = String::from_utf8(workplace.sweep(&["logs", "s", &bad[..8]]).stdout).expect("text");
    assert!(story.contains("diverged"), "{story}");
    assert_exit(&workplace.sweep(&["run", "s", "--failed"]), Exit::SweepIncomplete);
    assert_eq!(attempts(), 4);
    // Made ready, it runs; and what is ready need not be made so.
    let retried = workplace.sweep(&["retry", "s"]);
    assert_exit(&retried, Exit::Ok);
    assert!(String::from_utf8_lossy(&retried.stdout).contains("1 failed cells made ready"));
    for _ in 0..2 {
        assert_exit(&workplace.sweep(&["retry", "s"]), Exit::NothingMatches);
    }
    assert_exit(&workplace.sweep(&["run", "s"]), Exit::SweepIncomplete);
    assert_eq!(attempts(), 6);
    assert!(!workplace.cell_file("s", &bad, "run.3").exists(), "one for each start that failed before");
    assert_exit(&workplace.sweep(&["run", "s"]), Exit::SweepIncomplete);
    assert_eq!(attempts(), 6, "it failed again");
    assert_exit(&workplace.sweep(&["collect", "s"]), Exit::SweepIncomplete);
    assert_exit(&workplace.sweep(&["report", "s"]), Exit::Ok);
}

#[test]
fn a_configuration_edited_by_hand_is_refused_and_no_number_of_it_counts() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "0.5,1", "--trials", "1"]), Exit::Ok);
    let edited = workplace.id("s", 0);
    let config = workplace.cell_file("s", &edited, "config.toml");
    let planned = fs::read_to_string(&config).expect("planned");
    fs::write(&config, planned.replace("width = 4", "width = 8")).expect("writable");

    assert_exit(&workplace.sweep(&["run", "s"]), Exit::SweepIncomplete);
    let result = workplace.result("s", &edited);
    assert_eq!(
        (&result["exit"], &result["scores"]),
        (&Exit::ModelMismatch.code().into(), &serde_json::json!({}))
    );
    let reason = result["reason"].as_str().expect("a sentence");
    assert!(reason.contains(&format!("not the run that was planned as cell {edited}")), "{reason}");
    assert_eq!(workplace.result("s", &workplace.id("s", 1))["state"], "finished");

    fs::write(&config, planned).expect("writable");
    assert_exit(&workplace.sweep(&["run", "s", "--failed"]), Exit::Ok);
}

#[test]
fn with_a_budget_of_steps_every_fraction_trains_as_long() {
    let Some(workplace) = Workplace::new() else { return };
    let more = ["--fractions", "0.1,1", "--trials", "1", "--set", "training.duration=2 epochs"];
    let planned = workplace.plan("epochs", "3", &more);
    assert_exit(&planned, Exit::Ok);
    assert_exit(&workplace.plan("steps", "3", &[&more[..], &["--budget", "steps"]].concat()), Exit::Ok);
    let steps = |dir: &str| {
        assert_exit(&workplace.sweep(&["run", dir]), Exit::Ok);
        [0, 1].map(|at| {
            workplace.result(dir, &workplace.id(dir, at))["training"]["steps"].as_u64().expect("a number")
        })
    };
    let (of_epochs, of_steps) = (steps("epochs"), steps("steps"));
    assert!(of_epochs[0] < of_epochs[1], "{of_epochs:?}");
    assert_eq!(of_steps, [of_epochs[1]; 2]);
    // The whole of the data trains the same either way.
    let scores = |dir: &str| workplace.result(dir, &workplace.id(dir, 1))["scores"].clone();
    assert_eq!(scores("epochs"), scores("steps"));
}
