//! Whole sweeps: by `run`, and by hand.

use crate::workplace::{Workplace, checked, ended, program, said};
use crate::wrapper::{Instead, wrapper};
use std::fs;
use xray_artifacts::Exit;

const GRID: [&str; 4] = ["--fractions", "0.3,0.6,1", "--trials", "2"];
/// What Slurm, a shell and a pattern of file names would each read otherwise than it is written.
const BY_HAND: &str = r#"by "hand", it's 50%A; #2 (é)"#;

#[test]
fn a_sweep_on_slurm_comes_to_the_same_bits_as_here() {
    let Some(workplace) = Workplace::new() else { return };
    for name in ["here", "slurm", BY_HAND] {
        checked(&mut workplace.plan(name, 12, None, &GRID));
    }
    checked(&mut workplace.xray_sweep(&["run", "here"]));
    let dry = said(&ended(
        &mut workplace.xray_sweep(&["run", "slurm", "--launcher", "slurm", "--dry-run"]),
        Exit::Ok,
    ));
    assert!(dry.contains("6 cells would be submitted"), "{dry}");
    assert!(workplace.cells("slurm").iter().all(|cell| cell["state"] == "missing"), "nothing was submitted");

    // Arrays of this cluster have four tasks at most.
    let ran = said(&ended(&mut workplace.xray_sweep(&["run", "slurm", "--launcher", "slurm"]), Exit::Ok));
    assert!(
        ran.contains("submitted 4 jobs as array ") && ran.contains("submitted 2 jobs as array "),
        "{ran}"
    );
    assert!(ran.contains("6 of 6 cells done"), "{ran}");
    assert_eq!(workplace.found("slurm"), workplace.found("here"));
    for cell in workplace.cells("slurm") {
        assert_eq!(workplace.endings("slurm", &cell), ["finished"]);
        let [attempt] = &workplace.attempts("slurm", &cell)[..] else { panic!("one start: {cell}") };
        assert_eq!((&attempt["launcher"], &attempt["ending"]), (&"slurm".into(), &"finished".into()));
        assert!(["old", "new"].contains(&attempt["host"].as_str().expect("a machine")), "{attempt}");
        assert!(attempt["microarch"].as_str().expect("a level").starts_with("x86_64-v"), "{attempt}");
        assert_eq!(attempt["requested_memory_mib"], 700);
    }
    let collected = checked(&mut workplace.xray_sweep(&["collect", "slurm", "--format", "json"]));
    assert!(collected.contains("\"done\": 6"), "{collected}");
    let again = said(&ended(&mut workplace.xray_sweep(&["run", "slurm", "--launcher", "slurm"]), Exit::Ok));
    assert!(again.contains("nothing to submit"), "{again}");

    // The script says how, for more cells than an array of this cluster may have.
    let script = fs::read_to_string(workplace.path(BY_HAND).join("sweep.sbatch")).expect("planned");
    assert!(
        script.contains("\n#SBATCH --array=0-5\n") && script.contains("\n#SBATCH --mem=700M\n"),
        "{script}"
    );
    let line = script.lines().find_map(|line| line.strip_prefix("#SBATCH --comment="));
    let list = line.and_then(|comment| comment.strip_suffix("+0")).expect("a list of cells");
    let by_hand = format!("{BY_HAND}/sweep.sbatch");
    checked(&mut workplace.command(&["sbatch", "--array=0-3", &by_hand]));
    let comment = format!("--comment={list}+4");
    let second = ["sbatch", "--array=0-1%1", comment.as_str(), &by_hand, list, "4"];
    checked(&mut workplace.command(&second));
    let queued = workplace.cells(BY_HAND);
    assert!(queued.iter().all(|cell| cell["state"] != "missing"), "{queued:#?}");
    workplace.wait_until_done(BY_HAND);
    assert_eq!(workplace.found(BY_HAND), workplace.found("here"));
}

/// First weights are copied into the sweep, and found there by a job.
#[test]
fn files_that_settings_name_are_found_by_jobs() {
    let Some(workplace) = Workplace::new() else { return };
    let one = ["--fractions", "1", "--trials", "1"];
    checked(&mut workplace.plan("first", 6, None, &one));
    checked(&mut workplace.xray_sweep(&["run", "first"]));
    let weights = workplace.file("first", &workplace.cells("first")[0], "run/model/model.safetensors");
    fs::copy(weights, workplace.path("w.safetensors")).expect("weights");
    let axis = [&one[..], &["--axis", "fine_tuning.weights=w.safetensors,none"]].concat();
    for (name, launcher) in [("here", "local"), ("slurm", "slurm")] {
        checked(&mut workplace.plan(name, 6, None, &axis));
        checked(&mut workplace.xray_sweep(&["run", name, "--launcher", launcher]));
    }
    let found = workplace.found("slurm");
    assert_eq!(found, workplace.found("here"));
    assert_eq!(found.len(), 2);
    assert_ne!(found[0].2, found[1].2, "first weights count");
}

/// The result is there three seconds before the job says how it ended.
#[test]
fn run_ends_when_the_last_job_has_said_how_it_ended() {
    let Some(workplace) = Workplace::new() else { return };
    let lingers = wrapper(&workplace, &program("xray-train"), &Instead::Lingers);
    checked(&mut workplace.plan("sweep", 6, Some(&lingers), &["--fractions", "1", "--trials", "1"]));
    checked(&mut workplace.xray_sweep(&["run", "sweep", "--launcher", "slurm"]));
    let cell = workplace.cells("sweep").remove(0);
    let [attempt] = &workplace.attempts("sweep", &cell)[..] else { panic!("one start") };
    assert_eq!(attempt["ending"], "finished", "{attempt}");
}

/// Slurm takes the limit that follows from what an earlier sweep took, and `status` says how much of it was in vain.
#[test]
fn a_time_limit_follows_from_what_was_seen() {
    let Some(workplace) = Workplace::new() else { return };
    let one = ["--fractions", "1", "--trials", "1"];
    checked(&mut workplace.plan("first", 6, None, &one));
    checked(&mut workplace.xray_sweep(&["run", "first", "--launcher", "slurm"]));
    let cell = workplace.cells("first").remove(0);
    assert_eq!(workplace.attempts("first", &cell)[0].get("requested_seconds"), None, "none was asked for");
    checked(&mut workplace.plan("next", 6, None, &[&one[..], &["--sizes-from", "first"]].concat()));
    checked(&mut workplace.xray_sweep(&["run", "next", "--launcher", "slurm", "--detach"]));
    let limit = checked(&mut workplace.command(&["squeue", "--noheader", "--format=%l %Z"]));
    let folder = workplace.path("next").display().to_string();
    let limit = limit.lines().find(|line| line.ends_with(&folder));
    assert!(limit.is_none_or(|line| line.starts_with("10:00 ")), "{limit:?}");
    workplace.wait_until_done("next");
    assert_eq!(workplace.endings("next", &cell), ["finished"]);
    assert_eq!(workplace.attempts("next", &cell)[0]["requested_seconds"], 600);
    let status = checked(&mut workplace.xray_sweep(&["status", "next"]));
    assert!(status.contains("time: requested 10m, peak use "), "{status}");
    assert_eq!(workplace.found("next"), workplace.found("first"));
}
