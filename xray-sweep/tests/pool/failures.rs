//! Failures of a job and of its machine: what counts, and where the job goes next.

use crate::sweep::Sweep;
use crate::workplace::Workplace;
use std::fs;
use std::thread;
use std::time::Duration;

/// The trainer of a sweep behind a script, which says what becomes of each start.
fn script_before_trainer(sweep: &Sweep<'_>, script: &str) {
    let path = sweep.path("bin/xray-train");
    let trainer = fs::read(&path).expect("planned");
    let end = |offset: usize| {
        format!("tail -c +{offset:06} \"$0\" >trainer; chmod +x trainer; exec ./trainer \"$@\"\n")
    };
    let length = script.len() + end(0).len();
    let text = format!("{script}{}", end(length + 1));
    fs::write(&path, [text.as_bytes(), &trainer].concat()).expect("a writable folder");
}

/// The machine in a line of the starts, and what else stands there.
fn host(attempt: &str) -> &str {
    attempt.split_whitespace().nth(4).expect("a machine")
}

/// Each kind of failure has a count of its own, and evictions have none: memory grows by what was killed, and better
/// processors are asked for by what was illegal, whatever else happened between.
#[test]
fn evictions_count_for_nothing_and_a_machine_that_fails_a_job_is_avoided() {
    let Some(workplace) = Workplace::new() else { return };
    let worker = workplace.worker("xray-train");
    // A better machine is left for the last start.
    let require = "ifThenElse((NumShadowStarts ?: 0) < 5, TARGET.Microarch =!= \"x86_64-v4\", true)";
    let arguments =
        ["--fractions", "1.0", "--trials", "1", "--memory", "500MB", "--require", require, "--retries", "0"];
    let binary = ["--binary", worker.to_str().expect("a name")];
    let sweep = Sweep::plan(&workplace, "counted", &[&arguments[..], &binary].concat());
    // By HTCondor's count: a file would not do, because after an eviction every start begins with what that one sent.
    let script = "#!/bin/sh\ncase $(sed -n 's/^NumShadowStarts *= *//p' \"$_CONDOR_JOB_AD\") in\n\
                  1 | 2 | 4) trap 'exit 143' TERM; sleep 100 & wait ;;\n3) kill -KILL $$ ;;\n5) kill -ILL $$ ;;\nesac\n";
    script_before_trainer(&sweep, script);
    sweep.submit();
    for start in [1, 2, 4] {
        let is_so =
            |cells: &[serde_json::Value]| cells[0]["state"] == "running" && cells[0]["attempts"] == start;
        let job = sweep.wait_until("running", is_so)[0]["job"].clone();
        // Until it waits.
        thread::sleep(Duration::from_secs(2));
        sweep.in_pool(&["condor_vacate_job", job.as_str().expect("a job")]);
    }
    let cell = sweep.wait_until_done().remove(0);
    let attempts = sweep.attempts(&cell);
    let [first, second, killed, fourth, illegal, finished] = attempts.as_slice() else {
        panic!("{attempts:#?}")
    };
    assert!([first, second, fourth].iter().all(|attempt| attempt.ends_with("evicted")), "{attempts:#?}");
    assert!(killed.contains(" of 500 MiB ") && killed.contains("killed"), "{killed}");
    assert!(
        illegal.contains(" of 1000 MiB ") && illegal.contains("illegal instruction on x86_64-v"),
        "{illegal}"
    );
    assert!(finished.contains(" of 1000 MiB ") && finished.ends_with("finished"), "{finished}");
    assert!([fourth, illegal, finished].iter().all(|attempt| host(attempt) != host(killed)), "{attempts:#?}");
    assert_ne!(host(illegal), host(finished), "{attempts:#?}");

    let constraint = format!("regexp(\"^{}\", Iwd)", sweep.path("cells").display());
    let history = ["condor_history", "-limit", "1", "-constraint", &constraint];
    let counted = ["-af", "NumShadowStarts", "NumJobCompletions"];
    assert_eq!(sweep.in_pool(&[&history[..], &counted].concat()).trim(), "6 3");
}

/// Also a sweep directory with a name that must be quoted nearly everywhere.
#[test]
fn a_full_disk_is_left_for_another_machine() {
    let Some(workplace) = Workplace::new() else { return };
    if workplace.slots("DiskIsFull =!= undefined").is_empty() {
        eprintln!(
            "skipped: the pool has no machine with a full disk (cargo xtask condor up starts one that has)"
        );
        return;
    }
    let worker = workplace.worker("xray-train");
    let arguments = [
        "--fractions",
        "1.0",
        "--trials",
        "1",
        "--binary",
        worker.to_str().expect("a name"),
        "--attribute",
        "+WantFullDisk=true",
        "--require",
        "ifThenElse(NumJobStarts > 0, true, TARGET.DiskIsFull =!= undefined)",
    ];
    let sweep = Sweep::plan(&workplace, "it's a \"disk\", full; (\u{e9})", &arguments);
    sweep.submit();
    let cell = sweep.wait_until_done().remove(0);
    let attempts = sweep.attempts(&cell);
    let [full, finished] = attempts.as_slice() else { panic!("{attempts:#?}") };
    assert!(full.ends_with("exit code 1") && finished.ends_with("finished"), "{attempts:#?}");
    assert_ne!(host(full), host(finished));
}

/// HTCondor knows from the first start how much memory the job takes, and holds it again while its files are still being
/// sent, which is not a start by its count.
#[test]
fn holds_while_files_are_sent_slowly_come_to_an_end_with_their_reason() {
    let Some(workplace) = Workplace::new() else { return };
    let padded = workplace.path("padded");
    fs::copy(workplace.worker("xray-train"), &padded).expect("a writable folder");
    let hole = fs::File::options().write(true).open(&padded).and_then(|file| file.set_len(1 << 30));
    hole.expect("it takes no room");
    let arguments = [
        "--fractions",
        "1.0",
        "--trials",
        "1",
        "--binary",
        "padded",
        "--memory",
        "30MB",
        "--disk",
        "1200MB",
        // More than four times that.
        "--set",
        "preprocessing.size=128",
        "--set",
        "model.width=32",
        "--set",
        "training.batch_size=32",
        "--set",
        "training.duration=2000 steps",
    ];
    let sweep = Sweep::plan(&workplace, "slow", &arguments);
    sweep.submit();
    let is_over = |cells: &[serde_json::Value]| cells[0]["state"] == "lost";
    let cell = sweep.wait_until("over", is_over).remove(0);
    let reason = cell["reason"].as_str().expect("a sentence");
    assert!(reason.contains("out of memory 4 times, with 120 MiB at last"), "{reason}");
    let attempts = sweep.attempts(&cell);
    assert_eq!(attempts.len(), 4, "{attempts:#?}");
    for (attempt, asked) in attempts.iter().zip([30, 60, 90, 120]) {
        assert!(attempt.contains(&format!(" of {asked} MiB ")), "{attempts:#?}");
        assert!(
            attempt.contains("  out of memory: ") && attempt.contains("memory usage exceeded"),
            "{attempts:#?}"
        );
    }
    let constraint = format!("regexp(\"^{}\", Iwd)", sweep.path("cells").display());
    let history = ["condor_history", "-limit", "1", "-constraint", &constraint, "-af", "NumJobStarts"];
    let starts: u32 = sweep.in_pool(&history).trim().parse().expect("a number");
    assert!(starts < 4, "all were starts: the files were not sent slowly");
}
