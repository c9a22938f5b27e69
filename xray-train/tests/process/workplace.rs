//! A temporary folder with shards of phantoms, and the binary run in it.

use crate::tensorboard::scalars;
use assert_cmd::Command;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;
use xray_artifacts::Exit;
use xray_data::build::{BuildConfig, build};
use xray_data::sources::synthetic;
use xray_image::SynthConfig;

/// Few and small: a run takes a second.
pub(crate) const IMAGES: u64 = 240;

pub(crate) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    /// With 240 phantoms of 32 pixels in `shards/`.
    pub(crate) fn new() -> Self {
        Self::of(IMAGES)
    }

    /// With so many.
    pub(crate) fn of(images: u64) -> Self {
        let workplace = Workplace { folder: tempfile::tempdir().expect("a temporary folder") };
        let images = SynthConfig { images, size: 32, ..SynthConfig::default() };
        let shards = workplace.path("shards");
        build(&synthetic::read(&images), &BuildConfig::default(), &shards, &|| ())
            .expect("a writable folder");
        workplace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Arguments of a short run of a narrow network.
    pub(crate) fn arguments(run: &str) -> Vec<&str> {
        let mut arguments: Vec<_> =
            "--data shards --size 32 --batch-size 16 --steps 12 --threads 1 --run".split(' ').collect();
        arguments.push(run);
        let settings = [
            "model.width=4",
            "training.evaluate_every=5 steps",
            "training.checkpoint_every=3 steps",
            "training.log_every=1",
            "training.bootstrap_resamples=50",
        ];
        arguments.extend(settings.into_iter().flat_map(|setting| ["--set", setting]));
        arguments
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("xray-train").expect("the binary under test");
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Runs with the short run's arguments and some more.
    pub(crate) fn run(&self, run: &str, more: &[&str]) -> Output {
        let arguments = [&Self::arguments(run), more].concat();
        self.command(&arguments).output().expect("the binary starts")
    }

    pub(crate) fn json(&self, file: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Everything that decides whether two runs are the same run.
    pub(crate) fn fingerprint(&self, run: &str) -> Fingerprint {
        let bytes =
            |file: &str| std::fs::read(self.path(run).join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        Fingerprint {
            weights: bytes("model/model.safetensors"),
            predictions: bytes("predictions-test.safetensors"),
            metrics: String::from_utf8(bytes("metrics.jsonl")).expect("text"),
            events: scalars(&self.path(run)),
            scores: self.json(&format!("{run}/result.json"))["scores"].clone(),
            warnings: self.json(&format!("{run}/result.json"))["warnings"].clone(),
        }
    }
}

#[derive(PartialEq)]
pub(crate) struct Fingerprint {
    weights: Vec<u8>,
    predictions: Vec<u8>,
    pub(crate) metrics: String,
    /// Tags, steps and values for TensorBoard, in the order of the file.
    events: Vec<(String, i64, f32)>,
    scores: serde_json::Value,
    warnings: serde_json::Value,
}

impl Fingerprint {
    /// Fails naming what differs; the values themselves would fill the screen.
    pub(crate) fn assert_equals(&self, other: &Fingerprint, what: &str) {
        assert_eq!(self.metrics, other.metrics, "{what}: metrics");
        assert_eq!(self.events, other.events, "{what}: events");
        assert!(self.weights == other.weights, "{what}: weights differ");
        assert!(self.predictions == other.predictions, "{what}: predictions differ");
        assert!(self.scores == other.scores, "{what}: scores differ");
        assert_eq!(self.warnings, other.warnings, "{what}: warnings");
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn assert_exit(output: &Output, exit: Exit) {
    let code = i32::from(exit.code());
    assert_eq!(output.status.code(), Some(code), "{}\n{}", stdout(output), stderr(output));
}

/// The shards of a split, in order.
pub(crate) fn shards(folder: &Path, split: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of shards");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut paths: Vec<_> = paths
        .filter(|p| name(p).starts_with(&format!("{split}-")) && name(p).ends_with(".tfrecord"))
        .collect();
    paths.sort();
    paths
}
