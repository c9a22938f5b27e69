//! A temporary folder with shards of phantoms, runs that the trainer's library makes of them, and the binary run in it.

use assert_cmd::Command;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;
use xray_artifacts::{Exit, Failure, Predictions, Split};
use xray_data::build::{BuildConfig, build};
use xray_data::sources::synthetic;
use xray_image::SynthConfig;
use xray_train::run::{Outcome, RunOptions};
use xray_train::settings::{Settings, parse_setting};

/// Few and small: a run takes a second.
const IMAGES: u64 = 240;

/// A short run of a narrow network.
const SETTINGS: [&str; 9] = [
    "threads=1",
    "preprocessing.size=32",
    "model.width=4",
    "training.batch_size=16",
    "training.duration=12 steps",
    "training.evaluate_every=5 steps",
    "training.checkpoint_every=3 steps",
    "training.log_every=1",
    "training.bootstrap_resamples=50",
];

pub(crate) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    /// Without images, for what reads score files only.
    pub(crate) fn empty() -> Self {
        Workplace { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// With 240 phantoms of 32 pixels in `shards/`.
    pub(crate) fn new() -> Self {
        Self::of(IMAGES)
    }

    /// With so many.
    pub(crate) fn of(images: u64) -> Self {
        let workplace = Self::empty();
        let images = SynthConfig { images, size: 32, ..SynthConfig::default() };
        let shards = workplace.path("shards");
        build(&synthetic::read(&images), &BuildConfig::default(), &shards, &|| ())
            .expect("a writable folder");
        workplace
    }

    /// With a finished run in `run/`.
    pub(crate) fn with_run() -> Self {
        let workplace = Self::new();
        workplace.train("run", &[], RunOptions::default()).expect("a run of good settings");
        workplace
    }

    /// Trains with the short run's settings and some more, in this process, so that no other binary must be built.
    pub(crate) fn train(&self, run: &str, more: &[&str], options: RunOptions) -> Result<Outcome, Failure> {
        let data = format!("data.dir={}", self.path("shards").display());
        let texts = SETTINGS.iter().chain(more).copied().chain([&*data]);
        let overrides: Vec<_> = texts.map(|text| parse_setting(text).expect(text)).collect();
        let config = Settings::read(None)?.resolve(&overrides)?;
        xray_train::run::run(&config, &RunOptions { dir: self.path(run), quiet: true, ..options })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the binary.
    pub(crate) fn eval(&self, arguments: &[&str]) -> Output {
        let mut command = Command::cargo_bin("xray-eval").expect("the binary under test");
        command.current_dir(self.folder.path()).args(arguments).output().expect("the binary starts")
    }

    pub(crate) fn json(&self, file: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// What the run in `run/` said of a split.
    pub(crate) fn predictions(&self, split: Split) -> Predictions {
        Predictions::load(&self.predictions_file(split), split).expect("a finished run")
    }

    /// Changes what the run in `run/` said of a split.
    pub(crate) fn edit(&self, split: Split, change: impl FnOnce(&mut Predictions)) {
        let mut predictions = self.predictions(split);
        change(&mut predictions);
        predictions.save(&self.predictions_file(split)).expect("writable");
    }

    fn predictions_file(&self, split: Split) -> PathBuf {
        self.path(&format!("run/predictions-{split}.safetensors"))
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
