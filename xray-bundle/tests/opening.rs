//! A model that computes no numbers, or others than it was written with, is refused: when it is opened, or when its first
//! answer shows it.

use std::collections::BTreeMap;
use std::path::Path;
use xray_artifacts::{Exit, Failure, Preprocessing, Provenance, write_json};
use xray_bundle::{Bundle, Card, WEIGHTS};
use xray_image::{Budget, GrayImage, encode_png};
use xray_model::{Learner, LearnerConfig, ModelConfig, StateDict, StoredDict, WeightType};

const LABELS: [&str; 2] = ["Mass", "Edema"];

/// A card and the weights of its network.
fn card_and_weights() -> (Card, StateDict) {
    let model = ModelConfig { width: 2, ..ModelConfig::default() }.resolved();
    let config = LearnerConfig { model: model.clone(), ..LearnerConfig::new(LABELS.len()) };
    let card = Card {
        model,
        preprocessing: Preprocessing { size: 32, ..Preprocessing::default() },
        labels: LABELS.map(str::to_owned).to_vec(),
        calibration: Vec::new(),
        thresholds: Vec::new(),
        provenance: Provenance {
            trainer: "test".to_owned(),
            dataset: "none".to_owned(),
            fraction: 1.0,
            train_images: 0,
            seed: 1,
            steps: 0,
            first_weights: None,
            imported: None,
        },
        weights: String::new(),
        integers: None,
        members: Vec::new(),
        scores: BTreeMap::new(),
    };
    (card, Learner::new(&config, 1).expect("a CPU").weights().expect("a CPU"))
}

/// Writes both, as training does.
fn write(folder: &Path, card: Card, weights: &StoredDict) {
    let weights = weights.save(&folder.join(WEIGHTS), &[]).expect("writable");
    write_json(&folder.join("model.json"), &Card { weights, ..card }).expect("writable");
}

/// A bundle in which the last values of some tensors are another.
fn opened(changed: &[(&str, usize)], value: f32, numbers: WeightType) -> Result<Bundle, Failure> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (card, mut weights) = card_and_weights();
    for (name, last) in changed {
        let values = &mut weights.tensors.get_mut(*name).expect("a tensor of the network").values;
        let first = values.len() - last;
        values[first..].fill(value);
    }
    write(folder.path(), card, &weights.stored(numbers));
    Bundle::open(folder.path())
}

#[test]
fn weights_that_are_not_finite_are_refused_with_file_and_tensor() {
    for name in ["features.0.conv.weight", "features.1.norm.running_var", "classifier.bias"] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let failure = opened(&[(name, 1)], value, WeightType::F32).err().expect("refused");
            assert_eq!(failure.exit, Exit::ModelMismatch);
            let said = format!("model.safetensors: tensor `{name}` holds values that are NaN or infinite");
            assert!(failure.message.ends_with(&said), "{failure}");
        }
    }
    let kernel = "features.0.conv.weight";
    // 1e6 is a number, and none in half precision.
    for (value, numbers) in [(1e6, WeightType::F16), (f32::INFINITY, WeightType::Int8)] {
        assert!(opened(&[(kernel, 1)], value, numbers).is_err(), "{value} as {}", numbers.name());
    }
    assert!(opened(&[(kernel, 1)], 1e6, WeightType::F32).is_ok());
}

/// In the first layer, where only an image makes it overflow, as in the last.
#[test]
fn finite_weights_whose_scores_overflow_are_refused_when_they_are_opened() {
    let last = [("classifier.weight", 16), ("classifier.bias", 1)];
    let first = [("features.0.conv.weight", 9)];
    for huge in [&last[..], &first] {
        let failure = opened(huge, f32::MAX, WeightType::F32).err().expect("refused");
        assert_eq!(failure.exit, Exit::ModelMismatch);
        let said = "model.safetensors: the network's scores of a test picture are not finite numbers: its weights are \
        too \
                    large";
        assert!(failure.message.ends_with(said), "{failure}");
    }
    opened(&last, 1e30, WeightType::F32).expect("large, and finite");
}

#[test]
fn damaged_weights_and_those_of_another_card_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (card, weights) = card_and_weights();
    let path = folder.path().join(WEIGHTS);
    let check = |said: &str| {
        let failure = Bundle::open(folder.path()).err().expect("refused");
        assert!(failure.message.ends_with(said), "{failure}");
    };
    write(folder.path(), card.clone(), &weights.stored(WeightType::F32));
    Bundle::open(folder.path()).expect("as written");
    let bytes = std::fs::read(&path).expect("just written");
    let damaged = |at: usize| {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, damaged).expect("writable");
    };
    damaged(bytes.len() - 1);
    check("model.safetensors is not the file of weights that was written: its checksum differs");
    // In the name of the checksum itself: the file is as good as one without.
    const LEAD: usize = "{\"__metadata__\":{\"".len();
    damaged(8 + LEAD);
    check("model.safetensors does not hold the weights of its card");
    weights.stored(WeightType::F16).save(&path, &[]).expect("writable");
    check("model.safetensors does not hold the weights of its card");
    // A bundle of the version before bears no checksums.
    let old = Card { weights: String::new(), ..card };
    write_json(&folder.path().join("model.json"), &old).expect("writable");
    check("model.safetensors does not hold the weights of its card");
    damaged(8 + LEAD);
    Bundle::open(folder.path()).expect("read with a warning");
}

#[test]
fn a_score_that_is_not_finite_is_no_finding() {
    let image = GrayImage { width: 32, height: 32, pixels: (0..=255).cycle().take(32 * 32).collect() };
    let bundle = opened(&[("classifier.bias", 1)], 0.5, WeightType::F32).expect("finite weights");
    let prepared = bundle.prepare(&encode_png(&image), &Budget::default()).expect("an image");
    assert_eq!(bundle.findings(&bundle.predict(&prepared)).expect("finite").len(), LABELS.len());
    let error = bundle.findings(&[0.5, f32::NAN]).expect_err("refused");
    assert_eq!(error.to_string(), "the model's score of Edema is not a finite number");
    assert!(bundle.findings(&[f32::NEG_INFINITY, 0.5]).is_err());
}
