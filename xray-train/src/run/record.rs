//! `result.json` while a run is not at its end: a placeholder from the first second on, then which data it trains on,
//! then why it failed.

use super::{Outcome, RunOptions};
use crate::checkpoint::{self, Checkpoint};
use crate::config::RunConfig;
use crate::environment::{VERSION, peak_memory_bytes};
use crate::observers::{StatusFile, tensorboard};
use crate::run_dir::RunDir;
use std::fs;
use std::io;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError, State, Status, Stop, read_json, write_bytes, write_json};

/// The result of a run that is at its end already. Where it is damaged or gone, the run makes it again from its
/// checkpoint; where that was not kept, it is put back from what was kept apart.
///
/// # Errors
/// A result that cannot be read, or is of a version that this build does not know: it may be that of a finished run. A
/// finished run of which neither a whole result nor a checkpoint is left.
pub(super) fn finished(dir: &RunDir) -> Result<Option<Outcome>, Failure> {
    let found = read(&dir.result())?;
    if found.is_none() && !checkpoint::exists(dir)? && dir.finished().exists() {
        return put_back(dir).map(Some);
    }
    Ok(found.filter(is_finished))
}

fn is_finished(outcome: &Outcome) -> bool {
    outcome.state == State::Finished
}

fn put_back(dir: &RunDir) -> Result<Outcome, Failure> {
    let (result, kept) = (dir.result(), dir.finished_result());
    let Some(outcome) = read(&kept)?.filter(is_finished) else {
        let message = format!(
            "{} is damaged or gone, so is {}, and the finished run kept no checkpoint to make them again from",
            result.display(),
            kept.display()
        );
        return Err(Failure::new(Exit::ModelMismatch, message)
            .hint("restore one of the files, or start over with --overwrite"));
    };
    write_json(&result, &outcome)?;
    xray_cli::say(format_args!("{} was damaged or gone: restored from {}", result.display(), kept.display()));
    Ok(outcome)
}

/// A result; none where there is none or it is damaged.
fn read(path: &Path) -> Result<Option<Outcome>, Failure> {
    match read_json(path) {
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
    if read(&dir.result())?.is_none() {
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
pub(super) fn fail(dir: &RunDir, config: &RunConfig, failure: &Failure) -> Result<(), Failure> {
    let mut outcome: Outcome = read_json(&dir.result())?;
    (outcome.state, outcome.exit) = (state_of(failure.exit), Some(failure.exit.code()));
    outcome.reason = Some(failure.message.clone());
    outcome.peak_memory_bytes = peak_memory_bytes();
    write_json(&dir.result(), &outcome)?;
    if config.training.tensorboard {
        tensorboard::conclude(dir, outcome.state)?;
    }
    end_status(dir, outcome.state)
}

/// Notes that the run is where it was asked to stop, and how good it is there, which is also said in the sentence that
/// comes back.
pub(super) fn stop(outcome: &mut Outcome, options: &RunOptions, val_macro_auc: Option<f64>) -> String {
    let at = options.stop_at.map(|length| length.to_string()).unwrap_or_default();
    let score = val_macro_auc.map_or("undefined".to_owned(), |auc| format!("{auc:.4}"));
    outcome.state = State::Stopped;
    outcome.reason = Some(format!(
        "stopped at {at}, as asked; the same command with a later --stop-at, or none, continues"
    ));
    outcome.training.stopped_by = Some("stop-at".to_owned());
    outcome.training.stop = Some(Stop { at: at.clone(), val_macro_auc });
    format!("stopped at {at}, after step {}: best val macro-AUC {score}", outcome.training.steps)
}

/// The result that is there, of a run that had nothing to do; `outcome` where it is gone.
pub(super) fn left_alone(dir: &RunDir, outcome: Outcome) -> Result<Outcome, Failure> {
    Ok(Outcome { exit: Some(Exit::Ok.code()), ..read(&dir.result())?.unwrap_or(outcome) })
}

fn state_of(exit: Exit) -> State {
    if exit == Exit::Diverged { State::Diverged } else { State::Failed }
}

/// Ends the heartbeat, where there was one. A damaged one says nothing any more, and goes.
pub(super) fn end_status(dir: &RunDir, state: State) -> Result<(), Failure> {
    let path = dir.status();
    match read_json::<Status>(&path) {
        Ok(status) if status.state == state => Ok(()),
        Ok(_) => Ok(StatusFile::end(&path, state)?),
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(FileError::Seal { .. } | FileError::Syntax { .. }) => {
            Ok(fs::remove_file(&path).map_err(|source| FileError::Io { path, action: "remove", source })?)
        }
        Err(error) => Err(error.into()),
    }
}

/// What remains to be done when the result of a finished run is written, also by a later start where the first was
/// killed before: the heartbeat ends, the result is kept a second time, and what nobody will need goes.
///
/// # Errors
/// A file that cannot be read, written or removed. The result stands.
pub(super) fn conclude(dir: &RunDir, config: &RunConfig, outcome: &Outcome) -> Result<(), Failure> {
    end_status(dir, outcome.state)?;
    checkpoint::forget_previous(dir)?;
    checkpoint::forget_best(dir, outcome.training.best_step.as_slice())?;
    keep_apart(dir)?;
    Ok(config.training.keep.tidy(dir.path())?)
}

/// Keeps the result and what belongs to it a second time, where that has not been done, in a folder that only a
/// finished run has. Of two jobs of one cell, HTCondor copies the files of the later over those of the earlier, however
/// far each came: these are what it does not touch.
///
/// # Errors
/// A file that cannot be read or written. The result stands; the next start makes up for it.
fn keep_apart(dir: &RunDir) -> Result<(), Failure> {
    let kept = dir.finished();
    let io = |path: &Path, action| {
        let path = path.to_owned();
        move |source| FileError::Io { path, action, source }
    };
    // The result last: with it all is there.
    let files = [dir.metrics(), dir.events(), dir.environment(), dir.status(), dir.result()];
    let place = |path: &Path| match path {
        // Under its own name TensorBoard would show it as another run.
        path if *path == dir.events() => kept.join("events"),
        path => kept.join(path.file_name().unwrap_or_default()),
    };
    if dir.finished_result().exists() {
        return Ok(());
    }
    fs::create_dir_all(&kept).map_err(io(&kept, "create"))?;
    for path in files.iter().filter(|path| path.exists()) {
        let bytes = fs::read(path).map_err(io(path, "read"))?;
        write_bytes(&place(path), &bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_result_is_kept_apart_until_the_run_is_overwritten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = RunDir::open(folder.path()).expect("writable");
        for path in [dir.metrics(), dir.events(), dir.environment(), dir.status(), dir.result()] {
            fs::write(path, "whole").expect("writable");
        }
        keep_apart(&dir).expect("writable");
        for name in ["metrics.jsonl", "events", "env.json", "status.json", "result.json"] {
            assert_eq!(fs::read(dir.finished().join(name)).expect("kept"), b"whole", "{name}");
        }
        dir.clear().expect("writable");
        assert!(!dir.finished().exists());
        dir.clear().expect("nothing is there");
    }
}
