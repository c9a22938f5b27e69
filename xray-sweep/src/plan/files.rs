//! Everything that planning writes. The list of cells comes last: until it is there, the old plan stands.

use super::codes::{ExitCodes, SignalCodes};
use super::lists::{ShardList, ShardLists};
use super::{Plan, absolute};
use crate::cell::{Cell, write_cells};
use crate::data::Data;
use crate::isa::Level;
use crate::spec::{Condor, Spec};
use crate::sweep_dir::SweepDir;
use crate::templates::Templates;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError, State, Status, to_json, write_bytes, write_json};

/// The columns of `cells.csv`, which are the variables of the submit file. HTCondor takes every line of it for a
/// job, so there is no line with their names, and it warns of one that the submit file does not use.
fn columns(cells: &[Cell]) -> Vec<&'static str> {
    let gpus = cells.iter().any(|cell| cell.request.gpus > 0).then_some("gpus");
    let mut columns = vec!["id", "fraction", "trial", "seed", "cpus", "memory", "disk"];
    columns.extend(gpus);
    columns.push("shards");
    columns
}

pub(super) fn write<'a>(
    dir: &SweepDir,
    spec: &Spec,
    plan: &Plan,
    data: &Data,
    cells: &[Cell],
    new: impl Fn(&str) -> Option<&'a Json> + Sync,
) -> Result<(), Failure> {
    cells.par_iter().try_for_each(|cell| match new(&cell.id) {
        Some(config) => write_cell(dir, cell, config),
        None => Ok(()),
    })?;
    let lists = ShardLists::new(data, cells.iter().map(|cell| (cell.fraction, cell.fraction_offset)));
    let rows: Vec<_> = cells.iter().map(|cell| row(cell, &lists)).collect();
    let templates = Templates::load(spec.templates.as_deref())?;
    let mut values = Values::new(dir, spec, plan, cells, &rows, &lists.lists)?;
    let write = |name: &str, text: String| write_bytes(&dir.path().join(name), text.as_bytes());
    write("sweep.sub", templates.render("job.sub.jinja", &values)?)?;
    values.dag = true;
    write("node.sub", templates.render("job.sub.jinja", &values)?)?;
    write("sweep.dag", templates.render("sweep.dag.jinja", &values)?)?;
    write(COLLECT, templates.render("collect.sh.jinja", &values)?)?;
    make_executable(&dir.path().join(COLLECT))?;
    write("cells.csv", csv(&columns(cells), &rows))?;
    spec.write(&dir.spec())?;
    write_json(&dir.plan(), plan)?;
    write_cells(&dir.cells(), cells)
}

const COLLECT: &str = "collect.sh";

fn make_executable(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(0o755);
    let set = fs::set_permissions(path, permissions);
    Ok(set.map_err(|source| FileError::Io { path: path.to_owned(), action: "make executable", source })?)
}

/// The configuration, and a run directory with a sign that nothing has run yet. Not flushed to the disk one by
/// one: what planning wrote can be planned again.
fn write_cell(dir: &SweepDir, cell: &Cell, config: &Json) -> Result<(), Failure> {
    let folder = dir.cell(&cell.id);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| FileError::Io { path, action: "write", source }
    };
    fs::create_dir_all(folder.run()).map_err(io(&folder.run()))?;
    fs::write(folder.config(), config_text(config)?).map_err(io(&folder.config()))?;
    Ok(placeholder(&folder.status()).map_err(io(&folder.status()))?)
}

/// The `status.json` of a run that never began.
pub(crate) fn placeholder(path: &Path) -> std::io::Result<()> {
    let status = Status {
        state: State::Planned,
        heartbeat: String::new(),
        step: 0,
        total_steps: 0,
        loss: None,
        pid: 0,
    };
    fs::write(path, to_json(&status).expect("plain values"))
}

/// Where the data lie is for the launcher to say.
fn config_text(config: &Json) -> Result<String, Failure> {
    let mut table = toml::Table::try_from(config).map_err(|error| {
        Failure::new(Exit::Unexpected, format!("the trainer's configuration is no table: {error}"))
    })?;
    if let Some(data) = table.get_mut("data").and_then(toml::Value::as_table_mut) {
        data.remove("dir");
    }
    Ok(format!("format = 1\n{table}"))
}

fn row(cell: &Cell, lists: &ShardLists) -> BTreeMap<&'static str, String> {
    let request = &cell.request;
    BTreeMap::from([
        ("id", cell.id.clone()),
        ("fraction", cell.fraction.to_string()),
        ("trial", cell.trial.to_string()),
        ("seed", cell.seed.to_string()),
        ("cpus", request.cpus.to_string()),
        ("memory", request.memory_mib.to_string()),
        ("disk", request.disk_mib.to_string()),
        ("gpus", request.gpus.to_string()),
        ("shards", lists.name(cell.fraction, cell.fraction_offset).to_owned()),
    ])
}

fn csv(columns: &[&str], rows: &[BTreeMap<&str, String>]) -> String {
    let line = |row: &BTreeMap<&str, String>| {
        let values: Vec<_> = columns.iter().map(|column| row[column].as_str()).collect();
        values.join(",") + "\n"
    };
    rows.iter().map(line).collect()
}

/// What templates can use; `condor-templates/README.md` explains each.
#[derive(Serialize)]
struct Values<'a> {
    name: String,
    dag: bool,
    cells: usize,
    train_images: u64,
    code: &'a str,
    binaries: Vec<BinaryValues<'a>>,
    executable: String,
    job_data: String,
    transfer_data: bool,
    environment: String,
    requirements: String,
    requirements_note: String,
    gpus: bool,
    shard_lists: &'a [ShardList],
    condor: &'a Condor,
    exit: ExitCodes,
    signal: SignalCodes,
    shell: SignalCodes,
    column_names: Vec<&'static str>,
    columns: String,
    rows: &'a [BTreeMap<&'static str, String>],
    collect_script: &'static str,
    xray_sweep: String,
}

#[derive(Serialize)]
struct BinaryValues<'a> {
    file: &'a str,
    level: Level,
    mebibytes: String,
    needs: String,
    blake3: &'a str,
}

impl<'a> Values<'a> {
    fn new(
        dir: &SweepDir,
        spec: &'a Spec,
        plan: &'a Plan,
        cells: &[Cell],
        rows: &'a [BTreeMap<&'static str, String>],
        shard_lists: &'a [ShardList],
    ) -> Result<Self, Failure> {
        let path = absolute(dir.path());
        let name =
            path.file_name().map_or_else(|| "sweep".to_owned(), |name| name.to_string_lossy().into_owned());
        let least = plan.binaries.iter().map(|binary| binary.level).min().expect("at least one");
        let transfer_data = spec.condor.transfer_data;
        Ok(Values {
            name,
            dag: false,
            cells: cells.len(),
            train_images: cells.iter().map(|cell| cell.train_images).max().unwrap_or_default(),
            code: &plan.code,
            binaries: plan.binaries.iter().map(BinaryValues::new).collect(),
            executable: super::machines::executable(&plan.binaries),
            job_data: if transfer_data { ".".to_owned() } else { plan.data.display().to_string() },
            transfer_data,
            environment: environment(&spec.condor)?,
            requirements: super::machines::requirements(&spec.condor, least),
            requirements_note: super::machines::note(&plan.binaries),
            gpus: columns(cells).contains(&"gpus"),
            shard_lists,
            condor: &spec.condor,
            exit: ExitCodes::new(),
            signal: SignalCodes::direct(),
            shell: SignalCodes::behind_a_shell(),
            column_names: columns(cells),
            columns: columns(cells).join(", "),
            rows,
            collect_script: COLLECT,
            xray_sweep: std::env::current_exe()
                .map_or_else(|_| "xray-sweep".to_owned(), |path| path.display().to_string()),
        })
    }
}

impl<'a> BinaryValues<'a> {
    fn new(binary: &'a super::Binary) -> Self {
        let needs = match binary.level {
            Level::V1 => "any x86-64 processor".to_owned(),
            level => format!("{level} or better"),
        };
        let mebibytes = format!("{:.1}", binary.bytes as f64 / f64::from(1 << 20));
        BinaryValues { file: &binary.file, level: binary.level, mebibytes, needs, blake3: &binary.blake3 }
    }
}

/// HTCondor's new syntax: `NAME='value' OTHER='it''s'`, double quotes doubled because the whole is in them.
fn environment(condor: &Condor) -> Result<String, Failure> {
    let variable = |(name, value): (&String, &String)| {
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            return Err(Failure::new(Exit::Usage, format!("`{name}` is no name of an environment variable")));
        }
        Ok(format!("{name}='{}'", value.replace('\'', "''").replace('"', "\"\"")))
    };
    Ok(condor.environment.iter().map(variable).collect::<Result<Vec<_>, _>>()?.join(" "))
}
