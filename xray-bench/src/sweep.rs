//! `cargo xtask bench sweep`: planning, surveying and collecting a sweep far larger than anyone's pool.

use crate::machine::Machine;
use crate::process::{self, Row};
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use xray_workspace::steps::{self, command};
use xray_workspace::{ProgramArguments, Programs};

/// Measure plan, status, collect and report of 10,000 cells, and write results/benchmarks/sweep.md
///
/// Results are made without training; every figure comes from a process of its own. Leave the machine alone
/// meanwhile.
#[derive(Debug, Args)]
pub(crate) struct SweepArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// How many cells
    #[arg(long, value_name = "N", default_value = "10000")]
    cells: NonZero<usize>,

    /// How often each command is measured
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZero<usize>,

    /// Folder to work in [default: one below the target folder]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,

    /// Folder for sweep.md
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &SweepArguments) -> Result<()> {
    let programs = arguments.programs.get()?;
    let work = match &arguments.work {
        Some(folder) => folder.clone(),
        None => steps::target_folder()?.join("bench-sweep"),
    };
    let bench = SweepBench { programs, work, cells: arguments.cells.get(), rounds: arguments.rounds.get() };
    let rows = bench.measure()?;
    let text = markdown(&Machine::here(), bench.cells, bench.rounds, &rows);
    print!("{text}");
    let out = steps::root().join(&arguments.out);
    fs::create_dir_all(&out)?;
    fs::write(out.join("sweep.md"), text).context("cannot write sweep.md")
}

struct SweepBench {
    programs: Programs,
    work: PathBuf,
    cells: usize,
    rounds: usize,
}

impl SweepBench {
    fn measure(&self) -> Result<Vec<Row>> {
        let (shards, planned, finished) =
            (self.work.join("shards"), self.work.join("planned"), self.work.join("finished"));
        for folder in [&shards, &planned, &finished] {
            let _ = fs::remove_dir_all(folder);
        }
        let mut synth = command(self.programs.path("xray-data")?);
        steps::run(synth.args(["synth", "--images", "400", "--size", "32", "--out"]).arg(&shards))?;
        let trials = (self.cells / 10).max(1).to_string();
        // What people send, where it was packaged.
        let packaged = steps::target_folder()?.join("worker/xray-train");
        let trainer = if packaged.is_file() { packaged } else { self.programs.path("xray-train")? };
        let plan = |folder: &Path| {
            let mut plan = self.sweep("plan", folder)?;
            plan.arg("--data").arg(&shards).args([
                "--fractions",
                "0.1..1.0:0.1",
                "--trials",
                &trials,
                "--no-pool",
            ]);
            plan.arg("--binary").arg(&trainer);
            Ok(plan)
        };
        // A plan of its own for the fabricated cells: what commands read first.
        let small = self.work.join("small");
        let _ = fs::remove_dir_all(&small);
        steps::run(
            self.sweep("plan", &small)?
                .arg("--data")
                .arg(&shards)
                .arg("--no-pool")
                .arg("--binary")
                .arg(&trainer),
        )?;
        let mut fabricate = command(self.programs.path("examples/fabricate")?);
        fabricate.arg(&finished).args(["--cells", &self.cells.to_string()]);
        steps::run(fabricate.arg("--plan").arg(small.join("plan.json")))?;

        let mut rows = Vec::new();
        // Each time another folder, and only when the disk has caught up: removing or writing the last forty
        // thousand files goes on in the file system's journal for seconds.
        let mut number = 0;
        rows.push(self.row("plan, into an empty folder", || {
            number += 1;
            steps::succeeds(&mut command("sync"));
            plan(&planned.join(number.to_string()))
        })?);
        let planned = planned.join("1");
        rows.push(self.row("plan again, nothing new", || plan(&planned))?);
        rows.push(self.row("status", || self.sweep("status", &finished))?);
        rows.push(self.row("collect", || self.sweep("collect", &finished))?);
        rows.push(self.row("report", || self.sweep("report", &finished))?);
        Ok(rows)
    }

    fn sweep(&self, verb: &str, folder: &Path) -> Result<Command> {
        let mut command = command(self.programs.path("xray-sweep")?);
        command.arg(verb).arg(folder);
        Ok(command)
    }

    fn row(&self, what: &'static str, make: impl FnMut() -> Result<Command>) -> Result<Row> {
        Row::measure(what, self.rounds, make)
    }
}

fn markdown(machine: &Machine, cells: usize, rounds: usize, rows: &[Row]) -> String {
    let text = format!(
        "# A large sweep\n\n`cargo xtask bench sweep`, {cells} cells, {rounds} rounds, {}, commit {}.\n\n\
         Machine: {}.\n\n{}",
        machine.date,
        machine.commit,
        machine.sentence(),
        process::table(rows),
    );
    text + "\nResults are fabricated: 14 labels, validation and test, 95 lines of metrics a cell. Files are in \
            memory after the first round. Peaks are of xray-sweep's own process, not of the trainer that `plan` asks.\n"
}
