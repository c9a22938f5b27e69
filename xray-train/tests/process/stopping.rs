//! Killed, asked to stop, told to be started again: the run that goes on equals the one that was left alone,
//! bit for bit.

use crate::workplace::{Workplace, assert_exit};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use xray_artifacts::Exit;

fn uninterrupted(workplace: &Workplace) -> crate::workplace::Fingerprint {
    assert_exit(&workplace.run("whole", &[]), Exit::Ok);
    workplace.fingerprint("whole")
}

fn start(workplace: &Workplace, run: &str) -> Child {
    let binary = assert_cmd::cargo::cargo_bin("xray-train");
    let mut command = Command::new(binary);
    command.current_dir(workplace.path(".")).args(Workplace::arguments(run));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
}

/// Waits until the run has logged `lines` steps, which is after a checkpoint and in the middle of an epoch.
fn wait_for_lines(workplace: &Workplace, run: &str, lines: usize) {
    let path = workplace.path(run).join("metrics.jsonl");
    let clock = Instant::now();
    while std::fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < lines {
        assert!(clock.elapsed() < Duration::from_secs(60), "no {lines} lines in {}", path.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn killed_in_mid_epoch_and_started_again() {
    let workplace = Workplace::new();
    let whole = uninterrupted(&workplace);
    for lines in [2, 5, 8] {
        let run = format!("killed-{lines}");
        let mut child = start(&workplace, &run);
        wait_for_lines(&workplace, &run, lines);
        child.kill().expect("it runs");
        let status = child.wait().expect("it was ours");
        assert_eq!(status.code(), None, "killed before its end");
        // The placeholder is there for whoever collects results.
        assert_eq!(workplace.json(&format!("{run}/result.json"))["state"], "started");
        assert_exit(&workplace.run(&run, &[]), Exit::Ok);
        workplace.fingerprint(&run).assert_equals(&whole, &run);
    }
}

#[test]
fn asked_to_stop_it_saves_and_goes_on_later() {
    let workplace = Workplace::new();
    let whole = uninterrupted(&workplace);
    for (signal, exit) in [("TERM", Exit::Terminated), ("INT", Exit::Interrupted)] {
        let run = format!("stopped-{signal}");
        let mut child = start(&workplace, &run);
        wait_for_lines(&workplace, &run, 4);
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.expect("kill is everywhere").success());
        assert_eq!(child.wait().expect("it was ours").code(), Some(exit.code().into()));
        let result = workplace.json(&format!("{run}/result.json"));
        assert_eq!((&result["state"], &result["exit"]), (&"interrupted".into(), &exit.code().into()));
        assert_exit(&workplace.run(&run, &["--resume"]), Exit::Ok);
        workplace.fingerprint(&run).assert_equals(&whole, &run);
    }
}

#[test]
fn checkpointed_on_purpose_it_advances_at_every_start() {
    let workplace = Workplace::new();
    let whole = uninterrupted(&workplace);
    let mut starts = 0;
    loop {
        let output = workplace.run("parts", &["--checkpoint-exit-every", "1ms"]);
        starts += 1;
        if output.status.success() {
            break;
        }
        assert_exit(&output, Exit::Checkpointed);
        assert!(starts < 13, "twelve steps take at most twelve starts");
    }
    assert!(starts > 3, "{starts}");
    workplace.fingerprint("parts").assert_equals(&whole, "in parts");
}

#[test]
fn a_time_limit_ends_well() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("short", &["--max-time", "1ms"]), Exit::Ok);
    let result = workplace.json("short/result.json");
    assert_eq!(
        (&result["state"], &result["training"]["stopped_by"]),
        (&"finished".into(), &"max-time".into())
    );
    assert_eq!(result["training"]["steps"], 1);
}

#[test]
fn early_stopping_ends_well() {
    let workplace = Workplace::new();
    // Weights that do not move cannot improve.
    let more = ["--learning-rate", "1e-30", "--set", "training.early_stopping=1"];
    let output = workplace.run("stale", &more);
    assert_exit(&output, Exit::Ok);
    let result = workplace.json("stale/result.json");
    assert_eq!(result["training"]["stopped_by"], "early-stopping");
    assert!(result["training"]["steps"].as_u64().expect("a count") < 12);
}
