//! The same cells under DAGMan, which collects at the end and runs again only what failed.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, checked};
use std::fs;
use std::os::unix::fs::PermissionsExt;

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

    assert_ne!(run(&sweep, &[]), 0);
    let done: Vec<_> = sweep.cells().iter().map(|cell| cell["state"] == "done").collect();
    assert_eq!(done, [true, false, true]);
    assert!(sweep.attempts(&broken)[0].contains("exit code 2"), "{:?}", sweep.attempts(&broken));
    assert!(sweep.path("collected/runs.parquet").is_file());
    assert!(sweep.path("collect.log").is_file());
    assert!(sweep.path("other-was-used").is_file(), "DAGMan passes XRAY_SWEEP on");

    fs::write(&config, good).expect("a writable folder");
    assert_eq!(run(&sweep, &[]), 0);
    let attempts: Vec<_> = sweep.wait_until_done().iter().map(|cell| cell["attempts"].clone()).collect();
    assert_eq!(attempts, [1, 2, 1]);

    // Cells that are done do not run again in a longer DAG.
    let more = checked(sweep.command("plan").args(["--no-pool", "--trials", "4", "--format", "json"]));
    assert!(more.contains("sweep.dag was submitted before; submit it with -f"), "{more}");
    assert_eq!(run(&sweep, &["-f"]), 0);
    let attempts: Vec<_> = sweep.wait_until_done().iter().map(|cell| cell["attempts"].clone()).collect();
    assert_eq!(attempts, [1, 2, 1, 1]);
}

/// Submits the DAG and waits for its end; the exit code of DAGMan.
fn run(sweep: &Sweep<'_>, more: &[&str]) -> i32 {
    let log = "sweep.dag.dagman.log";
    let other = sweep.path("other");
    let script = "#!/bin/sh\ntouch other-was-used\nexec ../xray-sweep \"$@\"\n";
    fs::write(&other, script).expect("a writable folder");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("one's own");
    let variable = format!("XRAY_SWEEP={}", other.display());
    sweep.in_pool(&[&["env", &variable, "condor_submit_dag"], more, &["sweep.dag"]].concat());
    sweep.in_pool(&["condor_wait", "-wait", "240", log]);
    let log = fs::read_to_string(sweep.path(log)).expect("DAGMan writes it");
    let (_, last) = log.rsplit_once("(return value ").expect("DAGMan came to an end");
    last.split(')').next().expect("a number").parse().expect("a number")
}
