//! `cargo xtask bench networks`: every network that torchvision has too, against PyTorch, and what each of them is.

use crate::competitor::{Competitor, TUNED_MALLOC};
use crate::contest::Contest;
use crate::machine::Machine;
use crate::report::{Report, Table};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use xray_workspace::steps::{self, command};
use xray_workspace::{ProgramArguments, Programs};

/// What to compare with, and how often.
#[derive(Debug, Args)]
pub(crate) struct NetworkArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// A Python with PyTorch and torchvision
    #[arg(long, value_name = "FILE")]
    python: PathBuf,

    /// How often each pair is measured
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: NonZero<usize>,

    /// Threads on both sides
    #[arg(long, value_name = "N", default_value = "2")]
    threads: NonZero<usize>,

    /// Folder for networks.md and networks.json
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

const METHOD: &str = "\
Images of 224 pixels and one channel, 14 findings. Median of the rounds (lowest–highest). A round is one process of
ours and one of PyTorch's, one after the other; a ratio is taken within its round. A process makes three steps, then
measures some and gives the median. A training step is forward, binary cross-entropy, backward and Adam, in float32, on
one batch in memory; inference is a forward pass. PyTorch is in channels_last with tuned malloc.

An error is the largest difference of a logit from torchvision's in double precision, as a part of the largest logit,
of weights that torchvision drew and an image of noise.";

/// Batches are as large as 24 GiB let PyTorch train in.
const NETWORKS: [(&str, &str); 5] = [
    ("resnet-18", "16"),
    ("resnet-50", "8"),
    ("densenet-121", "8"),
    ("mobilenet-v2", "16"),
    ("efficientnet-b0", "16"),
];

pub(crate) const SCRIPT: &str = include_str!("networks.py");
const GOLDEN: &str = "xray-model/tests/golden/make_networks.py";

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &NetworkArguments) -> Result<()> {
    let bench = NetworkBench { arguments, programs: arguments.programs.get()?, work: work_folder()? };
    fs::write(bench.work.join("networks.py"), SCRIPT)?;
    let machine = Machine::here();
    eprintln!("weights and logits of torchvision");
    steps::run(command(&arguments.python).arg(steps::root().join(GOLDEN)).arg(&bench.work))?;
    let mut rows = vec![bench.facts("small-cnn", false)?];
    for (model, _) in NETWORKS {
        rows.push(bench.facts(model, true)?);
    }
    let mut outcomes = Vec::new();
    for (model, batch) in NETWORKS {
        for (pass, batch) in [("train", batch), ("infer", "1"), ("infer", batch)] {
            outcomes.push(bench.contest(pass, model, batch).hold(arguments.rounds.get())?);
        }
    }
    let head = vec![
        "network",
        "parameters",
        "multiply-adds, 10⁹",
        "ONNX f32, MB",
        "f16",
        "int8",
        "error of the logits",
    ];
    let report = Report {
        title: "Networks",
        command: "cargo xtask bench networks",
        machine,
        notes: vec![format!("Tuned malloc is `{}={}`", TUNED_MALLOC.0, TUNED_MALLOC.1)],
        outcomes,
        method: METHOD,
        table: Some(Table { name: "networks", head, rows }),
    };
    print!("{}", report.markdown());
    report.write(&steps::root().join(&arguments.out), "networks")
}

fn work_folder() -> Result<PathBuf> {
    let work = steps::target_folder()?.join("bench-networks");
    fs::create_dir_all(&work)?;
    Ok(work)
}

struct NetworkBench<'a> {
    arguments: &'a NetworkArguments,
    programs: Programs,
    work: PathBuf,
}

impl NetworkBench<'_> {
    /// A row of what a network is.
    fn facts(&self, model: &str, has_golden: bool) -> Result<(Vec<String>, Value)> {
        let mut ask = command(self.programs.path("examples/network")?);
        ask.args(["--model", model]);
        if has_golden {
            ask.arg("--golden").arg(self.work.join(model).with_extension("safetensors"));
        }
        let facts: Value = serde_json::from_str(&steps::output(&mut ask)?)?;
        let number = |pointer: &str| {
            let number = facts.pointer(pointer).and_then(Value::as_f64);
            number.with_context(|| format!("no {pointer} in {facts}"))
        };
        let megabytes = |dtype| Ok::<_, anyhow::Error>(format!("{:.2}", number(dtype)? / 1e6));
        let row = vec![
            model.to_owned(),
            number("/parameters")?.to_string(),
            format!("{:.3}", number("/multiply_adds")? / 1e9),
            megabytes("/onnx_bytes/f32")?,
            megabytes("/onnx_bytes/f16")?,
            megabytes("/onnx_bytes/int8")?,
            number("/logits_error").map_or("–".to_owned(), |error| format!("{error:.1e}")),
        ];
        Ok((row, json!({ "network": model, "facts": facts })))
    }

    fn contest(&self, pass: &str, model: &str, batch: &str) -> Contest {
        let threads = self.arguments.threads.to_string();
        let (repeats, warmup) = if pass == "train" { ("6", "3") } else { ("20", "5") };
        let task = ["--pass", pass, "--model", model, "--size", "224", "--batch", batch];
        let how = ["--threads", &threads, "--repeats", repeats, "--warmup", warmup];
        let with = |program: Vec<OsString>| {
            program.into_iter().chain(task.iter().chain(&how).map(Into::into)).collect::<Vec<OsString>>()
        };
        let steps =
            self.programs.path("examples/steps").map_or_else(|_| "steps".into(), PathBuf::into_os_string);
        let script =
            |name: &Path| vec![self.arguments.python.clone().into_os_string(), self.work.join(name).into()];
        let competitor = |name: &str, command, environment| Competitor {
            name: name.to_owned(),
            command,
            environment,
            rate: "/images_per_second",
            peaks: &["/peak_memory_mib"],
        };
        Contest {
            task: format!("{pass} {model}, batch {batch}"),
            unit: "images/s",
            threads: self.arguments.threads.get(),
            ours: competitor("xray-model", with(vec![steps]), &[]),
            theirs: Some(competitor("PyTorch", with(script(Path::new("networks.py"))), &[TUNED_MALLOC])),
        }
    }
}
