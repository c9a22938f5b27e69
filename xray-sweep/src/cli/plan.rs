//! `xray-sweep plan`.

use super::{OutputFormat, Sweep};
use crate::axis::{Axis, parse_axis};
use crate::budget::Budget;
use crate::cell::{Cell, CellFile};
use crate::fractions::Fractions;
use crate::isa::Level;
use crate::launchers::condor::count_slots;
use crate::lock::Lock;
use crate::order::Order;
use crate::plan::{PlanOptions, Planned, lay, plan, plan_of, read_spec, slot_constraint};
use crate::present::is_there;
use crate::rungs;
use crate::sizes::Sizes;
use crate::spec::{Condor, Spec, parse_setting};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Value;
use xray_artifacts::{Exit, Failure, Length, LengthProblem, LengthUnit};
use xray_cli::{print, say, shell};
use xray_display::counted;

/// Write a sweep directory: cells, configurations, submit files, and the program that jobs run
///
/// Run again on the same directory, it adds what is new. Flags that are left out keep the values in sweep.toml.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// A sweep.toml to begin with, instead of the one in the sweep directory
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Folder of shards
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Shares of the training records, such as 0.1..1.0:0.1 or 0.01,0.02,0.05
    #[arg(long, value_name = "LIST")]
    fractions: Option<Fractions>,
    /// Runs per point, each with a seed of its own
    #[arg(long, value_name = "N")]
    trials: Option<u32>,
    /// What is kept equal across fractions: epochs, or the steps that they take on all the data [default: epochs]
    #[arg(long, value_enum, value_name = "WHAT")]
    budget: Option<Budget>,
    /// Also start each trial at another place of the training records
    #[arg(long)]
    rotate_data: bool,
    /// Configuration file of the trainer, below --set
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting of the trainer, for all runs (`xray-train --help settings`)
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, Value)>,
    /// A setting with several values, as a further axis of the grid; or, for --sample, with a distribution:
    /// log(1e-4,1e-2), uniform(a,b) or int(a,b)
    #[arg(long = "axis", value_name = "KEY=A,B,C", value_parser = parse_axis)]
    axes: Vec<(String, Axis)>,
    /// Draw this many points from the axes instead of their grid, by the sweep's seed (--set seed=N); a larger number adds
    /// points
    #[arg(long, value_name = "N")]
    sample: Option<u64>,
    /// Order in which cells are listed and started; with `trial`, half a sweep is a whole curve with half the trials
    #[arg(long, value_enum, value_name = "WHAT")]
    order: Option<Order>,
    /// Successive halving: compare the points after these lengths of training and continue the best, such as 1,3,9 or
    /// "500 steps,2000 steps"; the last is the length of training
    #[arg(long, value_name = "LENGTHS", value_delimiter = ',')]
    rungs: Vec<String>,
    /// Share of points that continues after a rung [default: 0.33]
    #[arg(long, value_name = "SHARE")]
    keep: Option<f64>,
    /// A build of the trainer to send with the jobs; v3=PATH and v4=PATH beside v1=PATH send each machine its own
    #[arg(long = "binary", value_name = "[LEVEL=]PATH", value_parser = parse_binary, help_heading = "Programs")]
    binaries: Vec<(Option<Level>, PathBuf)>,
    /// The build of xray-train-gpu to send with the jobs that ask for a GPU [default: the one beside xray-sweep]
    #[arg(long, value_name = "PATH", help_heading = "Programs")]
    gpu_binary: Option<PathBuf>,
    /// A build that runs on this machine, to check settings where the builds that are sent do not
    #[arg(long, value_name = "PATH", help_heading = "Programs")]
    resolve_with: Option<PathBuf>,
    /// Replan cells that were planned with another version of the trainer, or with files that changed since
    #[arg(long, help_heading = "Programs")]
    replace: bool,
    #[command(flatten)]
    pool: PoolArguments,
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pool")]
struct PoolArguments {
    /// Cores of a job, and its threads
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
    /// Memory of a job, such as 2GB; estimated by default
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Disk of a job, such as 10GB; estimated by default
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
    /// GPUs of a job, 0 or 1: with 1, cells run on a GPU by xray-train-gpu (backend=wgpu, unless --set or --axis says
    /// otherwise) [default: by the backend]
    #[arg(long, value_name = "N")]
    gpus: Option<u32>,
    /// A requirement on that GPU, such as 'GlobalMemoryMb >= 8000'
    #[arg(long, value_name = "EXPR")]
    require_gpus: Option<String>,
    /// A further requirement on machines, such as 'TARGET.HasFastDisk'
    #[arg(long, value_name = "EXPR")]
    require: Option<String>,
    /// Which matching machines are preferred
    #[arg(long, value_name = "EXPR")]
    rank: Option<String>,
    /// Most jobs that wait in the queue at a time, held ones included
    #[arg(long, value_name = "N")]
    max_idle: Option<u32>,
    /// How often a running job saves its checkpoint to the submit node, such as 30m
    #[arg(long, value_name = "TIME")]
    checkpoint_every: Option<String>,
    /// How often a job with a temporary failure is tried again
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Also use machines that advertise no Microarch
    #[arg(long)]
    allow_unknown_microarch: bool,
    /// Workers read the data from a shared file system; no shards are sent
    #[arg(long)]
    shared_data: bool,
    /// URL from which jobs fetch the folder that `xray-data publish` wrote: osdf:///…, https://…, s3://… or file:///…;
    /// HTCondor's plug-ins fetch the shards, instead of the access point sending them; `none` to send them again
    #[arg(long, value_name = "URL", conflicts_with = "shared_data")]
    data_url: Option<String>,
    /// An attribute of the jobs, a ClassAd expression
    #[arg(long = "attribute", value_name = "NAME=EXPR", value_parser = parse_text)]
    attributes: Vec<(String, String)>,
    /// An environment variable of the jobs
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_text)]
    environment: Vec<(String, String)>,
    /// An option of Slurm's sbatch for every job, such as --sbatch=--partition=short; may be given several times
    #[arg(long = "sbatch", value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    /// Most jobs of one array that run at a time on Slurm
    #[arg(long, value_name = "N")]
    max_running: Option<u32>,
    /// Request memory, disk and (on Slurm) time as used by comparable cells of this sweep: same network, image size, batch
    /// size and threads; none to estimate again
    #[arg(long, value_name = "SWEEP")]
    sizes_from: Option<PathBuf>,
    /// Folder of templates instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Do not ask the pool how many slots match
    #[arg(long)]
    no_pool: bool,
}

fn parse_text(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form NAME=VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn parse_binary(text: &str) -> Result<(Option<Level>, PathBuf), String> {
    match text.split_once('=') {
        Some((level, path)) => {
            let level = level.parse().map_err(|_| format!("`{level}` is not a level: v1, v2, v3 or v4"))?;
            Ok((Some(level), path.into()))
        }
        None => Ok((None, text.into())),
    }
}

pub(super) fn run(arguments: &PlanArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    let spec = arguments.spec()?;
    let _lock = Lock::take(&dir, "plan")?;
    let options = PlanOptions {
        binaries: arguments.binaries.clone(),
        gpu_binary: arguments.gpu_binary.clone(),
        resolve_with: arguments.resolve_with.clone(),
        replace: arguments.replace,
        asks_htcondor: !arguments.pool.no_pool,
    };
    let planned = plan(&dir, &spec, &options)?;
    for note in &planned.notes {
        say(format_args!("note: {note}"));
    }
    if let Some(warning) = planned.traffic.warning(&spec.condor) {
        say(format_args!("warning: {warning}"));
    }
    let slots = if arguments.pool.no_pool { None } else { matching(&spec, &planned)? };
    match arguments.format {
        OutputFormat::Text => print(&text(arguments, &spec.condor, &planned, slots.as_deref()))?,
        OutputFormat::Json => print(&format!("{:#}\n", to_json(&planned)))?,
    }
    Ok(Exit::Ok)
}

impl PlanArguments {
    fn spec(&self) -> Result<Spec, Failure> {
        let dir = self.sweep.dir();
        let mut spec = match &self.from {
            Some(path) => Spec::read(path)?,
            None if is_there(&dir.spec())? => read_spec(&dir, plan_of(&dir)?.as_ref())?,
            None => Spec::default(),
        };
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        replace(&mut spec.data, self.data.as_ref().map(absolute));
        replace(&mut spec.fractions, self.fractions.clone());
        replace(&mut spec.trials, self.trials);
        replace(&mut spec.budget, self.budget);
        spec.rotate_data |= self.rotate_data;
        spec.config = self.config.as_ref().map(absolute).or(spec.config);
        spec.set.extend(self.set.clone());
        spec.axes.extend(self.axes.clone());
        spec.sample = self.sample.or(spec.sample);
        replace(&mut spec.order, self.order);
        if !self.rungs.is_empty() {
            spec.rungs = lengths(&self.rungs, unit(&spec))?;
        }
        if self.keep.is_some() && spec.rungs.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                "--keep is the share that passes a rung, and there is no rung",
            )
            .hint("name the rungs: --rungs 1,3,9"));
        }
        replace(&mut spec.keep, self.keep);
        let (pool, condor) = (&self.pool, &mut spec.condor);
        let sizes_from = pool.sizes_from.as_ref().map(absolute).or(spec.sizes_from);
        spec.sizes_from = sizes_from.filter(|_| pool.sizes_from.as_deref() != Some(Path::new("none")));
        spec.templates = pool.templates.as_ref().map(absolute).or(spec.templates);
        condor.cpus = pool.cpus.or(condor.cpus);
        condor.memory = pool.memory.clone().or(condor.memory.take());
        condor.disk = pool.disk.clone().or(condor.disk.take());
        condor.gpus = pool.gpus.or(condor.gpus);
        condor.require_gpus = pool.require_gpus.clone().or(condor.require_gpus.take());
        condor.require = pool.require.clone().or(condor.require.take());
        condor.rank = pool.rank.clone().or(condor.rank.take());
        replace(&mut condor.max_idle, pool.max_idle);
        replace(&mut condor.checkpoint_every, pool.checkpoint_every.clone());
        replace(&mut condor.retries, pool.retries);
        condor.allow_unknown_microarch |= pool.allow_unknown_microarch;
        condor.transfer_data &= !pool.shared_data;
        condor.data_url = pool.data_url.clone().or(condor.data_url.take()).filter(|url| url != "none");
        lay(&pool.attributes, &mut condor.attributes)?;
        condor.environment.extend(pool.environment.clone());
        let slurm = &mut spec.slurm;
        if !pool.sbatch.is_empty() {
            slurm.options.clone_from(&pool.sbatch);
        }
        slurm.max_running = pool.max_running.or(slurm.max_running);
        Ok(spec)
    }
}

/// What rungs without a unit count: what the length of training does, if it was set.
fn unit(spec: &Spec) -> LengthUnit {
    let set = spec.settings().into_iter().find(|(key, _)| key == rungs::DURATION);
    let length = set.and_then(|(_, value)| value.as_str()?.parse::<Length>().ok());
    length.map_or(LengthUnit::Epochs, Length::unit)
}

fn lengths(texts: &[String], unit: LengthUnit) -> Result<Vec<Length>, Failure> {
    let parsed = texts.iter().map(|text| Length::parse(text, unit));
    parsed.collect::<Result<_, _>>().map_err(|why: LengthProblem| why.failure("--rungs"))
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// A sentence on the slots that match, where a pool answers; an error where none of them does.
fn matching(spec: &Spec, planned: &Planned) -> Result<Option<String>, Failure> {
    let Some(all) = count_slots("true") else { return Ok(None) };
    let least = planned.plan.least_level();
    // Those with a GPU have the fewer machines.
    let size = |cell: &&Cell| (cell.request.gpus, cell.request.memory_mib);
    let largest = planned.cells.iter().max_by_key(size).expect("at least one cell");
    let clauses = slot_constraint(&spec.condor, least, &largest.request);
    let whole = clauses.iter().map(|(_, clause)| format!("({clause})")).collect::<Vec<_>>().join(" && ");
    let Some(count) = count_slots(&whole) else {
        let message = format!("condor_status cannot read the requirement {whole}");
        return Err(Failure::new(Exit::Usage, message)
            .hint("the sweep is written; plan again with another --require"));
    };
    if count > 0 {
        return Ok(Some(format!("{count} of the pool's {} match", counted(all, "slot"))));
    }
    let alone = |(what, clause): &(String, String)| {
        format!("{what}: {} of {}", count_slots(clause).unwrap_or(0), counted(all, "slot"))
    };
    let counts = clauses.iter().map(alone).collect::<Vec<_>>().join("; ");
    Err(Failure::new(Exit::NothingMatches, format!("no slot of the pool can run these jobs: {counts}")).hint(
        "the sweep is written; ask for less, plan with the baseline build, or --allow-unknown-microarch",
    ))
}

fn text(arguments: &PlanArguments, condor: &Condor, planned: &Planned, slots: Option<&str>) -> String {
    let Planned { plan, cells, added, traffic, sizes, .. } = planned;
    let dir = arguments.sweep.dir.display();
    let word = shell::path(&arguments.sweep.dir);
    let mut lines =
        vec![format!("{dir}: {}, new: {added}; trainer {}", counted(cells.len(), "cell"), plan.code)];
    for binary in &plan.binaries {
        let size = mebibytes(binary.bytes);
        lines.push(format!("  program   {}: {size} MiB, needs {}", binary.file, binary.needs()));
    }
    for file in files(cells) {
        let size = mebibytes(file.bytes);
        lines.push(format!("  file      {}: {size} MiB, bin/{:.15}…", file.given, file.content.as_str()));
    }
    let range = |values: &dyn Fn(&Cell) -> u64| {
        let low = cells.iter().map(values).min().unwrap_or_default();
        let high = cells.iter().map(values).max().unwrap_or_default();
        if low == high { low.to_string() } else { format!("{low} to {high}") }
    };
    lines.push(format!("  training  {} images", range(&|cell| cell.train_images)));
    let cpus = range(&|cell| cell.request.cpus.into());
    let (memory, disk) = (range(&|cell| cell.request.memory_mib), range(&|cell| cell.request.disk_mib));
    let gpus = match range(&|cell| cell.request.gpus.into()).as_str() {
        "0" => String::new(),
        gpus => format!(", {gpus} GPU"),
    };
    lines.push(format!("  each job  {cpus} cores, {memory} MiB of memory, {disk} MiB of disk{gpus}"));
    lines.extend(sizes.as_ref().map(Sizes::text));
    lines.push(traffic.text(condor));
    lines.extend(slots.map(|slots| format!("  pool      {slots}")));
    if let Some(rungs) = rungs_text(cells) {
        lines.push(format!("  rungs     {rungs}"));
        lines.push(format!("Next:\n  xray-sweep run {word} --launcher local|condor|slurm"));
        return lines.join("\n") + "\n";
    }
    lines.push(format!(
        "Next, one of:\n  (cd {word} && condor_submit sweep.sub)\n  sbatch {word}/sweep.sbatch\n  xray-sweep run \
         {word} --launcher local|condor|slurm"
    ));
    lines.join("\n") + "\n"
}

/// Where cells stop on their way; none of a sweep without rungs.
fn rungs_text(cells: &[Cell]) -> Option<String> {
    let stops = cells.first().map(|cell| &cell.rungs).filter(|stops| !stops.is_empty())?;
    let stops = stops.iter().map(Length::to_string).collect::<Vec<_>>().join(", ");
    Some(format!("compared after {stops}; the better ones continue"))
}

/// The files that settings name, each once.
fn files(cells: &[Cell]) -> Vec<&CellFile> {
    let all: BTreeMap<_, _> = cells
        .iter()
        .flat_map(|cell| cell.files.values())
        .map(|file| ((&file.given, &file.content), file))
        .collect();
    all.into_values().collect()
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

fn to_json(planned: &Planned) -> serde_json::Value {
    json!({
        "format": 1,
        "cells": planned.cells.len(),
        "added": planned.added,
        "replaced": planned.replaced,
        "traffic": planned.traffic,
        "sizes": planned.sizes,
        "files": files(&planned.cells),
        "plan": planned.plan,
        "notes": planned.notes,
    })
}
