//! Cells as arrays of jobs on a cluster with Slurm. Each task of an array runs `xray-sweep job`, which starts the
//! trainer and writes down in the cell's folder what became of it: no accounting database is asked, and nothing has to
//! stay on the login node. A folder that all machines see is what Slurm's users have, so no file is sent.

mod arrays;
mod decider;
pub mod job;
mod next;
mod queue;
mod waiting;
mod words;

pub(crate) use next::starves;
pub(crate) use waiting::{Waiting, forget};
pub(crate) use words::explain;

pub(crate) use decider::stuck;
pub use decider::{decide, lead};

pub(crate) use arrays::{check_options, comment, limit_option, lines, output_path, write_list};

use super::Submission;
use crate::attempt::Launcher;
use crate::cell::{Cell, Request};
use crate::local_attempts::read_attempts;
use crate::plan::absolute;
use crate::queue::Queue;
use crate::reset::Spent;
use crate::spec::Spec;
use crate::sweep_dir::SweepDir;
use arrays::Array;
use std::collections::BTreeMap;
use std::process::{Command, Output};
use xray_artifacts::{Exit, Failure};

/// Submits `cells`, an array for those that ask for the same. `is_dry` has Slurm check them and submits nothing.
///
/// # Errors
/// When Slurm does not take an array; the message says which were submitted before it.
pub fn submit(dir: &SweepDir, cells: &[&Cell], is_dry: bool) -> Result<Vec<Submission>, Failure> {
    let spec = Spec::read(&dir.spec())?;
    let mut alike: BTreeMap<(u32, u64, u32, Option<u64>), Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        let Request { gpus, memory_mib, cpus, minutes, .. } = cell.request;
        let memory_mib = memory_mib * learnt_factor(dir, cell)?;
        alike.entry((gpus, memory_mib, cpus, minutes)).or_default().push(cell);
    }
    let limit = array_limit()?;
    let mut submitted: Vec<Submission> = Vec::new();
    for ((_, memory_mib, ..), cells) in alike {
        let ids: Vec<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
        let list = write_list(dir, "run", &ids)?;
        for first in (0..ids.len()).step_by(limit) {
            let jobs = limit.min(ids.len() - first);
            let array = Array {
                list: &list,
                first,
                tasks: format!("0-{}", jobs - 1),
                memory_mib,
                request: cells[0].request,
                exclude: Vec::new(),
            };
            let mut command = array.command(&absolute(dir.path()), &spec.slurm, is_dry);
            let number = taken(&mut command).map_err(|failure| {
                let before: Vec<&str> = submitted.iter().map(|one| one.name.as_str()).collect();
                let before = if before.is_empty() { "nothing".to_owned() } else { before.join(", ") };
                Failure { message: format!("{} ({before} was submitted)", failure.message), ..failure }
            })?;
            if !is_dry {
                submitted.push(Submission { name: format!("array {number}"), jobs });
            }
        }
    }
    Ok(submitted)
}

/// By how much a cell's memory grows because starts of it died of too little: a job that Slurm kills as a whole cannot
/// submit its successor.
fn learnt_factor(dir: &SweepDir, cell: &Cell) -> Result<u64, Failure> {
    let (folder, mut notes) = (dir.cell(&cell.id), Vec::new());
    let mut attempts = read_attempts(&folder.attempts(), &mut notes)?;
    if attempts.is_empty() {
        return Ok(1);
    }
    explain(dir, &mut attempts);
    let spent = Spent::read(&folder, &mut notes)?;
    attempts.retain(|attempt| attempt.launcher == Launcher::Slurm && !spent.has_attempt(attempt));
    Ok(next::memory_factor(&attempts))
}

/// Asks what the queue holds of a sweep.
pub fn queue(dir: &SweepDir) -> Queue {
    queue::ask(dir)
}

/// Whether a job's number is Slurm's: those of a sweep are tasks of arrays, `12_3`.
pub fn is_job(id: &str) -> bool {
    id.contains('_')
}

/// Lets go held jobs.
///
/// # Errors
/// When Slurm refuses.
pub fn release(jobs: &[String]) -> Result<(), Failure> {
    tell("scontrol", &["release"], jobs)
}

/// Takes jobs out of the queue.
///
/// # Errors
/// When Slurm refuses.
pub fn remove(jobs: &[String]) -> Result<(), Failure> {
    tell("scancel", &[], jobs)
}

fn tell(program: &str, verb: &[&str], jobs: &[String]) -> Result<(), Failure> {
    // A command line has its limits.
    for some in jobs.chunks(500) {
        let output = output(Command::new(program).args(verb).args(some))?;
        if !output.status.success() {
            return Err(refused(program, &output));
        }
    }
    Ok(())
}

/// How many tasks an array may have.
fn array_limit() -> Result<usize, Failure> {
    let output = output(Command::new("scontrol").args(["show", "config"]))?;
    if !output.status.success() {
        return Err(refused("scontrol", &output));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let limit = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "MaxArraySize").then(|| value.trim().parse::<usize>().ok())?
    });
    // It is one more than the highest number of a task. Jobs of a cluster that says nothing keep to Slurm's default.
    Ok(limit.unwrap_or(1001).saturating_sub(1).max(1))
}

/// The number of a job that Slurm took.
fn taken(command: &mut Command) -> Result<String, Failure> {
    let output = output(command)?;
    if !output.status.success() {
        return Err(refused("sbatch", &output));
    }
    // `12`, and on a federation `12;cluster`.
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.trim().split(';').next().unwrap_or_default().to_owned())
}

fn refused(program: &str, output: &Output) -> Failure {
    let said = String::from_utf8_lossy(&output.stderr);
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let bare = |line: &str| line.rsplit_once("error: ").map_or(line, |(_, error)| error).to_owned();
    // The last line says what was wrong; those before it warn.
    let line = lines.next_back().map_or_else(|| "it gave no reason".to_owned(), bare);
    Failure::new(Exit::Unexpected, format!("{program} failed: {line}"))
        .hint("`sinfo` lists the partitions and shows whether Slurm answers; --sbatch of `plan` sets options")
}

fn output(command: &mut Command) -> Result<Output, Failure> {
    command.stdin(std::process::Stdio::null()).output().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Failure::new(Exit::CannotRunHere, format!("cannot start {program}: {error}"))
            .hint("run this on a machine with Slurm's tools, or use --launcher local")
    })
}
