//! The packaged worker, on this processor and on an emulated one of 2008, which has no AVX. `cargo xtask test`
//! builds it and names its folder.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use crate::workplace::{Workplace, assert_exit, stderr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use xray_artifacts::Exit;

const BASELINE: &str = "xray-train";
const V3: &str = "xray-train-x86_64-v3";
const SIGILL: i32 = 4;

/// One of the workers, where they were built.
fn worker(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("XRAY_WORKER_DIR");
    if folder.is_none() {
        eprintln!("skipped: XRAY_WORKER_DIR names no folder of workers (cargo xtask test builds them)");
    }
    folder.map(|folder| Path::new(&folder).join(name))
}

/// A worker on a Nehalem, where that can be emulated.
fn on_old_processor(name: &str) -> Option<Command> {
    let worker = worker(name)?;
    if Command::new("qemu-x86_64-static").arg("--version").output().is_err() {
        eprintln!("skipped: no qemu-x86_64-static (apt-get install qemu-user-static)");
        return None;
    }
    let mut command = Command::new("qemu-x86_64-static");
    command.args(["-cpu", "Nehalem"]).arg(worker);
    Some(command)
}

fn train(mut program: Command, workplace: &Workplace, run: &str) -> Output {
    let program = program.current_dir(workplace.path("")).args(Workplace::arguments(run));
    program.output().expect("the program starts")
}

#[test]
fn the_worker_gives_the_numbers_of_the_ordinary_build() {
    let Some(worker) = worker(BASELINE) else { return };
    let workplace = Workplace::new();
    assert_exit(&train(Command::new(worker), &workplace, "static"), Exit::Ok);
    assert_exit(&workplace.run("ordinary", &[]), Exit::Ok);
    let ordinary = workplace.fingerprint("ordinary");
    workplace.fingerprint("static").assert_equals(&ordinary, "static and ordinary build");
    let host = |run: &str| workplace.json(&format!("{run}/env.json"))["host"].clone();
    assert_eq!(host("static"), host("ordinary"));
}

#[test]
fn the_worker_says_that_it_is_static_and_for_every_processor() {
    let Some(worker) = worker(BASELINE) else { return };
    let output = Command::new(worker).arg("--version").output().expect("the program starts");
    assert_exit(&output, Exit::Ok);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("\nbuilt for x86_64-v1, linux, static\n"), "{said}");
}

#[test]
fn the_worker_trains_on_an_old_processor() {
    let Some(old) = on_old_processor(BASELINE) else { return };
    let workplace = Workplace::new();
    assert_exit(&train(old, &workplace, "old"), Exit::Ok);
    assert_eq!(workplace.json("old/result.json")["state"], "finished");
    assert_eq!(workplace.json("old/env.json")["microarch"], "x86_64-v2");
}

#[test]
fn a_build_for_newer_processors_says_so_on_an_old_one() {
    let Some(mut old) = on_old_processor(V3) else { return };
    let output = old.arg("--version").output().expect("the emulator starts");
    assert_exit(&output, Exit::CannotRunHere);
    let said = stderr(&output);
    assert!(
        said.starts_with(
            "error: this build of xray-train needs an x86-64-v3 processor, this one has v2\n hint: "
        ),
        "{said}"
    );
    assert!(output.stdout.is_empty());
}

/// Why there is a check.
#[test]
fn without_the_check_it_dies_of_an_illegal_instruction() {
    let Some(mut old) = on_old_processor(V3) else { return };
    let output = old.arg("--version").env("XRAY_CPU_CHECK", "off").output().expect("the emulator starts");
    assert_eq!(output.status.signal(), Some(SIGILL), "{}", stderr(&output));
}
