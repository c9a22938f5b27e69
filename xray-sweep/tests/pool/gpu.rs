//! Cells on machines with a GPU, for which Mesa's software renderer stands in.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, path_in};
use polars::prelude::*;
use std::fs::File;
use std::path::PathBuf;
use xray_artifacts::Exit;

/// A renderer is taken only where it is named, and it is slow.
const RENDERER: [&str; 8] = [
    "--env",
    "XRAY_GPU=llvmpipe",
    "--disk",
    "1GB",
    "--set",
    "training.duration=2 steps",
    "--set",
    "training.evaluate_every=2 steps",
];

/// A workplace whose pool has machines with a GPU, and the trainer for them.
fn with_gpus() -> Option<(Workplace, PathBuf)> {
    let trainer = path_in("XRAY_GPU_TRAINER", "no xray-train-gpu (cargo xtask test builds it)")?;
    let workplace = Workplace::new()?;
    let with = |what: &str| workplace.slots(&format!("TotalSlotGPUs > 0 && VulkanIsMissing {what}")).len();
    if with("=?= undefined") != 1 || with("=!= undefined") != 1 {
        eprintln!(
            "skipped: the pool has not one GPU with a driver for Vulkan and one without (cargo xtask condor up starts one that has)"
        );
        return None;
    }
    Some((workplace, trainer))
}

/// A column of the table of runs.
fn column(sweep: &Sweep<'_>, name: &str) -> Vec<Option<String>> {
    let file = File::open(sweep.path("collected/runs.parquet")).expect("collected");
    let table = ParquetReader::new(file).finish().expect("a table");
    table
        .column(name)
        .expect("a column")
        .str()
        .expect("text")
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}

#[test]
fn a_machine_without_a_usable_gpu_is_left_for_another() {
    let Some((workplace, trainer)) = with_gpus() else { return };
    let trainer = trainer.to_str().expect("a name");
    let arguments = [
        "--fractions",
        "1.0",
        "--trials",
        "1",
        "--gpus",
        "1",
        "--gpu-binary",
        trainer,
        "--attribute",
        "WantMissingVulkan=true",
        "--require",
        "ifThenElse(NumJobStarts > 0, true, TARGET.VulkanIsMissing =!= undefined)",
    ];
    let sweep = Sweep::plan(&workplace, "gpu", &[&arguments[..], &RENDERER].concat());
    sweep.submit();
    let cell = sweep.wait_until_done().remove(0);
    let attempts = sweep.attempts(&cell);
    let [unusable, finished] = attempts.as_slice() else { panic!("{attempts:#?}") };
    assert!(unusable.ends_with("no usable GPU on node7"), "{unusable}");
    assert!(finished.ends_with("finished") && finished.contains("(x86_64-v4)"), "{finished}");
    // Held by its own policy, once, and not for its processor.
    let log = std::fs::read_to_string(sweep.path("sweep.log")).expect("a log");
    assert!(log.contains("Code 3 Subcode 100078\n"), "{log}");

    let environment = sweep.json(&cell, "run/env.json");
    assert_eq!(environment["backend"], "wgpu");
    let device = environment["device"].as_str().expect("text").to_owned();
    assert!(device.starts_with("llvmpipe") && device.ends_with(", Vulkan, WGSL"), "{device}");
    assert!(device.contains("Mesa"), "the driver: {device}");
    let choice = environment["device_choice"].as_str().expect("it was named");
    assert!(choice.ends_with(" through wgpu (XRAY_GPU=llvmpipe)"), "{choice}");
    sweep.collect(Exit::Ok);
    assert_eq!(column(&sweep, "device"), [Some(device)]);
    assert_eq!(column(&sweep, "backend"), [Some("wgpu".to_owned())]);
}

#[test]
fn processors_and_gpus_of_one_sweep_get_their_own_programs() {
    let Some((workplace, trainer)) = with_gpus() else { return };
    let worker = workplace.worker("xray-train");
    let arguments = [
        "--fractions",
        "1.0",
        "--trials",
        "1",
        "--axis",
        "backend=cpu,wgpu",
        "--binary",
        worker.to_str().expect("a name"),
        "--gpu-binary",
        trainer.to_str().expect("a name"),
    ];
    let sweep = Sweep::plan(&workplace, "both", &[&arguments[..], &RENDERER].concat());
    let dry = sweep.in_pool(&["condor_submit", "-dry-run", "/dev/null", "sweep.sub"]);
    assert!(!dry.contains("was unused") && !dry.contains("WARNING"), "{dry}");
    sweep.submit();
    let cells = sweep.wait_until_done();
    let program = |at: usize| sweep.json(&cells[at], "run/env.json")["command"][0].clone();
    let ends = |at: usize, name: &str| program(at).as_str().is_some_and(|program| program.ends_with(name));
    assert!(ends(0, "xray-train") && ends(1, "xray-train-gpu"), "{} {}", program(0), program(1));
    sweep.collect(Exit::Ok);
    let backends = ["cpu", "wgpu"].map(|name| Some(name.to_owned()));
    assert_eq!(column(&sweep, "backend"), backends);
}
