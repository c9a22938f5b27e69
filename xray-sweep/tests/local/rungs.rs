//! Halving in rungs here: who goes on, what it comes to, and what goes wrong.

use crate::workplace::{Workplace, assert_exit, stderr};
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xray_artifacts::Exit;

const POINTS: [&str; 10] = [
    "--fractions",
    "1",
    "--trials",
    "1",
    "--axis",
    "schedule.learning_rate=log(1e-4,3e-1)",
    "--set",
    "training.evaluate_every=4 steps",
    "--set",
    "schedule.shape=cosine",
];

/// 9 points, then 3, then 1; at the first rung no evaluation is due.
const HALVING: [&str; 4] = ["--rungs", "2,6,18", "--keep", "0.33"];

fn plan(workplace: &Workplace, dir: &str, points: &str, more: &[&str]) {
    assert_exit(&workplace.plan(dir, "18", &[&POINTS[..], &["--sample", points], more].concat()), Exit::Ok);
}

fn states(workplace: &Workplace, dir: &str) -> Vec<(String, String)> {
    let output = workplace.sweep(&["status", dir, "--format", "json"]);
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |cell: &Value, key: &str| cell[key].as_str().expect("a text").to_owned();
    status["cells"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|cell| (text(cell, "id"), text(cell, "state")))
        .collect()
}

fn with(workplace: &Workplace, dir: &str, state: &str) -> Vec<String> {
    states(workplace, dir).into_iter().filter(|(_, found)| found == state).map(|(id, _)| id).collect()
}

fn decision(workplace: &Workplace, dir: &str, rung: u32) -> Value {
    let text = fs::read(workplace.path(dir).join(format!("rungs/{rung}.json"))).expect("decided");
    serde_json::from_slice(&text).expect("JSON")
}

/// All that two runs must have in common to be one.
fn found(workplace: &Workplace, dir: &str, id: &str) -> Vec<Vec<u8>> {
    let files = [
        "model/model.safetensors",
        "predictions-val.safetensors",
        "predictions-test.safetensors",
        "metrics.jsonl",
    ];
    let read = |file| fs::read(workplace.cell_file(dir, id, &format!("run/{file}"))).expect(file);
    let scores = workplace.result(dir, id)["scores"].to_string().into_bytes();
    files.map(read).into_iter().chain([scores]).collect()
}

#[test]
fn the_last_of_nine_is_the_run_that_never_stopped() {
    let Some(workplace) = Workplace::new() else { return };
    plan(&workplace, "h", "9", &HALVING);
    plan(&workplace, "whole", "9", &[]);
    let output = workplace.sweep(&["run", "h", "-j", "2"]);
    assert_exit(&output, Exit::Ok);
    for line in [
        "rung 1 (2 steps): 3 of 9 points go on: ",
        "rung 2 (6 steps): 1 of 3 points goes on: ",
        "1 of 9 cells done, 8 stopped at a rung",
    ] {
        assert!(stderr(&output).contains(line), "{line}\n{}", stderr(&output));
    }
    let done = with(&workplace, "h", "done");
    assert_eq!((done.len(), with(&workplace, "h", "stopped").len()), (1, 8));

    // Who went on had the highest scores, and validation alone decided.
    for (rung, points, going) in [(1, 9, 3), (2, 3, 1)] {
        let decision = decision(&workplace, "h", rung);
        let points_of = decision["points"].as_array().expect("a list");
        let scores: Vec<f64> =
            points_of.iter().map(|point| point["score"].as_f64().expect("a score")).collect();
        assert!(scores.len() == points && scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
        for point in points_of.iter().filter(|point| point["goes_on"] == false) {
            for (id, score) in point["cells"].as_object().expect("cells") {
                let result = workplace.result("h", id);
                assert_eq!(*score, result["training"]["stop"]["val_macro_auc"], "{id}");
                assert_eq!(result["scores"].get("test"), None, "{id}");
            }
        }
        let goes_on = points_of.iter().take_while(|point| point["goes_on"] == true).count();
        assert_eq!(goes_on, going);
    }
    assert!(decision(&workplace, "h", 2)["points"][0]["cells"].get(&done[0]).is_some());

    // The same cell, never stopped.
    assert_exit(&workplace.sweep(&["run", "whole", "--cell", &done[0]]), Exit::SweepIncomplete);
    assert!(found(&workplace, "h", &done[0]) == found(&workplace, "whole", &done[0]), "other bits");

    let status = workplace.sweep(&["status", "h"]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("stopped at rung 1 (0.") && text.contains(", 9 of 9)"), "{text}");
    let decided = || {
        [1, 2].map(|rung| fs::read(workplace.path("h").join(format!("rungs/{rung}.json"))).expect("there"))
    };
    let before = decided();
    let again = workplace.sweep(&["run", "h"]);
    assert_exit(&again, Exit::Ok);
    assert!(stderr(&again).contains("0 of 9 cells to run") && before == decided(), "{}", stderr(&again));

    // Those that were stopped are in tables and report, and not as if they were whole.
    assert_exit(&workplace.sweep(&["collect", "h"]), Exit::Ok);
    assert_exit(&workplace.sweep(&["report", "h"]), Exit::Ok);
    let report = fs::read_to_string(workplace.path("h/report/report.md")).expect("a report");
    // 6 of 2 steps, 2 of 6, 1 of 18.
    assert!(
        report.contains("42 of the 162 steps that all cells would take were trained, 74 % less"),
        "{report}"
    );
    assert!(report.contains("1 of 9"), "{report}");
    let stopped = with(&workplace, "h", "stopped");
    let checkpoint = |id: &str| workplace.cell_file("h", id, "run/checkpoints/last/state.safetensors");
    assert!(stopped.iter().all(|id| checkpoint(id).is_file()));
    assert_exit(&workplace.sweep(&["clean", "h", "--yes"]), Exit::Ok);
    assert!(!stopped.iter().any(|id| checkpoint(id).exists()));
    assert_eq!(with(&workplace, "h", "stopped"), stopped);

    // Nobody joins a race whose first rung is over.
    let more = workplace.sweep(&["plan", "h", "--no-pool", "--sample", "12"]);
    assert_exit(&more, Exit::Usage);
    assert!(stderr(&more).contains("3 cells would be new, and 2 rungs decided already"), "{}", stderr(&more));
    let other = workplace.sweep(&["plan", "h", "--no-pool", "--rungs", "3,6,18"]);
    assert_exit(&other, Exit::Usage);
    assert!(stderr(&other).contains("the rungs would be others"), "{}", stderr(&other));
    fs::write(workplace.path("h/rungs/1.json"), "{}").expect("writable");
    let damaged = workplace.sweep(&["run", "h"]);
    assert!(!damaged.status.success() && stderr(&damaged).contains("rungs/1.json"), "{}", stderr(&damaged));
}

#[test]
fn killed_between_and_within_rungs_it_decides_the_same() {
    let Some(workplace) = Workplace::new() else { return };
    for dir in ["whole", "killed"] {
        plan(&workplace, dir, "5", &["--rungs", "3,9,18", "--keep", "0.5"]);
    }
    assert_exit(&workplace.sweep(&["run", "whole", "-j", "2"]), Exit::Ok);
    let lines = || {
        let cells = fs::read_dir(workplace.path("killed/cells")).expect("a folder").flatten();
        let text = |cell: fs::DirEntry| {
            fs::read_to_string(cell.path().join("run/metrics.jsonl")).unwrap_or_default()
        };
        cells.map(|cell| text(cell).lines().count()).sum::<usize>()
    };
    // In the first rung, in the second, and in the last.
    for enough in [4, 20, 40] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray-sweep"));
        command.current_dir(workplace.path("")).args(["run", "killed", "-j", "1"]);
        let mut launcher =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let clock = Instant::now();
        while lines() < enough && launcher.try_wait().expect("a child").is_none() {
            assert!(clock.elapsed() < Duration::from_secs(120), "{} lines", lines());
            std::thread::sleep(Duration::from_millis(2));
        }
        // The trainers first, so that none goes on.
        for cell in fs::read_dir(workplace.path("killed/cells")).expect("a folder").flatten() {
            let status = fs::read(cell.path().join("run/status.json")).unwrap_or_default();
            let status: Value = serde_json::from_slice(&status).unwrap_or_default();
            let command = fs::read(format!("/proc/{}/cmdline", status["pid"])).unwrap_or_default();
            // A number of before may be another's by now.
            if String::from_utf8_lossy(&command).contains(&cell.path().display().to_string()) {
                let _ = Command::new("kill").args(["-KILL", &status["pid"].to_string()]).status();
            }
        }
        let _ = launcher.kill();
        launcher.wait().expect("a child");
    }
    assert_exit(&workplace.sweep(&["run", "killed", "-j", "2"]), Exit::Ok);
    for rung in [1, 2] {
        assert_eq!(decision(&workplace, "killed", rung), decision(&workplace, "whole", rung));
    }
    let done = with(&workplace, "killed", "done");
    assert_eq!(done, with(&workplace, "whole", "done"));
    assert!(found(&workplace, "killed", &done[0]) == found(&workplace, "whole", &done[0]), "other bits");
}

#[test]
fn what_fails_comes_last_and_where_all_fail_nothing_is_lost() {
    let Some(workplace) = Workplace::new() else { return };
    plan(&workplace, "s", "3", &["--rungs", "4,18", "--keep", "0.6", "--order", "trial"]);
    let ids: Vec<String> = (0..3).map(|at| workplace.id("s", at)).collect();
    // One that was there alone waits, and keeps what it needs.
    assert_exit(&workplace.sweep(&["run", "s", "--cell", &ids[0]]), Exit::SweepIncomplete);
    assert_eq!(with(&workplace, "s", "waiting"), ids[..1]);
    let cleaned = workplace.sweep(&["clean", "s", "--yes"]);
    assert!(String::from_utf8_lossy(&cleaned.stdout).contains("nothing to free"), "{cleaned:?}");
    assert!(workplace.cell_file("s", &ids[0], "run/checkpoints/last/state.safetensors").is_file());
    let early = workplace.sweep(&["rung", "s"]);
    assert_exit(&early, Exit::SweepIncomplete);
    assert!(stderr(&early).contains("rung 1 cannot be decided: no result from "), "{}", stderr(&early));

    let config = |id: &str| workplace.cell_file("s", id, "config.toml");
    let good: Vec<String> = ids.iter().map(|id| fs::read_to_string(config(id)).expect("planned")).collect();
    fs::write(config(&ids[1]), format!("no_such_key = 1\n{}", good[1])).expect("writable");
    assert_exit(&workplace.sweep(&["run", "s"]), Exit::SweepIncomplete);
    let points = decision(&workplace, "s", 1)["points"].clone();
    assert!(points[2]["cells"].get(&ids[1]).is_some() && points[2]["score"].is_null(), "{points}");
    assert_eq!([0, 1, 2].map(|at| points[at]["goes_on"].clone()), [true, true, false]);
    assert_eq!(with(&workplace, "s", "done").len(), 2);
    // It is told of, and not started again: the others are gone on.
    assert_exit(&workplace.sweep(&["run", "s", "--failed"]), Exit::SweepIncomplete);
    assert_eq!(with(&workplace, "s", "failed"), ids[1..2]);

    plan(&workplace, "all", "3", &["--rungs", "4,18"]);
    for id in &ids {
        let path = workplace.cell_file("all", id, "config.toml");
        fs::write(&path, format!("no_such_key = 1\n{}", fs::read_to_string(&path).expect("planned")))
            .expect("writable");
    }
    for _ in 0..2 {
        let output = workplace.sweep(&["run", "all"]);
        assert_exit(&output, Exit::SweepIncomplete);
        let said = stderr(&output);
        assert!(
            said.contains("no cell reached rung 1 (4 steps) with a score: 3 of 3 cells failed"),
            "{said}"
        );
        assert!(said.contains("nothing was decided, and all checkpoints stay"), "{said}");
    }
    assert!(!workplace.path("all/rungs/1.json").exists());
    for (id, good) in ids.iter().zip(&good) {
        fs::write(workplace.cell_file("all", id, "config.toml"), good).expect("writable");
    }
    assert_exit(&workplace.sweep(&["run", "all", "--failed"]), Exit::Ok);
    assert_eq!(with(&workplace, "all", "done").len(), 1);
}

#[test]
fn nonsense_is_refused() {
    let Some(workplace) = Workplace::new() else { return };
    let check = |more: &[&str], why: &str| {
        let output = workplace.plan("bad", "18", &[&POINTS[..], &["--sample", "3"], more].concat());
        assert_exit(&output, Exit::Usage);
        assert!(stderr(&output).contains(why), "{why}\n{}", stderr(&output));
    };
    check(&["--rungs", "6,2,18"], "--rungs 6 steps,2 steps,18 steps must rise");
    check(&["--rungs", "18"], "is one rung, so nothing is compared");
    check(&["--rungs", "2,6"], "--rungs end at 6 steps, but training.duration is \"18 steps\"");
    check(&["--rungs", "1 epochs,18 steps"], "counts in different units");
    check(&["--rungs", "2,soon,18"], "`soon` is not a length");
    check(&["--rungs", "2,18", "--keep", "1"], "--keep is 1, it must be above 0 and below 1");
    check(&["--keep", "0.5"], "--keep is the share that passes a rung, and there is no rung");
    check(&["--rungs", "2,18", "--fractions", "0.5,1"], "there are 2 fractions");
    assert!(!workplace.path("bad").join("plan.json").exists());
}
