//! The same cells under DAGMan, which collects at the end and runs again only what failed.

use crate::sweep::Sweep;
use crate::workplace::Workplace;
use std::fs;

#[test]
fn a_dag_collects_what_there_is_and_its_rescue_runs_the_rest() {
    let Some(workplace) = Workplace::new() else { return };
    if workplace.path("").starts_with("/tmp") {
        eprintln!("skipped: DAGMan keeps no logs below /tmp, where the target folder lies");
        return;
    }
    let worker = workplace.worker("xray-train");
    let arguments = ["--fractions", "1.0", "--trials", "3", "--binary", worker.to_str().expect("a name")];
    let sweep = Sweep::plan(&workplace, "dag", &arguments);
    let broken = sweep.cells().remove(1);
    let config = sweep.path("cells").join(broken["id"].as_str().expect("an id")).join("config.toml");
    let good = fs::read_to_string(&config).expect("a configuration");
    fs::write(&config, format!("no_such_key = 1\n{good}")).expect("a writable folder");

    assert_ne!(run(&sweep), 0);
    let done: Vec<_> = sweep.cells().iter().map(|cell| cell["state"] == "done").collect();
    assert_eq!(done, [true, false, true]);
    assert!(sweep.attempts(&broken)[0].contains("exit code 2"), "{:?}", sweep.attempts(&broken));
    assert!(sweep.path("collected/runs.parquet").is_file());
    assert!(sweep.path("collect.log").is_file());

    fs::write(&config, good).expect("a writable folder");
    assert_eq!(run(&sweep), 0);
    let attempts: Vec<_> = sweep.wait_until_done().iter().map(|cell| cell["attempts"].clone()).collect();
    assert_eq!(attempts, [1, 2, 1]);
}

/// Submits the DAG and waits for its end; the exit code of DAGMan.
fn run(sweep: &Sweep<'_>) -> i32 {
    let log = "sweep.dag.dagman.log";
    sweep.in_pool(&["condor_submit_dag", "sweep.dag"]);
    sweep.in_pool(&["condor_wait", "-wait", "240", log]);
    let log = fs::read_to_string(sweep.path(log)).expect("DAGMan writes it");
    let (_, last) = log.rsplit_once("(return value ").expect("DAGMan came to an end");
    last.split(')').next().expect("a number").parse().expect("a number")
}
