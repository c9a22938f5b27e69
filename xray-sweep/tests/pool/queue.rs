//! What the queue holds and the event log does not tell: rows of which no job was made yet, and jobs of a log that was
//! deleted.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, checked};
use serde_json::Value as Json;
use std::time::Duration;
use std::{fs, thread};
use xray_artifacts::Exit;
use xray_sweep::attempt::{Attempt, Ending};
use xray_sweep::local_attempts::append_attempt;

#[test]
fn nothing_runs_twice_whatever_the_log_says() {
    let Some(workplace) = Workplace::new() else { return };
    let worker = workplace.worker("xray-train");
    let binary = worker.to_str().expect("a name");
    let arguments = ["--fractions", "1.0", "--trials", "4", "--max-idle", "1", "--binary", binary];
    let sweep = Sweep::plan(&workplace, "owed", &arguments);
    // As a user on the submit node.
    let program = workplace.path("xray-sweep").display().to_string();
    let here = |arguments: &[&str]| sweep.in_pool(&[&[program.as_str()], arguments].concat());
    let states = || -> Vec<String> {
        let status: Json = serde_json::from_str(&here(&["status", ".", "--format", "json"])).expect("JSON");
        let cells = status["cells"].as_array().expect("a list");
        cells.iter().map(|cell| cell["state"].as_str().expect("a text").to_owned()).collect()
    };
    let submit = || here(&["run", ".", "--launcher", "condor", "--detach"]);
    let clusters = || fs::read_dir(sweep.path("submitted")).expect("written").flatten().count();

    submit();
    let rows = fs::read_dir(sweep.path("submitted")).expect("written").flatten().next().expect("one").path();
    let cluster = rows.file_stem().expect("a number").to_string_lossy().into_owned();
    sweep.in_pool(&["condor_hold", &cluster]);
    for log in ["whole", "deleted"] {
        if log == "deleted" {
            fs::remove_file(sweep.path("sweep.log")).expect("HTCondor writes it");
        }
        // A job that was just about to start is held a moment later.
        let is_over = |state: &String| matches!(state.as_str(), "held" | "done");
        let mut looks = (0..20).map(|_| {
            thread::sleep(Duration::from_millis(500));
            states()
        });
        assert!(looks.any(|states| states.iter().all(is_over)), "{log}: {:?}", states());
        assert!(here(&["run", ".", "--launcher", "local", "--dry-run"]).starts_with("0 cells"), "{log}");
        submit();
        assert_eq!(clusters(), 1, "{log}");
    }

    // The number of an earlier process here is not a job of the pool.
    let held = states().iter().position(|state| state == "held").expect("the last could not have run yet");
    let id = sweep.cells()[held]["id"].as_str().expect("an id").to_owned();
    let attempt = Attempt {
        cell: id.clone(),
        job: "4711".into(),
        started: Some("2026-01-01T10:00:00Z".into()),
        ended: Some("2026-01-01T10:01:00Z".into()),
        ending: Some(Ending::Removed),
        ..Attempt::default()
    };
    append_attempt(&sweep.path("cells").join(&id).join("attempts.jsonl"), &attempt).expect("writable");
    let said = here(&["retry", "."]);
    assert!(said.contains("held jobs released, 0 failed"), "{said}");
    here(&["run", ".", "--launcher", "condor"]);
    assert_eq!(states(), ["done"; 4]);
    assert_eq!(sweep.collect(Exit::Ok)["counts"]["done"], 4);

    // By hand, and so beside the rule: the second jobs leave the queue, and the results stay.
    let result = fs::read(sweep.path("cells").join(&id).join("run/result.json")).expect("a result");
    sweep.in_pool(&["condor_submit", "-append", "hold = true", "sweep.sub"]);
    here(&["run", ".", "--launcher", "condor"]);
    let constraint = format!("regexp(\"^{}/\", Iwd) && JobStatus != 3", sweep.path("").display());
    let left = checked(
        &mut workplace
            .in_pool(&sweep.path(""), &["condor_q", "-constraint", &constraint, "-af", "ClusterId"]),
    );
    assert_eq!(left.trim(), "");
    assert_eq!(fs::read(sweep.path("cells").join(&id).join("run/result.json")).expect("a result"), result);
}
