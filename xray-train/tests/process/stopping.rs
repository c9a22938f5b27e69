//! Killed, asked to stop, told to be started again: the run that goes on equals the one that was left alone,
//! bit for bit.

use crate::workplace::{Workplace, assert_exit, stderr};
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
fn it_stops_where_it_is_asked_to_with_the_score_of_a_run_of_that_length() {
    let workplace = Workplace::new();
    let whole = uninterrupted(&workplace);
    // The rate is constant, so a run that is planned to be shorter takes the same steps. Validation is due at steps 5
    // and 10: not at 4, where the score is the first, nor at 7.
    for (stop, steps) in [("4 steps", 4), ("5 steps", 5), ("7 steps", 7)] {
        let short = format!("short-{steps}");
        assert_exit(&workplace.run(&short, &["--steps", &steps.to_string()]), Exit::Ok);
        let expected =
            workplace.json(&format!("{short}/result.json"))["training"]["best_val_macro_auc"].clone();
        for _ in 0..2 {
            let output = workplace.run("rungs", &["--stop-at", stop]);
            assert_exit(&output, Exit::Ok);
            assert!(
                stderr(&output).contains(&format!("stopped at {stop}, after step {steps}")),
                "{output:?}"
            );
            let result = workplace.json("rungs/result.json");
            let found = &result["training"]["stop"];
            assert!(expected.is_number(), "{expected}");
            assert_eq!((&found["at"], &found["val_macro_auc"]), (&stop.into(), &expected));
            assert_eq!((&result["state"], &result["scores"]), (&"stopped".into(), &serde_json::json!({})));
        }
    }
    // It is beyond that place: nothing of it changes.
    let before = workplace.json("rungs/result.json");
    assert_exit(&workplace.run("rungs", &["--stop-at", "5 steps"]), Exit::Ok);
    assert_eq!(workplace.json("rungs/result.json"), before);
    // Killed on the way to the next stop.
    let mut child = start(&workplace, "rungs");
    wait_for_lines(&workplace, "rungs", 10);
    child.kill().expect("it runs");
    child.wait().expect("it was ours");
    assert_exit(&workplace.run("rungs", &["--stop-at", "12 steps"]), Exit::Ok);
    workplace.fingerprint("rungs").assert_equals(&whole, "in rungs");
    assert_exit(&workplace.run("bad", &["--stop-at", "soon"]), Exit::Usage);
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
