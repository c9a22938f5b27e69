//! `sweep.sbatch`: the script of every job on Slurm, which can be submitted by hand, and the list of cells that it runs
//! then.

use super::files::this_program;
use super::{Plan, absolute};
use crate::cell::{Cell, Request};
use crate::launchers::slurm;
use crate::spec::Spec;
use crate::sweep_dir::SweepDir;
use crate::templates::{self, Templates};
use serde::Serialize;
use xray_artifacts::{Exit, Failure};
use xray_cli::shell;

/// Tasks of an array, unless a cluster's administrator allows more (`MaxArraySize`).
const TASKS: usize = 1000;

/// What the template can use; `submit-templates/README.md` explains each.
#[derive(Serialize)]
struct Values<'a> {
    name: String,
    code: &'a str,
    cells: usize,
    /// Tasks of the first array: the highest one, and how many run at a time.
    tasks: String,
    dir: String,
    folder: String,
    output: String,
    list: String,
    comment: String,
    options: Vec<String>,
    environment: Vec<String>,
    /// Where the other arrays begin, with their tasks.
    others: Vec<Other>,
    xray_sweep: String,
}

#[derive(Serialize)]
struct Other {
    first: usize,
    tasks: String,
    comment: String,
}

/// Writes the list and fills the template. Submitted by hand, every job asks for what the largest cell needs.
///
/// # Errors
/// When the list cannot be written, or the folder has a name that no line of a script can hold.
pub(super) fn write(
    dir: &SweepDir,
    spec: &Spec,
    plan: &Plan,
    cells: &[Cell],
    templates: &Templates,
) -> Result<String, Failure> {
    let path = absolute(dir.path());
    let folder = path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{:?} cannot stand in a script for Slurm", path))
            .hint("plan into a folder whose name is UTF-8 and has no line breaks")
    })?;
    let ids: Vec<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
    let list = slurm::write_list(dir, "cells", &ids)?;
    let throttle = spec.slurm.max_running.map_or(String::new(), |most| format!("%{most}"));
    let tasks = |first: usize| format!("0-{}{throttle}", TASKS.min(cells.len() - first) - 1);
    let largest =
        |of: &dyn Fn(&Request) -> u64| cells.iter().map(|cell| of(&cell.request)).max().unwrap_or_default();
    let request = Request {
        cpus: u32::try_from(largest(&|request| request.cpus.into())).unwrap_or(u32::MAX),
        memory_mib: largest(&|request| request.memory_mib),
        disk_mib: largest(&|request| request.disk_mib),
        gpus: u32::try_from(largest(&|request| request.gpus.into())).unwrap_or(u32::MAX),
        // One that leaves its limit to the cluster may take longer than any other.
        minutes: cells
            .iter()
            .map(|cell| cell.request.minutes)
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().max()),
    };
    let other = |first| Other { first, tasks: tasks(first), comment: slurm::comment(&list, first) };
    let variable = |(name, value): (&String, &String)| format!("{name}={}", shell::word(value));
    let values = Values {
        name: option(&path.file_name().map_or_else(|| "sweep".into(), |name| name.to_string_lossy())),
        code: &plan.code,
        cells: cells.len(),
        tasks: tasks(0),
        dir: shell::word(folder),
        folder: option(folder),
        output: option(&slurm::output_path(folder, "%A")),
        comment: slurm::comment(&list, 0),
        options: slurm::lines(&request, &spec.slurm),
        environment: spec.condor.environment.iter().map(variable).collect(),
        others: (TASKS..cells.len()).step_by(TASKS).map(other).collect(),
        xray_sweep: this_program(),
        list,
    };
    templates.render("sweep.sbatch.jinja", templates::values(&values))
}

/// Text as the value of an option behind `#SBATCH`, whose quotes and backslashes Slurm reads much as a shell does.
fn option(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}
