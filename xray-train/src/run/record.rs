//! `result.json` while a run is not at its end: a placeholder from the first second on, then which data it trains on,
//! then why it failed.

use super::{Outcome, RunOptions};
use crate::checkpoint::Checkpoint;
use crate::config::RunConfig;
use crate::environment::{VERSION, peak_memory_bytes};
use crate::observers::StatusFile;
use crate::run_dir::RunDir;
use std::io;
use xray_artifacts::{Exit, Failure, FileError, State, read_json, write_json};

/// The result of a run that is at its end already.
///
/// # Errors
/// A result that cannot be read, or is of a version that this build does not know: it may be that of a finished run.
pub(super) fn finished(dir: &RunDir) -> Result<Option<Outcome>, Failure> {
    Ok(read(dir)?.filter(|outcome| outcome.state == State::Finished))
}

/// The result; none where there is none or it is damaged, as the run then makes it again.
fn read(dir: &RunDir) -> Result<Option<Outcome>, Failure> {
    match read_json(&dir.result()) {
        Ok(outcome) => Ok(Some(outcome)),
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(FileError::Seal { .. } | FileError::Syntax { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is known of a run before it trains.
pub(super) fn begun(config: &RunConfig, options: &RunOptions) -> Outcome {
    Outcome::begin(options.cell.clone(), VERSION, config.data.fraction, config.seed)
}

/// Writes the placeholder that a job which dies still returns. What an interrupted start left is kept.
pub(super) fn begin(dir: &RunDir, config: &RunConfig, options: &RunOptions) -> Result<(), Failure> {
    if read(dir)?.is_none() {
        write_json(&dir.result(), &begun(config, options))?;
    }
    Ok(())
}

/// Notes which data these are. Going on from a checkpoint with others would be another run.
pub(super) fn claim_data(dir: &RunDir, id: &str, checkpoint: Option<&Checkpoint>) -> Result<(), Failure> {
    let mut outcome: Outcome = read_json(&dir.result())?;
    let is_other = |before: &str| !before.is_empty() && before != id;
    if checkpoint.is_some_and(|found| is_other(&found.progress.dataset) || is_other(&outcome.dataset)) {
        let message = format!("{} holds a run on other data", dir.path().display());
        return Err(Failure::new(Exit::ModelMismatch, message)
            .hint("choose another folder with --run, or start over with --overwrite"));
    }
    outcome.dataset = id.to_owned();
    Ok(write_json(&dir.result(), &outcome)?)
}

/// Writes why the run failed.
pub(super) fn fail(dir: &RunDir, failure: &Failure) -> Result<(), Failure> {
    let mut outcome: Outcome = read_json(&dir.result())?;
    (outcome.state, outcome.exit) = (state_of(failure.exit), Some(failure.exit.code()));
    outcome.reason = Some(failure.message.clone());
    outcome.peak_memory_bytes = peak_memory_bytes();
    write_json(&dir.result(), &outcome)?;
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
