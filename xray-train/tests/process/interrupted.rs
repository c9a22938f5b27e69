//! Stopped after every step and started again, under every setting that keeps state from step to step: the run equals
//! the one that was left alone, bit for bit.

use crate::workplace::{Workplace, assert_exit, shards};
use std::collections::BTreeSet;
use std::fs;
use xray_artifacts::Exit;
use xray_model::Architecture;
use xray_train::config::RunConfig;

/// What all have; what comes later overrides it.
const SETTINGS: [&str; 10] = [
    "preprocessing.size=32",
    "model.width=2",
    "threads=1",
    "training.batch_size=16",
    "training.duration=6 steps",
    "training.evaluate_every=2 steps",
    "training.checkpoint_every=1 steps",
    "training.checkpoint_time=1h",
    "training.log_every=1",
    "training.bootstrap_resamples=0",
];

/// Settings that keep state, or meet those that do: a name, and what it sets.
const STATEFUL: [(&str, &[&str]); 15] = [
    ("average", &["training.average_decay=0.9"]),
    ("average-flip", &["training.average_decay=0.99", "model.flip=true", "training.evaluate_every=4 steps"]),
    ("sgd", &["optimizer.algorithm=sgd", "optimizer.momentum=0.8", "optimizer.clip_norm=0.1"]),
    ("adamw", &["optimizer.algorithm=adamw", "optimizer.weight_decay=0.01", "optimizer.beta2=0.9"]),
    ("cosine", &["schedule.shape=cosine", "schedule.warmup_steps=3", "schedule.final_fraction=0.1"]),
    (
        "plateau",
        &[
            "schedule.shape=plateau",
            "schedule.plateau_patience=0",
            "schedule.plateau_factor=0.5",
            "schedule.learning_rate=0.1",
            "training.evaluate_every=1 steps",
        ],
    ),
    (
        "early-stopping",
        &["training.early_stopping=2", "schedule.learning_rate=1e-30", "training.evaluate_every=1 steps"],
    ),
    ("micro-batches", &["training.micro_batch=5", "training.average_decay=0.5"]),
    ("focal", &["loss.name=focal", "training.label_smoothing=0.05"]),
    ("weighted", &["loss.name=weighted-bce", "data.uncertain=one", "data.fraction=0.7"]),
    ("asymmetric", &["loss.name=asymmetric", "data.fraction_offset=0.5", "augmentation.flip=true"]),
    ("fold", &["data.folds=3", "data.fold=1", "data.fraction=0.5", "training.average_decay=0.9"]),
    ("disk-cache", &["data.cache=disk", "data.augment=false", "preprocessing.crop=center"]),
    ("no-cache", &["data.cache=none", "seed=7", "model.channels=3", "training.first_epoch=2"]),
    (
        "fine-tuning",
        &[
            "fine_tuning.weights=first.safetensors",
            "fine_tuning.head=replace",
            "fine_tuning.frozen=3 steps",
            "fine_tuning.backbone_rate=0.1",
            "training.average_decay=0.9",
        ],
    ),
];

/// Settings that keep none: they say what is computed, and nothing of it lasts beyond a step.
const STATELESS: [&str; 22] = [
    "backend",
    "fine_tuning.optimizer", // of a checkpoint; continuation.rs interrupts such a run
    "precision",             // f16 keeps a scale; gpu_program.rs interrupts it where a GPU offers it
    "data.dir",
    "data.features",
    "data.patients",
    "data.skip_bad", // has a test of its own, with bad records
    "augmentation.rotation_degrees",
    "augmentation.shift_fraction",
    "augmentation.scale_fraction",
    "augmentation.brightness",
    "augmentation.contrast",
    "preprocessing.filter",
    "preprocessing.mean",
    "preprocessing.std",
    "model.architecture", // each is taken below
    "optimizer.epsilon",
    "training.max_time",
    "training.tensorboard",
    "training.keep", // kept.rs
    "fine_tuning.partial",
    "fine_tuning.part",
];

fn keys(table: &toml::Table, place: &str, out: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        match value {
            toml::Value::Table(inner) => keys(inner, &path, out),
            _ => _ = out.insert(path),
        }
    }
}

#[test]
fn no_setting_is_forgotten() {
    let config = toml::Table::try_from(RunConfig::default()).expect("plain values");
    let mut known = BTreeSet::new();
    keys(&config, "", &mut known);
    let key = |setting: &&str| setting.split_once('=').expect("key=value").0.to_owned();
    let of_rows = STATEFUL.iter().flat_map(|(_, settings)| settings.iter()).map(key);
    let listed: BTreeSet<String> =
        of_rows.chain(SETTINGS.iter().map(key)).chain(STATELESS.map(str::to_owned)).collect();
    let forgotten: Vec<_> = known.difference(&listed).collect();
    assert!(forgotten.is_empty(), "say whether these keep state from step to step: {forgotten:?}");
}

fn arguments<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let settings = SETTINGS.iter().chain(more).flat_map(|setting| ["--set", setting]);
    ["--data", "shards", "--run", run].into_iter().chain(settings).collect()
}

fn check(workplace: &Workplace, name: &str, more: &[&str]) {
    let (whole, parts) = (format!("{name}-whole"), format!("{name}-parts"));
    let run = |run: &str, flags: &[&str]| {
        let arguments = [&arguments(run, more), flags].concat();
        workplace.command(&arguments).output().expect("the binary starts")
    };
    assert_exit(&run(&whole, &[]), Exit::Ok);
    let mut starts = 0;
    loop {
        let output = run(&parts, &["--checkpoint-exit-every", "1ms"]);
        starts += 1;
        if output.status.success() {
            break;
        }
        assert_exit(&output, Exit::Checkpointed);
        assert!(starts < 7, "{name}: six steps take at most six starts");
    }
    assert!(starts > 2, "{name}: {starts} starts");
    workplace.fingerprint(&parts).assert_equals(&workplace.fingerprint(&whole), name);

    // At the second stop no evaluation is due, under most settings at the first neither.
    let rungs = format!("{name}-rungs");
    for (stop, step) in [("1 steps", 1), ("3 steps", 3)] {
        assert_exit(&run(&rungs, &["--stop-at", stop]), Exit::Ok);
        let result = workplace.json(&format!("{rungs}/result.json"));
        let early = result["state"] == "finished";
        assert!(early || (result["state"] == "stopped" && result["training"]["steps"] == step), "{result:#}");
    }
    assert_exit(&run(&rungs, &[]), Exit::Ok);
    workplace.fingerprint(&rungs).assert_equals(&workplace.fingerprint(&whole), name);
}

#[test]
fn under_every_setting() {
    let workplace = Workplace::of(120);
    let first = arguments("first", &["training.duration=1 steps", "seed=3"]);
    assert_exit(&workplace.command(&first).output().expect("the binary starts"), Exit::Ok);
    fs::copy(workplace.path("first/model/model.safetensors"), workplace.path("first.safetensors"))
        .expect("a bundle");
    for (name, settings) in STATEFUL {
        check(&workplace, name, settings);
    }
}

#[test]
fn with_every_network() {
    let workplace = Workplace::of(120);
    for architecture in Architecture::ALL {
        let model = format!("model.architecture={}", architecture.name());
        check(&workplace, architecture.name(), &[&model, "model.width=4", "training.average_decay=0.9"]);
    }
}

#[test]
fn with_records_that_are_left_out() {
    let workplace = Workplace::of(120);
    let shard = shards(&workplace.path("shards"), "train").remove(0);
    let mut bytes = fs::read(&shard).expect("there");
    let mut start = 0;
    for _ in 0..2 {
        let length = u64::from_le_bytes(bytes[start..start + 8].try_into().expect("eight bytes")) as usize;
        // Of a record most is its image.
        bytes[start + 12 + length / 2] ^= 1;
        start += 12 + length + 4;
    }
    fs::write(&shard, bytes).expect("writable");
    for cache in ["ram", "disk", "none"] {
        let cached = format!("data.cache={cache}");
        check(&workplace, cache, &["data.skip_bad=9", &cached, "training.average_decay=0.9"]);
        let [whole, parts] = ["whole", "parts"].map(|run| {
            let result = workplace.json(&format!("{cache}-{run}/result.json"));
            result["bad_records"].as_array().expect("a list").clone()
        });
        assert!(!whole.is_empty() && whole == parts, "{whole:?} {parts:?}");
    }
}
