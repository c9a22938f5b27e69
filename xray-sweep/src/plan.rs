//! From a specification to a sweep directory. Planning again adds what is new, keeps what is there, and
//! refuses data or code that changed meanwhile.

mod attributes;
mod binaries;
mod check;
mod codes;
mod data_url;
mod files;
mod given_files;
mod listed;
mod lists;
pub(crate) mod machines;
mod mend;
mod quote;
mod slurm_script;
mod traffic;

pub(crate) use attributes::lay;
pub use binaries::{Binary, check_binaries, runnable_here};
pub(crate) use files::{placeholder, this_program};
pub use given_files::check_files;
pub use listed::{CellList, read_cells};
pub(crate) use machines::slot_constraint;
pub use mend::mend;
pub use traffic::Traffic;

use crate::cell::{Cell, file_bytes, folds, needed};
use crate::data::Data;
use crate::gpu;
use crate::grid::{Point, points};
use crate::isa::Level;
use crate::launchers::slurm;
use crate::present::{bytes, is_there};
use crate::request::request;
use crate::rungs;
use crate::sizes::{Fitting, Sizes};
use crate::spec::Spec;
use crate::sweep_dir::SweepDir;
use crate::trainer::{self, Trainer};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use traffic::Load;
use xray_artifacts::{Exit, Failure, Length, Versioned, cell_id, checksum, read_json};
use xray_cli::say;
use xray_display::counted;

/// `plan.json`: what the cells were made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The folder of shards, absolute.
    pub data: PathBuf,
    /// The data set's id.
    pub dataset: String,
    /// Version and commit of the trainer.
    pub code: String,
    /// The programs that jobs run, by what they need; at least one.
    pub binaries: Vec<Binary>,
    /// What the list of cells must be; plans of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<CellList>,
    /// The checksum of `sweep.toml` as it was planned, which a person may edit since; plans of earlier versions do not say
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
}

impl Plan {
    /// The level of x86-64 that every machine must have.
    pub(crate) fn least_level(&self) -> Level {
        let least = |gpu| {
            let levels = self.binaries.iter().filter(move |binary| binary.gpu == gpu);
            levels.map(|binary| binary.level).min()
        };
        // Rows of both kinds share a requirement: the stricter holds for all.
        least(false).max(least(true)).expect("a plan has a program")
    }
}

impl Versioned for Plan {
    const FORMAT: u32 = 2;
    const UNSEALED: Option<u32> = Some(1);
    const KIND: &'static str = "plan";
}

/// How a plan is made.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Builds of the trainer: `PATH`, or `v3=PATH` to say or check what it needs. None: the sweep's own, or
    /// the packaged worker.
    pub binaries: Vec<(Option<Level>, PathBuf)>,
    /// The build for cells that ask for a GPU. None: the sweep's own, or the one beside this program.
    pub gpu_binary: Option<PathBuf>,
    /// A build that runs here and checks the configuration; by default the one that needs least.
    pub resolve_with: Option<PathBuf>,
    /// Cells that were planned with other code or other files are planned anew.
    pub replace: bool,
    /// Whether HTCondor, where it is installed, is asked to read the submit file.
    pub asks_htcondor: bool,
}

/// What planning did.
#[derive(Debug)]
pub struct Planned {
    /// The plan as it is now.
    pub plan: Plan,
    /// All cells of the sweep.
    pub cells: Vec<Cell>,
    /// How many of them are new.
    pub added: usize,
    /// How many cells of other code or other files are no longer in the sweep.
    pub replaced: usize,
    /// What jobs are sent and fetch.
    pub traffic: Traffic,
    /// What was seen in another sweep, and is asked for after it.
    pub sizes: Option<Sizes>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Plans `spec` into `dir`. Whatever ended it half way, the same again makes it whole.
pub fn plan(dir: &SweepDir, spec: &Spec, options: &PlanOptions) -> Result<Planned, Failure> {
    quote::folder("the sweep directory", &absolute(dir.path()))?;
    let data = Data::open(&spec.data)?;
    let before = plan_of(dir)?;
    if let Some(before) = &before {
        same_data(dir, before, &data)?;
        listed::settle(dir, before)?;
    }
    rungs::check(spec)?;
    slurm::check_options(&spec.slurm)?;
    let points = points(spec)?;
    let found = binaries::find(dir, options, before.as_ref())?;
    let mut notes = Vec::new();
    let kept = kept(dir, before.as_ref(), &mut notes)?;
    let planned_before = kept.clone();
    let way = lists::Way::of(&spec.condor)?;
    let mut making = Making {
        dir,
        spec,
        data: &data,
        points: &points,
        before: planned_before.iter().map(|cell| cell.id.as_str()).collect(),
        seen: HashMap::with_capacity(points.len()),
        files: given_files::Given::new(&planned_before),
        sizes: Fitting::new(spec, &data)?,
        sending: Sending { shards: lists::Bytes::new(&data), way, found: &found },
        first_backend: None,
    };
    let take = |trainer: &Trainer, at, config| making.cell(trainer, at, config);
    let (trainer, made) = resolve(&found, spec, &points, options, take)?;
    let Making { files, sizes, mut sending, first_backend, .. } = making;
    notes.extend(files.notes);
    let (cells, configs): (Vec<Cell>, Vec<Option<String>>) = made.into_iter().unzip();
    gpu::check_use(
        &spec.condor,
        cells.iter().map(|cell| cell.request.gpus),
        &first_backend.unwrap_or_default(),
    )?;
    let kept = same_code(dir, kept, &trainer.version, options.replace)?;
    let kept = given_files::same(dir, kept, &cells, options.replace)?;
    let replaced = planned_before.len() - kept.len();
    let sizes = sizes.finish()?;
    // What a cell asks of a machine and where it stops are not part of it, so they may change with every plan.
    let planned: HashMap<&str, &Cell> = cells.iter().map(|cell| (cell.id.as_str(), cell)).collect();
    let asked = |cell: Cell| match planned.get(cell.id.as_str()) {
        Some(now) => Cell { request: now.request, rungs: now.rungs.clone(), ..cell },
        None => cell,
    };
    let kept: Vec<Cell> = kept.into_iter().map(asked).collect();
    let known: HashSet<String> = kept.iter().map(|cell| cell.id.clone()).collect();
    let ids = cells.iter().map(|cell| cell.id.clone());
    let configs: Vec<(String, String)> =
        ids.zip(configs).filter_map(|(id, config)| Some((id, config?))).collect();
    let new: Vec<Cell> = cells.into_iter().filter(|cell| !known.contains(&cell.id)).collect();
    let added = new.len();
    let mut all: Vec<Cell> = kept.into_iter().chain(new).collect();
    all.sort_by(|a, b| spec.order.of(a, b));
    one_run_a_place(dir, &all)?;
    rungs::stay(dir, &planned_before, &all)?;
    let traffic = sending.traffic(&all);
    let gpus: Vec<u32> = all.iter().map(|cell| cell.request.gpus).collect();
    let needed = found.needed(&gpus, &trainer.version, &mut notes)?;

    notes.extend(given_files::install(dir, &all, |cell| !known.contains(&cell.id))?);
    let mut plan = Plan {
        data: data.dir.clone(),
        dataset: data.id.clone(),
        code: trainer.version,
        binaries: needed.install(dir)?,
        cells: None,
        spec: Some(checksum(spec.text().as_bytes())),
    };
    let folders = configs.iter().map(|(id, config)| (id.as_str(), config.as_str())).collect();
    let asks_htcondor = options.asks_htcondor;
    files::Files { dir, spec, data: &data, way, cells: &all, folders, asks_htcondor }.write(&mut plan)?;
    notes.extend(mend(dir, &plan, &all)?);
    if replaced > 0 {
        notes.push(format!(
            "{} of other code or files left the sweep; their runs stay in cells/",
            counted(replaced, "cell")
        ));
    }
    if dir.dag_was_submitted() {
        notes.push("sweep.dag was submitted before; submit it with -f to use this plan".to_owned());
    }
    Ok(Planned { plan, cells: all, added, replaced, traffic, sizes, notes })
}

/// The cells of before. A plan without its list is one that was killed, or whose list was deleted to have it made anew.
fn kept(dir: &SweepDir, before: Option<&Plan>, notes: &mut Vec<String>) -> Result<Vec<Cell>, Failure> {
    let Some(before) = before else { return Ok(Vec::new()) };
    if is_there(&dir.cells())? {
        return read_cells(dir);
    }
    let count =
        before.cells.as_ref().map_or(String::new(), |list| format!(" of {}", counted(list.count, "cell")));
    notes.push(format!("the list{count} was gone: planned again from sweep.toml; folders stay"));
    Ok(Vec::new())
}

fn same_data(dir: &SweepDir, before: &Plan, data: &Data) -> Result<(), Failure> {
    if before.dataset == data.id {
        return Ok(());
    }
    let message = format!(
        "{} was planned on other data: {} then, {} now in {}",
        dir.path().display(),
        &before.dataset[..12.min(before.dataset.len())],
        &data.id[..12],
        data.dir.display()
    );
    Err(Failure::new(Exit::BadData, message).hint(
        "restore the old shards, or plan another sweep directory: cells of different data cannot be compared",
    ))
}

/// The cells that stay: all, unless they were planned with other code.
fn same_code(dir: &SweepDir, cells: Vec<Cell>, code: &str, replace: bool) -> Result<Vec<Cell>, Failure> {
    let (same, other): (Vec<Cell>, Vec<Cell>) = cells.into_iter().partition(|cell| cell.code == code);
    match other.first() {
        Some(cell) if !replace => {
            let message = format!(
                "{} was planned with trainer {}, this one is {code}",
                dir.path().display(),
                cell.code
            );
            Err(Failure::new(Exit::ModelMismatch, message).hint(
                "leave --binary out to add cells with the sweep's own trainer, or give --replace to plan all cells \
                 again",
            ))
        }
        _ => Ok(same),
    }
}

/// Refuses cells that differ in what no table shows: they would pass for trials of one another.
fn one_run_a_place(dir: &SweepDir, cells: &[Cell]) -> Result<(), Failure> {
    let mut places = HashMap::new();
    let taken = cells.iter().find_map(|cell| Some([places.insert(cell.place(), cell)?, cell]));
    let Some(twice) = taken else { return Ok(()) };
    let message = format!(
        "{} has trial {} of fraction {} already, with other settings (cells {} and {})",
        dir.path().display(),
        twice[0].trial,
        twice[0].fraction,
        twice[0].id,
        twice[1].id
    );
    Err(Failure::new(Exit::Usage, message)
        .hint("plan another sweep directory, or make what changed an axis: --axis key=old,new"))
}

fn resolve<T>(
    found: &binaries::Found,
    spec: &Spec,
    points: &[Point],
    options: &PlanOptions,
    take: impl FnMut(&Trainer, usize, Json) -> Result<T, Failure>,
) -> Result<(Trainer, Vec<T>), Failure> {
    // Absolute: a bare name would be looked for in PATH.
    let program = match &options.resolve_with {
        Some(path) => absolute(path),
        None => found.resolver(gpu::is_for_all(spec))?.to_owned(),
    };
    let settings: Vec<_> = points.iter().map(|point| settings(spec, point)).collect();
    settings.iter().try_for_each(gpu::check_precision)?;
    let name = |at: usize| format!("fraction {}, trial {}", points[at].fraction, points[at].trial);
    trainer::resolve(&program, spec.config.as_deref(), &settings, name, take)
}

/// What the trainer is told of a point: the settings of all runs, and the point's own.
fn settings(spec: &Spec, point: &Point) -> serde_json::Map<String, Json> {
    let shared = spec.settings().into_iter();
    let shared =
        shared.map(|(key, value)| (key, serde_json::to_value(value).expect("a TOML value is a JSON value")));
    // The last rung is the length of training.
    let length = spec.rungs.last().map(|last| (rungs::DURATION.to_owned(), String::from(*last).into()));
    gpu::setting(&spec.condor).into_iter().chain(shared).chain(length).chain(point.settings()).collect()
}

/// What jobs are sent, and what they fetch.
struct Sending<'a> {
    shards: lists::Bytes<'a>,
    way: lists::Way<'a>,
    found: &'a binaries::Found,
}

impl Sending<'_> {
    /// For a cell with these shares of the train split, GPUs and files.
    fn of(&mut self, (fraction, offset): (f64, f64), gpus: u32, files: &given_files::Files) -> Load {
        let sent = self.found.largest(gpus > 0) + file_bytes(files);
        let shards = self.shards.of(fraction, offset);
        match self.way {
            lists::Way::Shared => Load { sent, fetched: 0 },
            lists::Way::Sent => Load { sent: sent + shards, fetched: 0 },
            lists::Way::Fetched(_) => Load { sent, fetched: shards },
        }
    }

    fn traffic(&mut self, cells: &[Cell]) -> Traffic {
        let load = |cell: &Cell| self.of(cell.needs(), cell.request.gpus, &cell.files);
        Traffic::of(&cells.iter().map(load).collect::<Vec<_>>())
    }
}

/// Makes cells of points and of what the trainer says that their settings come to.
struct Making<'a> {
    dir: &'a SweepDir,
    spec: &'a Spec,
    data: &'a Data,
    points: &'a [Point],
    /// Cells that the sweep has already.
    before: HashSet<&'a str>,
    /// Points by the ids of their cells.
    seen: HashMap<String, usize>,
    files: given_files::Given<'a>,
    sizes: Fitting<'a>,
    sending: Sending<'a>,
    first_backend: Option<String>,
}

impl Making<'_> {
    /// The cell of a point, and the text of its configuration where its folder is to be made.
    fn cell(
        &mut self,
        trainer: &Trainer,
        at: usize,
        mut config: Json,
    ) -> Result<(Cell, Option<String>), Failure> {
        let Making { dir, spec, data, points, .. } = *self;
        let point = &points[at];
        let folds = folds(&config);
        let train_images = data.train_images(folds);
        spec.budget.apply(&mut config, train_images);
        let files = self.files.name(&mut config, &trainer.files)?;
        self.first_backend.get_or_insert_with(|| gpu::backend(&config).to_owned());
        let id = cell_id(&config, &data.id, &trainer.version);
        if let Some(first) = self.seen.insert(id.clone(), at) {
            let (a, b) = (&points[first], point);
            let message = format!("{:?} and {:?} give the same run", a.settings(), b.settings());
            return Err(Failure::new(Exit::Usage, message).hint("an axis has no effect here: leave it out"));
        }
        let images = xray_artifacts::records_of_fraction(train_images, point.fraction);
        let gpus = gpu::of_cell(&spec.condor, &config)?;
        let stop = |rung: &Length| spec.budget.length(*rung, &config, train_images);
        let on_the_way = &spec.rungs[..spec.rungs.len().saturating_sub(1)];
        let load = self.sending.of(needed(folds, point.fraction, point.offset), gpus, &files);
        let mut cell = Cell {
            format: Cell::FORMAT,
            fraction: point.fraction,
            fraction_offset: point.offset,
            trial: point.trial,
            seed: point.seed,
            axes: point.axes.clone(),
            train_images: images,
            rungs: on_the_way.iter().map(stop).collect(),
            folds,
            dataset: data.id.clone(),
            code: trainer.version.clone(),
            request: request(&spec.condor, &config, gpus, images, load.total(), file_bytes(&files))?,
            files,
            id,
        };
        self.sizes.fit(&mut cell, &config);
        let has_folder = self.before.contains(cell.id.as_str()) && dir.cell(&cell.id).is_whole();
        let text = if has_folder { None } else { Some(files::config_text(&config)?) };
        Ok((cell, text))
    }
}

/// The sweep's plan, for those who run it.
pub fn read_plan(dir: &SweepDir) -> Result<Plan, Failure> {
    if dir.path().is_file() || !is_there(&dir.plan())? {
        let message = format!("there is no sweep in {}", dir.path().display());
        return Err(Failure::new(Exit::NothingMatches, message).hint("make one with `xray-sweep plan`"));
    }
    Ok(read_json(&dir.plan())?)
}

/// The plan, where the sweep has one already.
pub(crate) fn plan_of(dir: &SweepDir) -> Result<Option<Plan>, Failure> {
    Ok(if is_there(&dir.plan())? { Some(read_json(&dir.plan())?) } else { None })
}

/// Reads `sweep.toml`, which people edit. That it is not what `plan` was made of is told on stderr.
pub fn read_spec(dir: &SweepDir, plan: Option<&Plan>) -> Result<Spec, Failure> {
    let path = dir.spec();
    let planned = plan.and_then(|plan| plan.spec.as_deref());
    let text = bytes(&path)?.unwrap_or_default();
    if planned.is_some_and(|planned| planned != checksum(&text)) {
        let path = path.display();
        say(format_args!("warning: {path} is not what was planned: it was edited since, or is damaged"));
    }
    Spec::read(&path)
}

/// A path that a job on another machine can use.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
