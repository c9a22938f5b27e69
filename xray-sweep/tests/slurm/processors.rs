//! Machines that lack what the program needs: an instruction that no processor has, and a processor that is really old.

use crate::worker::silent;
use crate::workplace::{Workplace, checked, program};
use crate::wrapper::{Instead, wrapper};
use serde_json::Value as Json;
use std::fs;
use std::path::Path;

const GRID: [&str; 4] = ["--fractions", "0.5,1", "--trials", "2"];

/// Every cell starts on the machine `old`, where it ends as `is_so` says, and finishes on `new`.
fn check_escalation(workplace: &Workplace, name: &str, ended: &str, is_so: impl Fn(&Json) -> bool) {
    let script = format!("{name}/sweep.sbatch");
    checked(&mut workplace.command(&["sbatch", "--nodelist=old", "--array=0-3", &script]));
    for cell in &workplace.wait_until_done(name) {
        assert_eq!(workplace.endings(name, cell), ["failed", "finished"]);
        let attempts = workplace.attempts(name, cell);
        let [first, second] = &attempts[..] else { panic!("two starts: {attempts:#?}") };
        assert!(first["host"] == "old" && is_so(first), "{attempts:#?}");
        assert_eq!(
            (&second["host"], &second["ending"]),
            (&"new".into(), &"finished".into()),
            "{attempts:#?}"
        );
    }
    let output = fs::read_dir(workplace.path(name).join("slurm")).expect("a folder").flatten();
    let output: String = output.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    assert!(output.contains(&format!("{ended} on old")) && output.contains(", not on old"), "{output}");
}

#[test]
fn an_illegal_instruction_is_tried_on_another_machine() {
    let Some(workplace) = Workplace::new() else { return };
    let unable = wrapper(&workplace, &program("xray-train"), &Instead::Traps);
    checked(&mut workplace.plan("sweep", 6, Some(&unable), &GRID));
    check_escalation(&workplace, "sweep", "illegal instruction", |first| first["signal"] == 4);
}

/// With the trainer's own look at the processor, and without: then its first instruction of a newer one ends it.
#[test]
fn an_old_processor_is_left_for_a_better_one_and_no_cell_is_lost() {
    let Some(workplace) = Workplace::new() else { return };
    let Some(workers) = std::env::var_os("XRAY_WORKER_DIR") else {
        eprintln!("skipped: XRAY_WORKER_DIR is not set: no workers (cargo xtask test builds them)");
        return;
    };
    if !Path::new("/usr/bin/qemu-x86_64-static").is_file() {
        eprintln!("skipped: there is no qemu-x86_64-static, which emulates an old processor");
        return;
    }
    let newer = silent(&Path::new(&workers).join("xray-train-x86_64-v3"), workplace.path("newer"));
    let emulated = wrapper(&workplace, &newer, &Instead::IsEmulated);
    checked(&mut workplace.plan("here", 6, Some(&emulated), &GRID));
    checked(&mut workplace.xray_sweep(&["run", "here"]));
    checked(&mut workplace.plan("looks", 6, Some(&emulated), &GRID));
    check_escalation(&workplace, "looks", "exit code 78 (this machine cannot run it)", |first| {
        first["exit"] == 78
    });
    let unchecked = [&GRID[..], &["--env", "XRAY_CPU_CHECK=off"]].concat();
    checked(&mut workplace.plan("unchecked", 6, Some(&emulated), &unchecked));
    check_escalation(&workplace, "unchecked", "illegal instruction", |first| first["signal"] == 4);
    for name in ["looks", "unchecked"] {
        assert_eq!(workplace.found(name), workplace.found("here"), "{name}");
    }
}
