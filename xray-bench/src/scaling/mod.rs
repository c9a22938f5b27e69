//! `cargo xtask bench scaling`: how a training step would run on more cores than there are.

mod recording;
mod report;
mod schedule;

use crate::machine::Machine;
use crate::report::write;
use crate::spread::Spread;
use anyhow::{Context, Result};
use clap::Args;
use recording::Step;
use schedule::{Costs, Schedule};
use serde_json::Value;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use xray_workspace::steps::{self, command};
use xray_workspace::{ProgramArguments, Programs};

/// Record the tasks of training steps on one thread, and tell from schedules of them how many workers they keep busy:
/// results/benchmarks/scaling.md
///
/// Predictions for 2 and 16 threads are held against measurements where this machine has as many cores.
#[derive(Debug, Args)]
pub(crate) struct ScalingArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// Numbers of workers
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "2,4,8,16,32,64")]
    workers: Vec<NonZero<usize>>,

    /// Images in a batch
    #[arg(long, value_name = "N", default_value = "32")]
    batch: NonZero<usize>,

    /// Steps that are recorded for each number of workers
    #[arg(long, value_name = "N", default_value = "3")]
    steps: NonZero<usize>,

    /// How often one thread and several are measured in turn
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: usize,

    /// Only networks whose name contains this; nothing is written
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Folder for scaling.md and scaling.json
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

/// Networks and the size of their images.
const NETWORKS: [(&str, usize); 6] = [
    ("small-cnn", 128),
    ("resnet-18", 224),
    ("resnet-50", 224),
    ("densenet-121", 224),
    ("mobilenet-v2", 224),
    ("efficientnet-b0", 224),
];

/// Threads for which a prediction is held against a measurement.
const MEASURED: [usize; 2] = [2, 16];

/// What was found of one network.
#[derive(Clone, Debug)]
struct Scaling {
    network: &'static str,
    size: usize,
    batch: usize,
    /// Nanoseconds of a step on one worker.
    alone: u64,
    /// Passes of a step.
    passes: usize,
    schedules: Vec<Schedule>,
    /// Speed-up that so many threads have.
    measured: Vec<(usize, Spread)>,
}

impl Scaling {
    /// `resnet-18 224 px, batch 32`
    fn task(&self) -> String {
        format!("{} {} px, batch {}", self.network, self.size, self.batch)
    }

    fn workers(&self) -> Vec<usize> {
        self.schedules.iter().map(|schedule| schedule.workers).collect()
    }
}

/// Records, schedules, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &ScalingArguments) -> Result<()> {
    let bench = ScalingBench { arguments, programs: arguments.programs.get()?, machine: Machine::here() };
    let costs = bench.costs()?;
    let wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let networks = NETWORKS.into_iter().filter(|(name, _)| wanted(name));
    let all =
        networks.map(|(network, size)| bench.scaling(network, size, costs)).collect::<Result<Vec<_>>>()?;
    let text = report::markdown(&bench.machine, costs, &all);
    print!("{text}");
    if arguments.only.is_some() {
        return Ok(());
    }
    let folder = steps::root().join(&arguments.out);
    write(&folder, "scaling", &text, &report::json(&bench.machine, costs, &all))
}

struct ScalingBench<'a> {
    arguments: &'a ScalingArguments,
    programs: Programs,
    machine: Machine,
}

impl ScalingBench<'_> {
    /// A task costs what it costs one thread, a pass what it costs two.
    fn costs(&self) -> Result<Costs> {
        let ask = |threads: &str, name: &str| {
            let json = answer(self.program()?.args(["--costs", "--threads", threads]))?;
            json[name].as_f64().with_context(|| format!("no {name} in {json}"))
        };
        Ok(Costs { pass: ask("2", "pass_nanoseconds")?, task: ask("1", "task_nanoseconds")? })
    }

    fn scaling(&self, network: &'static str, size: usize, costs: Costs) -> Result<Scaling> {
        eprintln!("{network}");
        let batch = self.arguments.batch.get();
        let file = steps::target_folder()?.join("bench-scaling.json");
        let recorded = self.record(network, size, &file)?;
        let (alone, many) = recorded.split_first().context("nothing was recorded")?;
        let schedules = many.iter().map(|step| Schedule::of(step, costs)).collect();
        let (alone, passes) = (alone.total(), alone.passes.len());
        let mut measured = Vec::new();
        for threads in MEASURED.into_iter().filter(|&threads| threads <= self.machine.cores) {
            let rounds = 0..self.arguments.rounds;
            let times = rounds
                .map(|_| Ok((self.measure(network, size, 1)?, self.measure(network, size, threads)?)))
                .collect::<Result<Vec<_>>>()?;
            measured.extend(Spread::of_ratios(times).map(|speed_up| (threads, speed_up)));
        }
        Ok(Scaling { network, size, batch, alone, passes, schedules, measured })
    }

    /// First for one worker, then for the wanted numbers.
    fn record(&self, network: &str, size: usize, file: &Path) -> Result<Vec<Step>> {
        let workers: Vec<_> = self.arguments.workers.iter().map(ToString::to_string).collect();
        let mut record = self.step(network, size, 1, self.arguments.steps.get())?;
        record.args(["--workers", &format!("1,{}", workers.join(","))]).arg("--record").arg(file);
        steps::output(&mut record)?;
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        fs::remove_file(file)?;
        Step::of_recordings(&serde_json::from_str(&text)?)
    }

    /// Milliseconds of the shortest of some steps.
    fn measure(&self, network: &str, size: usize, threads: usize) -> Result<f64> {
        let json = answer(&mut self.step(network, size, threads, self.arguments.steps.get())?)?;
        let time = json.pointer("/ms/lowest").and_then(Value::as_f64);
        time.with_context(|| format!("no time in {json}"))
    }

    fn step(&self, network: &str, size: usize, threads: usize, repeats: usize) -> Result<Command> {
        let mut program = self.program()?;
        let (batch, size) = (self.arguments.batch.to_string(), size.to_string());
        program.args(["--model", network, "--size", &size, "--batch", &batch, "--warmup", "1"]);
        program.args(["--threads", &threads.to_string(), "--repeats", &repeats.to_string()]);
        Ok(program)
    }

    fn program(&self) -> Result<Command> {
        Ok(command(self.programs.path("examples/steps")?))
    }
}

/// The JSON that a program prints.
fn answer(program: &mut Command) -> Result<Value> {
    let printed = steps::output(program)?;
    serde_json::from_str(&printed).with_context(|| format!("{} prints no JSON", steps::line(program)))
}
