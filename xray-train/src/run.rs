//! One run from start to result: open, train or go on, keep the best weights, score them on validation and
//! test, write the bundle.

use crate::checkpoint::{self, Progress};
use crate::config::RunConfig;
use crate::data::{self, TrainingData};
use crate::environment::{VERSION, environment, now, peak_memory_bytes};
use crate::events::{Event, Observer, Observers};
use crate::observers::{Console, LogFile, MetricsFile, StatusFile};
use crate::run_dir::RunDir;
use crate::scoring::{Bootstrap, Evaluator};
use crate::signals::StopFlag;
use crate::train::{Ending, Timetable, Trainer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xray_artifacts::{
    Exit, Failure, Provenance, RunResult, Seconds, Split, State, TrainingSummary, cell_id, read_sealed,
    write_json, write_sealed,
};
use xray_data::{Loader, LoaderConfig};
use xray_metrics::Evaluation;
use xray_model::{Learner, LearnerConfig, Predictor, StateDict};

/// How a run is run; none of it changes its numbers.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The run directory.
    pub dir: PathBuf,
    /// Something to continue from must be there.
    pub resume: bool,
    /// Whatever is there is removed first.
    pub overwrite: bool,
    /// Save and exit with code 85 after this time.
    pub checkpoint_exit: Option<Duration>,
    /// Warnings and results only.
    pub quiet: bool,
    /// The sweep's cell that this run is, to be named in its result.
    pub cell: Option<String>,
}

/// A result with this project's scores.
pub type Outcome = RunResult<Evaluation>;

/// A bundle's card with this project's network, scores and calibrations.
pub use xray_bundle::Card;

/// Runs, and leaves a result in the run directory whatever happens.
pub fn run(config: &RunConfig, options: &RunOptions) -> Result<Outcome, Failure> {
    let dir = RunDir::open(&options.dir)?;
    if options.overwrite {
        dir.clear()?;
    }
    dir.claim(config)?;
    if let Some(outcome) = finished(&dir) {
        eprintln(options, &format!("{} is finished already: this is its result", dir.path().display()));
        return Ok(outcome);
    }
    place_holders(&dir, config, options)?;
    let outcome = run_in(&dir, config, options);
    // Where even this cannot be written, the failure itself is the more useful message.
    let recorded = match &outcome {
        Ok(outcome) => end_status(&dir, outcome.state),
        Err(failure) => record_failure(&dir, failure),
    };
    let outcome = outcome?;
    recorded?;
    Ok(outcome)
}

#[expect(clippy::print_stderr, reason = "before any observer exists")]
fn eprintln(options: &RunOptions, text: &str) {
    if !options.quiet {
        eprintln!("{text}");
    }
}

fn finished(dir: &RunDir) -> Option<Outcome> {
    let outcome: Outcome = read_sealed(&dir.result()).ok()?;
    (outcome.state == State::Finished).then_some(outcome)
}

/// Results that a job which dies still returns. What an interrupted start left is kept.
fn place_holders(dir: &RunDir, config: &RunConfig, options: &RunOptions) -> Result<(), Failure> {
    if read_sealed::<Outcome>(&dir.result()).is_err() {
        let holder = Outcome {
            cell: options.cell.clone(),
            code: VERSION.to_owned(),
            state: State::Started,
            exit: None,
            reason: Some("the run did not come to its end".to_owned()),
            fraction: config.data.fraction,
            seed: config.seed,
            train_images: 0,
            dataset: String::new(),
            training: TrainingSummary::default(),
            scores: BTreeMap::new(),
            seconds: Seconds::default(),
            images_per_second: None,
            peak_memory_bytes: None,
            bad_records: Vec::new(),
            warnings: Vec::new(),
        };
        write_sealed(&dir.result(), &holder)?;
    }
    Ok(())
}

fn state_of(exit: Exit) -> State {
    if exit == Exit::Diverged { State::Diverged } else { State::Failed }
}

fn record_failure(dir: &RunDir, failure: &Failure) -> Result<(), Failure> {
    let mut outcome: Outcome = read_sealed(&dir.result())?;
    (outcome.state, outcome.exit) = (state_of(failure.exit), Some(failure.exit.code()));
    outcome.reason = Some(failure.message.clone());
    outcome.peak_memory_bytes = peak_memory_bytes();
    write_sealed(&dir.result(), &outcome)?;
    end_status(dir, outcome.state)
}

fn end_status(dir: &RunDir, state: State) -> Result<(), Failure> {
    if dir.status().exists() {
        StatusFile::end(&dir.status(), state)?;
    }
    Ok(())
}

fn run_in(dir: &RunDir, config: &RunConfig, options: &RunOptions) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let stop = StopFlag::install()
        .map_err(|error| Failure::new(Exit::Unexpected, format!("cannot listen to signals: {error}")))?;
    let checkpoint = checkpoint::load(&dir.last_checkpoint())?;
    if options.resume && checkpoint.is_none() {
        return Err(Failure::new(Exit::ModelMismatch, format!("no checkpoint in {}", dir.path().display()))
            .hint("leave --resume out to start anew"));
    }
    checkpoint::truncate_lines(&dir.metrics(), checkpoint.as_ref().map_or(0, |(_, progress)| progress.step))?;
    let mut observers = Observers(vec![
        Box::new(Console::new(options.quiet)),
        Box::new(LogFile::open(&dir.log())?),
        Box::new(MetricsFile::open(&dir.metrics(), config.training.log_every)?),
        Box::new(StatusFile::start(&dir.status())?),
    ]);
    let mut warnings = Warnings { inner: &mut observers, heard: Vec::new() };
    let data = data::open(&config.data, config.seed, &mut warnings)?;
    claim_data(dir, data.dataset.id(), checkpoint.is_some())?;
    if let Some(cell) = &options.cell {
        is_cell(cell, config, data.dataset.id())?;
    }
    let mut session = Session::open(dir, config, data, &mut warnings)?;
    let (ending, progress) = session.train(options, checkpoint, stop.clone(), started, &mut warnings)?;
    let mut outcome = session.outcome(&progress);
    let before = progress.seconds.total - started.elapsed().as_secs_f64();
    let interrupted = match ending {
        Ending::Interrupted(exit) => Some(exit),
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
    (outcome.warnings, outcome.cell) = (warnings.heard, options.cell.clone());
    outcome.peak_memory_bytes = peak_memory_bytes();
    // Once: a finished result is never touched again.
    write_sealed(&dir.result(), &outcome)?;
    Ok(outcome)
}

/// Notes which data these are. Going on from a checkpoint with others would be another run.
fn claim_data(dir: &RunDir, id: &str, continues: bool) -> Result<(), Failure> {
    let mut outcome: Outcome = read_sealed(&dir.result())?;
    if continues && !outcome.dataset.is_empty() && outcome.dataset != id {
        let message = format!("{} holds a run on other data", dir.path().display());
        return Err(Failure::new(Exit::ModelMismatch, message)
            .hint("choose another folder with --run, or start over with --overwrite"));
    }
    outcome.dataset = id.to_owned();
    Ok(write_sealed(&dir.result(), &outcome)?)
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
         and make cell {found}"
    );
    Err(Failure::new(Exit::ModelMismatch, message)
        .hint("undo the change; to run something else, plan it: `xray-sweep plan` with --axis or --set"))
}

/// Remembers warnings for the result, once each.
struct Warnings<'a, 'b> {
    inner: &'a mut Observers<'b>,
    heard: Vec<String>,
}

impl Observer for Warnings<'_, '_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), xray_artifacts::FileError> {
        if let Event::Warning(text) = event {
            if self.heard.iter().any(|heard| heard == text) {
                return Ok(());
            }
            self.heard.push((*text).to_owned());
        }
        self.inner.observe(event)
    }
}

/// Data, settings and learner of one run.
struct Session<'a> {
    dir: &'a RunDir,
    config: &'a RunConfig,
    data: TrainingData,
    loading: LoaderConfig,
    learner: Option<Learner>,
}

impl<'a> Session<'a> {
    fn open(
        dir: &'a RunDir,
        config: &'a RunConfig,
        data: TrainingData,
        observer: &mut dyn Observer,
    ) -> Result<Self, Failure> {
        let threads = config.resolved_threads();
        let loading = LoaderConfig {
            batch_size: config.training.batch_size,
            seed: config.seed,
            threads,
            cache: config.data.cache.in_folder(dir.cache()),
            skip_bad: config.data.skip_bad,
            ..LoaderConfig::default()
        };
        let learner = Learner::new(&learner_config(config, &data.prevalence), config.seed)?;
        let info = learner.device();
        if let Some(warning) = &info.warning {
            observer.observe(&Event::Warning(warning))?;
        }
        observer.observe(&Event::Note(&format!(
            "{} of {} parameters on {} ({}), {threads} threads",
            config.model.architecture.name(),
            learner.num_parameters(),
            info.name,
            info.backend.name(),
        )))?;
        observer.observe(&Event::Note(&format!(
            "{} training images (fraction {}), {} labels, from {}",
            data.records.len(),
            config.data.fraction,
            data.dataset.labels().len(),
            data.dataset.path().display(),
        )))?;
        write_json(&dir.environment(), &environment(threads, info))?;
        Ok(Session { dir, config, data, loading, learner: Some(learner) })
    }

    fn evaluator(&self, split: Split) -> Result<Evaluator, Failure> {
        let (preprocessing, loading) = (&self.config.preprocessing, self.loading.clone());
        Evaluator::new(split, &self.data.dataset, preprocessing, loading, &self.data.prevalence)
    }

    fn train(
        &mut self,
        options: &RunOptions,
        checkpoint: Option<(StateDict, Progress)>,
        stop: StopFlag,
        started: Instant,
        observer: &mut dyn Observer,
    ) -> Result<(Ending, Progress), Failure> {
        let augmentation = self.config.data.augment.then_some(self.config.augmentation);
        let uncertain = self.config.data.uncertain;
        let loading = LoaderConfig { shuffle: true, augmentation, uncertain, ..self.loading.clone() };
        let (dataset, records) = (self.data.dataset.clone(), self.data.records.clone());
        let loader = Loader::new(dataset, records, self.config.preprocessing.clone(), loading)?;
        let mut learner = self.learner.take().expect("a session trains once");
        let progress = match checkpoint {
            Some((state, progress)) => {
                learner.restore(&state, progress.step)?;
                progress
            }
            None => {
                self.config.fine_tuning.begin(&mut learner, observer)?;
                Progress::default()
            }
        };
        let timetable = self.timetable(loader.batches_per_epoch() as u64, options)?;
        let mut trainer = Trainer {
            learner,
            loader,
            validation: self.evaluator(Split::Val)?,
            timetable,
            seconds_before: progress.seconds.total,
            first_step: progress.step,
            progress,
            dir: self.dir,
            stop,
            observer,
            started,
        };
        let ending = trainer.train()?;
        Ok((ending, trainer.progress))
    }

    fn timetable(&self, steps_per_epoch: u64, options: &RunOptions) -> Result<Timetable, Failure> {
        let training = &self.config.training;
        let steps = |span: crate::span::Span| span.steps(steps_per_epoch, training.batch_size);
        Ok(Timetable {
            schedule: self.config.schedule.clone(),
            frozen_steps: self.config.fine_tuning.frozen_steps(steps)?,
            backbone_rate: self.config.fine_tuning.backbone_rate,
            total_steps: steps(training.duration),
            steps_per_epoch,
            micro_batch: training.micro_batch,
            evaluate_every: steps(training.evaluate_every),
            checkpoint_every: steps(training.checkpoint_every),
            checkpoint_time: self.config.checkpoint_time()?,
            max_time: self.config.max_time()?,
            early_stopping: training.early_stopping,
            checkpoint_exit: options.checkpoint_exit,
        })
    }

    /// Scores the best weights on validation and test and writes the bundle; or the exit code of the signal
    /// that arrived meanwhile.
    fn finish(
        &self,
        outcome: &mut Outcome,
        progress: &Progress,
        stop: &StopFlag,
        observer: &mut dyn Observer,
    ) -> Result<Option<Exit>, Failure> {
        let clock = Instant::now();
        let weights = StateDict::load(&self.dir.best_weights())?;
        let classes = self.data.dataset.labels().len();
        let model = Predictor::new(&self.config.model, classes, &weights, self.config.backend)?;
        for split in [Split::Val, Split::Test] {
            let evaluator = self.evaluator(split)?;
            let Some(predictions) = evaluator.predict(&model, stop, observer)? else {
                return Ok(stop.requested());
            };
            let resamples = self.config.training.bootstrap_resamples;
            let evaluation =
                evaluator.score(&predictions, Bootstrap { resamples, seed: self.config.seed })?;
            predictions.save(&self.dir.predictions(split))?;
            outcome.scores.insert(split, evaluation);
            outcome.bad_records.extend(evaluator.bad_records());
        }
        outcome.bad_records.sort();
        outcome.bad_records.dedup();
        outcome.seconds.evaluation += clock.elapsed().as_secs_f64();
        (outcome.state, outcome.exit, outcome.reason) = (State::Finished, Some(Exit::Ok.code()), None);
        weights.save(&self.dir.model_weights(), &[("format", "pt".to_owned())])?;
        write_json(&self.dir.model_card(), &self.card(outcome, progress))?;
        Ok(None)
    }

    fn outcome(&self, progress: &Progress) -> Outcome {
        let Seconds { data, forward, backward, optimizer, .. } = progress.seconds;
        let training = data + forward + backward + optimizer;
        let images = self.data.records.len();
        Outcome {
            cell: None,
            code: VERSION.to_owned(),
            state: State::Started,
            exit: None,
            reason: None,
            fraction: self.config.data.fraction,
            seed: self.config.seed,
            train_images: images as u64,
            dataset: self.data.dataset.id().to_owned(),
            training: TrainingSummary {
                steps: progress.step,
                examples: progress.examples,
                epochs: progress.examples as f64 / images as f64,
                best_step: progress.best.map(|best| best.step),
                best_val_macro_auc: progress.best.and_then(|best| best.macro_auc),
                stopped_by: None,
                last_loss: progress.last_loss,
            },
            scores: BTreeMap::new(),
            seconds: progress.seconds,
            images_per_second: (training > 0.0).then(|| progress.examples as f64 / training),
            peak_memory_bytes: peak_memory_bytes(),
            bad_records: progress.bad_records.clone(),
            warnings: Vec::new(),
        }
    }

    fn card(&self, outcome: &Outcome, progress: &Progress) -> Card {
        Card {
            model: self.config.model.clone(),
            preprocessing: self.config.preprocessing.clone(),
            labels: self.data.dataset.labels().to_vec(),
            calibration: Vec::new(),
            thresholds: Vec::new(),
            provenance: Provenance {
                trainer: format!("{VERSION} {}", now()),
                dataset: outcome.dataset.clone(),
                fraction: outcome.fraction,
                train_images: outcome.train_images,
                seed: outcome.seed,
                steps: progress.best.map_or(progress.step, |best| best.step),
            },
            scores: outcome.scores.clone(),
        }
    }
}

/// The learner's part of a configuration. A label that no training record knows starts at even odds.
pub fn learner_config(config: &RunConfig, prevalence: &[f64]) -> LearnerConfig {
    LearnerConfig {
        model: config.model.clone(),
        loss: config.loss.clone(),
        optimizer: config.optimizer.clone(),
        backend: config.backend,
        average_decay: config.training.average_decay,
        label_smoothing: config.training.label_smoothing,
        prevalence: prevalence.iter().map(|p| if p.is_nan() { 0.5 } else { *p }).collect(),
    }
}
