//! One sweep to which everything happens.

use crate::interruptions::STEPS;
use crate::workplace::{Workplace, checked, program};
use crate::wrapper::{Instead, wrapper};
use serde_json::Value as Json;
use std::process::Command;

/// Three fractions by two trials: some start on a machine that lacks an instruction, one is told to save and queued again,
/// and the trainer of another is killed.
#[test]
fn no_cell_is_lost_and_no_number_changes() {
    let Some(workplace) = Workplace::new() else { return };
    let trainer = wrapper(&workplace, &program("xray-train"), &Instead::Traps);
    for name in ["here", "sweep"] {
        let grid = ["--fractions", "0.2,0.5,1", "--trials", "2"];
        checked(&mut workplace.plan(name, STEPS, Some(&trainer), &grid));
    }
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm", "--detach"]));
    let at_work = |cell: &Json| {
        workplace.trainer_at_work("sweep", cell);
        workplace.attempts("sweep", cell).pop().expect("a start")["job"]
            .as_str()
            .expect("a number")
            .to_owned()
    };
    let running = |cells: &[Json]| -> Vec<Json> {
        let on_new = |cell: &&Json| cell["state"] == "running" && cell["host"] == "new";
        cells.iter().filter(on_new).cloned().collect()
    };
    let cells = workplace.wait_until("sweep", "running", |cells| running(cells).len() == 2);
    let [told, killed] = &running(&cells)[..] else { panic!("two at a time: {cells:#?}") };
    // As Slurm does two minutes before the limit.
    checked(&mut workplace.command(&["scancel", "--signal=TERM", "--batch", &at_work(told)]));
    checked(Command::new("kill").args(["-KILL", &workplace.trainer_at_work("sweep", killed)]));
    let cells = workplace.wait_until_done("sweep");
    assert_eq!(cells.len(), 6);
    let starts: Vec<Json> = cells.iter().flat_map(|cell| workplace.attempts("sweep", cell)).collect();
    let ended_so = |key: &str, what: Json| starts.iter().filter(|start| start[key] == what).count();
    assert!(ended_so("signal", 4.into()) > 0, "an illegal instruction: {starts:#?}");
    assert_eq!(ended_so("signal", 9.into()), 1, "{starts:#?}");
    assert_eq!(ended_so("ending", "removed".into()), 1, "{starts:#?}");
    checked(&mut workplace.xray_sweep(&["run", "here"]));
    assert_eq!(workplace.found("sweep"), workplace.found("here"));
}
