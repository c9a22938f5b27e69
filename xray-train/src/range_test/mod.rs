//! The learning-rate range test (Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017): a short training
//! whose learning rate grows from step to step, and what the loss says of the rates.
//!
//! Batches of a multi-label set differ more than such a training learns. So each batch also goes through a copy of the
//! network that keeps the first weights, and what is looked at is the loss less the copy's on the same batch: what
//! distinguishes batches is in both and cancels, and what was learnt is left.

mod chart;
mod course;
mod evidence;
mod shown;
mod smoothing;
mod suggestion;

pub use course::{Course, Rates};
pub use evidence::Evidence;
pub use smoothing::Smoothed;
pub use suggestion::Conclusion;

use crate::checkpoint::Progress;
use crate::config::RunConfig;
use crate::data::{self, Trust};
use crate::events::{Event, Observer, StepReport};
use crate::gradients::Passes;
use crate::prepared::{Prepared, prepare, training_loader};
use crate::train::{Verdict, device_failure};
use serde::Serialize;
use smoothing::Smoothing;
use std::path::Path;
use xray_artifacts::{Failure, Seconds};
use xray_data::{Batch, Cache, Loader};
use xray_model::{Learner, catch_device_failure};

/// What one batch found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The learning rate of the step before it, the last that had a part in the weights.
    pub rate: f64,
    /// The batch's loss.
    pub loss: f32,
    /// Its loss by the first weights.
    pub first: f32,
}

impl Measurement {
    /// The loss minus the loss of the first weights.
    fn difference(&self) -> f64 {
        f64::from(self.loss) - f64::from(self.first)
    }
}

/// Why it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// All steps were taken.
    #[default]
    Completed,
    /// The loss rose far above what the first weights have.
    Rose,
    /// The loss or the gradients are not finite.
    NotFinite,
}

/// What a range test found.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The rates that were asked for.
    pub course: Course,
    /// Batch by batch.
    pub measurements: Vec<Measurement>,
    /// Why there are no more.
    pub ending: Ending,
    /// A mean for each measurement.
    pub smoothed: Vec<Smoothed>,
    /// Whether anything was learnt.
    pub evidence: Evidence,
    /// What follows.
    pub conclusion: Conclusion,
    /// `schedule.learning_rate`.
    pub configured: f64,
}

impl Findings {
    /// Trains with growing rates, and keeps nothing of it but what was measured. `files` is the folder of files that settings
    /// name by a relative path.
    ///
    /// # Errors
    /// Those of a run: data that cannot be used, a device that is not there or fails.
    pub fn of(
        config: &RunConfig,
        files: &Path,
        course: &Course,
        observer: &mut dyn Observer,
    ) -> Result<Findings, Failure> {
        let measured = catch_device_failure(|| measure(config, files, course, observer));
        let images = config.training.images_at_once();
        let measured = measured.unwrap_or_else(|error| Err(device_failure(error, images)))?;
        let Measured { measurements, smoothed, ending } = measured;
        let evidence = Evidence::of(&measurements);
        let conclusion = Conclusion::of(&smoothed, ending, evidence.learnt_by);
        let (course, configured) = (*course, config.schedule.learning_rate);
        Ok(Findings { course, measurements, ending, smoothed, evidence, conclusion, configured })
    }
}

/// What the training came to.
#[derive(Default)]
struct Measured {
    measurements: Vec<Measurement>,
    smoothed: Vec<Smoothed>,
    ending: Ending,
}

fn measure(
    config: &RunConfig,
    files: &Path,
    course: &Course,
    observer: &mut dyn Observer,
) -> Result<Measured, Failure> {
    let data = data::open(config, files, Trust::AsListed, observer)?;
    // Most records are looked at once.
    let Prepared { mut learner, loading } = prepare(config, &data, Cache::None, observer)?;
    config.fine_tuning.begin(files, &mut learner, &mut Progress::default(), observer)?;
    let mut first = Learner::new(&config.learner(&data.prevalence), config.seed)?;
    first.restore(&learner.state()?, 0)?;
    first.hold();
    // What is frozen in the first step stays so.
    let is_frozen = config.fine_tuning.frozen_steps(|_| 1)? > 0;
    let backbone_rate = if is_frozen { 0.0 } else { config.fine_tuning.backbone_rate };
    [&mut first, &mut learner].into_iter().for_each(|learner| learner.set_backbone_rate(backbone_rate));
    let loader = training_loader(config, &data, &loading)?;
    let passes = Passes::of(config, &data.preprocessing);
    let epochs = course.steps() as f64 / loader.batches_per_epoch() as f64;
    if epochs > 1.0 {
        let text = format!(
            "{} steps are {epochs:.1} epochs: images repeat, so the loss also falls because they are memorised",
            course.steps()
        );
        observer.observe(&Event::Warning(&text))?;
    }
    let (mut measured, mut smoothing) = (Measured::default(), Smoothing::default());
    let (mut seconds, mut rate_before) = (Seconds::default(), None);
    observer.observe(&Event::Begin { step: 0, total_steps: course.steps() })?;
    // One batch more than steps, because what a step did is seen in the next.
    for (step, batch) in (0..=course.steps()).zip(batches(&loader)) {
        let (batch, rate) = (batch?, course.rate(step));
        if batch.is_empty() {
            continue;
        }
        let first_loss = passes.loss(&first, &batch)?;
        let gradients = passes.gradients(&learner, &batch, &mut seconds);
        learner.step(gradients, rate);
        let record = learner.records()?.pop().expect("a step was taken");
        if let Verdict::Diverged(_) = Verdict::of(&record) {
            measured.ending = Ending::NotFinite;
            break;
        }
        let Some(rate) = rate_before.replace(rate) else { continue };
        let measurement = Measurement { rate, loss: record.loss, first: first_loss };
        let mean = smoothing.add(&measurement);
        measured.measurements.push(measurement);
        measured.smoothed.push(mean);
        observer.observe(&Event::Step(StepReport {
            step,
            epoch: step as f64 / loader.batches_per_epoch() as f64,
            loss: record.loss,
            learning_rate: rate,
            gradient_norm: record.gradient_norm,
            images: batch.len(),
            seconds,
        }))?;
        if mean.is_far_above_first() {
            measured.ending = Ending::Rose;
            break;
        }
    }
    observer.observe(&Event::End { step: measured.measurements.len() as u64 })?;
    for bad in loader.bad() {
        observer.observe(&Event::Warning(&format!("left out: {}", bad.problem)))?;
    }
    Ok(measured)
}

/// Batch after batch, epoch after epoch.
fn batches(loader: &Loader) -> impl Iterator<Item = xray_data::Result<Batch>> {
    (0..).flat_map(|epoch| loader.epoch(epoch, 0))
}
