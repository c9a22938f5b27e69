//! `xray-sweep job`.

use super::Sweep;
use crate::launchers::slurm::job::{Task, run};
use clap::Args;
use xray_artifacts::{Exit, Failure};

/// Run one cell as a job of Slurm; sweep.sbatch calls it
///
/// Records start and end in the cell's folder, passes signals on to the trainer, and resubmits the cell where that helps. The exit code is the trainer's.
#[derive(Debug, Args)]
pub(super) struct JobArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// The list of cells, below the sweep directory
    #[arg(long, value_name = "FILE")]
    list: String,
    /// The row of the list, from 0
    #[arg(long, value_name = "N")]
    row: usize,
}

pub(super) fn job(arguments: &JobArguments) -> Result<Exit, Failure> {
    run(&arguments.sweep.dir(), &Task { list: arguments.list.clone(), row: arguments.row })
}
