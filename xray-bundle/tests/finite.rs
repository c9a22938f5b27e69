//! A model that computes no numbers is refused: when it is opened, or when its first answer shows it.

use std::collections::BTreeMap;
use std::path::Path;
use xray_artifacts::{Exit, Failure, Preprocessing, Provenance, write_json};
use xray_bundle::{Bundle, Card};
use xray_image::{Budget, GrayImage, encode_png};
use xray_model::{Learner, LearnerConfig, ModelConfig, StateDict, WeightType};

const LABELS: [&str; 2] = ["Mass", "Edema"];

/// Writes a model.json and gives the weights of its network.
fn card_and_weights(folder: &Path) -> StateDict {
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
        },
        scores: BTreeMap::new(),
    };
    write_json(&folder.join("model.json"), &card).expect("writable");
    Learner::new(&config, 1).expect("a CPU").weights()
}

/// A bundle in which the last values of some tensors are another.
fn opened(changed: &[(&str, usize)], value: f32, numbers: WeightType) -> Result<Bundle, Failure> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut weights = card_and_weights(folder.path());
    for (name, last) in changed {
        let values = &mut weights.tensors.get_mut(*name).expect("a tensor of the network").values;
        let first = values.len() - last;
        values[first..].fill(value);
    }
    let stored = weights.stored(numbers);
    stored.save(&folder.path().join("model.safetensors"), &[]).expect("writable");
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

#[test]
fn a_score_that_is_not_finite_is_no_finding() {
    let image = GrayImage { width: 32, height: 32, pixels: (0..=255).cycle().take(32 * 32).collect() };
    let bundle = opened(&[("classifier.bias", 1)], 0.5, WeightType::F32).expect("finite weights");
    let prepared = bundle.prepare(&encode_png(&image), &Budget::default()).expect("an image");
    assert_eq!(bundle.findings(&bundle.predict(&prepared)).expect("finite").len(), LABELS.len());
    // Finite weights of the last label, and their sum is not.
    let largest = [("classifier.weight", 16), ("classifier.bias", 1)];
    let huge = opened(&largest, f32::MAX, WeightType::F32).expect("finite weights");
    for logits in [huge.predict(&prepared), huge.explain(&prepared).logits] {
        assert!(logits[0].is_finite() && !logits[1].is_finite(), "{logits:?}");
        assert_eq!(huge.findings(&logits).expect_err("refused").label, "Edema");
    }
    let error = bundle.findings(&[0.5, f32::NAN]).expect_err("refused");
    assert_eq!(error.to_string(), "the model's score of Edema is not a finite number");
    assert!(bundle.findings(&[f32::NEG_INFINITY, 0.5]).is_err());
}
