//! Scoring a model on a split: its outputs on every record, and the figures.

use crate::events::{Event, Observer};
use crate::signals::StopFlag;
use std::sync::Arc;
use xray_artifacts::{Exit, Failure, Predictions, Preprocessing, Split};
use xray_data::{Dataset, Draw, Images, Loader, LoaderConfig};
use xray_image::normalised_levels;
use xray_metrics::{Evaluation, Scores, evaluate};
use xray_model::{Begun, Pixels, Predictor};

/// A batch's images as a network takes them, with what levels of gray are for it.
pub(crate) fn pixels_of<'a>(images: &'a Images, values: &'a [f32; 256]) -> Pixels<'a> {
    match images {
        Images::Normalised(pixels) => Pixels::Floats(pixels),
        Images::Levels(levels) => Pixels::Levels { levels, values },
    }
}

/// A split that can be scored again and again.
pub struct Evaluator {
    split: Split,
    dataset: Arc<Dataset>,
    loader: Loader,
    values: [f32; 256],
    train_prevalence: Vec<f64>,
}

impl Evaluator {
    /// Scorer of a whole split, never shuffled nor augmented.
    pub fn new(
        split: Split,
        dataset: &Arc<Dataset>,
        preprocessing: &Preprocessing,
        loading: LoaderConfig,
        train_prevalence: &[f64],
    ) -> Result<Self, Failure> {
        let records = dataset.select(split, &Draw::default())?;
        let config = LoaderConfig { shuffle: false, drop_last: false, augmentation: None, ..loading };
        let loader = Loader::new(dataset.clone(), records, preprocessing.clone(), config)?;
        Ok(Evaluator {
            split,
            dataset: dataset.clone(),
            loader,
            values: normalised_levels(preprocessing),
            train_prevalence: train_prevalence.to_vec(),
        })
    }

    /// The model's outputs; none when someone asked to stop meanwhile.
    pub fn predict(
        &self,
        model: &Predictor,
        stop: &StopFlag,
        observer: &mut dyn Observer,
    ) -> Result<Option<Predictions>, Failure> {
        let batches = self.loader.batches_per_epoch() as u64;
        observer.observe(&Event::EvaluationBegins { split: self.split, batches })?;
        let mut predictions = Predictions::empty(self.split, self.dataset.labels().to_vec());
        // While a device computes a batch, the next is prepared and sent.
        let mut begun: Option<Begun> = None;
        for batch in self.loader.epoch(0, 0) {
            if stop.requested().is_some() {
                return Ok(None);
            }
            let batch = batch?;
            if !batch.is_empty() {
                let next = model.begin(pixels_of(&batch.images, &self.values), batch.size)?;
                take(begun.replace(next), &mut predictions)?;
            }
            for about in batch.about {
                predictions.patients.extend(about.patient_id);
                predictions.sources.push(about.source.unwrap_or_default());
                predictions.views.push(about.view.unwrap_or_default());
                predictions.sexes.push(about.sex.unwrap_or_default());
                predictions.ages.push(about.age.map_or(f32::NAN, f32::from));
            }
            predictions.ids.extend(batch.ids);
            predictions.truth.extend(batch.labels);
            observer.observe(&Event::EvaluationAdvances)?;
        }
        take(begun, &mut predictions)?;
        // Patients of some records only are of no use to intervals by patient.
        if predictions.patients.len() != predictions.ids.len() {
            predictions.patients.clear();
        }
        predictions.forget_unknown_sources();
        Ok(Some(predictions))
    }

    /// The figures of such outputs.
    pub fn score(&self, predictions: &Predictions) -> Result<Evaluation, Failure> {
        let classes = predictions.labels.len();
        let failure = |error: xray_metrics::Error| {
            Failure::new(Exit::BadData, format!("{} split: {error}", self.split))
                .hint("the weights are unusable: try a lower learning rate")
        };
        let scores = Scores::new(&predictions.logits, &predictions.truth, classes).map_err(failure)?;
        let patients = predictions.patient_numbers();
        evaluate(&predictions.labels, scores, &self.train_prevalence, patients.as_deref()).map_err(failure)
    }

    /// Records that were left out.
    pub fn bad_records(&self) -> impl Iterator<Item = String> + use<> {
        self.loader.bad().into_iter().map(|bad| bad.problem)
    }
}

/// Adds the logits of a batch.
fn take(begun: Option<Begun>, predictions: &mut Predictions) -> Result<(), Failure> {
    if let Some(begun) = begun {
        predictions.logits.extend(begun.logits()?.into_iter().map(f64::from));
    }
    Ok(())
}
