//! Cells as jobs of an HTCondor pool: submitted in one go, then followed through the event log, which costs the
//! pool nothing.

use crate::cell::Cell;
use crate::sweep_dir::SweepDir;
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use xray_artifacts::{Exit, Failure, FileError, write_bytes};

/// What `condor_submit` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The cluster's number.
    pub cluster: String,
    /// How many jobs it has.
    pub jobs: usize,
}

/// Submits `cells` with the sweep's submit file. `is_dry` asks HTCondor to check it and submits nothing.
pub fn submit(dir: &SweepDir, cells: &[&Cell], is_dry: bool) -> Result<Option<Submission>, Failure> {
    let rows = write_rows(dir, cells)?;
    let mut command = Command::new("condor_submit");
    command.current_dir(dir.path());
    if is_dry {
        command.args(["-dry-run", "/dev/null"]);
    } else {
        command.arg("-terse");
    }
    command.arg(format!("cells={}", rows.display())).arg("sweep.sub");
    let output = output(&mut command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().find(|line| line.starts_with("ERROR")).unwrap_or(said.trim()).to_owned();
        return Err(Failure::new(Exit::Unexpected, format!("condor_submit failed: {said}"))
            .hint("nothing was submitted; `condor_status` and `condor_q` tell whether the pool answers"));
    }
    // `12.0 - 12.29`
    let text = String::from_utf8_lossy(&output.stdout);
    let cluster = text.split('.').next().unwrap_or_default().trim().to_owned();
    Ok((!is_dry).then_some(Submission { cluster, jobs: cells.len() }))
}

/// The rows of `cells.csv` that belong to these cells, in a file of their own.
fn write_rows(dir: &SweepDir, cells: &[&Cell]) -> Result<PathBuf, Failure> {
    let path = dir.cells_csv();
    let all =
        std::fs::read_to_string(&path).map_err(|source| FileError::Io { path, action: "read", source })?;
    let wanted: HashSet<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
    let is_wanted = |line: &&str| line.split(',').next().is_some_and(|id| wanted.contains(id));
    let rows: String = all.lines().filter(is_wanted).flat_map(|line| [line, "\n"]).collect();
    let name = PathBuf::from("submitted.csv");
    write_bytes(&dir.path().join(&name), rows.as_bytes())?;
    Ok(name)
}

/// Lets go the held jobs of these `cluster.proc`.
pub fn release(jobs: &[String]) -> Result<(), Failure> {
    let output = output(Command::new("condor_release").args(jobs))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(Exit::Unexpected, format!("condor_release failed: {said}")))
}

/// How many slots of the pool a constraint over their attributes matches; none where no pool answers.
pub fn count_slots(constraint: &str) -> Option<usize> {
    let constraint = format!("(DynamicSlot =!= true) && ({constraint})");
    let output =
        Command::new("condor_status").args(["-af", "Name", "-constraint", &constraint]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).lines().count())
}

fn output(command: &mut Command) -> Result<Output, Failure> {
    command.output().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Failure::new(Exit::CannotRunHere, format!("cannot start {program}: {error}"))
            .hint("run this on a machine with HTCondor's tools, or use --launcher local")
    })
}
