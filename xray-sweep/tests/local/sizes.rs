//! What a sweep used decides what the next one asks for.

use crate::workplace::{Workplace, assert_exit, stderr};
use serde_json::Value as Json;
use std::fs;
use std::process::Output;
use xray_artifacts::Exit;
use xray_sweep::attempt::{Attempt, Ending};
use xray_sweep::local_attempts::append_attempt;

const GRID: [&str; 6] = ["--fractions", "0.5,1", "--trials", "1", "--cpus", "1"];

/// A workplace with a sweep `first` that has run.
fn with_first() -> Option<Workplace> {
    let workplace = Workplace::new()?;
    assert_exit(&workplace.plan("first", "6", &GRID), Exit::Ok);
    assert_exit(&workplace.sweep(&["run", "first", "--jobs", "1", "--threads", "1"]), Exit::Ok);
    Some(workplace)
}

fn plan_after(workplace: &Workplace, name: &str, sweep: &str, more: &[&str]) -> Output {
    workplace.plan(name, "6", &[&GRID[..], &["--sizes-from", sweep], more].concat())
}

fn requests(workplace: &Workplace, name: &str) -> Vec<Json> {
    workplace.cells(name).into_iter().map(|cell| cell["request"].clone()).collect()
}

fn mib(request: &Json) -> u64 {
    request["memory_mib"].as_u64().expect("a number")
}

#[test]
fn the_next_sweep_asks_for_what_the_first_used_and_a_margin() {
    let Some(workplace) = with_first() else { return };
    let told = plan_after(&workplace, "next", "first", &[]);
    assert_exit(&told, Exit::Ok);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    for line in [
        "first, 2 cells observed\n",
        "\n    small-cnn of width 4 at 32 px, batch 16, 1 thread: 2 cells\n",
        " used at most, 512 MiB estimated\n",
        "\n      disk    1,280 MiB asked for; 1,280 MiB estimated; no start in that sweep reported it\n",
        "\n      time    10m asked for; ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let estimated = requests(&workplace, "first");
    let asked = requests(&workplace, "next");
    for (cell, asked) in workplace.cells("first").iter().zip(&asked) {
        let result = workplace.result("first", cell["id"].as_str().expect("an id"));
        let used = result["peak_memory_bytes"].as_u64().expect("measured");
        assert!(4 * (mib(asked) << 20) >= 5 * used, "{asked} after {used} bytes");
        assert!(mib(asked) < mib(&estimated[0]), "{asked} {estimated:?}");
        assert_eq!((&asked["disk_mib"], &asked["minutes"]), (&estimated[0]["disk_mib"], &10.into()));
    }
    let ids = |name| (0..2).map(|at| workplace.id(name, at)).collect::<Vec<_>>();
    assert_eq!(ids("next"), ids("first"), "what is asked for is not part of a cell");
    let script = fs::read_to_string(workplace.path("next").join("sweep.sbatch")).expect("planned");
    assert!(script.contains("\n#SBATCH --time=10\n"), "{script}");

    // The sweep remembers it, until it is told otherwise.
    assert_exit(&workplace.sweep(&["plan", "next", "--no-pool"]), Exit::Ok);
    assert_eq!(requests(&workplace, "next"), asked);
    assert_exit(&workplace.sweep(&["plan", "next", "--no-pool", "--sizes-from", "none"]), Exit::Ok);
    assert_eq!(requests(&workplace, "next"), estimated);
    let status = workplace.sweep(&["status", "first"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("memory: requested 512 MiB, peak use "), "{status}");
    assert!(status.contains("right-size: plan the next sweep with --sizes-from"), "{status}");
}

/// As a pool tells of one that it killed.
#[test]
fn a_cell_that_died_of_memory_tells_that_more_is_needed() {
    let Some(workplace) = with_first() else { return };
    let id = workplace.id("first", 0);
    let killed = Attempt {
        cell: id.clone(),
        job: "4711".into(),
        started: Some("2026-01-01T10:00:00Z".into()),
        ended: Some("2026-01-01T10:01:00Z".into()),
        ending: Some(Ending::Failed),
        signal: Some(9),
        requested_memory_mib: Some(3000),
        ..Attempt::default()
    };
    append_attempt(&workplace.cell_file("first", &id, "attempts.jsonl"), &killed).expect("writable");
    assert_exit(&plan_after(&workplace, "next", "first", &[]), Exit::Ok);
    // A quarter more than 3000 MiB, in whole 64; the larger cell has more data, too.
    let asked = requests(&workplace, "next");
    assert_eq!(mib(&asked[0]), 3776);
    assert!(mib(&asked[1]) >= 3776, "{asked:?}");
}

#[test]
fn what_tells_nothing_is_refused_with_the_reason() {
    let Some(workplace) = with_first() else { return };
    let check = |sweep: &str, more: &[&str], message: &str| {
        let output = plan_after(&workplace, "next", sweep, more);
        assert_exit(&output, Exit::NothingMatches);
        assert!(
            stderr(&output).contains(message) && stderr(&output).contains("hint: "),
            "{}",
            stderr(&output)
        );
        assert!(!workplace.path("next/plan.json").exists(), "nothing is planned");
    };
    check("absent", &[], "--sizes-from: there is no sweep in ");
    check("shards", &[], "--sizes-from: there is no sweep in ");
    assert_exit(&workplace.plan("idle", "6", &GRID), Exit::Ok);
    check("idle", &[], "idle reported what it used");
    let other = "first is comparable: there small-cnn of width 4 at 32 px, batch 16, 1 thread, here small-cnn of \
                 width 4 at 32 px, batch 16, 2 threads";
    check("first", &["--cpus", "2"], other);
    check("first", &["--set", "model.width=8"], "here small-cnn of width 8 at 32 px");

    // Where some are alike, the others are named, and estimated.
    let told = plan_after(&workplace, "next", "first", &["--set", "training.batch_size=8"]);
    assert_exit(&told, Exit::NothingMatches);
    let axis = ["--axis", "training.micro_batch=0,8"];
    let told = plan_after(&workplace, "next", "first", &axis);
    assert_exit(&told, Exit::Ok);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let group = "batch 16 in parts of 8, 1 thread: 2 cells\n      memory  512 MiB asked for; 512 MiB estimated; that \
    sweep has no comparable cell\n";
    assert!(text.contains(group), "{text}");
}
