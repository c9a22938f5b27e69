//! `cargo xtask bench gpu`: every network on a GPU through wgpu, against PyTorch on the same GPU.

use crate::competitor::Competitor;
use crate::contest::Contest;
use crate::machine::Machine;
use crate::report::Report;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use xray_workspace::steps::{self, command};
use xray_workspace::{ProgramArguments, Programs};

/// Measure every network on this machine's GPU, against PyTorch's CUDA: results/benchmarks/gpu.md
///
/// Needs programs that were built with a GPU backend, as they are by default.
#[derive(Debug, Args)]
pub(crate) struct GpuArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// A Python with PyTorch and torchvision
    #[arg(long, value_name = "FILE")]
    python: PathBuf,

    /// Where ours runs: wgpu or cuda
    #[arg(long, value_name = "NAME", default_value = "wgpu")]
    backend: String,

    /// How often each pair is measured
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: NonZero<usize>,

    /// Folder for gpu.md and gpu.json
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

const METHOD: &str = "\
Images of one channel, 14 findings. Median of the rounds (lowest–highest). A round is one process of ours and one of
PyTorch's, one after the other; a ratio is taken within its round. A process makes some steps, then measures others and
gives the median. A training step copies a batch from memory, then forward, binary cross-entropy, backward and Adam, and
reads the loss; inference copies a batch and reads the logits. Ours is in float32; PyTorch is as it comes, with TF32 in
convolutions (ten bits of each factor), and chooses its algorithms by trial (`cudnn.benchmark`). Memory is the
processor's, not the GPU's.";

/// Network, pixels, batch.
const CASES: [(&str, &str, &str); 3] =
    [("small-cnn", "128", "64"), ("resnet-18", "224", "32"), ("densenet-121", "224", "16")];

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &GpuArguments) -> Result<()> {
    let work = steps::target_folder().unwrap_or_else(|_| std::env::temp_dir()).join("bench-gpu");
    fs::create_dir_all(&work)?;
    let script = work.join("networks.py");
    fs::write(&script, crate::networks::SCRIPT)?;
    let bench = GpuBench { arguments, programs: arguments.programs.get()?, script };
    let machine = Machine::here();
    let notes = vec![format!("GPU: {}", bench.device()?)];
    let mut outcomes = Vec::new();
    for case in CASES {
        for pass in ["train", "infer"] {
            outcomes.push(bench.contest(pass, case).hold(arguments.rounds.get())?);
        }
    }
    let report = Report {
        title: "On a GPU",
        command: "cargo xtask bench gpu",
        machine,
        notes,
        outcomes,
        method: METHOD,
        table: None,
    };
    print!("{}", report.markdown());
    report.write(&steps::root().join(&arguments.out), "gpu")
}

struct GpuBench<'a> {
    arguments: &'a GpuArguments,
    programs: Programs,
    script: PathBuf,
}

impl GpuBench<'_> {
    /// As ours calls it.
    fn device(&self) -> Result<String> {
        let mut steps = command(self.programs.path("examples/steps")?);
        steps.args(["--backend", &self.arguments.backend, "--size", "32", "--batch", "1", "--repeats", "1"]);
        let said: Value = serde_json::from_str(&steps::output(&mut steps)?)?;
        Ok(said["device"].as_str().context("it names no device")?.to_owned())
    }

    fn contest(&self, pass: &str, (model, size, batch): (&str, &str, &str)) -> Contest {
        let task = ["--pass", pass, "--model", model, "--size", size, "--batch", batch];
        let how = ["--threads", "4", "--repeats", "8", "--warmup", "4"];
        let with = |program: &[OsString], more: &[&str]| {
            let words = task.iter().chain(&how).chain(more).map(OsString::from);
            program.iter().cloned().chain(words).collect::<Vec<_>>()
        };
        let competitor = |name: &str, command| Competitor {
            name: name.to_owned(),
            command,
            environment: &[],
            rate: "/images_per_second",
            peaks: &["/peak_memory_mib"],
        };
        let ours =
            self.programs.path("examples/steps").map_or_else(|_| "steps".into(), PathBuf::into_os_string);
        let torch = [self.arguments.python.clone().into_os_string(), self.script.clone().into_os_string()];
        Contest {
            task: format!("{pass} {model} {size} px, batch {batch}"),
            unit: "images/s",
            threads: 4,
            ours: competitor("xray-model", with(&[ours], &["--backend", &self.arguments.backend])),
            theirs: Some(competitor("PyTorch, CUDA", with(&torch, &["--device", "cuda"]))),
        }
    }
}
