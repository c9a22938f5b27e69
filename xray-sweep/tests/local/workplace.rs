//! A temporary folder with shards, and the programs run in it.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;
use xray_artifacts::Exit;

pub(crate) struct Workplace {
    folder: TempDir,
    trainer: PathBuf,
}

/// Settings of a run that takes a second.
const SETTINGS: [&str; 5] = [
    "preprocessing.size=32",
    "model.width=4",
    "training.batch_size=16",
    "training.bootstrap_resamples=20",
    "training.log_every=1",
];

impl Workplace {
    /// With 240 phantoms of 32 pixels in `shards/`; none where the trainer was not built.
    pub(crate) fn new() -> Option<Self> {
        let programs = Path::new(env!("CARGO_BIN_EXE_xray-sweep")).parent().expect("a folder");
        let (trainer, data) = (programs.join("xray-train"), programs.join("xray-data"));
        if !trainer.is_file() || !data.is_file() {
            eprintln!(
                "skipped: xray-train and xray-data are not built beside xray-sweep (cargo xtask test builds them)"
            );
            return None;
        }
        let workplace = Workplace { folder: tempfile::tempdir().expect("a temporary folder"), trainer };
        let mut synth = Command::new(data);
        synth.args(["synth", "--images", "240", "--size", "32", "--out"]).arg(workplace.path("shards"));
        synth.assert().success();
        Some(workplace)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray-sweep"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    pub(crate) fn sweep(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Plans quick runs of `steps` steps.
    pub(crate) fn plan(&self, dir: &str, steps: &str, more: &[&str]) -> Output {
        let (trainer, steps) =
            (self.trainer.display().to_string(), format!("training.duration={steps} steps"));
        let mut arguments =
            vec!["plan", dir, "--data", "shards", "--no-pool", "--binary", &trainer, "--set", &steps];
        arguments.extend(SETTINGS.iter().flat_map(|setting| ["--set", *setting]));
        arguments.extend(more);
        self.sweep(&arguments)
    }

    /// `xray-data`.
    pub(crate) fn data(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.trainer.with_file_name("xray-data"));
        command.current_dir(self.folder.path()).args(arguments).output().expect("the program starts")
    }

    /// The trainer itself.
    pub(crate) fn train(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.trainer);
        command.current_dir(self.folder.path()).args(arguments).output().expect("the trainer starts")
    }

    /// Weights of the network that quick runs train, in `name`.
    pub(crate) fn write_weights(&self, name: &str, seed: &str) {
        let folder = format!("of-{name}");
        let mut arguments = vec!["--data", "shards", "--run", &folder, "--steps", "2", "--seed", seed];
        arguments.extend(SETTINGS.iter().flat_map(|setting| ["--set", *setting]));
        assert_exit(&self.train(&arguments), Exit::Ok);
        std::fs::copy(self.path(&folder).join("model/model.safetensors"), self.path(name)).expect("a bundle");
    }

    /// Lines of `cells.jsonl`.
    pub(crate) fn cells(&self, dir: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(dir).join("cells.jsonl")).expect("planned");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(crate) fn id(&self, dir: &str, at: usize) -> String {
        self.cells(dir)[at]["id"].as_str().expect("a text").to_owned()
    }

    pub(crate) fn cell_file(&self, dir: &str, id: &str, name: &str) -> PathBuf {
        self.path(dir).join("cells").join(id).join(name)
    }

    pub(crate) fn result(&self, dir: &str, id: &str) -> Value {
        let text = std::fs::read(self.cell_file(dir, id, "run/result.json")).expect("a result");
        serde_json::from_slice(&text).expect("JSON")
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn assert_exit(output: &Output, exit: Exit) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(exit.code().into()),
        "stdout:\n{stdout}\nstderr:\n{}",
        stderr(output)
    );
}
