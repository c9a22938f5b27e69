//! Jobs that Slurm ends because they use more memory than they asked for.

use crate::workplace::{Workplace, checked};
use serde_json::Value as Json;
use std::fs;

/// Long enough to be looked at: Slurm does so every second.
const STEPS: u32 = 1500;

const ONE: [&str; 4] = ["--fractions", "1", "--trials", "1"];

/// `OverMemoryKill` cancels the job: it looks as if a person had.
#[test]
fn what_slurm_kills_for_its_memory_is_given_more() {
    let Some(workplace) = Workplace::new() else { return };
    checked(&mut workplace.plan("here", STEPS, None, &ONE));
    checked(&mut workplace.xray_sweep(&["run", "here"]));
    let cell = workplace.cells("here").remove(0);
    let result = fs::read_to_string(workplace.file("here", &cell, "run/result.json")).expect("a result");
    let result: Json = serde_json::from_str(&result).expect("JSON");
    let used = result["peak_memory_bytes"].as_u64().expect("measured") >> 20;
    let asked = used * 2 / 3;
    let memory = format!("{asked}MB");
    checked(&mut workplace.plan("sweep", STEPS, None, &[&ONE[..], &["--memory", &memory]].concat()));
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm", "--detach"]));
    let reason = |cells: &[Json]| cells[0]["reason"].as_str().unwrap_or_default().to_owned();
    let cells = workplace.wait_until("sweep", "killed", |cells| reason(cells).starts_with("out of memory: "));
    assert!(reason(&cells).contains("exceeded memory limit ("), "{cells:#?}");
    // Killed again where twice is too little, too.
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm"]));
    assert_eq!(workplace.endings("sweep", &cell).last().map(String::as_str), Some("finished"));
    let attempts = workplace.attempts("sweep", &cell);
    assert!(attempts.len() > 1, "{attempts:#?}");
    for (factor, attempt) in (1..).zip(&attempts) {
        assert_eq!(attempt["requested_memory_mib"], factor * asked, "{attempts:#?}");
    }
    assert_eq!(workplace.found("sweep"), workplace.found("here"));
}
