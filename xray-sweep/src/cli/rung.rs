//! `xray-sweep rung`.

use super::Sweep;
use crate::attempt::Launcher;
use crate::launchers::queues;
use crate::launchers::slurm;
use crate::plan::read_plan;
use crate::rungs::{Advance, advance, comes_through, has_work};
use crate::state::look;
use clap::Args;
use std::time::Duration;
use xray_artifacts::{Exit, Failure};
use xray_cli::say;

/// Decide which cells continue after a rung; sweep.dag and jobs of Slurm call it
///
/// The decision is written to rungs/. If no cell has reached the rung with a score, the exit code is 4.
#[derive(Debug, Args)]
pub(super) struct RungArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// The rung, from 1; an earlier decision stays [default: the open one]
    #[arg(value_name = "N")]
    rung: Option<usize>,
    /// Ask whether this cell still has to train to reach the rung: if not, the exit code is 3
    #[arg(long, value_name = "ID", requires = "rung", conflicts_with = "after")]
    before: Option<String>,
    /// Ask whether this cell has reached the rung, or never will: if it may still, the exit code is 4
    #[arg(long, value_name = "ID", requires = "rung")]
    after: Option<String>,
    /// Where continuing cells are submitted [default: nowhere]
    #[arg(long, value_enum, conflicts_with = "rung")]
    launcher: Option<Launcher>,
}

pub(super) fn rung(arguments: &RungArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    read_plan(&dir).map_err(no_answer)?;
    match (arguments.rung, &arguments.before, &arguments.after, arguments.launcher) {
        (Some(rung), Some(cell), ..) => {
            let has_work = has_work(&dir, rung, cell).map_err(no_answer)?;
            Ok(if has_work { Exit::Ok } else { Exit::NothingMatches })
        }
        (Some(rung), _, Some(cell), _) => {
            Ok(if comes_through(&dir, rung, cell)? { Exit::Ok } else { Exit::SweepIncomplete })
        }
        (.., Some(Launcher::Slurm)) => slurm::decide(&dir),
        (.., Some(launcher)) => {
            let message = format!("--launcher {} does not work with this command", launcher.name());
            Err(Failure::new(Exit::Usage, message)
                .hint("sweep.dag starts the cells that continue; here `xray-sweep run` does"))
        }
        (rung, ..) => decide(arguments, rung),
    }
}

/// An error must not pass for the answer that there is nothing to do, on which DAGMan leaves a node out.
fn no_answer(failure: Failure) -> Failure {
    match failure.exit {
        Exit::NothingMatches => Failure { exit: Exit::Unexpected, ..failure },
        _ => failure,
    }
}

fn decide(arguments: &RungArguments, rung: Option<usize>) -> Result<Exit, Failure> {
    // The log and the queue tell of the end of a job a moment later.
    const PAUSES: u32 = 30;
    let dir = arguments.sweep.dir();
    for _ in 0..PAUSES {
        if rung.is_some_and(|rung| dir.rung(rung).is_file()) {
            say(format_args!("rung {} is decided already", rung.unwrap_or_default()));
            return Ok(Exit::Ok);
        }
        match advance(&dir, &look(&dir, &queues::ask(&dir))?.cells)? {
            Advance::NoRung => {
                say("no rung is open");
                return Ok(Exit::Ok);
            }
            Advance::Decided(decision) => {
                say(decision.text());
                return Ok(Exit::Ok);
            }
            Advance::Open { busy: 0, rung, idle } => return Err(slurm::stuck(rung, &idle)),
            Advance::Open { .. } => std::thread::sleep(Duration::from_secs(2)),
        }
    }
    Err(Failure::new(Exit::SweepIncomplete, "the rung is not complete: cells are still on their way to it"))
}
