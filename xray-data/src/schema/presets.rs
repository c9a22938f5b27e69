//! Schemas that are met in the wild.

use super::inventory::Inventory;
use super::{FeatureNames, LabelCodes};
use crate::labels::{NIH_14, nih_14};
use serde::{Deserialize, Serialize};

/// A schema with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// What this project writes.
    Xray,
    /// The Kaggle set `nih-chest-xrays-tfrecords`: our names without patients, and `image_id`.
    KaggleNih,
    /// TensorFlow's habit for image sets: `image/encoded` and `image/filename`; NIH labels.
    ImageEncoded,
    /// MIMIC-CXR as GoogleCloudPlatform/healthcare's pipeline writes it: `jpg_bytes`, `patient`, and labels
    /// numbered 0 not mentioned, 1 negative, 2 uncertain, 3 positive. Read as 0 and 1, it is upside down.
    JpgBytes,
    /// CheXpert with lower-case names, float labels, -1 for uncertain and NaN for not mentioned.
    ChexpertLower,
}

/// CheXpert's findings, without `No Finding` (Irvin et al. 2019, arXiv 1901.07031).
pub(crate) const CHEXPERT: [&str; 13] = [
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
];

impl Preset {
    /// All of them, those that ask for more names first, so that the first that fits is the best.
    pub const ALL: [Preset; 5] =
        [Preset::Xray, Preset::KaggleNih, Preset::ImageEncoded, Preset::JpgBytes, Preset::ChexpertLower];

    /// Its name in configuration and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Xray => "xray",
            Preset::KaggleNih => "kaggle-nih",
            Preset::ImageEncoded => "image-encoded",
            Preset::JpgBytes => "jpg-bytes",
            Preset::ChexpertLower => "chexpert-lower",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Preset::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The preset whose every name the records have.
    pub(crate) fn detect(inventory: &Inventory) -> Option<Self> {
        let fits = |preset: &Preset| preset.feature_names().names().all(|name| inventory.has(name));
        Preset::ALL.into_iter().find(fits)
    }

    /// Its names.
    pub fn feature_names(self) -> FeatureNames {
        let nih = NIH_14.map(|label| (label, label.to_owned()));
        match self {
            Preset::Xray => FeatureNames::xray(&nih_14()),
            Preset::KaggleNih => names("image", "image_id", nih),
            Preset::ImageEncoded => names("image/encoded", "image/filename", nih),
            Preset::JpgBytes => FeatureNames {
                image_id: None, // `image` is a number within a study, so it names no image
                patient_id: name("patient"),
                codes: LabelCodes { negative: 1.0, positive: 3.0, uncertain: vec![2.0], unknown: vec![0.0] },
                ..names("jpg_bytes", "", CHEXPERT.map(|label| (label, mimic_name(label))))
            },
            Preset::ChexpertLower => FeatureNames {
                image_id: None,
                patient_id: name("patient_id"),
                age: name("age"),
                ..names("image", "", CHEXPERT.map(|label| (label, label.to_lowercase())))
            },
        }
    }
}

impl FeatureNames {
    /// The names of this project's shards for a data set with these labels. View, sex and age are in the
    /// records of sources that tell them.
    pub fn xray(labels: &[String]) -> Self {
        FeatureNames {
            patient_id: name("patient_id"),
            view: name("view_position"),
            sex: name("patient_sex"),
            age: name("patient_age"),
            source: name("source"),
            labels: labels.iter().map(|label| (label.clone(), label.clone())).collect(),
            ..names::<0>("image", "image_id", [])
        }
    }
}

fn names<const N: usize>(image: &str, image_id: &str, labels: [(&str, String); N]) -> FeatureNames {
    FeatureNames {
        image: image.to_owned(),
        image_id: name(image_id),
        patient_id: None,
        view: None,
        sex: None,
        age: None,
        split: None,
        source: None,
        labels: labels.into_iter().map(|(label, feature)| (label.to_owned(), feature)).collect(),
        codes: LabelCodes::default(),
    }
}

fn name(name: &str) -> Option<String> {
    Some(name.to_owned())
}

/// `airspace_opacity` is the pipeline's name for what CheXpert calls lung opacity.
fn mimic_name(label: &str) -> String {
    label.to_lowercase().replace(' ', "_").replace("lung_opacity", "airspace_opacity")
}
