//! One run from start to result, and a result whatever happens.

mod curve;
mod record;
mod session;

use crate::checkpoint::{self, Checkpoint, Progress};
use crate::config::RunConfig;
use crate::continuation::Origin;
use crate::data::{self, Trust};
use crate::environment::{VERSION, peak_memory_bytes};
use crate::events::{Event, Observer, Observers};
use crate::observers::tensorboard::{self, EventFile};
use crate::observers::{Console, LogFile, MetricsFile, StatusFile, Warnings};
use crate::run_dir::RunDir;
use crate::signals::StopFlag;
use crate::train::{Ending, device_failure};
use session::Session;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xray_artifacts::{Exit, Failure, Length, RunResult, State, cell_id, write_json};
use xray_metrics::Evaluation;
use xray_model::catch_device_failure;

/// How a run is run; none of it changes its numbers.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The run directory.
    pub dir: PathBuf,
    /// The finished run that this one continues, whose data must be the same.
    pub origin: Option<Origin>,
    /// Something to continue from must be there.
    pub resume: bool,
    /// Whatever is there is removed first.
    pub overwrite: bool,
    /// Save and exit with code 85 after this time.
    pub checkpoint_exit: Option<Duration>,
    /// Save, say how good the run is and end there, to go on another time.
    pub stop_at: Option<Length>,
    /// Warnings and results only.
    pub quiet: bool,
    /// The sweep's cell that this run is, to be named in its result.
    pub cell: Option<String>,
    /// Where files are that settings name by a relative path; where empty, the current folder.
    pub files: PathBuf,
    /// Shards were fetched by somebody else: they are compared with the manifest before training.
    pub verify_shards: bool,
}

/// A result with this project's scores.
pub type Outcome = RunResult<Evaluation>;

/// Runs, and leaves a result in the run directory whatever happens.
pub fn run(config: &RunConfig, options: &RunOptions) -> Result<Outcome, Failure> {
    let dir = RunDir::open(&options.dir)?;
    if options.overwrite {
        dir.clear()?;
    }
    let finished = record::finished(&dir)?;
    dir.claim(config, finished.is_some() || checkpoint::exists(&dir)?)?;
    if let Some(outcome) = finished {
        record::conclude(&dir, config, &outcome)?;
        if !options.quiet {
            xray_cli::say(format_args!("{} is finished already: this is its result", dir.path().display()));
        }
        return Ok(outcome);
    }
    record::begin(&dir, config, options)?;
    // Errors of a device come back at once, most of the rest as panics of the tensor engine.
    let outcome = catch_device_failure(|| run_in(&dir, config, options));
    let outcome =
        outcome.unwrap_or_else(|error| Err(device_failure(error, config.training.images_at_once())));
    // Where even this cannot be written, the failure itself is the more useful message.
    let recorded = match &outcome {
        Ok(outcome) => record::end_status(&dir, outcome.state),
        Err(failure) => record::fail(&dir, config, failure),
    };
    let outcome = outcome?;
    recorded?;
    if outcome.state == State::Finished {
        record::conclude(&dir, config, &outcome)?;
    }
    Ok(outcome)
}

fn run_in(dir: &RunDir, config: &RunConfig, options: &RunOptions) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let stop = StopFlag::install()?;
    let checkpoint = checkpoint::load(dir)?;
    if options.resume && checkpoint.is_none() {
        return Err(Failure::new(Exit::ModelMismatch, format!("no checkpoint in {}", dir.path().display()))
            .hint("leave --resume out to start from the beginning"));
    }
    let start = Progress::default();
    let known = checkpoint.as_ref().map_or(&start, |found| &found.progress);
    let damaged = checkpoint::truncate_lines(&dir.metrics(), known)?;
    let events = config.training.tensorboard.then(|| EventFile::open(dir, config, known)).transpose()?;
    let incomplete = events.as_ref().and_then(EventFile::note);
    let mut observers = Observers(vec![
        Box::new(Console::new(options.quiet)),
        Box::new(LogFile::open(&dir.log())?),
        Box::new(MetricsFile::open(&dir.metrics(), config.training.log_every)?),
        Box::new(StatusFile::start(&dir.status())?),
    ]);
    observers.0.extend(events.map(|events| Box::new(events) as Box<dyn Observer>));
    let mut warnings = Warnings::new(&mut observers);
    if damaged > 0 {
        let text = format!("{}: {damaged} damaged lines are left out", dir.metrics().display());
        warnings.observe(&Event::Warning(&text))?;
    }
    if let Some(text) = incomplete {
        warnings.observe(&Event::Note(&text))?;
    }
    if let Some(Checkpoint { instead_of: Some(what), progress, .. }) = &checkpoint {
        let text = format!("{what}; continuing from the checkpoint before it, of step {}", progress.step);
        warnings.observe(&Event::Warning(&text))?;
    }
    let trust = if options.verify_shards { Trust::Verified } else { Trust::AsListed };
    let data = data::open(config, &options.files, trust, &mut warnings)?;
    options.origin.as_ref().map_or(Ok(()), |origin| origin.check(data.dataset.id()))?;
    record::claim_data(dir, data.dataset.id(), checkpoint.as_ref())?;
    if let Some(cell) = &options.cell {
        is_cell(cell, config, data.dataset.id())?;
    }
    let mut session = Session::open(dir, config, data, &mut warnings)?;
    if let Some(found) = &checkpoint {
        warnings.remember(&found.progress.warnings);
    }
    let (ending, progress) = session.train(options, checkpoint, stop.clone(), started, &mut warnings)?;
    let mut outcome = session.outcome(&progress, record::begun(config, options));
    let before = progress.seconds.total - started.elapsed().as_secs_f64();
    let interrupted = match ending {
        Ending::Interrupted(exit) => Some(exit),
        Ending::Stopped { val_macro_auc } => {
            let text = record::stop(&mut outcome, options, val_macro_auc);
            warnings.observe(&Event::Note(&text))?;
            None
        }
        Ending::Past => {
            let text = format!("it is at step {} already, beyond its stop", progress.step);
            warnings.observe(&Event::Note(&text))?;
            return record::left_alone(dir, outcome);
        }
        Ending::Finished(reason) => {
            outcome.training.stopped_by = Some(reason.to_owned());
            session.finish(&mut outcome, &progress, &stop, &mut warnings)?
        }
    };
    outcome.seconds.total = before + started.elapsed().as_secs_f64();
    outcome.exit = Some(interrupted.unwrap_or(Exit::Ok).code());
    if interrupted.is_some() {
        outcome.state = State::Interrupted;
        outcome.reason = Some("stopped and saved; the same command continues".to_owned());
    }
    // A picture that cannot be drawn is not a reason to lose a result.
    if outcome.state == State::Finished {
        let drawn = curve::draw(&dir.metrics(), config.loss.name(), &dir.curve());
        if let Some(text) = drawn.unwrap_or_else(|failure| Some(failure.message)) {
            warnings.observe(&Event::Warning(&text))?;
        }
    }
    if config.training.tensorboard {
        tensorboard::conclude(dir, outcome.state)?;
    }
    outcome.warnings = warnings.into_heard();
    outcome.peak_memory_bytes = peak_memory_bytes();
    // Once: a finished result is never touched again.
    write_json(&dir.result(), &outcome)?;
    Ok(outcome)
}

/// That these settings, data and program are those which the cell was planned with: a file edited by hand, or
/// another build, would put the numbers of one run under the name of another.
fn is_cell(cell: &str, config: &RunConfig, dataset: &str) -> Result<(), Failure> {
    // By way of text, which keeps the numbers of single precision as the planner saw them.
    let text = serde_json::to_string(config).expect("plain values");
    let found = cell_id(&serde_json::from_str(&text).expect("just written"), dataset, VERSION);
    if found == cell {
        return Ok(());
    }
    let message = format!(
        "this is not the run that was planned as cell {cell}: its configuration, data or trainer changed since, \
         which makes it cell {found}"
    );
    Err(Failure::new(Exit::ModelMismatch, message)
        .hint("undo the change; to run something else, plan it: `xray-sweep plan` with --axis or --set"))
}
