//! `cargo xtask bench gpu`: every network on a GPU through wgpu, in each precision, against burn's own operations and
//! PyTorch on the same GPU. `--software` is what a machine without a GPU can tell.

mod measured;
mod memory;
mod report;
mod side;
mod software;
mod tiles;

use crate::machine::Machine;
use anyhow::{Context, Result};
use clap::Args;
use measured::{Found, Measured};
use memory::MemoryLog;
use report::GpuReport;
use side::{Group, Side};
use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xray_workspace::watch::{last_words, watch};
use xray_workspace::{ProgramArguments, Programs, steps};

/// Measure every network on this machine's GPU, against PyTorch's CUDA: results/benchmarks/gpu.md
///
/// Ours in each precision that the device has, burn's own operations, and PyTorch in four settings; a round has each of
/// them in turn. What could not be measured, or not in time, is listed with the reason.
#[derive(Debug, Args)]
pub(crate) struct GpuArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// A Python with PyTorch and torchvision [default: PyTorch is left out]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,

    /// Where ours runs: wgpu or cuda
    #[arg(long, value_name = "NAME", default_value = "wgpu")]
    backend: String,

    /// The backend of burn's own operations
    #[arg(long, value_name = "NAME", default_value = "wgpu-burn")]
    reference: String,

    /// How often each is measured [default: 3; with --short or --software 1]
    #[arg(long, value_name = "N")]
    rounds: Option<NonZero<usize>>,

    /// Everything in less than six minutes, whatever is left out
    #[arg(long)]
    short: bool,

    /// Only ours against burn's own operations, in float32 and in small tasks, for a Vulkan in software:
    /// results/benchmarks/gpu-software.md
    ///
    /// Fails where ours is not as many times as fast as it must be.
    #[arg(long, conflicts_with_all = ["short", "python"])]
    software: bool,

    /// Only networks whose name contains this; nothing is written
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Folder for gpu.md and gpu.json
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

/// Network, pixels, batch; what is most worth knowing first, in case time is short.
const CASES: [(&str, &str, &str); 6] = [
    ("small-cnn", "128", "64"),
    ("resnet-18", "224", "32"),
    ("densenet-121", "224", "16"),
    ("resnet-50", "224", "32"),
    ("mobilenet-v2", "224", "32"),
    ("efficientnet-b0", "224", "32"),
];

/// How many of them come before the tiles.
const BEFORE_TILES: usize = 3;

/// The whole short form, with some seconds for the report.
const SHORT: Duration = Duration::from_secs(350);
/// The longest that a process of the short form may take, and any other.
const LONGEST: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];
/// Less is not worth a start.
const LEAST: Duration = Duration::from_secs(8);

impl GpuArguments {
    fn rounds(&self) -> usize {
        self.rounds.map_or(if self.short || self.software { 1 } else { 3 }, NonZero::get)
    }

    fn wants(&self, model: &str) -> bool {
        self.only.as_ref().is_none_or(|only| model.contains(only))
    }
}

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &GpuArguments) -> Result<()> {
    let machine = Machine::here();
    let programs = arguments
        .programs
        .get_examples(&["steps", "tiles"], "xray-train/wgpu,xray-model/burn-wgpu,xray-gpu/wgpu")?;
    if arguments.software {
        return software::run(arguments, &programs, machine);
    }
    let mut bench = GpuBench::new(arguments, programs)?;
    let cases: Vec<_> = CASES.into_iter().filter(|(model, ..)| arguments.wants(model)).collect();
    let (first, later) = cases.split_at(cases.len().min(BEFORE_TILES));
    bench.measure(first);
    let tiles = bench.tiles();
    bench.measure(later);
    let report = GpuReport {
        machine,
        is_short: arguments.short,
        measured: bench.measured,
        tiles,
        unseen: bench.unseen,
        took: bench.begun.elapsed(),
    };
    print!("{}", report.markdown());
    if arguments.only.is_some() {
        return Ok(());
    }
    crate::report::write(&steps::root().join(&arguments.out), "gpu", &report.markdown(), &report.json())
}

struct GpuBench<'a> {
    arguments: &'a GpuArguments,
    programs: Programs,
    script: PathBuf,
    memory: Option<MemoryLog>,
    begun: Instant,
    measured: Vec<Measured>,
    /// What was not, and why.
    unseen: Vec<String>,
    /// Sides that this machine or this version does not have.
    absent: Vec<Group>,
}

impl<'a> GpuBench<'a> {
    fn new(arguments: &'a GpuArguments, programs: Programs) -> Result<Self> {
        // A machine that was given built programs has no cargo to ask for the folder.
        let work = steps::target_folder().unwrap_or_else(|_| std::env::temp_dir()).join("bench-gpu");
        fs::create_dir_all(&work)?;
        let script = work.join("networks.py");
        fs::write(&script, crate::networks::SCRIPT)?;
        let mut unseen = Vec::new();
        let memory = MemoryLog::begin();
        if memory.is_none() {
            unseen.push("memory of the GPU: there is no nvidia-smi that tells it".to_owned());
        }
        if arguments.python.is_none() {
            unseen.push("PyTorch: no --python was given".to_owned());
        }
        let (begun, measured, absent) = (Instant::now(), Vec::new(), Vec::new());
        Ok(GpuBench { arguments, programs, script, memory, begun, measured, unseen, absent })
    }

    /// Round by round, each group in turn.
    fn measure(&mut self, cases: &[(&'static str, &'static str, &'static str)]) {
        for &case in cases {
            for round in 1..=self.arguments.rounds() {
                for group in Group::ALL {
                    self.measure_one(case, round, group);
                }
            }
        }
    }

    fn measure_one(&mut self, case: (&'static str, &'static str, &'static str), round: usize, group: Group) {
        let left_out = self.absent.contains(&group);
        if left_out || group == Group::Torch && self.arguments.python.is_none() {
            return;
        }
        let what = format!("{} of {}, round {round}", case.0, group.name());
        let Some(limit) = self.left() else {
            self.unseen.push(format!("{what}: no time was left"));
            return;
        };
        eprintln!("{what}");
        match self.run(case, group, limit) {
            Ok(Found { lines, trouble, is_absent }) => {
                let sides = lines.into_iter().filter_map(|line| Measured::new(&line, case.0, round, group));
                for mut measured in sides {
                    let log = self.memory.as_ref();
                    measured.gpu_memory_mib = log.and_then(|log| log.peak(measured.began, measured.ended));
                    eprintln!("  {measured}");
                    self.measured.push(measured);
                }
                if let Some(trouble) = trouble {
                    self.absent.extend(is_absent.then_some(group));
                    let what = if is_absent { group.name().to_owned() } else { what };
                    self.unseen.push(format!("{what}: {trouble}"));
                }
            }
            Err(error) => self.unseen.push(format!("{what}: {error:#}")),
        }
    }

    fn run(&self, case: (&str, &str, &str), group: Group, limit: Duration) -> Result<Found> {
        let mut command = self.command(group)?;
        let (model, size, batch) = case;
        let repeats = if group == Group::Reference { ["2", "1", "1"] } else { ["5", "5", "5"] };
        let [repeats, block, warmup] = repeats;
        // Training first: its start and its memory are its own.
        command.args(["--pass", "train,infer", "--model", model, "--size", size, "--batch", batch]);
        command.args(["--threads", "4", "--repeats", repeats, "--block", block, "--warmup", warmup]);
        Ok(Found::new(&watch(&mut command, "steps", limit)?, limit))
    }

    fn command(&self, group: Group) -> Result<std::process::Command> {
        let ours = || anyhow::Ok(steps::command(self.programs.path("examples/steps")?));
        Ok(match group {
            Group::Ours(precision) => {
                let mut command = ours()?;
                command.args(["--backend", &self.arguments.backend, "--precision", precision]);
                command
            }
            Group::Reference => {
                let mut command = ours()?;
                command.args(["--backend", &self.arguments.reference]);
                command
            }
            Group::Torch => {
                let mut command = steps::command(self.arguments.python.as_ref().context("no Python")?);
                command.arg(&self.script).args(["--device", "cuda", "--setting", &Side::settings()]);
                command
            }
        })
    }

    /// Time for a process; none where too little is left to begin one.
    fn left(&self) -> Option<Duration> {
        if !self.arguments.short {
            return Some(LONGEST[1]);
        }
        let left = SHORT.saturating_sub(self.begun.elapsed());
        (left > LEAST).then(|| left.min(LONGEST[0]))
    }

    /// Each tile on the shapes of the networks.
    fn tiles(&mut self) -> Vec<tiles::Shape> {
        let Some(limit) = self.left() else {
            self.unseen.push("tiles: no time was left".to_owned());
            return Vec::new();
        };
        eprintln!("tiles");
        let found = self.programs.path("examples/tiles").and_then(|program| tiles::sweep(&program, limit));
        found.unwrap_or_else(|error| {
            self.unseen.push(format!("tiles: {error:#}"));
            Vec::new()
        })
    }
}

/// Why a process said no more: its last words, or that it was ended.
fn trouble(ending: &xray_workspace::watch::Ending, limit: Duration) -> Option<String> {
    if ending.status.success() {
        return None;
    }
    if ending.time >= limit {
        return Some(format!("ended after {} s, before it was done", limit.as_secs()));
    }
    let said = last_words(&ending.stderr);
    Some(said.strip_prefix("error: ").unwrap_or(said).to_owned())
}
