//! The training loop: fetch, forward, backward, step, observe, and between steps evaluate, save, stop.
//!
//! A GPU runs behind: a step is observed when its loss and norm are read, at the latest before anything is scored, saved
//! or ended. A run that diverges ends at the step that did, whatever was begun after it.

use crate::checkpoint::{self, Best, Progress};
use crate::events::{Event, Observer, StepReport};
use crate::gradients::Passes;
use crate::pending::{Given, Pending};
use crate::run_dir::RunDir;
use crate::schedule::Schedule;
use crate::scoring::Evaluator;
use crate::signals::StopFlag;
use std::time::{Duration, Instant};
use xray_artifacts::{Exit, Failure};
use xray_data::{Batch, Epoch, Loader};
use xray_metrics::Evaluation;
use xray_model::{Error, Learner, Precision, StepRecord};

/// When things happen, in steps.
#[derive(Clone, Debug)]
pub struct Timetable {
    /// The learning rate.
    pub schedule: Schedule,
    /// Steps at the beginning in which only the last layer learns.
    pub frozen_steps: u64,
    /// Afterwards, the learning rate of all other layers as a part of the last one's.
    pub backbone_rate: f64,
    /// Steps to take in all.
    pub total_steps: u64,
    /// Steps of one pass over the training records.
    pub steps_per_epoch: u64,
    /// The number of the first epoch, by which order and augmentation are drawn.
    pub first_epoch: u64,
    /// Steps between log lines. A device that runs behind is read at each of them, and not in between unless it is slow.
    pub log_every: u64,
    /// Steps between evaluations.
    pub evaluate_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// And at the latest after this time.
    pub checkpoint_time: Duration,
    /// Time after which training ends well.
    pub max_time: Option<Duration>,
    /// Evaluations in a row without a better score after which training ends well; 0 never.
    pub early_stopping: u32,
    /// Time after which the process saves and exits, to be started again.
    pub checkpoint_exit: Option<Duration>,
    /// The step after which the run saves, says how good it is and ends, to go on another time.
    pub stop_step: Option<u64>,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// Training ended as planned: `duration`, `max-time` or `early-stopping`.
    Finished(&'static str),
    /// Stopped from outside, or to be started again; saved.
    Interrupted(Exit),
    /// Where it was asked to stop; saved.
    Stopped {
        /// Highest macro-AUC on validation until there.
        val_macro_auc: Option<f64>,
    },
    /// It was beyond that place before it began; nothing was done.
    Past,
}

/// Everything the loop touches.
pub struct Trainer<'a> {
    /// The network.
    pub learner: Learner,
    /// The training records.
    pub loader: Loader,
    /// How they go through the network.
    pub passes: Passes,
    /// The validation records.
    pub validation: Evaluator,
    /// When things happen.
    pub timetable: Timetable,
    /// How far it is; `progress.step` counts the pending steps too, everything else only those that were read.
    pub progress: Progress,
    /// Steps that were given to the device and not read yet.
    pub(crate) pending: Pending,
    /// The step of the best weights that the last checkpoint speaks of.
    pub saved_best: Option<u64>,
    /// Where checkpoints go.
    pub dir: &'a RunDir,
    /// Whether someone asked to stop.
    pub stop: StopFlag,
    /// Listener to events.
    pub observer: &'a mut dyn Observer,
    /// When this process began, for `max_time` and the total.
    pub started: Instant,
    /// Steps done when it began: every start takes at least one more, however short its time.
    pub first_step: u64,
    /// Total seconds of earlier starts.
    pub seconds_before: f64,
}

impl Trainer<'_> {
    /// Trains from where `progress` is to an ending.
    pub fn train(&mut self) -> Result<Ending, Failure> {
        if self.timetable.stop_step.is_some_and(|stop| self.progress.step > stop) {
            return Ok(Ending::Past);
        }
        self.observer
            .observe(&Event::Begin { step: self.progress.step, total_steps: self.timetable.total_steps })?;
        let mut saved = Instant::now();
        let mut batches = self.batches();
        let ending = loop {
            if let Some(exit) = self.interruption() {
                break Ending::Interrupted(exit);
            }
            if self.is_evaluation_due() && !self.evaluate()? {
                continue;
            }
            if let Some(ending) = self.ending() {
                break ending;
            }
            if self.timetable.stop_step == Some(self.progress.step) {
                let Some(ending) = self.stopped()? else { continue };
                break ending;
            }
            if self.is_checkpoint_due(saved) {
                self.save()?;
                saved = Instant::now();
            }
            let batch = self.fetch(&mut batches)?;
            self.step(batch);
            if self.is_reading_due() {
                self.settle()?;
            }
        };
        self.save()?;
        self.observer.observe(&Event::End { step: self.progress.step })?;
        Ok(ending)
    }

    fn batches(&self) -> Epoch {
        let (step, steps_per_epoch) = (self.progress.step, self.timetable.steps_per_epoch);
        let epoch = self.timetable.first_epoch.saturating_add(step / steps_per_epoch);
        self.loader.epoch(epoch, (step % steps_per_epoch) as usize)
    }

    fn fetch(&mut self, batches: &mut Epoch) -> Result<Batch, Failure> {
        let clock = Instant::now();
        let batch = match batches.next() {
            Some(batch) => batch?,
            None => {
                *batches = self.batches();
                batches.next().expect("an epoch has at least one batch")?
            }
        };
        self.progress.seconds.data += clock.elapsed().as_secs_f64();
        Ok(batch)
    }

    fn step(&mut self, batch: Batch) {
        self.progress.step += 1;
        // Only bad records, all left out: the step passes without an update, so that later batches stay put.
        if batch.is_empty() {
            return;
        }
        let begun = Instant::now();
        let learning_rate = self.learning_rate();
        self.learner.set_backbone_rate(self.backbone_rate());
        let gradients = self.passes.gradients(&self.learner, &batch, &mut self.progress.seconds);
        let clock = Instant::now();
        self.learner.step(gradients, learning_rate);
        self.progress.seconds.optimizer += clock.elapsed().as_secs_f64();
        self.pending.push(Given { step: self.progress.step, learning_rate, ids: batch.ids }, begun);
    }

    fn learning_rate(&self) -> f64 {
        self.timetable.schedule.rate(
            self.progress.step - 1,
            self.timetable.total_steps,
            self.progress.reductions,
        )
    }

    fn backbone_rate(&self) -> f64 {
        if self.progress.step <= self.timetable.frozen_steps { 0.0 } else { self.timetable.backbone_rate }
    }

    fn is_reading_due(&self) -> bool {
        let is_log_line = self.progress.step.is_multiple_of(self.timetable.log_every);
        !self.learner.runs_behind() || is_log_line || self.pending.is_full()
    }

    /// Reads what the device found in the pending steps, and tells of them in order. The wait counts as backward, which
    /// is most of what a device that runs behind does.
    fn settle(&mut self) -> Result<(), Failure> {
        let clock = Instant::now();
        let records = self.learner.records();
        let records = records.map_err(|error| device_failure(error, self.passes.images_at_once))?;
        self.progress.seconds.backward += clock.elapsed().as_secs_f64();
        let steps = self.pending.take(Instant::now());
        assert_eq!(records.len(), steps.len(), "every step is on record");
        steps.iter().zip(records).try_for_each(|(given, record)| self.report(given, record))
    }

    fn report(&mut self, given: &Given, record: StepRecord) -> Result<(), Failure> {
        let StepRecord { loss, gradient_norm, .. } = record;
        match Verdict::of(&record) {
            Verdict::Taken => {}
            Verdict::Skipped { scale } => {
                let text = format!(
                    "step {}: the gradients overflowed with the loss scaled by {scale}, so the step is skipped and the \
                     scale halved",
                    given.step
                );
                self.observer.observe(&Event::Note(&text))?;
            }
            Verdict::Diverged(what) => return Err(diverged(given, &what, self.learner.device().precision)),
        }
        self.progress.examples += given.ids.len() as u64;
        self.progress.losses.0 += f64::from(loss);
        self.progress.losses.1 += 1;
        self.tick();
        let report = StepReport {
            step: given.step,
            epoch: given.step as f64 / self.timetable.steps_per_epoch as f64,
            loss,
            learning_rate: given.learning_rate,
            gradient_norm,
            images: given.ids.len(),
            seconds: self.progress.seconds,
        };
        Ok(self.observer.observe(&Event::Step(report))?)
    }

    fn is_evaluation_due(&self) -> bool {
        let Progress { step, evaluated_step, .. } = self.progress;
        step > evaluated_step && (step.is_multiple_of(self.timetable.evaluate_every) || self.is_over())
    }

    /// False when someone asked to stop meanwhile: the evaluation then comes first when training goes on.
    fn evaluate(&mut self) -> Result<bool, Failure> {
        let Some(evaluation) = self.evaluation()? else { return Ok(false) };
        self.take_score(&evaluation)?;
        Ok(true)
    }

    /// Scores validation; none when someone asked to stop meanwhile.
    fn evaluation(&mut self) -> Result<Option<Evaluation>, Failure> {
        self.settle()?;
        let clock = Instant::now();
        let model = self.learner.predictor()?;
        let Some(predictions) = self.validation.predict(&model, &self.stop, self.observer)? else {
            return Ok(None);
        };
        let evaluation = self.validation.score(&predictions)?;
        self.progress.seconds.evaluation += clock.elapsed().as_secs_f64();
        Ok(Some(evaluation))
    }

    /// Whether no step follows.
    fn is_over(&self) -> bool {
        self.progress.step >= self.timetable.total_steps || self.is_out_of_time()
    }

    fn is_out_of_time(&self) -> bool {
        let spent = self.seconds_before + self.started.elapsed().as_secs_f64();
        self.progress.step > 0 && self.timetable.max_time.is_some_and(|limit| spent >= limit.as_secs_f64())
    }

    fn take_score(&mut self, evaluation: &Evaluation) -> Result<(), Failure> {
        let progress = &mut self.progress;
        progress.evaluated_step = progress.step;
        let (sum, count) = std::mem::take(&mut progress.losses);
        progress.last_loss = (count > 0).then(|| (sum / count as f64) as f32);
        // Where no label has both classes there is no AUC, and the loss decides.
        let score = evaluation.macro_auc.or(evaluation.macro_log_loss.map(|loss| -loss)).unwrap_or(f64::MIN);
        let is_best = progress.best.is_none_or(|best| score > best.score);
        if is_best {
            progress.best = Some(Best { step: progress.step, score, macro_auc: evaluation.macro_auc });
            (progress.stale_evaluations, progress.stale_since_reduction) = (0, 0);
            checkpoint::save_best(self.dir, &self.learner.weights()?, progress.step)?;
        } else {
            progress.stale_evaluations += 1;
            progress.stale_since_reduction += 1;
            if progress.stale_since_reduction > self.timetable.schedule.plateau_patience {
                progress.reductions += 1;
                progress.stale_since_reduction = 0;
            }
        }
        let step = self.progress.step;
        let event = Event::Evaluated { split: xray_artifacts::Split::Val, step, evaluation, is_best };
        self.observer.observe(&event)?;
        self.warn_of_collapse(evaluation)
    }

    fn warn_of_collapse(&mut self, evaluation: &Evaluation) -> Result<(), Failure> {
        let collapsed = &evaluation.collapsed_labels;
        if collapsed.is_empty() {
            return Ok(());
        }
        let text = if collapsed.len() == evaluation.labels.len() {
            "every image gets about the same scores: the network has learned nothing yet".to_owned()
        } else {
            format!("same score for every image: {}", collapsed.join(", "))
        };
        Ok(self.progress.warn(text, self.observer)?)
    }

    fn interruption(&self) -> Option<Exit> {
        let advanced =
            self.progress.step > self.first_step && self.progress.step < self.timetable.total_steps;
        let over = |limit: Duration| advanced && self.started.elapsed() >= limit;
        let planned = self.timetable.checkpoint_exit.is_some_and(over).then_some(Exit::Checkpointed);
        self.stop.requested().or(planned)
    }

    fn ending(&self) -> Option<Ending> {
        let patience = self.timetable.early_stopping;
        if self.progress.step >= self.timetable.total_steps {
            Some(Ending::Finished("duration"))
        } else if self.progress.evaluated_step == self.progress.step && self.is_out_of_time() {
            // Not when the time ran out since the question whether to evaluate.
            Some(Ending::Finished("max-time"))
        } else if patience > 0 && self.progress.stale_evaluations >= patience {
            Some(Ending::Finished("early-stopping"))
        } else {
            None
        }
    }

    /// The score of a run that stops on its way. Where no evaluation is due here, it is taken beside the run: nothing of
    /// it is kept, so that the run goes on as if it had not stopped. None when someone asked to stop meanwhile.
    fn stopped(&mut self) -> Result<Option<Ending>, Failure> {
        let mut val_macro_auc = self.progress.best.and_then(|best| best.macro_auc);
        if self.progress.evaluated_step < self.progress.step {
            let Some(evaluation) = self.evaluation()? else { return Ok(None) };
            val_macro_auc = [val_macro_auc, evaluation.macro_auc].into_iter().flatten().reduce(f64::max);
        }
        Ok(Some(Ending::Stopped { val_macro_auc }))
    }

    fn is_checkpoint_due(&self, saved: Instant) -> bool {
        let step = self.progress.step;
        step > 0 && step.is_multiple_of(self.timetable.checkpoint_every)
            || saved.elapsed() >= self.timetable.checkpoint_time
    }

    /// Writes the checkpoint that a later start continues from.
    fn save(&mut self) -> Result<(), Failure> {
        self.settle()?;
        let clock = Instant::now();
        let bad = self.loader.bad().into_iter().map(|bad| bad.problem).chain(self.validation.bad_records());
        for problem in bad {
            if !self.progress.bad_records.contains(&problem) {
                self.progress.bad_records.push(problem);
            }
        }
        // Not in the order in which threads and starts came upon them.
        self.progress.bad_records.sort();
        self.tick();
        checkpoint::save(self.dir, &self.learner.state()?, &self.progress)?;
        // The checkpoint before this one speaks of the weights that were the best then.
        let best = self.progress.best.map(|best| best.step);
        let kept: Vec<u64> = best.into_iter().chain(self.saved_best).collect();
        checkpoint::forget_best(self.dir, &kept)?;
        self.saved_best = best;
        self.progress.seconds.checkpoint += clock.elapsed().as_secs_f64();
        let (step, seconds) = (self.progress.step, self.progress.seconds);
        Ok(self.observer.observe(&Event::Saved { step, seconds })?)
    }

    fn tick(&mut self) {
        self.progress.seconds.total = self.seconds_before + self.started.elapsed().as_secs_f64();
    }
}

/// What a failed device said; where its memory is too small for so many images at once, with a number to try.
pub(crate) fn device_failure(error: Error, images_at_once: usize) -> Failure {
    let fewer = match error {
        Error::DeviceMemory { fits, .. } => fits.unwrap_or(images_at_once / 2),
        _ => 0,
    };
    let failure = Failure::from(error);
    if fewer == 0 {
        return failure;
    }
    failure.hint(format!("start over with smaller parts of batches: --set training.micro_batch={fewer}"))
}

/// What became of a step.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Taken,
    /// It changed nothing, because the loss was scaled by too much; the next is scaled by half of that.
    Skipped {
        scale: f32,
    },
    /// Neither it nor any after it changes anything.
    Diverged(String),
}

impl Verdict {
    pub(crate) fn of(record: &StepRecord) -> Verdict {
        match *record {
            StepRecord { loss, .. } if !loss.is_finite() => Verdict::Diverged(format!("the loss is {loss}")),
            StepRecord { skipped_at: Some(scale), .. } => Verdict::Skipped { scale },
            StepRecord { gradient_norm, .. } if !gradient_norm.is_finite() => {
                Verdict::Diverged("the gradients are not finite".to_owned())
            }
            _ => Verdict::Taken,
        }
    }
}

fn diverged(given: &Given, what: &str, precision: Precision) -> Failure {
    let message = format!("diverged at step {}: {what}; batch of {}", given.step, few(&given.ids));
    let range = match precision {
        Precision::F16 => ", or train in another precision: f16 ends at 65,504",
        _ => "",
    };
    Failure::new(Exit::Diverged, message).hint(format!(
        "lower schedule.learning_rate, or set optimizer.clip_norm = 1{range}; checkpoints are kept"
    ))
}

/// The first names of a list, and how many more there are.
fn few(ids: &[String]) -> String {
    let shown = ids[..ids.len().min(3)].join(", ");
    if ids.len() > 3 { format!("{shown} and {} more", ids.len() - 3) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(loss: f32, gradient_norm: f32, skipped_at: Option<f32>, expected: &Verdict) {
        assert_eq!(Verdict::of(&StepRecord { loss, gradient_norm, skipped_at }), *expected);
    }

    #[test]
    fn only_a_scale_that_can_still_fall_makes_an_overflow_harmless() {
        let diverged = |what: &str| Verdict::Diverged(what.to_owned());
        check(0.5, 1.0, None, &Verdict::Taken);
        check(0.5, f32::INFINITY, Some(65_536.0), &Verdict::Skipped { scale: 65_536.0 });
        check(0.5, f32::NAN, Some(2.0), &Verdict::Skipped { scale: 2.0 });
        check(0.5, f32::INFINITY, None, &diverged("the gradients are not finite"));
        check(f32::NAN, 1.0, None, &diverged("the loss is NaN"));
        check(f32::INFINITY, f32::NAN, None, &diverged("the loss is inf"));
    }

    #[test]
    fn a_small_range_is_named_where_it_may_be_the_cause() {
        let given = Given { step: 7, learning_rate: 0.1, ids: vec!["a".into()] };
        let hint = |precision| diverged(&given, "the loss is NaN", precision).hint.expect("one");
        assert!(hint(Precision::F16).contains("another precision"), "{}", hint(Precision::F16));
        assert!(!hint(Precision::F32).contains("precision"), "{}", hint(Precision::F32));
    }
}
