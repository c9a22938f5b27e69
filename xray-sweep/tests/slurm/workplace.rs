//! A folder with shards and sweeps, and commands that find the Slurm of the tests.

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use tempfile::TempDir;
use xray_artifacts::Exit;

/// Tiny, and alike wherever it runs.
const SETTINGS: [&str; 6] = [
    "preprocessing.size=32",
    "model.width=4",
    "training.batch_size=16",
    "training.evaluate_every=6 steps",
    "training.checkpoint_every=6 steps",
    "training.bootstrap_resamples=20",
];

/// One per test.
pub(crate) struct Workplace {
    folder: TempDir,
    xtask: PathBuf,
}

impl Workplace {
    /// With 240 phantoms of 32 pixels in `shards/`; none, and a line that says so, where there is no Slurm.
    pub(crate) fn new() -> Option<Workplace> {
        let Some(xtask) = env::var_os("XRAY_SLURM_RUN").map(PathBuf::from) else {
            eprintln!("skipped: XRAY_SLURM_RUN is not set: no Slurm (cargo xtask test starts one)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("slurm-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let workplace = Workplace { folder: folder.expect("a folder below the target folder"), xtask };
        let mut synth = Command::new(program("xray-data"));
        synth.args(["synth", "--images", "240", "--size", "32", "--out"]).arg(workplace.path("shards"));
        checked(&mut synth);
        Some(workplace)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that finds Slurm, started in the folder.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.xtask);
        command.args(["slurm", "run"]).args(words).current_dir(self.path(""));
        command
    }

    /// `xray-sweep` with these arguments.
    pub(crate) fn xray_sweep(&self, arguments: &[&str]) -> Command {
        let mut words = vec![env!("CARGO_BIN_EXE_xray-sweep")];
        words.extend(arguments);
        self.command(&words)
    }

    /// Plans runs of `steps` steps by the trainer that was built, or by another `program`.
    pub(crate) fn plan(&self, name: &str, steps: u32, trainer: Option<&Path>, more: &[&str]) -> Command {
        let built = program("xray-train");
        let trainer = trainer.unwrap_or(&built).display().to_string();
        let steps = format!("training.duration={steps} steps");
        let mut arguments =
            vec!["plan", name, "--data", "shards", "--no-pool", "--cpus", "1", "--memory", "700MB"];
        arguments.extend(["--binary", trainer.as_str(), "--set", steps.as_str()]);
        arguments.extend(SETTINGS.iter().flat_map(|setting| ["--set", *setting]));
        arguments.extend(more);
        self.xray_sweep(&arguments)
    }

    /// The cells as `xray-sweep status` sees them.
    pub(crate) fn cells(&self, name: &str) -> Vec<Json> {
        let status = checked(&mut self.xray_sweep(&["status", name, "--format", "json"]));
        let status: Json = serde_json::from_str(&status).expect("JSON");
        status["cells"].as_array().expect("a list").clone()
    }

    /// Waits until `is_so` holds for the cells.
    pub(crate) fn wait_until(&self, name: &str, what: &str, is_so: impl Fn(&[Json]) -> bool) -> Vec<Json> {
        let began = Instant::now();
        loop {
            let cells = self.cells(name);
            if is_so(&cells) {
                return cells;
            }
            let jobs = || fs::read_dir(self.path(name).join("slurm")).into_iter().flatten().flatten();
            let said =
                || jobs().map(|file| fs::read_to_string(file.path()).unwrap_or_default()).collect::<String>();
            assert!(began.elapsed() < Duration::from_secs(150), "never {what}: {cells:#?}\n{}", said());
            thread::sleep(Duration::from_millis(300));
        }
    }

    pub(crate) fn wait_until_done(&self, name: &str) -> Vec<Json> {
        self.wait_until(name, "done", |cells| cells.iter().all(|cell| cell["state"] == "done"))
    }

    /// A file of a cell.
    pub(crate) fn file(&self, name: &str, cell: &Json, file: &str) -> PathBuf {
        self.path(name).join("cells").join(cell["id"].as_str().expect("an id")).join(file)
    }

    /// The starts of a cell, oldest first, as its folder has them: of two lines of one start the later.
    pub(crate) fn attempts(&self, name: &str, cell: &Json) -> Vec<Json> {
        let text = fs::read_to_string(self.file(name, cell, "attempts.jsonl")).unwrap_or_default();
        let mut attempts: Vec<Json> = Vec::new();
        for line in text.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON")) {
            let same = |old: &&mut Json| old["job"] == line["job"] && old["started"] == line["started"];
            match attempts.iter_mut().find(same) {
                Some(old) => *old = line,
                None => attempts.push(line),
            }
        }
        attempts
    }

    /// How each start ended, once the last has: a job writes it down a moment after the result.
    pub(crate) fn endings(&self, name: &str, cell: &Json) -> Vec<String> {
        let began = Instant::now();
        loop {
            let attempts = self.attempts(name, cell);
            if attempts.last().is_some_and(|last| !last["ending"].is_null()) {
                let ending = |attempt: &Json| attempt["ending"].as_str().unwrap_or("none").to_owned();
                return attempts.iter().map(ending).collect();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "no end: {attempts:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The process that trains a cell, once it has taken some steps.
    pub(crate) fn trainer_at_work(&self, name: &str, cell: &Json) -> String {
        let began = Instant::now();
        loop {
            let status = fs::read_to_string(self.file(name, cell, "run/status.json")).unwrap_or_default();
            let status: Json = serde_json::from_str(&status).unwrap_or_default();
            if status["step"].as_u64() >= Some(2) && status["state"] == "training" {
                return status["pid"].to_string();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not train: {status}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The scores and the weights of every cell, which must be the same of the same sweep elsewhere.
    pub(crate) fn found(&self, name: &str) -> Vec<(String, Json, Vec<u8>)> {
        let read = |cell: Json| {
            let result = fs::read_to_string(self.file(name, &cell, "run/result.json")).expect("a result");
            let result: Json = serde_json::from_str(&result).expect("JSON");
            let weights = fs::read(self.file(name, &cell, "run/model/model.safetensors")).expect("weights");
            (cell["id"].to_string(), result["scores"].clone(), weights)
        };
        self.cells(name).into_iter().map(read).collect()
    }
}

/// What a test that failed leaves in the queue would be in the way of the others.
impl Drop for Workplace {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("the folder stays: {}", self.folder.path().display());
        }
        let folder = self.folder.path().display().to_string();
        let queue = self.command(&["squeue", "--noheader", "--format=%F %Z"]).output();
        let queue =
            queue.map(|queue| String::from_utf8_lossy(&queue.stdout).into_owned()).unwrap_or_default();
        for line in queue.lines().filter(|line| line.contains(&folder)) {
            let _ = self.command(&["scancel", line.split(' ').next().unwrap_or_default()]).output();
        }
    }
}

/// The project's programs lie side by side.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_xray-sweep")).with_file_name(name)
}

/// What a command prints on stdout; it must succeed.
pub(crate) fn checked(command: &mut Command) -> String {
    let output = ended(command, Exit::Ok);
    String::from_utf8(output.stdout).expect("text")
}

/// A command must end with `exit`.
pub(crate) fn ended(command: &mut Command, exit: Exit) -> Output {
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(exit.code().into()), "{command:?}\n{}", said(&output));
    output
}

/// Everything a command printed.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
