//! What Slurm does not take, and what is done where it does not answer.

use crate::workplace::{Workplace, checked, ended, said};
use std::process::Command;
use xray_artifacts::Exit;

#[test]
fn what_slurm_refuses_is_said_and_nothing_is_submitted() {
    let Some(workplace) = Workplace::new() else { return };
    let refused = |option: &str, what: &str| {
        checked(&mut workplace.plan("sweep", 6, None, &["--fractions", "1", "--trials", "1", option]));
        for dry in [&["--dry-run"][..], &[]] {
            let arguments = [&["run", "sweep", "--launcher", "slurm"], dry].concat();
            let text = said(&ended(&mut workplace.xray_sweep(&arguments), Exit::Unexpected));
            assert!(text.contains("sbatch failed: ") && text.contains(what), "{option}: {text}");
            assert!(text.contains("nothing was submitted"), "{option}: {text}");
        }
        let cells = workplace.cells("sweep");
        assert_eq!(cells[0]["state"], "missing", "{option}");
    };
    refused("--sbatch=--partition=gpu", "Invalid partition");
    refused("--sbatch=--constraint=avx9", "Invalid feature");
    refused("--sbatch=--time=soon", "Invalid");
    let usage = workplace.plan("other", 6, None, &["--sbatch=-p gpu"]).output().expect("it starts");
    assert_eq!(usage.status.code(), Some(2), "{}", said(&usage));
}

/// `xray-sweep` where there is no `squeue`.
fn without_slurm(workplace: &Workplace) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xray-sweep"));
    command.env("PATH", "/nowhere").current_dir(workplace.path(""));
    command
}

#[test]
fn a_slurm_that_does_not_answer_is_said_and_no_cell_is_submitted_twice() {
    let Some(workplace) = Workplace::new() else { return };
    let grid = ["--fractions", "1", "--trials", "1", "--sbatch=--begin=now+1hour"];
    checked(&mut workplace.plan("sweep", 6, None, &grid));
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm", "--detach"]));
    let status = ended(without_slurm(&workplace).args(["status", "sweep"]), Exit::Ok);
    let text = said(&status);
    assert!(
        text.contains("warning: Slurm cannot be asked (") && text.contains("1 cell believed to wait"),
        "{text}"
    );
    let here = said(&ended(without_slurm(&workplace).args(["run", "sweep"]), Exit::SweepIncomplete));
    assert!(here.contains("0 of 1 cell to run"), "{here}");
}
