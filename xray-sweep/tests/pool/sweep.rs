//! A sweep of short trainings: planned, submitted, watched, read.

use crate::workplace::{Workplace, checked, said};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};
use xray_artifacts::Exit;

const PATIENCE: Duration = Duration::from_secs(120);

/// Tiny, and alike wherever it runs.
const SETTINGS: [&str; 7] = [
    "preprocessing.size=32",
    "model.width=4",
    "training.batch_size=16",
    "training.duration=12 steps",
    "training.evaluate_every=6 steps",
    "training.checkpoint_every=6 steps",
    "training.bootstrap_resamples=50",
];

pub(crate) struct Sweep<'a> {
    workplace: &'a Workplace,
    name: &'static str,
}

impl<'a> Sweep<'a> {
    /// What `xray-sweep` is told to plan it: short runs with one core, and `more`.
    pub(crate) fn arguments(name: &'static str, more: &[&str]) -> Vec<String> {
        let fixed = ["plan", name, "--data", "shards", "--cpus", "1", "--disk", "10MB"];
        let settings = SETTINGS.into_iter().flat_map(|setting| ["--set", setting]);
        fixed.into_iter().chain(settings).chain(more.iter().copied()).map(str::to_owned).collect()
    }

    /// Plans it on this machine.
    pub(crate) fn plan(workplace: &'a Workplace, name: &'static str, more: &[&str]) -> Self {
        checked(workplace.xray_sweep(&[]).args(Self::arguments(name, more)));
        Self { workplace, name }
    }

    /// One that was planned already.
    pub(crate) fn planned(workplace: &'a Workplace, name: &'static str) -> Self {
        Self { workplace, name }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.workplace.path(self.name).join(name)
    }

    /// `xray-sweep COMMAND` with this sweep, on this machine.
    pub(crate) fn command(&self, command: &str) -> Command {
        self.workplace.xray_sweep(&[command, self.name])
    }

    /// A command in the pool, started in the sweep's folder; what it prints.
    pub(crate) fn in_pool(&self, command: &[&str]) -> String {
        checked(&mut self.workplace.in_pool(&self.path(""), command))
    }

    /// As by hand.
    pub(crate) fn submit(&self) {
        self.in_pool(&["condor_submit", "sweep.sub"]);
    }

    /// The cells as `xray-sweep status` sees them.
    pub(crate) fn cells(&self) -> Vec<Json> {
        let status: Json =
            serde_json::from_str(&checked(self.command("status").args(["--format", "json"]))).expect("JSON");
        status["cells"].as_array().expect("a list").clone()
    }

    /// Waits until `is_so` holds for the cells.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&[Json]) -> bool) -> Vec<Json> {
        let began = Instant::now();
        loop {
            let cells = self.cells();
            if is_so(&cells) {
                return cells;
            }
            assert!(began.elapsed() < PATIENCE, "never {what}: {cells:#?}\n{}", self.log());
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until every cell has its result.
    pub(crate) fn wait_until_done(&self) -> Vec<Json> {
        let state = |cells: &[Json], state: &str| cells.iter().filter(|cell| cell["state"] == state).count();
        let cells = self.wait_until("done", |cells| {
            let ended = state(cells, "failed") + state(cells, "lost") + state(cells, "missing");
            assert_eq!(ended, 0, "{cells:#?}\n{}", self.log());
            state(cells, "done") == cells.len()
        });
        // The log may say so a moment later.
        self.in_pool(&["condor_wait", "-wait", "60", "sweep.log"]);
        cells
    }

    /// The starts of a cell, oldest first, as `xray-sweep logs` shows them.
    pub(crate) fn attempts(&self, cell: &Json) -> Vec<String> {
        let id = cell["id"].as_str().expect("an id");
        let story = checked(self.command("logs").arg(id));
        let table = story.split("\n\n").nth(1).expect("a table").lines();
        table.skip(1).map(str::to_owned).collect()
    }

    /// `collect` must end with `exit`; what it says, as JSON.
    pub(crate) fn collect(&self, exit: Exit) -> Json {
        let output = self.command("collect").args(["--format", "json"]).output().expect("it starts");
        assert_eq!(output.status.code(), Some(exit.code().into()), "{}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// A file of a cell.
    pub(crate) fn read(&self, cell: &Json, file: &str) -> Vec<u8> {
        let path = self.path("cells").join(cell["id"].as_str().expect("an id")).join(file);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The same as JSON.
    pub(crate) fn json(&self, cell: &Json, file: &str) -> Json {
        serde_json::from_slice(&self.read(cell, file)).expect("JSON")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("sweep.log")).unwrap_or_default()
    }
}
