//! What a run computes in: on a device that offers it, and refused on one that does not.
#![cfg(unix)]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use crate::gpu_program::real;
use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use xray_artifacts::{Exit, read_sealed_text, write_sealed_text};

#[test]
fn a_processor_computes_in_f32_only() {
    let workplace = Workplace::new();
    let refused = |more: &[&str], exit: Exit, message: &str, hint: &str| {
        let output = workplace.run("refused", more);
        assert_exit(&output, exit);
        let said = stderr(&output);
        assert!(said.contains(&format!("error: {message}")) && said.contains(hint), "{said}");
    };
    for backend in ["cpu", "flex"] {
        let message = format!("precision is f16, and backend `{backend}` computes in f32 only");
        let hint = "hint: precisions below f32 need a GPU: --backend wgpu, or leave --precision out";
        refused(&["--precision", "f16", "--backend", backend], Exit::Usage, &message, hint);
        assert!(!workplace.path("refused").exists(), "nothing was begun");
    }
    // Whether there is a GPU is known when it is looked for: another machine may have one.
    let hint = "hint: it offers f32; name that by --precision, or take another device";
    let more = ["--precision", "bf16", "--backend", "auto"];
    refused(&more, Exit::CannotRunHere, "CPU (", "does not offer precision bf16");
    refused(&more, Exit::CannotRunHere, "CPU (", hint);
    assert_eq!(workplace.json("refused/result.json")["exit"], 78);
}

#[test]
fn the_precision_is_told_and_part_of_the_run() {
    let workplace = Workplace::new();
    let dry = workplace.run("dry", &["--dry-run"]);
    assert_exit(&dry, Exit::Ok);
    let said = stdout(&dry);
    assert!(said.contains("\nprecision = \"f32\"\n") && said.contains(" (cpu, f32)\n"), "{said}");
    assert_exit(
        &workplace.run("run", &["--precision", "f32", "--set", "training.duration=1 steps"]),
        Exit::Ok,
    );
    assert_eq!(workplace.json("run/env.json")["precision"], "f32");
    let log = fs::read_to_string(workplace.path("run/train.log")).expect("written");
    assert!(log.contains(" (cpu, f32), 1 thread"), "{log}");
    let other = workplace
        .run("run", &["--precision", "f16", "--backend", "auto", "--set", "training.duration=1 steps"]);
    assert_exit(&other, Exit::ModelMismatch);
}

/// The program for GPUs on whatever Vulkan is here.
struct Gpu {
    workplace: Workplace,
    program: PathBuf,
}

impl Gpu {
    /// None without the program or a driver.
    fn new() -> Option<Gpu> {
        let workplace = Workplace::new();
        let program = real(&workplace)?;
        let gpu = Gpu { workplace, program };
        let output = gpu.train("dry", "f32", &["--dry-run"]);
        if stderr(&output).contains("finds no device") {
            eprintln!("skipped: no Vulkan driver (apt-get install mesa-vulkan-drivers)");
            return None;
        }
        assert_exit(&output, Exit::Ok);
        Some(gpu)
    }

    fn train(&self, run: &str, precision: &str, more: &[&str]) -> Output {
        let settings = ["--backend", "wgpu", "--precision", precision, "--set", "training.average_decay=0.9"];
        let arguments = [&Workplace::arguments(run)[..], &settings, more].concat();
        let mut command = Command::new(&self.program);
        command.args(arguments.into_iter().map(|word| if word == "12" { "6" } else { word }));
        command.current_dir(self.workplace.path("")).output().expect("it starts")
    }

    /// Which the device offers, and which not.
    fn precisions(&self) -> [Vec<&'static str>; 2] {
        let is_offered = |name: &&str| {
            let output = self.train("dry", name, &["--dry-run"]);
            let exit = if output.status.success() { Exit::Ok } else { Exit::CannotRunHere };
            assert_exit(&output, exit);
            exit == Exit::Ok
        };
        let (offered, missing) = ["f32", "tf32", "bf16", "f16"].into_iter().partition(is_offered);
        [offered, missing]
    }

    /// What a run would go on from.
    fn checkpoint(&self, run: &str) -> Vec<Vec<u8>> {
        let file = |which: &str| self.workplace.path(&format!("{run}/checkpoints/{which}/state.safetensors"));
        ["last", "previous"].iter().filter_map(|which| fs::read(file(which)).ok()).collect()
    }
}

/// One sentence, a hint, the exit code; and a run that was begun where the precision is offered can go on there.
#[test]
fn a_gpu_without_the_precision_ends_the_run_and_leaves_its_checkpoint() {
    let Some(gpu) = Gpu::new() else { return };
    let [offered, missing] = gpu.precisions();
    assert!(offered.contains(&"f32"), "{offered:?}");
    let Some(asked) = missing.first() else {
        eprintln!("skipped: this GPU offers every precision");
        return;
    };
    let check = |run: &str| {
        let output = gpu.train(run, asked, &[]);
        assert_exit(&output, Exit::CannotRunHere);
        let said = stderr(&output);
        // Drivers say things of their own that begin so.
        let is_ours = |line: &&str| line.starts_with("error: ") && line.contains("precision");
        let lines: Vec<_> = said.lines().filter(is_ours).collect();
        assert!(
            lines.len() == 1 && lines[0].ends_with(&format!(" does not offer precision {asked}")),
            "{said}"
        );
        let hint = format!("hint: it offers {}; name that by --precision", offered.join(", "));
        assert!(said.contains(&hint), "{said}");
        let result = gpu.workplace.json(&format!("{run}/result.json"));
        assert_eq!(result["exit"], 78, "{result}");
        assert!(result["reason"].as_str().is_some_and(|reason| lines[0].ends_with(reason)), "{result}");
    };
    check("fresh");
    // Of a run that is half done all is there but the precision.
    let begun = gpu.train("begun", "f32", &["--checkpoint-exit-every", "1ms"]);
    assert_exit(&begun, Exit::Checkpointed);
    let config = gpu.workplace.path("begun/config.toml");
    let text = read_sealed_text(&config, "configuration").expect("written");
    let other = text.replace("precision = \"f32\"", &format!("precision = \"{asked}\""));
    assert_ne!(text, other);
    write_sealed_text(&config, &other).expect("writable");
    let before = gpu.checkpoint("begun");
    assert!(!before.is_empty());
    check("begun");
    assert_eq!(gpu.checkpoint("begun"), before);
    write_sealed_text(&config, &text).expect("writable");
    assert_exit(&gpu.train("begun", "f32", &["--resume"]), Exit::Ok);
}

/// In each precision that the device offers: after each step, in mid-epoch too, and near the losses of float32.
#[test]
fn a_run_in_any_precision_that_is_interrupted_ends_with_the_same_bits() {
    let Some(gpu) = Gpu::new() else { return };
    let [offered, missing] = gpu.precisions();
    missing
        .iter()
        .for_each(|name| eprintln!("skipped: this Vulkan driver lists no {name} matrix instructions"));
    let losses = |run: &str| -> Vec<f64> {
        let lines = fs::read_to_string(gpu.workplace.path(&format!("{run}/metrics.jsonl"))).expect("written");
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.filter(|line| line["event"] == "step").filter_map(|line| line["loss"].as_f64()).collect()
    };
    for precision in &offered {
        let (whole, parts) = (format!("whole-{precision}"), format!("parts-{precision}"));
        assert_exit(&gpu.train(&whole, precision, &[]), Exit::Ok);
        assert_eq!(gpu.workplace.json(&format!("{whole}/env.json"))["precision"], **precision);
        let mut starts = 0;
        loop {
            let output = gpu.train(&parts, precision, &["--checkpoint-exit-every", "1ms"]);
            starts += 1;
            if output.status.success() {
                break;
            }
            assert_exit(&output, Exit::Checkpointed);
            assert!(starts < 7, "six steps take at most six starts");
        }
        assert!(starts > 2, "{starts} starts");
        let found = gpu.workplace.fingerprint(&parts);
        found.assert_equals(&gpu.workplace.fingerprint(&whole), precision);
        let (exact, found) = (losses("whole-f32"), losses(&whole));
        assert_eq!(found.len(), exact.len());
        let close = exact.iter().zip(&found).all(|(a, b)| (a - b).abs() < 2e-2);
        assert!(
            close && (*precision == "f32") == (exact == found),
            "{precision}: {found:?}, {exact:?} in f32"
        );
    }
}

/// Gradients of a loss that counts its positives so often leave the range of 16 bits, and not that of float32.
#[test]
fn a_scale_that_is_too_large_falls_and_a_run_that_needs_less_than_none_diverges() {
    let Some(gpu) = Gpu::new() else { return };
    if gpu.precisions()[1].contains(&"f16") {
        eprintln!("skipped: this Vulkan driver lists no f16 matrix instructions");
        return;
    }
    let train = |run: &str, alpha: &str, more: &[&str]| {
        let alpha = format!("loss.alpha={alpha}");
        let loss = ["--set", "loss.name=focal", "--set", "loss.gamma=0", "--set", &alpha];
        gpu.train(run, "f16", &[&loss[..], more].concat())
    };
    let log =
        |run: &str| fs::read_to_string(gpu.workplace.path(&format!("{run}/train.log"))).expect("written");
    let told = |step: u32, scale: u32| {
        format!(
            "step {step}: the gradients overflowed with the loss scaled by {scale}, so the step is skipped"
        )
    };
    assert_exit(&train("whole", "4000", &[]), Exit::Ok);
    let text = log("whole");
    let skipped = text.matches("so the step is skipped").count();
    assert!((1..6).contains(&skipped) && text.contains(&told(1, 65_536)), "{text}");
    while !train("parts", "4000", &["--checkpoint-exit-every", "1ms"]).status.success() {
        assert!(log("parts").matches("so the step is skipped").count() <= skipped, "{}", log("parts"));
    }
    gpu.workplace.fingerprint("parts").assert_equals(&gpu.workplace.fingerprint("whole"), "in parts");

    let output = train("diverges", "1e12", &["--steps", "20"]);
    assert_exit(&output, Exit::Diverged);
    let (said, text) = (stderr(&output), log("diverges"));
    assert!(said.contains("diverged at step 17: the gradients are not finite"), "{said}");
    assert!(said.contains("or train in another precision"), "{said}");
    assert!(text.contains(&told(16, 2)) && gpu.workplace.json("diverges/result.json")["exit"] == 6, "{text}");
}
