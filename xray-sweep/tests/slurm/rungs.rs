//! Halving on Slurm: jobs decide, and submit who goes on.

use crate::workplace::{Workplace, checked, ended, said};
use serde_json::Value as Json;
use std::fs;
use xray_artifacts::Exit;

const POINTS: [&str; 8] = [
    "--fractions",
    "1",
    "--trials",
    "1",
    "--axis",
    "schedule.learning_rate=log(1e-4,3e-1)",
    "--set",
    "schedule.shape=cosine",
];

fn with(cells: &[Json], state: &str) -> Vec<Json> {
    cells.iter().filter(|cell| cell["state"] == state).cloned().collect()
}

/// What the jobs said.
fn log(workplace: &Workplace, name: &str) -> String {
    let files = fs::read_dir(workplace.path(name).join("slurm")).expect("a folder").flatten();
    files.map(|file| fs::read_to_string(file.path()).unwrap_or_default()).collect()
}

#[test]
fn nine_become_one_without_anybody_and_it_is_the_run_that_never_stopped() {
    let Some(workplace) = Workplace::new() else { return };
    let points = [&POINTS[..], &["--sample", "9"]].concat();
    checked(&mut workplace.plan("whole", 18, None, &points));
    let halving = [&points[..], &["--rungs", "2,6,18", "--keep", "0.33"]].concat();
    checked(&mut workplace.plan("slurm", 18, None, &halving));
    // Nobody stays to lead it.
    let submitted = said(&ended(
        &mut workplace.xray_sweep(&["run", "slurm", "--launcher", "slurm", "--detach"]),
        Exit::Ok,
    ));
    assert!(submitted.contains("decides the rung once they reach it"), "{submitted}");
    let again = said(&ended(
        &mut workplace.xray_sweep(&["run", "slurm", "--launcher", "slurm", "--detach"]),
        Exit::Ok,
    ));
    assert!(again.contains("nothing to submit") && !again.contains("decides the rung"), "{again}");
    let is_over = |cells: &[Json]| with(cells, "done").len() + with(cells, "stopped").len() == cells.len();
    let cells = workplace.wait_until("slurm", "over", is_over);
    let [last] = &with(&cells, "done")[..] else { panic!("{cells:#?}") };
    assert_eq!(workplace.endings("slurm", last), ["finished"; 3], "{}", log(&workplace, "slurm"));
    let said_by_jobs = log(&workplace, "slurm");
    for line in ["rung 1 (2 steps): 3 of 9 points go on", "rung 2 (6 steps): 1 of 3 points goes on"] {
        assert!(said_by_jobs.contains(line), "{line}\n{said_by_jobs}");
    }
    let id = last["id"].as_str().expect("an id");
    ended(&mut workplace.xray_sweep(&["run", "whole", "--cell", id]), Exit::SweepIncomplete);
    for file in ["model/model.safetensors", "predictions-test.safetensors", "metrics.jsonl"] {
        let read = |name: &str| fs::read(workplace.file(name, last, &format!("run/{file}"))).expect(file);
        assert!(read("slurm") == read("whole"), "{file} differs");
    }
}

/// The job of one cell is cancelled on its way to a rung, and so is the one that was to decide: `run` goes on.
#[test]
fn what_was_cancelled_goes_on_with_the_next_run() {
    let Some(workplace) = Workplace::new() else { return };
    let points = [&POINTS[..], &["--sample", "3", "--rungs", "1500,3000", "--keep", "0.33"]].concat();
    checked(&mut workplace.plan("sweep", 3000, None, &points));
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm", "--detach"]));
    let cells = workplace.wait_until("sweep", "running", |cells| !with(cells, "running").is_empty());
    let cell = with(&cells, "running").remove(0);
    workplace.trainer_at_work("sweep", &cell);
    let queue = checked(&mut workplace.command(&["squeue", "--noheader", "--format=%F %k"]));
    let decider =
        queue.lines().find_map(|line| line.strip_suffix(" xray-sweep rung")).expect("a job that decides");
    checked(&mut workplace.command(&["scancel", decider]));
    let job = workplace.attempts("sweep", &cell)[0]["job"].as_str().expect("a job").to_owned();
    checked(&mut workplace.command(&["scancel", &job]));
    let is_idle = |cells: &[Json]| with(cells, "waiting").len() == 2 && with(cells, "lost").len() == 1;
    workplace.wait_until("sweep", "idle", is_idle);
    assert!(!workplace.path("sweep/rungs/1.json").exists(), "one of them has not come there");
    let ran = said(&ended(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm"]), Exit::Ok));
    assert!(ran.contains("1 of 3 cells done, 2 stopped at a rung"), "{ran}\n{}", log(&workplace, "sweep"));
}
