//! What a run does between its start and its result: train or go on, keep the best weights, score them on validation
//! and test, write the bundle.

use super::{Outcome, RunOptions};
use crate::checkpoint::{self, Checkpoint, Progress};
use crate::config::RunConfig;
use crate::data::TrainingData;
use crate::environment::{VERSION, environment, now, peak_memory_bytes};
use crate::events::Observer;
use crate::gradients::Passes;
use crate::pending::Pending;
use crate::prepared::{Prepared, prepare, training_loader};
use crate::run_dir::RunDir;
use crate::scoring::Evaluator;
use crate::signals::StopFlag;
use crate::train::{Ending, Timetable, Trainer};
use std::time::Instant;
use xray_artifacts::{Exit, Failure, Length, Provenance, Split, State, TrainingSummary, write_json};
use xray_bundle::Card;
use xray_data::LoaderConfig;
use xray_model::{Learner, Predictor};

/// Data, settings and learner of one run.
pub(super) struct Session<'a> {
    dir: &'a RunDir,
    config: &'a RunConfig,
    data: TrainingData,
    loading: LoaderConfig,
    learner: Option<Learner>,
}

impl<'a> Session<'a> {
    pub(super) fn open(
        dir: &'a RunDir,
        config: &'a RunConfig,
        data: TrainingData,
        observer: &mut dyn Observer,
    ) -> Result<Self, Failure> {
        let cache = config.data.cache.in_folder(dir.cache());
        let Prepared { learner, loading } = prepare(config, &data, cache, observer)?;
        let environment = environment(config.resolved_threads(), learner.device());
        write_json(&dir.environment(), &environment)?;
        Ok(Session { dir, config, data, loading, learner: Some(learner) })
    }

    fn evaluator(&self, split: Split) -> Result<Evaluator, Failure> {
        let (preprocessing, loading) = (&self.data.preprocessing, self.loading.clone());
        Evaluator::new(split, &self.data.dataset, preprocessing, loading, &self.data.prevalence)
    }

    pub(super) fn train(
        &mut self,
        options: &RunOptions,
        checkpoint: Option<Checkpoint>,
        stop: StopFlag,
        started: Instant,
        observer: &mut dyn Observer,
    ) -> Result<(Ending, Progress), Failure> {
        let loader = training_loader(self.config, &self.data, &self.loading)?;
        let mut learner = self.learner.take().expect("a session trains once");
        let progress = match checkpoint {
            Some(Checkpoint { state, progress, .. }) => {
                learner.restore(&state, progress.step).map_err(|error| {
                    let failure = Failure::from(error);
                    let checkpoint = self.dir.last_checkpoint();
                    Failure { message: format!("{}: {}", checkpoint.display(), failure.message), ..failure }
                })?;
                progress
            }
            None => {
                let dataset = self.data.dataset.id().to_owned();
                let mut progress = Progress { dataset, ..Progress::default() };
                self.config.fine_tuning.begin(&options.files, &mut learner, &mut progress, observer)?;
                progress
            }
        };
        let timetable = self.timetable(loader.batches_per_epoch() as u64, options)?;
        let mut trainer = Trainer {
            learner,
            loader,
            passes: Passes::of(self.config, &self.data.preprocessing),
            validation: self.evaluator(Split::Val)?,
            timetable,
            seconds_before: progress.seconds.total,
            first_step: progress.step,
            saved_best: progress.best.map(|best| best.step),
            progress,
            pending: Pending::default(),
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
        let steps = |length: Length| length.steps(steps_per_epoch, training.batch_size as u64);
        Ok(Timetable {
            schedule: self.config.schedule.clone(),
            frozen_steps: self.config.fine_tuning.frozen_steps(steps)?,
            backbone_rate: self.config.fine_tuning.backbone_rate,
            total_steps: steps(training.duration),
            steps_per_epoch,
            first_epoch: training.first_epoch,
            log_every: training.log_every,
            evaluate_every: steps(training.evaluate_every),
            checkpoint_every: steps(training.checkpoint_every),
            checkpoint_time: self.config.checkpoint_time()?,
            max_time: self.config.max_time()?,
            early_stopping: training.early_stopping,
            checkpoint_exit: options.checkpoint_exit,
            stop_step: options.stop_at.map(steps),
        })
    }

    /// Scores the best weights on validation and test and writes the bundle; or the exit code of the signal
    /// that arrived meanwhile.
    pub(super) fn finish(
        &self,
        outcome: &mut Outcome,
        progress: &Progress,
        stop: &StopFlag,
        observer: &mut dyn Observer,
    ) -> Result<Option<Exit>, Failure> {
        let clock = Instant::now();
        let best = progress.best.expect("training ends with an evaluation");
        let weights = checkpoint::load_best(self.dir, best.step)?;
        let classes = self.data.dataset.labels().len();
        let model = Predictor::new(&self.config.model, classes, &weights, self.config.backend)?;
        for split in [Split::Val, Split::Test] {
            let evaluator = self.evaluator(split)?;
            let Some(predictions) = evaluator.predict(&model, stop, observer)? else {
                return Ok(stop.requested());
            };
            let evaluation = evaluator.score(&predictions)?;
            let evaluation = match self.config.training.bootstrap_resamples {
                0 => evaluation.without_intervals(),
                _ => evaluation,
            };
            predictions.save(&self.dir.predictions(split))?;
            outcome.scores.insert(split, evaluation);
            outcome.bad_records.extend(evaluator.bad_records());
        }
        outcome.bad_records.sort();
        outcome.bad_records.dedup();
        outcome.seconds.evaluation += clock.elapsed().as_secs_f64();
        (outcome.state, outcome.exit, outcome.reason) = (State::Finished, Some(Exit::Ok.code()), None);
        let checksum = weights.save(&self.dir.model_weights(), &[("format", "pt".to_owned())])?;
        write_json(&self.dir.model_card(), &self.card(outcome, progress, checksum))?;
        Ok(None)
    }

    /// How far the run came, without scores; `begun` says which run it is.
    pub(super) fn outcome(&self, progress: &Progress, begun: Outcome) -> Outcome {
        let training = progress.seconds.training();
        let images = self.data.records.len();
        Outcome {
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
                stop: None,
            },
            seconds: progress.seconds,
            images_per_second: (training > 0.0).then(|| progress.examples as f64 / training),
            peak_memory_bytes: peak_memory_bytes(),
            bad_records: progress.bad_records.clone(),
            ..begun
        }
    }

    fn card(&self, outcome: &Outcome, progress: &Progress, weights: String) -> Card {
        Card {
            model: self.config.model.clone(),
            preprocessing: self.data.preprocessing.clone(),
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
                first_weights: progress.first_weights.clone(),
                imported: None,
            },
            weights,
            integers: None,
            members: Vec::new(),
            scores: outcome.scores.clone(),
        }
    }
}
