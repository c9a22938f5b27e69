//! A run's model as it looks at single images.

use super::bundle::card;
use crate::run::Card;
use std::fs;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError, Split};
use xray_data::{GrayImage, decode_gray, normalise, prepare};
use xray_model::{ActivationMaps, Backend, Predictor, StateDict};

/// The bundle of a run, ready to predict.
pub(super) struct Model {
    pub(super) card: Card,
    predictor: Predictor,
}

/// What it makes of an image.
pub(super) struct Look {
    /// The image as the network sees it.
    pub(super) seen: GrayImage,
    /// Width and height of the file's image.
    pub(super) source: [u32; 2],
    /// One per label.
    pub(super) logits: Vec<f32>,
    maps: ActivationMaps,
}

impl Look {
    /// What each place adds to a label's logit, row by row.
    pub(super) fn map(&self, label: usize) -> &[f32] {
        let [rows, columns] = self.places();
        &self.maps.values[label * rows * columns..(label + 1) * rows * columns]
    }

    /// Rows and columns of a map.
    pub(super) fn places(&self) -> [usize; 2] {
        [self.maps.height, self.maps.width]
    }
}

impl Model {
    /// Of a finished run.
    pub(super) fn of_run(run: &Path) -> Result<Self, Failure> {
        let (path, card) = card(run)?;
        let weights = StateDict::load(&path.with_file_name("model.safetensors"))?;
        let predictor = Predictor::new(&card.model, card.labels.len(), &weights, Backend::Cpu)?;
        Ok(Model { card, predictor })
    }

    /// Reads an image and predicts.
    pub(super) fn look(&self, image: &Path) -> Result<Look, Failure> {
        let bytes = fs::read(image).map_err(|source| FileError::Io {
            path: image.to_owned(),
            action: "read",
            source,
        })?;
        let unreadable = |problem: xray_data::ImageProblem| {
            Failure::new(Exit::BadData, format!("{}: {problem}", image.display()))
                .hint("JPEG and PNG files are read; `xray-data build` converts DICOM")
        };
        let preprocessing = &self.card.preprocessing;
        let decoded = decode_gray(&bytes).map_err(unreadable)?;
        let seen = prepare(&decoded, preprocessing).map_err(unreadable)?;
        let mut pixels = vec![0.0; seen.pixels.len()];
        normalise(&seen.pixels, preprocessing, &mut pixels);
        Ok(Look {
            source: [decoded.width, decoded.height],
            logits: self.predictor.predict(&pixels, preprocessing.size),
            maps: self.predictor.activation_maps(&pixels, preprocessing.size),
            seen,
        })
    }

    /// The logit that tells nothing: the log-odds of the finding in the training records. What a place adds above it
    /// speaks for the finding; below it, against.
    pub(super) fn ordinary(&self, label: usize) -> f32 {
        let scores = &self.card.scores;
        let scored = scores.get(&Split::Test).or(scores.get(&Split::Val));
        let prevalence = scored.and_then(|scores| scores.labels.get(label)?.train_prevalence);
        let prevalence = prevalence.unwrap_or(0.5).clamp(1e-4, 1.0 - 1e-4);
        (prevalence / (1.0 - prevalence)).ln() as f32
    }
}
