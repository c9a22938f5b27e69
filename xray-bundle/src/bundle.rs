//! The folder `model/` of a run, ready to predict.

use crate::finding::{Finding, NonFinite};
use crate::networks::{BegunNetworks, Networks};
use crate::outputs::{Said, calibration_of, said};
use std::path::Path;
use xray_artifacts::{Exit, Failure, Split, read_json, warn_unsealed};
use xray_image::{Budget, GrayImage, ImageProblem, decode_gray_within, normalise, prepare};
use xray_metrics::{Calibrator, Evaluation};
use xray_model::{
    ActivationMaps, ActivationRanges, Backend, CHECKSUM, Error, ModelConfig, Predictor, RangeRule, StateDict,
};

/// `model.json`.
pub type Card = xray_artifacts::ModelCard<ModelConfig, Evaluation, Calibrator>;

/// A model and all that is known of it.
pub struct Bundle {
    /// What it is, how it was trained, how it scored.
    pub card: Card,
    networks: Networks,
}

/// An image as a network sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparedImage {
    /// Cropped and resized.
    pub image: GrayImage,
    /// Width and height of the image that was given.
    pub source: [u32; 2],
    /// Normalised.
    pixels: Vec<f32>,
}

impl PreparedImage {
    /// What the network takes: `[1, size, size]`, normalised.
    pub fn into_pixels(self) -> Vec<f32> {
        self.pixels
    }
}

/// The outputs of an image, and where in it they come from.
#[derive(Clone, Debug)]
pub struct ExplainedImage {
    /// As [`Bundle::predict`] gives them.
    pub outputs: Vec<f32>,
    maps: ActivationMaps,
}

impl ExplainedImage {
    /// What each place adds to a label's logit, of an ensemble to the mean of its members' logits, row by row.
    pub fn map(&self, label: usize) -> &[f32] {
        let [rows, columns] = self.places();
        &self.maps.values[label * rows * columns..(label + 1) * rows * columns]
    }

    /// Rows and columns of a map.
    pub fn places(&self) -> [usize; 2] {
        [self.maps.height, self.maps.width]
    }
}

/// The file of a bundle's card.
pub const CARD: &str = "model.json";
/// The file of a bundle's weights.
pub const WEIGHTS: &str = "model.safetensors";

/// The card in a bundle's folder.
///
/// # Errors
/// If the file is absent, damaged or of another version, or its preprocessing prepares no image.
pub fn read_card(folder: &Path) -> Result<Card, Failure> {
    let path = folder.join(CARD);
    let card: Card = read_json(&path)?;
    card.preprocessing.check().map_err(|problem| {
        Failure::new(Exit::ModelMismatch, format!("{}: {problem}", path.display()))
            .hint("train or import the model again")
    })?;
    Ok(card)
}

/// That a bundle is a single network, for what is only possible with one.
///
/// # Errors
/// If it is an ensemble: `what` cannot be done with it, and `instead` says what can.
pub fn refuse_several(card: &Card, what: &str, instead: &str) -> Result<(), Failure> {
    match card.members.len() {
        0 => Ok(()),
        members => {
            let message = format!("{what}: it is an ensemble of {members} networks");
            Err(Failure::new(Exit::Usage, message).hint(instead))
        }
    }
}

/// The weights in a bundle's folder, which are those of its card and finite.
///
/// # Errors
/// If the file is absent or damaged, is not the one that the card was written for, or holds NaN or infinity.
pub fn read_weights(folder: &Path, card: &Card) -> Result<StateDict, Failure> {
    let path = folder.join(WEIGHTS);
    let (weights, words) = StateDict::load_with_metadata(&path)?;
    match words.get(CHECKSUM) {
        None if card.weights.is_empty() => warn_unsealed(&path),
        Some(found) if *found == card.weights => {}
        _ => {
            let message = format!("{} does not hold the weights of its card", path.display());
            return Err(Failure::new(Exit::ModelMismatch, message)
                .hint("one of the two files was replaced: restore the matching one"));
        }
    }
    weights.check_finite().map_err(of_file(&path))?;
    Ok(weights)
}

/// Why a bundle's predictions do not fail.
const ON_THE_CPU: &str = "only a GPU can fail";

fn of_file(path: &Path) -> impl Fn(Error) -> Failure {
    move |error| {
        let failure = Failure::from(error);
        Failure { message: format!("{}: {}", path.display(), failure.message), ..failure }
    }
}

/// From black to white, prepared as an image is. Finite weights may be so large that every score overflows: better said
/// when a model is opened than of each image. The weights that it packs are packed for the images that follow.
fn every_gray(card: &Card) -> Vec<f32> {
    let pixels = (card.preprocessing.size as usize).pow(2);
    let ramp: Vec<u8> = (0..pixels).map(|at| (at * 256 / pixels) as u8).collect();
    let mut normalised = vec![0.0; pixels];
    normalise(&ramp, &card.preprocessing, &mut normalised);
    normalised
}

impl Bundle {
    /// Reads `model.json` and `model.safetensors` of a folder.
    ///
    /// # Errors
    /// If a file is absent, damaged or of another version, or the weights are not finite or not those of the card.
    pub fn open(folder: &Path) -> Result<Bundle, Failure> {
        let card = read_card(folder)?;
        let weights = read_weights(folder, &card)?;
        Self::of(card, &weights).map_err(of_file(&folder.join(WEIGHTS)))
    }

    /// Of weights that lie elsewhere.
    ///
    /// # Errors
    /// If they do not fit the card, or its scores of a picture of every gray are not finite.
    pub fn of(card: Card, weights: &StateDict) -> xray_model::Result<Bundle> {
        let (networks, _) = Networks::open(&card, weights, Backend::Cpu)?;
        let outputs = networks.predict(&every_gray(&card), card.preprocessing.size)?;
        if outputs.iter().all(|output| output.is_finite()) {
            Ok(Bundle { card, networks })
        } else {
            Err(Error::Overflow)
        }
    }

    /// How many numbers [`Bundle::predict`] gives.
    pub fn outputs(&self) -> usize {
        self.networks.outputs()
    }

    /// One that finds the ranges of activations in the first images that it is given, and predicts nothing.
    ///
    /// # Errors
    /// If the weights do not fit the card.
    pub fn calibrating(card: Card, weights: &StateDict, images: usize) -> xray_model::Result<Bundle> {
        let predictor = Predictor::calibrating(&card.model, card.labels.len(), weights, images)?;
        let predictor = predictor.with_ranges(card.preprocessing.channels)?;
        Ok(Bundle { networks: Networks::one(predictor, card.labels.len()), card })
    }

    /// What a [calibrating](Bundle::calibrating) one has found so far.
    pub fn activation_ranges(&self, rule: RangeRule) -> Option<ActivationRanges> {
        self.networks.first().activation_ranges(rule)
    }

    /// Decodes a JPEG, PNG or DICOM file within a budget and prepares it as in training.
    ///
    /// # Errors
    /// If the bytes are no such file, cost more than the budget, or no X-ray can look like that.
    pub fn prepare(&self, file: &[u8], budget: &Budget) -> Result<PreparedImage, ImageProblem> {
        let preprocessing = &self.card.preprocessing;
        let decoded = decode_gray_within(file, preprocessing.white_level, budget)?;
        let image = prepare(&decoded, preprocessing)?;
        let mut pixels = vec![0.0; image.pixels.len()];
        normalise(&image.pixels, preprocessing, &mut pixels);
        Ok(PreparedImage { image, source: [decoded.width, decoded.height], pixels })
    }

    /// Begins with the outputs `[n, outputs]` of many images at once, whose [pixels](PreparedImage::into_pixels) stand one
    /// after the other. They are those of [`Bundle::predict`] for each, to the bit.
    ///
    /// # Errors
    /// If the device failed, as a GPU may.
    pub fn begin(&self, pixels: &[f32]) -> Result<BegunNetworks, Failure> {
        Ok(self.networks.begin(pixels, self.card.preprocessing.size)?)
    }

    /// Embeddings `[n, features]` of many images at once, whose [pixels](PreparedImage::into_pixels) stand one after the
    /// other: what the last layer makes logits of.
    ///
    /// # Errors
    /// If there are several networks, or the device failed, as a GPU may.
    pub fn embeddings(&self, pixels: &[f32]) -> Result<Vec<f32>, Failure> {
        if !self.card.members.is_empty() {
            return Err(Failure::new(Exit::Usage, "an ensemble has no one last layer to embed images by")
                .hint("name one of its members"));
        }
        Ok(self.networks.first().embeddings(pixels, self.card.preprocessing.size)?)
    }

    /// What the networks say of an image: a logit per label of each, one network after the other.
    pub fn predict(&self, prepared: &PreparedImage) -> Vec<f32> {
        let outputs = self.networks.predict(&prepared.pixels, self.card.preprocessing.size);
        outputs.expect(ON_THE_CPU)
    }

    /// The same outputs, and where in the image they come from.
    pub fn explain(&self, prepared: &PreparedImage) -> ExplainedImage {
        let found = self.networks.explain(&prepared.pixels, self.card.preprocessing.size);
        let (outputs, maps) = found.expect(ON_THE_CPU);
        ExplainedImage { outputs, maps }
    }

    /// The findings behind such outputs, first the one whose logit lies farthest above [`Bundle::ordinary`].
    ///
    /// # Errors
    /// If a logit or its probability is not finite.
    pub fn findings(&self, outputs: &[f32]) -> Result<Vec<Finding>, NonFinite> {
        let outputs: Vec<f64> = outputs.iter().copied().map(f64::from).collect();
        let said: Vec<Said> = (0..self.card.labels.len()).map(|at| said(&self.card, &outputs, at)).collect();
        let mut order: Vec<usize> = (0..said.len()).collect();
        let above = |at: usize| said[at].logit as f32 - self.ordinary(at);
        order.sort_by(|&a, &b| above(b).total_cmp(&above(a)));
        order.into_iter().map(|index| self.finding(index, said[index])).collect()
    }

    fn finding(&self, index: usize, said: Said) -> Result<Finding, NonFinite> {
        let label = self.card.labels[index].clone();
        let threshold = self.card.thresholds.get(index);
        let (logit, probability) = (said.logit, said.best());
        if !logit.is_finite() || !probability.is_finite() {
            return Err(NonFinite { label });
        }
        Ok(Finding {
            index,
            label,
            logit,
            probability,
            calibration: calibration_of(&self.card, index),
            threshold: threshold.and_then(|threshold| threshold.probability),
            positive: threshold.and_then(|threshold| Some(logit >= f64::from(threshold.logit?))),
        })
    }

    /// The logit that tells nothing: the log-odds of the finding in the training records. What a place adds above it
    /// speaks for the finding; below it, against.
    pub fn ordinary(&self, label: usize) -> f32 {
        let scores = &self.card.scores;
        let scored = scores.get(&Split::Test).or(scores.get(&Split::Val));
        let prevalence = scored.and_then(|scores| scores.labels.get(label)?.train_prevalence);
        let prevalence = prevalence.unwrap_or(0.5).clamp(1e-4, 1.0 - 1e-4);
        (prevalence / (1.0 - prevalence)).ln() as f32
    }

    /// What each place adds to a label's logit above what it has anyway, row by row.
    pub fn evidence(&self, explained: &ExplainedImage, label: usize) -> Vec<f32> {
        explained.map(label).iter().map(|value| value - self.ordinary(label)).collect()
    }
}
