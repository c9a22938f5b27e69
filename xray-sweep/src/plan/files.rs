//! Everything that planning writes. What makes it a sweep, `plan.json` with the list of cells, comes last: until it is
//! there, the old plan stands, and planning again mends what was left half way.

use super::attributes::{self, Attribute};
use super::check::read_by_htcondor;
use super::codes::{ExitCodes, SignalCodes, SubCode};
use super::lists::{FileList, PUBLISHED, ShardList, ShardLists, Way, file_list, file_lists};
use super::{Plan, absolute, listed, machines, quote, slurm_script};
use crate::cell::Cell;
use crate::cell_result::CellResult;
use crate::data::Data;
use crate::isa::Level;
use crate::out_of_memory;
use crate::spec::{Condor, Spec};
use crate::sweep_dir::{CellDir, SweepDir};
use crate::templates::{self, Templates};
use minijinja::context;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use xray_artifacts::{
    DatasetManifest, Exit, Failure, FileError, State, Status, read_json, to_json, write_bytes, write_json,
};
use xray_cli::shell;

/// The columns of `cells.csv`, which are the variables of the submit file. HTCondor takes every line of it for a
/// job, so there is no line with their names, and it warns of one that the submit file does not use.
fn columns(cells: &[Cell], transfer_data: bool) -> Vec<&'static str> {
    let uses = |gpu: bool| cells.iter().any(|cell| (cell.request.gpus > 0) == gpu);
    let mut columns = vec!["id", "fraction", "trial", "seed", "cpus", "memory", "disk"];
    columns.extend(uses(true).then_some("gpus"));
    columns.extend((uses(true) && uses(false)).then_some("program"));
    columns.extend(transfer_data.then_some("shards"));
    columns.extend(cells.iter().any(|cell| !cell.files.is_empty()).then_some("files"));
    columns
}

/// What is written of a sweep, and in which order.
pub(super) struct Files<'a> {
    pub(super) dir: &'a SweepDir,
    pub(super) spec: &'a Spec,
    pub(super) data: &'a Data,
    /// How shards come to jobs.
    pub(super) way: Way<'a>,
    pub(super) cells: &'a [Cell],
    /// Cells whose folders are to be made, with their configurations.
    pub(super) folders: Vec<(&'a str, &'a str)>,
    /// Whether HTCondor is asked to read the submit file.
    pub(super) asks_htcondor: bool,
}

impl Files<'_> {
    pub(super) fn write(&self, plan: &mut Plan) -> Result<(), Failure> {
        let Files { dir, spec, data, way, cells, .. } = *self;
        let draws = cells.iter().map(Cell::needs);
        let columns = columns(cells, spec.condor.transfer_data);
        let lists = ShardLists::new(data, way, draws)?;
        let rows: Vec<_> = cells.iter().map(|cell| row(dir, cell, &lists)).collect::<Result<_, _>>()?;
        let templates = Templates::load(spec.templates.as_deref())?;
        let values = Values::new(dir, spec, plan, cells, &rows, &lists.lists)?;
        let has_rungs = !values.rungs.is_empty();
        let values = templates::values(&values);
        let render = |name, dag: bool| templates.render(name, context! { dag, ..values.clone() });
        let sweep_sub = render("job.sub.jinja", false)?;
        let node_sub = render("job.sub.jinja", true)?;
        let sweep_dag = render("sweep.dag.jinja", true)?;
        let collect = render("collect.sh.jinja", true)?;
        let rung = render("rung.sh.jinja", true)?;
        let script = slurm_script::write(dir, spec, plan, cells, &templates)?;

        self.folders.par_iter().try_for_each(|(id, config)| write_cell(&dir.cell(id), config))?;
        if let Some(row) = rows.first().filter(|_| self.asks_htcondor) {
            let row = columns.iter().map(|column| (*column, row[column].as_str()));
            read_by_htcondor(dir, &node_sub, row)?;
        }
        let write = |name: &str, text: &str| write_bytes(&dir.path().join(name), text.as_bytes());
        let write_all = || -> Result<(), Failure> {
            if matches!(way, Way::Fetched(_)) {
                write_published(&dir.path().join(PUBLISHED), &data.manifest)?;
            }
            write("sweep.sub", &sweep_sub)?;
            write("node.sub", &node_sub)?;
            write("sweep.dag", &sweep_dag)?;
            write(COLLECT, &collect)?;
            make_executable(&dir.path().join(COLLECT))?;
            if has_rungs {
                write(RUNG, &rung)?;
                make_executable(&dir.path().join(RUNG))?;
            }
            write("cells.csv", &csv(&columns, &rows))?;
            write("sweep.sbatch", &script)?;
            spec.write(&dir.spec())
        };
        let flush_folders = || if self.folders.is_empty() { Ok(()) } else { flush(dir) };
        let (written, flushed) = rayon::join(write_all, flush_folders);
        written.and(flushed)?;
        listed::publish(dir, plan, cells)
    }
}

/// The manifest that fits the names of published shards.
fn write_published(folder: &Path, manifest: &DatasetManifest) -> Result<(), Failure> {
    let io = |source| FileError::Io { path: folder.to_owned(), action: "create", source };
    fs::create_dir_all(folder).map_err(io)?;
    Ok(write_json(&folder.join(DatasetManifest::FILE_NAME), &manifest.published())?)
}

/// Sends what was written to the disk: once for all the cells' files.
fn flush(dir: &SweepDir) -> Result<(), Failure> {
    let flushed = File::open(dir.path()).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    let io = |source| FileError::Io { path: dir.path().to_owned(), action: "flush", source };
    Ok(flushed.map_err(io)?)
}

const COLLECT: &str = "collect.sh";
const RUNG: &str = "rung.sh";

fn make_executable(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(0o755);
    let set = fs::set_permissions(path, permissions);
    Ok(set.map_err(|source| FileError::Io { path: path.to_owned(), action: "make executable", source })?)
}

/// The configuration, and a run directory with a sign that nothing has run yet. Not flushed to the disk one by
/// one. What a run has left there stays.
pub(super) fn write_cell(folder: &CellDir, config: &str) -> Result<(), Failure> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| FileError::Io { path, action: "write", source }
    };
    fs::create_dir_all(folder.run()).map_err(io(&folder.run()))?;
    fs::write(folder.config(), config).map_err(io(&folder.config()))?;
    let status = folder.status();
    match File::create_new(&status).and_then(|mut file| file.write_all(planned().as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Cut off when planning was killed, or of a run.
            if read_json::<Status>(&status).is_ok() { Ok(()) } else { placeholder(&status) }
        }
        written => written,
    }
    .map_err(io(&status))?;
    Ok(())
}

/// Writes the `status.json` of a run that never began.
pub(crate) fn placeholder(path: &Path) -> io::Result<()> {
    fs::write(path, planned())
}

fn planned() -> String {
    let status = Status {
        state: State::Planned,
        heartbeat: String::new(),
        step: 0,
        total_steps: 0,
        loss: None,
        pid: 0,
    };
    to_json(&status).expect("plain values")
}

/// A configuration as a file. Where the data lie is for the launcher to say.
pub(super) fn config_text(config: &Json) -> Result<String, Failure> {
    let mut table = toml::Table::try_from(config).map_err(|error| {
        Failure::new(Exit::Unexpected, format!("the trainer's configuration is not a table: {error}"))
    })?;
    if let Some(data) = table.get_mut("data").and_then(toml::Value::as_table_mut) {
        data.remove("dir");
    }
    Ok(format!("format = 1\n{table}"))
}

fn row(dir: &SweepDir, cell: &Cell, lists: &ShardLists) -> Result<BTreeMap<&'static str, String>, FileError> {
    let request = &cell.request;
    Ok(BTreeMap::from([
        ("id", cell.id.clone()),
        ("fraction", cell.fraction.to_string()),
        ("trial", cell.trial.to_string()),
        ("seed", cell.seed.to_string()),
        ("cpus", request.cpus.to_string()),
        ("memory", request.memory_mib.to_string()),
        ("disk", request.disk_mib.to_string()),
        ("gpus", request.gpus.to_string()),
        ("program", machines::program_name(request.gpus > 0).to_owned()),
        ("shards", lists.name(cell.needs()).to_owned()),
        ("files", file_list(cell).name),
        ("done", if is_done(dir, cell)? { "DONE".to_owned() } else { String::new() }),
    ]))
}

fn csv(columns: &[&str], rows: &[BTreeMap<&str, String>]) -> String {
    let line = |row: &BTreeMap<&str, String>| {
        let values: Vec<_> = columns.iter().map(|column| row[column].as_str()).collect();
        values.join(",") + "\n"
    };
    rows.iter().map(line).collect()
}

/// What templates can use; `submit-templates/README.md` explains each.
#[derive(Serialize)]
struct Values<'a> {
    name: String,
    cells: usize,
    train_images: u64,
    code: &'a str,
    binaries: Vec<BinaryValues<'a>>,
    executable: String,
    programs: Vec<machines::Program>,
    arguments: String,
    transfer_data: bool,
    environment: String,
    requirements: String,
    requirements_note: String,
    rank: Option<&'a str>,
    machine_rank: String,
    machines_remembered: u32,
    attributes: Vec<Attribute<'a>>,
    gpus: bool,
    require_gpus: Option<&'a str>,
    shard_lists: &'a [ShardList],
    file_lists: Vec<FileList>,
    condor: &'a Condor,
    exit: ExitCodes,
    signal: SignalCodes,
    shell: SignalCodes,
    sub_code: SubCode,
    out_of_memory: String,
    column_names: Vec<&'static str>,
    columns: String,
    rows: &'a [BTreeMap<&'static str, String>],
    rungs: Vec<RungValues<'a>>,
    rung_script: &'static str,
    collect_script: &'static str,
    xray_sweep: String,
}

/// A rung of the DAG; the last is the end.
#[derive(Serialize)]
struct RungValues<'a> {
    number: usize,
    is_last: bool,
    /// Stops by cell.
    stops: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct BinaryValues<'a> {
    file: &'a str,
    level: Level,
    gpu: bool,
    mebibytes: String,
    needs: String,
    blake3: &'a str,
}

impl<'a> Values<'a> {
    fn new(
        dir: &SweepDir,
        spec: &'a Spec,
        plan: &'a Plan,
        cells: &'a [Cell],
        rows: &'a [BTreeMap<&'static str, String>],
        shard_lists: &'a [ShardList],
    ) -> Result<Self, Failure> {
        let path = absolute(dir.path());
        let name =
            path.file_name().map_or_else(|| "sweep".to_owned(), |name| name.to_string_lossy().into_owned());
        let transfer_data = spec.condor.transfer_data;
        let columns = columns(cells, transfer_data);
        let gpus = columns.contains(&"gpus");
        Ok(Values {
            name,
            cells: cells.len(),
            train_images: cells.iter().map(|cell| cell.train_images).max().unwrap_or_default(),
            code: &plan.code,
            binaries: plan.binaries.iter().map(BinaryValues::new).collect(),
            executable: machines::executable(&plan.binaries),
            programs: machines::programs(&plan.binaries),
            arguments: arguments(spec, plan)?,
            transfer_data,
            environment: quote::environment(&spec.condor.environment)?,
            requirements: machines::requirements(&spec.condor, plan.least_level())?,
            requirements_note: machines::note(&plan.binaries),
            rank: quoted("--rank", &spec.condor.rank)?,
            machine_rank: machines::rank_of("MachineAttrMicroarch0"),
            machines_remembered: machines::MACHINES_REMEMBERED,
            attributes: attributes::lines(&spec.condor)?,
            gpus,
            require_gpus: quoted("--require-gpus", &spec.condor.require_gpus)?,
            shard_lists,
            file_lists: file_lists(cells),
            condor: &spec.condor,
            exit: ExitCodes::new(),
            signal: SignalCodes::direct(),
            shell: SignalCodes::behind_a_shell(),
            sub_code: SubCode::new(),
            out_of_memory: out_of_memory::hold_expression(),
            columns: columns.join(", "),
            column_names: columns,
            rows,
            rungs: rungs(cells),
            rung_script: RUNG,
            collect_script: COLLECT,
            xray_sweep: this_program(),
        })
    }
}

/// One more than the stops; none without any.
fn rungs(cells: &[Cell]) -> Vec<RungValues<'_>> {
    let stops = cells.iter().map(|cell| cell.rungs.len()).max().unwrap_or_default();
    let last = if stops == 0 { 0 } else { stops + 1 };
    let stop = |cell: &Cell, number: usize| {
        cell.rungs.get(number - 1).map_or_else(String::new, |at| format!("--stop-at '{at}'"))
    };
    let rung = |number| RungValues {
        number,
        is_last: number == last,
        stops: cells.iter().map(|cell| (cell.id.as_str(), stop(cell, number))).collect(),
    };
    (1..=last).map(rung).collect()
}

impl<'a> BinaryValues<'a> {
    fn new(binary: &'a super::Binary) -> Self {
        let super::Binary { file, level, gpu, blake3, .. } = binary;
        let mebibytes = format!("{:.1}", binary.bytes as f64 / f64::from(1 << 20));
        BinaryValues { file, level: *level, gpu: *gpu, mebibytes, needs: binary.needs(), blake3 }
    }
}

/// The path of this program, quoted for a shell.
pub(crate) fn this_program() -> String {
    let path = std::env::current_exe();
    shell::word(&path.map_or_else(|_| "xray-sweep".to_owned(), |path| path.display().to_string()))
}

/// An expression of the sweep, where it has one.
fn quoted<'a>(flag: &str, expression: &'a Option<String>) -> Result<Option<&'a str>, Failure> {
    expression.as_deref().map(|expression| quote::expression(flag, expression)).transpose()
}

/// What every job's trainer is told. `$(id)` and `$(cpus)` are HTCondor's, of the row.
fn arguments(spec: &Spec, plan: &Plan) -> Result<String, Failure> {
    let data = match (spec.condor.transfer_data, plan.data.to_str()) {
        (true, _) => ".",
        (false, Some(data)) => data,
        (false, None) => return Err(Failure::new(Exit::Usage, format!("{:?} is not UTF-8", plan.data))),
    };
    let every = &spec.condor.checkpoint_every;
    if humantime::parse_duration(every).is_err() {
        let message = format!("checkpoint_every is `{every}`, it must be a time");
        return Err(Failure::new(Exit::Usage, message).hint("such as 30m or 1h"));
    }
    // What came by way of others is not believed.
    let verify = if spec.condor.data_url.is_some() { " --verify-shards" } else { "" };
    Ok(format!(
        "--config config.toml --data {}{verify} --run run --cell $(id) --threads $(cpus) --checkpoint-exit-every {}",
        quote::argument(data)?,
        quote::argument(every)?
    ))
}

/// Whether a DAG need not run it any more. Asked only where there was a DAG.
fn is_done(dir: &SweepDir, cell: &Cell) -> Result<bool, FileError> {
    let result = || CellResult::read(cell, &dir.cell(&cell.id));
    Ok(dir.dag_was_submitted() && matches!(result()?, CellResult::Done(_)))
}
