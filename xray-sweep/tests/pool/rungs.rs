//! Halving through DAGMan: nobody is there to decide.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, checked, said};
use serde_json::Value as Json;
use std::fs;

#[test]
fn nine_become_one_without_anybody_and_it_is_the_run_that_never_stopped() {
    let Some(workplace) = Workplace::new() else { return };
    if workplace.path("").starts_with("/tmp") {
        eprintln!("skipped: DAGMan keeps no logs below /tmp, where the target folder lies");
        return;
    }
    let worker = workplace.worker("xray-train");
    let points = [
        "--fractions",
        "1.0",
        "--trials",
        "1",
        "--sample",
        "9",
        "--axis",
        "schedule.learning_rate=log(1e-4,3e-1)",
        // The same kernels as here.
        "--require",
        "TARGET.EmulatedCpu =?= undefined",
        "--binary",
        worker.to_str().expect("a name"),
    ];
    let halved =
        Sweep::plan(&workplace, "halved", &[&points[..], &["--rungs", "2,5,12", "--keep", "0.33"]].concat());
    let whole = Sweep::plan(&workplace, "whole", &points);

    let by_hand =
        workplace.in_pool(&halved.path(""), &["condor_submit", "sweep.sub"]).output().expect("it starts");
    assert!(!by_hand.status.success(), "its cells are nodes of a DAG");
    assert!(said(&by_hand).contains("condor_submit_dag sweep.dag"), "{}", said(&by_hand));

    let program = workplace.path("xray-sweep").display().to_string();
    let run = || {
        said(
            &workplace
                .in_pool(&halved.path(""), &[&program, "run", ".", "--launcher", "condor"])
                .output()
                .expect("it starts"),
        )
    };
    let ran = run();
    assert!(ran.contains("1 of 9 cells done, 8 stopped at a rung"), "{ran}\n{}", log(&halved));
    let cells = halved.cells();
    let with =
        |state: &str| cells.iter().filter(|cell| cell["state"] == state).cloned().collect::<Vec<Json>>();
    let [last] = &with("done")[..] else { panic!("{cells:#?}") };
    assert_eq!(with("stopped").len(), 8);
    let starts = cells.iter().map(|cell| cell["attempts"].as_u64().expect("a count")).sum::<u64>();
    assert_eq!(starts, 9 + 3 + 1, "{cells:#?}");
    // It ends a moment after its cells.
    halved.in_pool(&["condor_wait", "-wait", "60", "sweep.dag.dagman.log"]);
    let dagman = fs::read_to_string(halved.path("sweep.dag.dagman.log")).expect("DAGMan writes it");
    assert!(dagman.contains("(return value 0)"), "{dagman}\n{}", log(&halved));

    let again = run();
    assert!(again.contains("nothing to submit"), "{again}");
    let id = last["id"].as_str().expect("an id");
    // The others are missing, which is an exit code of its own.
    let here = whole.command("run").args(["--launcher", "local", "--cell", id]).output().expect("it starts");
    assert!(said(&here).contains("1 of 9 cells done"), "{}", said(&here));
    for file in ["model/model.safetensors", "predictions-test.safetensors", "metrics.jsonl"] {
        let file = format!("run/{file}");
        assert!(halved.read(last, &file) == whole.read(last, &file), "{file} differs");
    }
    assert_eq!(halved.json(last, "run/result.json")["scores"], whole.json(last, "run/result.json")["scores"]);
    assert!(checked(&mut halved.command("collect")).contains("1 of 9 cells done (8 stopped)"));
}

fn log(sweep: &Sweep<'_>) -> String {
    fs::read_to_string(sweep.path("rung.log")).unwrap_or_default()
}
