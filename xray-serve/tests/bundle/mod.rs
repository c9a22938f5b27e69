//! A bundle of a small network, and images.

use std::collections::BTreeMap;
use tempfile::TempDir;
use xray_artifacts::{Calibration, Preprocessing, Provenance, Split, Support, Threshold, write_json};
use xray_bundle::Card;
use xray_image::{GrayImage, encode_jpeg};
use xray_metrics::Calibrator;
use xray_model::{Learner, LearnerConfig, ModelConfig};

/// As xray-train writes them for ChestX-ray14.
const FINDINGS: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
];

/// A folder with an untrained network's weights and a card with calibrations and thresholds.
pub(crate) fn bundle() -> TempDir {
    bundle_of(1)
}

/// The same of another network, drawn with another seed.
pub(crate) fn bundle_of(seed: u64) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = ModelConfig { width: 4, ..ModelConfig::default() }.resolved();
    let learner =
        Learner::new(&LearnerConfig { model: model.clone(), ..LearnerConfig::new(14) }, seed).expect("a CPU");
    let weights = learner
        .weights()
        .expect("a CPU")
        .save(&folder.path().join("model.safetensors"), &[])
        .expect("writable");
    let threshold = Threshold {
        logit: Some(0.02),
        probability: Some(0.55),
        undefined: None,
        rule: "youden".to_owned(),
        fitted_on: Some(Split::Val),
        test_sensitivity: Some(0.81),
        test_specificity: Some(0.7),
        warning: None,
    };
    let calibration = Calibration {
        calibrator: Some(Calibrator::Platt { scale: 2.0, shift: 0.16 }),
        left_as_it_is: None,
        fitted_on: Split::Val,
        support: Some(Support { unit: "patient".to_owned(), positives: 40, negatives: 400 }),
        note: None,
    };
    let card = Card {
        model,
        preprocessing: Preprocessing { size: 64, ..Preprocessing::default() },
        labels: FINDINGS.map(str::to_owned).to_vec(),
        calibration: vec![calibration; 14],
        thresholds: vec![threshold; 14],
        provenance: Provenance {
            trainer: "test".to_owned(),
            dataset: "none".to_owned(),
            fraction: 1.0,
            train_images: 0,
            seed,
            steps: 0,
            first_weights: None,
            imported: None,
        },
        weights,
        integers: None,
        members: Vec::new(),
        scores: BTreeMap::new(),
    };
    write_json(&folder.path().join("model.json"), &card).expect("writable");
    folder
}

/// A gray image that is its own mirror image, with noise.
pub(crate) fn jpeg(seed: u32) -> Vec<u8> {
    let mut image = noise(96, 96);
    for (at, pixel) in image.pixels.iter_mut().enumerate() {
        let (x, y) = ((at % 96) as i32, (at / 96) as i32);
        let lung = ((x - 48).abs() - 24).abs() + (y - 48).abs() / 2;
        *pixel = (*pixel / 8)
            .saturating_add(u8::try_from((lung * 4).min(200)).expect("small"))
            .wrapping_add(seed as u8);
    }
    encode_jpeg(&image, 90)
}

pub(crate) fn noise(width: u32, height: u32) -> GrayImage {
    let mut state = 7_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    GrayImage { width, height, pixels: (0..width * height).map(next).collect() }
}
