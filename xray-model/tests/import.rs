//! Files that PyTorch wrote (`golden/make_import.py`) become first weights.

use std::path::{Path, PathBuf};
use xray_model::{
    Head, ImportOptions, LabelledImages, Learner, LearnerConfig, ModelConfig, Note, StateDict, read_weights,
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn learner() -> Learner {
    let model = ModelConfig { width: 2, ..ModelConfig::default() };
    Learner::new(&LearnerConfig { model, ..LearnerConfig::new(14) }, 3).expect("a CPU")
}

const REPLACED: ImportOptions = ImportOptions { head: Head::Replace, partial: false, part: String::new() };

#[test]
fn a_checkpoint_of_a_training_loop_becomes_first_weights() {
    let mut learner = learner();
    let fresh = learner.weights().expect("a device that works");
    let found = read_weights(&golden("checkpoint.pth")).expect("torch.save wrote it");
    let import = learner.import(found.clone(), REPLACED).expect("all but the head fits");
    // Three colours, two new tensors of the head.
    assert!(import.notes.contains(&Note::Summed { name: "features.0.conv.weight".into() }), "{import:?}");
    assert_eq!((import.notes.len(), import.taken), (3, fresh.tensors.len() - 2), "{:?}", import.notes);

    let weights = learner.weights().expect("a device that works");
    let colours = &found.tensors["state_dict.module.features.0.conv.weight"];
    let summed: f32 = (0..3).map(|colour| colours.values[colour * 9 + 4]).sum();
    assert_eq!(weights.tensors["features.0.conv.weight"].values[4], summed);
    for (name, tensor) in &weights.tensors {
        let same = fresh.tensors[name] == *tensor;
        assert_eq!(same, name.starts_with("classifier.") || name.contains("norm."), "{name}");
    }
    assert_eq!(weights.tensors["features.3.conv.weight"].shape, [16, 8, 3, 3]);
}

#[test]
fn a_head_of_other_classes_is_an_error_unless_it_is_replaced() {
    let found = read_weights(&golden("checkpoint.pth")).expect("torch.save wrote it");
    let error = learner().import(found, ImportOptions::default()).expect_err("18 classes");
    assert_eq!(error.to_string(), "the weights end in 18 classes (`classifier.bias`), this network in 14");
}

#[test]
fn a_pickle_is_read_and_never_executed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = std::env::current_dir().expect("a folder");
    let message = read_weights(&golden("malicious.pth")).expect_err("it holds no weights").to_string();
    assert!(message.contains("malicious.pth"), "{message}");
    for folder in [here.as_path(), folder.path()] {
        assert!(!folder.join("executed-by-a-pickle").exists(), "the pickle ran");
    }
}

#[test]
fn every_cut_of_a_checkpoint_is_an_error() {
    let whole = std::fs::read(golden("checkpoint.pth")).expect("committed");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("cut.pth");
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        std::fs::write(&path, &whole[..length]).expect("writable");
        let message = read_weights(&path).expect_err("cut off").to_string();
        assert!(message.contains("cut.pth"), "{length}: {message}");
    }
}

fn step(learner: &mut Learner, rate: f64) -> StateDict {
    let images: Vec<f32> = (0..4 * 32 * 32).map(|i| (i as f32 * 0.37).sin()).collect();
    let labels: Vec<f32> = (0..4 * 14).map(|i| (i % 3 == 0) as u8 as f32).collect();
    let pass = learner.forward(&LabelledImages { images: (&images).into(), labels: &labels, size: 32 });
    let gradients = learner.backward(pass);
    learner.step(gradients, rate);
    learner.weights().expect("a device that works")
}

/// Names of tensors that a step changes.
fn changed(learner: &mut Learner) -> Vec<String> {
    let before = learner.weights().expect("a device that works");
    let after = step(learner, 1e-2);
    let moved = after.tensors.into_iter().filter(|(name, tensor)| before.tensors[name] != *tensor);
    moved.map(|(name, _)| name).collect()
}

#[test]
fn a_frozen_backbone_stays_as_it_is_and_thaws() {
    let mut learner = learner();
    learner.set_backbone_rate(0.0);
    assert_eq!(changed(&mut learner), ["classifier.bias", "classifier.weight"]);
    assert_eq!(changed(&mut learner), ["classifier.bias", "classifier.weight"]);
    learner.set_backbone_rate(1.0);
    assert_eq!(changed(&mut learner).len(), learner.weights().expect("a device that works").tensors.len());
}

#[test]
fn the_backbone_learns_at_its_part_of_the_rate() {
    let moved = |factor: f64, name: &str| {
        let mut learner = learner();
        learner.set_backbone_rate(factor);
        let before = learner.weights().expect("a device that works");
        let after = step(&mut learner, 1e-2);
        f64::from(after.tensors[name].values[0] - before.tensors[name].values[0])
    };
    // Adam's first step is the rate, whatever the gradient.
    for (name, expected) in [("features.0.conv.weight", 1e-3), ("classifier.weight", 1e-2)] {
        let found = moved(0.1, name).abs();
        assert!((found / expected - 1.0).abs() < 1e-2, "{name}: {found}");
    }
}

/// A file of this project's network as others keep it: named by `name`, with values from `value`.
fn file(folder: &Path, name: impl Fn(&str) -> String, value: f32) -> StateDict {
    let tensors = learner().weights().expect("a CPU").tensors.into_iter().map(|(ours, mut tensor)| {
        tensor.values[0] = value;
        (name(&ours), tensor)
    });
    let dict = StateDict { tensors: tensors.collect() };
    let path = folder.join("others.safetensors");
    dict.save(&path, &[]).expect("writable");
    read_weights(&path).expect("just written")
}

#[test]
fn of_two_networks_in_a_file_one_is_taken_by_rule_or_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let of = |prefix: &'static str, value| file(folder.path(), move |name| format!("{prefix}{name}"), value);
    let mut found = of("state_dict.module.encoder_k.", 2.0);
    found.tensors.extend(of("state_dict.module.encoder_q.", 1.0).tensors);
    let first = |part: &str| {
        let mut learner = learner();
        let options = ImportOptions { part: part.to_owned(), ..ImportOptions::default() };
        let import = learner.import(found.clone(), options).expect("it fits");
        (
            import.part,
            learner.weights().expect("a device that works").tensors["features.0.conv.weight"].values[0],
        )
    };
    assert_eq!(first(""), ("state_dict.module.encoder_q".to_owned(), 1.0));
    assert_eq!(first("encoder_k"), ("state_dict.module.encoder_k".to_owned(), 2.0));
    found.tensors = found
        .tensors
        .into_iter()
        .map(|(name, t)| (name.replace("encoder_k", "fold_1").replace("encoder_q", "fold_2"), t))
        .collect();
    let message = learner().import(found, ImportOptions::default()).expect_err("no copies").to_string();
    assert!(message.starts_with("the weights hold several networks: "), "{message}");
}

#[test]
fn a_head_in_a_sequence_is_kept_or_replaced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let named = |head: &'static str| {
        file(folder.path(), move |name| format!("module.{}", name.replace("classifier", head)), 0.25)
    };
    for head in ["classifier.0", "classifier.1", "fc.0", "head.1"] {
        let bias = |options| {
            let mut learner = learner();
            learner.import(named(head), options).unwrap_or_else(|error| panic!("{head}: {error}"));
            learner.weights().expect("a device that works").tensors["classifier.bias"].values[0]
        };
        assert_eq!(bias(ImportOptions::default()), 0.25);
        assert_ne!(bias(REPLACED), 0.25);
    }
    let mut broken = named("classifier.0");
    broken.tensors.get_mut("module.features.2.norm.running_var").expect("is there").values[1] = f32::NAN;
    let message = learner().import(broken, ImportOptions::default()).expect_err("NaN").to_string();
    assert_eq!(message, "tensor `features.2.norm.running_var` holds values that are NaN or infinite");
}

/// Whoever opens a pipe waits for somebody who writes into it.
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pipe = folder.path().join("pipe.pth");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let (told, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(read_weights(&pipe).map(drop)));
    let answer = answer.recv_timeout(std::time::Duration::from_secs(60)).expect("nobody waits for a writer");
    let said = answer.expect_err("no file").to_string();
    assert!(said.ends_with("it is not a regular file"), "{said}");
}
