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

/// A link to `xray-train` is not a program with a GPU.
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
    let choice = "using the CPU (auto: this build has no GPU backend)";
    assert!(stderr(&output).lines().any(|line| line == choice), "{}", stderr(&output));
    let environment = workplace.json("run-auto-false/env.json");
    assert_eq!((&environment["backend"], &environment["device_choice"]), (&"cpu".into(), &choice.into()));
}

/// The program with a GPU backend, where it was built, as `xray-train-gpu` in a folder of its own.
pub(crate) fn real(workplace: &Workplace) -> Option<std::path::PathBuf> {
    let gpu = std::env::var_os("XRAY_GPU_TRAINER");
    if gpu.is_none() {
        eprintln!("skipped: XRAY_GPU_TRAINER names no xray-train-gpu (cargo xtask test builds it)");
    }
    let program = workplace.path("xray-train-gpu");
    std::os::unix::fs::symlink(gpu?, &program).expect("a link");
    Some(program)
}

/// A GPU that is not there ends the run before it trains; the one that is there is named, and why it was taken.
#[test]
fn the_gpu_that_is_taken_is_named_and_one_that_is_missing_refused() {
    let workplace = Workplace::new();
    let Some(program) = real(&workplace) else { return };
    let train = |run: &str, backend: &str, variable: (&str, &str)| {
        let arguments = Workplace::arguments(run).into_iter();
        let mut command = Command::new(&program);
        command.args(arguments.map(|word| if word == "12" { "1" } else { word }));
        command.args(["--backend", backend]).current_dir(workplace.path(""));
        command.env_remove("CUDA_VISIBLE_DEVICES").env(variable.0, variable.1).output().expect("it starts")
    };
    let refused = |number: usize, variable: (&str, &str), reason: &str| {
        let run = format!("refused-{number}");
        let output = train(&run, "wgpu", variable);
        assert_exit(&output, Exit::CannotRunHere);
        let said = stderr(&output);
        let line = said.lines().find(|line| line.contains("finds no device")).expect("one sentence");
        assert!(line.starts_with("error: backend `wgpu`") && line.contains(reason), "{said}");
        assert!(
            said.contains("hint: use --backend cpu, install the GPU's Vulkan driver, or name another"),
            "{said}"
        );
        let result = workplace.json(&format!("{run}/result.json"));
        assert_eq!((&result["exit"], &result["training"]["steps"]), (&78.into(), &0.into()), "{result}");
    };
    // Vulkan's loader reads no other list of drivers then.
    refused(1, ("VK_DRIVER_FILES", "/nowhere"), "finds no device: no driver offers one");
    let without = train("without", "auto", ("VK_DRIVER_FILES", "/nowhere"));
    assert_exit(&without, Exit::Ok);
    let choice = "using the CPU (auto: no driver offers one)";
    assert!(stderr(&without).lines().any(|line| line == choice), "{}", stderr(&without));

    let named = train("named", "wgpu", ("XRAY_GPU", "0"));
    if stderr(&named).contains("finds no device") {
        eprintln!("skipped: no Vulkan driver (apt-get install mesa-vulkan-drivers)");
        return;
    }
    assert_exit(&named, Exit::Ok);
    let environment = workplace.json("named/env.json");
    let device = environment["device"].as_str().expect("text").to_owned();
    let choice = environment["device_choice"].as_str().expect("it was named").to_owned();
    assert!(device.ends_with(", WGSL"), "{device}");
    assert!(choice.ends_with(" through wgpu (XRAY_GPU=0)"), "{choice}");
    let log = fs::read_to_string(workplace.path("named/train.log")).expect("written");
    assert!(log.contains(&choice) && stderr(&named).lines().any(|line| line == choice), "{log}");
    refused(2, ("XRAY_GPU", "99"), "XRAY_GPU is `99`, and there is only 0 ");

    if !device.starts_with("llvmpipe") {
        eprintln!("skipped: a real GPU is here, which `auto` takes");
        return;
    }
    refused(
        3,
        ("CUDA_VISIBLE_DEVICES", "0"),
        "CUDA_VISIBLE_DEVICES is `0`, but Vulkan shows no GPU of NVIDIA",
    );
    let auto = train("auto", "auto", ("XRAY_GPU", "0"));
    assert_exit(&auto, Exit::Ok);
    let environment = workplace.json("auto/env.json");
    let choice = environment["device_choice"].as_str().expect("chosen").to_owned();
    assert!(choice.starts_with("using the CPU (auto: llvmpipe"), "{choice}");
    assert!(choice.ends_with(" is a software renderer)"), "{choice}");
    assert!(stderr(&auto).lines().any(|line| line == choice), "{}", stderr(&auto));
    assert_eq!(environment["backend"], "cpu");
}

/// The real program, handed over to, on a GPU or on a renderer that stands in for one.
#[test]
fn a_gpu_trains_to_the_losses_of_the_processor() {
    let workplace = Workplace::new();
    if real(&workplace).is_none() {
        return;
    }
    let program = workplace.path("xray-train");
    fs::copy(env!("CARGO_BIN_EXE_xray-train"), &program).expect("the program can be copied");
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

/// After each step, in mid-epoch too, with what an average and clipping keep from step to step.
#[test]
fn a_run_on_a_gpu_that_is_interrupted_ends_with_the_same_bits() {
    let workplace = Workplace::new();
    let Some(program) = real(&workplace) else { return };
    let train = |run: &str, more: &[&str]| {
        let settings = ["--backend", "wgpu", "--set", "training.average_decay=0.9"];
        let arguments = [&Workplace::arguments(run)[..], &settings, more].concat();
        let mut command = Command::new(&program);
        command.args(arguments.into_iter().map(|word| if word == "12" { "6" } else { word }));
        command.args(["--set", "optimizer.clip_norm=0.1"]).current_dir(workplace.path(""));
        command.output().expect("it starts")
    };
    let whole = train("whole", &[]);
    if stderr(&whole).contains("finds no device") {
        eprintln!("skipped: no Vulkan driver (apt-get install mesa-vulkan-drivers)");
        return;
    }
    assert_exit(&whole, Exit::Ok);
    let mut starts = 0;
    loop {
        let output = train("parts", &["--checkpoint-exit-every", "1ms"]);
        starts += 1;
        if output.status.success() {
            break;
        }
        assert_exit(&output, Exit::Checkpointed);
        assert!(starts < 7, "six steps take at most six starts");
    }
    assert!(starts > 2, "{starts} starts");
    workplace.fingerprint("parts").assert_equals(&workplace.fingerprint("whole"), "in parts");
}
