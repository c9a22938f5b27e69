//! A GPU is another program's: `xray-train` becomes `xray-train-gpu` where that lies beside it.
#![cfg(unix)]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use xray_artifacts::Exit;

/// Says what it was started with.
const GPU_PROGRAM: &str = "#!/bin/sh\necho gpu: \"$@\"\nexit 6\n";

/// Runs a copy of `xray-train` in a folder of its own, with or without the other program beside it.
fn check(workplace: &Workplace, beside: bool, backend: &str) -> Output {
    let folder = workplace.path(if beside { "both" } else { "alone" });
    fs::create_dir_all(&folder).expect("writable");
    let program = folder.join("xray-train");
    fs::copy(env!("CARGO_BIN_EXE_xray-train"), &program).expect("the program can be copied");
    if beside {
        let other = folder.join("xray-train-gpu");
        fs::write(&other, GPU_PROGRAM).expect("writable");
        fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let run = format!("run-{backend}-{beside}");
    let arguments = [&Workplace::arguments(&run)[..], &["--backend", backend]].concat();
    Command::new(program).args(arguments).current_dir(workplace.path("")).output().expect("it starts")
}

#[test]
fn a_gpu_is_asked_of_the_program_that_has_one() {
    let workplace = Workplace::new();
    for backend in ["wgpu", "cuda", "auto"] {
        let output = check(&workplace, true, backend);
        assert_exit(&output, Exit::Diverged);
        let said = stdout(&output);
        assert!(
            said.starts_with("gpu: --data shards ") && said.ends_with(&format!("--backend {backend}\n")),
            "{said}"
        );
    }
    for backend in ["cpu", "flex"] {
        let output = check(&workplace, true, backend);
        assert_exit(&output, Exit::Ok);
        assert!(!stdout(&output).contains("gpu:"), "{}", stdout(&output));
    }
}

/// A link to `xray-train` is no program with a GPU.
#[test]
fn nothing_hands_over_for_ever() {
    let workplace = Workplace::new();
    let program = workplace.path("xray-train");
    fs::copy(env!("CARGO_BIN_EXE_xray-train"), &program).expect("the program can be copied");
    std::os::unix::fs::symlink(&program, workplace.path("xray-train-gpu")).expect("a link");
    let arguments = [&Workplace::arguments("run")[..], &["--backend", "wgpu"]].concat();
    let output = Command::new(program).args(arguments).current_dir(workplace.path("")).output();
    assert_exit(&output.expect("it starts"), Exit::CannotRunHere);
}

#[test]
fn without_that_program_a_gpu_is_an_error_and_auto_is_the_processor() {
    let workplace = Workplace::new();
    let output = check(&workplace, false, "wgpu");
    assert_exit(&output, Exit::CannotRunHere);
    let said = stderr(&output);
    assert!(said.contains("backend `wgpu` is not part of this build") && said.contains("--gpu"), "{said}");
    let output = check(&workplace, false, "auto");
    assert_exit(&output, Exit::Ok);
    assert!(
        stderr(&output).contains("warning: no GPU is used: this build has no GPU backend"),
        "{}",
        stderr(&output)
    );
    assert_eq!(workplace.json("run-auto-false/env.json")["backend"], "cpu");
}

/// The real program, handed over to, on a GPU or on a renderer that stands in for one.
#[test]
fn a_gpu_trains_to_the_losses_of_the_processor() {
    let Some(gpu) = std::env::var_os("XRAY_GPU_TRAINER") else {
        eprintln!("skipped: XRAY_GPU_TRAINER names no xray-train-gpu (cargo xtask test builds it)");
        return;
    };
    let workplace = Workplace::new();
    let program = workplace.path("xray-train");
    fs::copy(env!("CARGO_BIN_EXE_xray-train"), &program).expect("the program can be copied");
    std::os::unix::fs::symlink(gpu, workplace.path("xray-train-gpu")).expect("a link");
    let train = |run: &str, backend: &str| {
        let arguments = [&Workplace::arguments(run)[..], &["--backend", backend]].concat();
        Command::new(&program).args(arguments).current_dir(workplace.path("")).output().expect("it starts")
    };
    let output = train("gpu", "wgpu");
    if stderr(&output).contains("finds no device") {
        eprintln!("skipped: no Vulkan driver (apt-get install mesa-vulkan-drivers)");
        return;
    }
    assert_exit(&output, Exit::Ok);
    assert_eq!(workplace.json("gpu/env.json")["backend"], "wgpu");
    assert_exit(&train("processor", "cpu"), Exit::Ok);
    let losses = |run: &str| -> Vec<f64> {
        let lines = fs::read_to_string(workplace.path(&format!("{run}/metrics.jsonl"))).expect("written");
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.filter(|line| line["event"] == "step").filter_map(|line| line["loss"].as_f64()).collect()
    };
    let (gpu, processor) = (losses("gpu"), losses("processor"));
    assert_eq!((gpu.len(), processor.len()), (12, 12));
    for (step, (a, b)) in gpu.iter().zip(&processor).enumerate() {
        assert!((a - b).abs() < 1e-3, "step {step}: {a} on the GPU, {b} on the processor");
    }
}
