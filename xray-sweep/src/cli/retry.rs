//! `xray-sweep retry`.

use super::Sweep;
use super::run::settled;
use crate::launchers::queues::{self, QueueWatch};
use crate::lock::Lock;
use crate::plan::read_plan;
use crate::reset::reset;
use crate::selection::find;
use crate::state::{CellReport, CellState};
use clap::Args;
use std::collections::{BTreeSet, HashSet};
use xray_artifacts::{Exit, Failure};
use xray_cli::print;
use xray_cli::shell;

/// Release held jobs and make failed cells ready to be run again
#[derive(Debug, Args)]
pub(super) struct RetryArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// Only this cell, by the beginning of its id; may be given several times
    #[arg(long = "cell", value_name = "ID")]
    cells: Vec<String>,
}

pub(super) fn retry(arguments: &RetryArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    read_plan(&dir)?;
    let _lock = Lock::take(&dir, "retry")?;
    let survey = settled(&dir, &mut QueueWatch::new(&dir))?;
    let reports = &survey.cells;
    let mut only = HashSet::new();
    for prefix in &arguments.cells {
        only.insert(find(reports, prefix)?.cell.id.clone());
    }
    let is_chosen = |id: &String| only.is_empty() || only.contains(id);
    let held = survey.held.iter().filter(|(cell, _)| is_chosen(cell)).flat_map(|(_, jobs)| jobs.clone());
    let held: Vec<String> = held.collect::<BTreeSet<_>>().into_iter().collect();
    if !held.is_empty() {
        queues::release(&held)?;
    }
    let is_failed = |report: &&CellReport| report.state == CellState::Failed && is_chosen(&report.cell.id);
    let failed: Vec<_> = reports.iter().filter(is_failed).collect();
    for report in &failed {
        reset(&dir.cell(&report.cell.id), &report.attempts)?;
    }
    print(&format!("{} held jobs released, {} failed cells made ready\n", held.len(), failed.len()))?;
    if !failed.is_empty() {
        print(&format!("Next: xray-sweep run {} --launcher local|condor|slurm\n", shell::path(dir.path())))?;
    }
    Ok(if held.is_empty() && failed.is_empty() { Exit::NothingMatches } else { Exit::Ok })
}
