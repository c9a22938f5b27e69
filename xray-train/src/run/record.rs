//! `result.json` while a run is not at its end: a placeholder from the first second on, then which data it trains on,
//! then why it failed.

use super::{Outcome, RunOptions};
use crate::config::RunConfig;
use crate::environment::{VERSION, peak_memory_bytes};
use crate::observers::StatusFile;
use crate::run_dir::RunDir;
use xray_artifacts::{Exit, Failure, State, read_sealed, write_sealed};

/// The result of a run that is at its end already.
pub(super) fn finished(dir: &RunDir) -> Option<Outcome> {
    let outcome: Outcome = read_sealed(&dir.result()).ok()?;
    (outcome.state == State::Finished).then_some(outcome)
}

/// What is known of a run before it trains.
pub(super) fn begun(config: &RunConfig, options: &RunOptions) -> Outcome {
    Outcome::begin(options.cell.clone(), VERSION, config.data.fraction, config.seed)
}

/// Writes the placeholder that a job which dies still returns. What an interrupted start left is kept.
pub(super) fn begin(dir: &RunDir, config: &RunConfig, options: &RunOptions) -> Result<(), Failure> {
    if read_sealed::<Outcome>(&dir.result()).is_err() {
        write_sealed(&dir.result(), &begun(config, options))?;
    }
    Ok(())
}

/// Notes which data these are. Going on from a checkpoint with others would be another run.
pub(super) fn claim_data(dir: &RunDir, id: &str, continues: bool) -> Result<(), Failure> {
    let mut outcome: Outcome = read_sealed(&dir.result())?;
    if continues && !outcome.dataset.is_empty() && outcome.dataset != id {
        let message = format!("{} holds a run on other data", dir.path().display());
        return Err(Failure::new(Exit::ModelMismatch, message)
            .hint("choose another folder with --run, or start over with --overwrite"));
    }
    outcome.dataset = id.to_owned();
    Ok(write_sealed(&dir.result(), &outcome)?)
}

/// Writes why the run failed.
pub(super) fn fail(dir: &RunDir, failure: &Failure) -> Result<(), Failure> {
    let mut outcome: Outcome = read_sealed(&dir.result())?;
    (outcome.state, outcome.exit) = (state_of(failure.exit), Some(failure.exit.code()));
    outcome.reason = Some(failure.message.clone());
    outcome.peak_memory_bytes = peak_memory_bytes();
    write_sealed(&dir.result(), &outcome)?;
    end_status(dir, outcome.state)
}

fn state_of(exit: Exit) -> State {
    if exit == Exit::Diverged { State::Diverged } else { State::Failed }
}

/// Ends the heartbeat, where there was one.
pub(super) fn end_status(dir: &RunDir, state: State) -> Result<(), Failure> {
    if dir.status().exists() {
        StatusFile::end(&dir.status(), state)?;
    }
    Ok(())
}
