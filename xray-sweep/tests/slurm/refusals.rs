//! What Slurm does not take, and what is done where it does not answer.

use crate::workplace::{Workplace, checked, ended, program, said};
use std::fs;
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

/// Slurm counts the cards; no job is started.
#[test]
fn cells_with_a_gpu_ask_slurm_for_one() {
    let Some(workplace) = Workplace::new() else { return };
    // Planning asks it only what settings come to.
    fs::copy(program("xray-train"), workplace.path("xray-train-gpu")).expect("the program can be copied");
    let dry = |partition: &str, exit| {
        let partition = format!("--sbatch=--partition={partition}");
        let gpu = ["--gpus", "1", "--gpu-binary", "xray-train-gpu", "--fractions", "1", "--trials", "1"];
        checked(&mut workplace.plan("sweep", 6, None, &[&gpu[..], &[&partition]].concat()));
        let script = fs::read_to_string(workplace.path("sweep/sweep.sbatch")).expect("planned");
        assert!(script.contains("\n#SBATCH --gres=gpu:1\n"), "{script}");
        said(&ended(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm", "--dry-run"]), exit))
    };
    let taken = dry("low", Exit::Ok);
    assert!(taken.contains("1 cell would be submitted"), "{taken}");
    let refused = dry("all", Exit::Unexpected);
    assert!(refused.contains("Requested node configuration is not available"), "{refused}");
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
        text.contains("warning: Slurm does not answer (") && text.contains("1 cell assumed to wait"),
        "{text}"
    );
    let here = said(&ended(without_slurm(&workplace).args(["run", "sweep"]), Exit::SweepIncomplete));
    assert!(here.contains("0 of 1 cell to run"), "{here}");
}
