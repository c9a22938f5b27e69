//! Whatever ends a job before its time, no cell is lost and no number changes.

use crate::workplace::{Workplace, checked, ended, said};
use serde_json::Value as Json;
use std::process::Command;
use xray_artifacts::Exit;

/// Long enough to be interrupted.
pub(crate) const STEPS: u32 = 1500;

/// One cell, submitted, and a few steps on its way; with the number of its job.
fn begun(workplace: &Workplace, more: &[&str]) -> (Json, String) {
    for name in ["here", "sweep"] {
        let arguments = [&["--fractions", "1", "--trials", "1"], more].concat();
        checked(&mut workplace.plan(name, STEPS, None, &arguments));
    }
    checked(&mut workplace.xray_sweep(&["run", "here"]));
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm", "--detach"]));
    let cell = workplace.cells("sweep").remove(0);
    workplace.trainer_at_work("sweep", &cell);
    let job = workplace.attempts("sweep", &cell)[0]["job"].as_str().expect("a number").to_owned();
    (cell, job)
}

#[test]
fn a_job_whose_time_is_up_saves_and_is_queued_again() {
    let Some(workplace) = Workplace::new() else { return };
    let (cell, job) = begun(&workplace, &[]);
    // As Slurm does two minutes before the limit.
    checked(&mut workplace.command(&["scancel", "--signal=TERM", "--batch", &job]));
    workplace.wait_until_done("sweep");
    assert_eq!(workplace.endings("sweep", &cell), ["removed", "finished"]);
    let attempts = workplace.attempts("sweep", &cell);
    assert_eq!(attempts[0]["job"], attempts[1]["job"], "the same job");
    assert_eq!(workplace.found("sweep"), workplace.found("here"));
}

#[test]
fn a_killed_trainer_is_given_more_memory() {
    let Some(workplace) = Workplace::new() else { return };
    let (cell, _) = begun(&workplace, &[]);
    let trainer = workplace.trainer_at_work("sweep", &cell);
    checked(Command::new("kill").args(["-KILL", &trainer]));
    workplace.wait_until_done("sweep");
    assert_eq!(workplace.endings("sweep", &cell), ["failed", "finished"]);
    let attempts = workplace.attempts("sweep", &cell);
    assert_eq!((&attempts[0]["signal"], &attempts[1]["requested_memory_mib"]), (&9.into(), &1400.into()));
    assert_eq!(workplace.found("sweep"), workplace.found("here"));
}

/// Slurm takes its machine away for a job with a better right to it, and queues it again itself.
#[test]
fn a_preempted_job_saves_and_goes_on() {
    let Some(workplace) = Workplace::new() else { return };
    let (cell, _) = begun(&workplace, &["--sbatch=--partition=low"]);
    let said = workplace.path("urgent.txt").display().to_string();
    let said = format!("--output={said}");
    let urgent = ["sbatch", "--partition=high", "--mem=100M", "--wait", &said, "--wrap=true"];
    checked(&mut workplace.command(&urgent));
    let attempts = workplace.attempts("sweep", &cell);
    let reason = attempts[0]["reason"].as_str().unwrap_or_default();
    assert_eq!((&attempts[0]["ending"], reason), (&"removed".into(), "stopped by Slurm"), "{attempts:#?}");
    workplace.wait_until_done("sweep");
    assert_eq!(workplace.endings("sweep", &cell), ["removed", "finished"]);
    let attempts = workplace.attempts("sweep", &cell);
    assert_eq!(attempts[0]["job"], attempts[1]["job"], "the same job");
    assert_eq!(workplace.found("sweep"), workplace.found("here"));
}

/// Nothing of it is left to say how it ended.
#[test]
fn a_job_that_was_killed_as_a_whole_is_lost_and_goes_on_when_asked() {
    let Some(workplace) = Workplace::new() else { return };
    let (cell, _) = begun(&workplace, &[]);
    let trainer = workplace.trainer_at_work("sweep", &cell);
    let job = checked(Command::new("ps").args(["-o", "ppid=", "-p", &trainer]));
    checked(Command::new("kill").args(["-KILL", job.trim(), &trainer]));
    let cells = workplace.wait_until("sweep", "lost", |cells| cells[0]["state"] == "lost");
    let reason = cells[0]["reason"].as_str().expect("a sentence").to_owned();
    assert!(reason.contains("is gone"), "{reason}");
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm"]));
    assert_eq!(workplace.endings("sweep", &cell), ["none", "finished"]);
    assert_eq!(workplace.found("sweep"), workplace.found("here"));
}

#[test]
fn a_cancelled_job_saves_and_is_not_queued_again() {
    let Some(workplace) = Workplace::new() else { return };
    let (cell, job) = begun(&workplace, &[]);
    checked(&mut workplace.command(&["scancel", &job]));
    let cells = workplace.wait_until("sweep", "lost", |cells| cells[0]["state"] == "lost");
    let reason = cells[0]["reason"].as_str().expect("a sentence").to_owned();
    assert!(reason.starts_with("removed: stopped by Slurm on "), "{reason}");
    let step = |cells: &[Json]| cells[0]["step"].as_u64();
    assert!(step(&cells) > Some(0), "{cells:#?}");
    // Held in the queue, it waits for a person.
    let hold = |options: &[&str]| {
        let arguments = [&["--fractions", "1", "--trials", "1"], options].concat();
        checked(&mut workplace.plan("sweep", STEPS, None, &arguments));
    };
    hold(&["--sbatch=--hold"]);
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm", "--detach"]));
    let cells = workplace.wait_until("sweep", "held", |cells| cells[0]["state"] == "held");
    assert_eq!(cells[0]["reason"], "JobHeldUser", "{cells:#?}");
    let twice = said(&ended(
        &mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm", "--detach"]),
        Exit::Ok,
    ));
    assert!(twice.contains("nothing to submit"), "{twice}");
    let retry = checked(&mut workplace.xray_sweep(&["retry", "sweep"]));
    assert!(retry.starts_with("1 held jobs released, 0 failed"), "{retry}");
    workplace.wait_until_done("sweep");
    assert_eq!(workplace.endings("sweep", &cell), ["removed", "finished"]);
    assert_eq!(workplace.found("sweep"), workplace.found("here"));
}
