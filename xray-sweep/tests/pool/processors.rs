//! Machines of different ages: who gets which build, and what becomes of a job on a machine that is too old.

use crate::sweep::Sweep;
use crate::worker::{saying, silent};
use crate::workplace::{Workplace, checked, said};
use std::path::Path;
use xray_artifacts::Exit;

/// Where the first start is; every other is where HTCondor likes.
struct First {
    arguments: [&'static str; 4],
    /// What it says of its level.
    level: &'static str,
    sub_code: u32,
}

const EMULATED: First = First {
    arguments: [
        "--attribute",
        "WantEmulated=true",
        "--require",
        "ifThenElse(NumJobStarts > 0, true, TARGET.EmulatedCpu =!= undefined)",
    ],
    level: "x86_64-v2",
    sub_code: 3132,
};

const UNKNOWN: First = First {
    arguments: [
        "--attribute",
        "WantUnknown=true",
        "--require",
        "ifThenElse(NumJobStarts > 0, true, TARGET.EmulatedCpu =!= undefined && TARGET.Microarch =?= undefined)",
    ],
    level: "a machine without Microarch",
    sub_code: 1132,
};

/// A workplace whose pool has a machine that is really old.
fn with_old_machine() -> Option<Workplace> {
    let workplace = Workplace::new()?;
    if workplace.slots("EmulatedCpu =!= undefined").is_empty() {
        eprintln!("skipped: the pool has no emulated machine (cargo xtask condor up starts one that has)");
        return None;
    }
    Some(workplace)
}

/// A sweep of one cell dies on the old machine in the way that `first` tells, and ends well on a better one.
fn check_escalation(workplace: &Workplace, on: &First, binary: &Path, more: &[&str]) {
    let binary = format!("v1={}", binary.display());
    let arguments = [&["--fractions", "1.0", "--trials", "1", "--binary", &binary], &on.arguments[..], more];
    let sweep = Sweep::plan(workplace, "escalation", &arguments.concat());
    sweep.submit();
    let cells = sweep.wait_until_done();
    let attempts = sweep.attempts(&cells[0]);
    let [died, finished] = attempts.as_slice() else { panic!("{attempts:#?}") };
    assert!(died.ends_with(&format!("illegal instruction on {}", on.level)), "{died}");
    assert!(finished.ends_with("finished") && finished.contains("(x86_64-v"), "{finished}");
    assert!(!finished.contains(&format!("({})", on.level)), "{finished}");
    let log = String::from_utf8(std::fs::read(sweep.path("sweep.log")).expect("a log")).expect("text");
    assert!(log.contains(&format!("Code 3 Subcode {}\n", on.sub_code)), "{log}");
    sweep.collect(Exit::Ok);
}

#[test]
fn an_illegal_instruction_finds_a_better_machine() {
    let Some(workplace) = with_old_machine() else { return };
    let v3 = workplace.worker("xray-train-x86_64-v3");
    if !v3.is_file() {
        eprintln!("skipped: there is no {} (cargo xtask test builds it)", v3.display());
        return;
    }
    let binary = silent(&v3, workplace.path("silent"));
    check_escalation(&workplace, &EMULATED, &binary, &["--env", "XRAY_CPU_CHECK=off"]);
}

#[test]
fn a_program_that_refuses_an_old_processor_finds_a_better_machine() {
    let Some(workplace) = with_old_machine() else { return };
    let v3 = saying(&workplace.worker("xray-train"), "x86_64-v3", workplace.path("v3"));
    let binary = silent(&v3, workplace.path("silent"));
    check_escalation(&workplace, &EMULATED, &binary, &[]);
}

/// An unknown level is the lowest: every machine that says one is better.
#[test]
fn a_machine_that_does_not_say_its_level_is_the_oldest() {
    let Some(workplace) = with_old_machine() else { return };
    if workplace.slots("EmulatedCpu =!= undefined && Microarch =?= undefined").is_empty() {
        eprintln!("skipped: all machines of the pool say their level");
        return;
    }
    let v3 = saying(&workplace.worker("xray-train"), "x86_64-v3", workplace.path("v3"));
    let binary = silent(&v3, workplace.path("silent"));
    check_escalation(&workplace, &UNKNOWN, &binary, &[]);
}

#[test]
fn a_build_for_the_newest_runs_only_there() {
    let Some(workplace) = Workplace::new() else { return };
    let newest = workplace.slots(r#"versionGE(Microarch, "x86_64-v4")"#);
    if newest.is_empty() {
        eprintln!("skipped: the pool has no machine of x86_64-v4");
        return;
    }
    let baseline = workplace.worker("xray-train");
    std::fs::copy(&baseline, workplace.path("baseline")).expect("a writable folder");
    saying(&baseline, "x86_64-v4", workplace.path("v4"));

    let fixed = ["--fractions", "1.0", "--trials", "3", "--binary", "v4=v4", "--resolve-with", "./baseline"];
    // In the pool, where condor_status finds the machines.
    let plan = |name, more: &[&str]| {
        let arguments = Sweep::arguments(name, &[&fixed, more].concat());
        let words: Vec<&str> =
            std::iter::once("./xray-sweep").chain(arguments.iter().map(String::as_str)).collect();
        workplace.in_pool(&workplace.path(""), &words)
    };
    let told = checked(&mut plan("newest", &[]));
    let expected = format!("{} of the pool's {} slots match", newest.len(), workplace.slots("true").len());
    assert!(told.contains(&expected), "{told}");

    let sweep = Sweep::planned(&workplace, "newest");
    sweep.submit();
    for cell in sweep.wait_until_done() {
        assert_eq!((&cell["microarch"], &cell["attempts"]), (&"x86_64-v4".into(), &1.into()), "{cell}");
    }

    let refused = plan("greedy", &["--memory", "900GB"]).output().expect("it starts");
    assert_eq!(refused.status.code(), Some(Exit::NothingMatches.code().into()), "{}", said(&refused));
    assert!(said(&refused).contains("MiB of memory: 0 of "), "{}", said(&refused));
}

#[test]
fn every_machine_gets_the_build_that_fits_it() {
    let Some(workplace) = with_old_machine() else { return };
    // The same program, so that only HTCondor's choice makes the difference: this one refuses an old machine.
    let baseline = workplace.worker("xray-train");
    let v3 = saying(&baseline, "x86_64-v3", workplace.path("v3"));
    let (v1, v3) = (format!("v1={}", baseline.display()), format!("v3={}", v3.display()));
    let arguments = [
        "--fractions",
        "1.0",
        "--trials",
        "2",
        "--binary",
        &v1,
        "--binary",
        &v3,
        "--attribute",
        "WantEmulated=true",
        "--require",
        "ifThenElse(MY.XrayTrial == 1, TARGET.EmulatedCpu =!= undefined, versionGE(TARGET.Microarch, \"x86_64-v3\"))",
    ];
    let sweep = Sweep::plan(&workplace, "builds", &arguments);
    sweep.submit();
    let cells = sweep.wait_until_done();
    for (cell, build) in cells.iter().zip(["xray-train-x86_64-v1", "xray-train-x86_64-v3"]) {
        assert_eq!(cell["attempts"], 1, "{cell}");
        let program = sweep.json(cell, "run/env.json")["command"][0].clone();
        assert!(program.as_str().expect("text").ends_with(build), "{program}");
    }
}
