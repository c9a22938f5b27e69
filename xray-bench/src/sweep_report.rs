//! `cargo xtask bench report`: the evaluation of a large test set, and the report of a large sweep.

use crate::machine::Machine;
use crate::process::{self, Row};
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use xray_workspace::ProgramArguments;
use xray_workspace::steps::{self, command};

/// Measure the evaluation of 25,596 records by 14 labels, and the report of 1,000 cells
///
/// Writes results/benchmarks/report.md. Leave the machine alone meanwhile.
#[derive(Debug, Args)]
pub(crate) struct EvaluationArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// How many cells
    #[arg(long, value_name = "N", default_value = "1000")]
    cells: NonZero<usize>,

    /// How many test records
    #[arg(long, value_name = "N", default_value = "25596")]
    records: NonZero<usize>,

    /// How often each command is measured
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZero<usize>,

    /// Folder for report.md
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &EvaluationArguments) -> Result<()> {
    let programs = arguments.programs.get()?;
    let work = steps::target_folder()?.join("bench-report");
    let _ = fs::remove_dir_all(&work);
    let sweep = work.join("sweep");
    let (cells, records) = (arguments.cells.to_string(), arguments.records.to_string());
    let mut fabricate = command(programs.path("examples/fabricate")?);
    steps::run(fabricate.arg(&sweep).args(["--cells", &cells, "--records", &records]))?;
    let run = run_with_predictions(&sweep)?;
    let rounds = arguments.rounds.get();

    let evaluated = Row::measure("xray-eval run", rounds, || {
        let mut evaluate = command(programs.path("xray-eval")?);
        evaluate.arg("run").arg(&run).args(["--format", "json"]);
        Ok(evaluate)
    })?;
    // `fabricate` makes no plan, which `collect` asks for; `report` needs the tables only.
    let tables = sweep.join("plan.json");
    fs::write(&tables, plan_of_nothing())?;
    let collect = |verb: &str| {
        let mut collect = command(programs.path("xray-sweep")?);
        collect.arg(verb).arg(&sweep);
        Ok(collect)
    };
    steps::run(&mut collect("collect")?)?;
    let report = Row::measure("xray-sweep report", rounds, || collect("report"))?;
    let text = markdown(&Machine::here(), arguments, &[evaluated, report]);
    print!("{text}");
    let out = steps::root().join(&arguments.out);
    fs::create_dir_all(&out)?;
    fs::write(out.join("report.md"), text).context("cannot write report.md")
}

/// The one run whose predictions were made.
fn run_with_predictions(sweep: &Path) -> Result<PathBuf> {
    let cells = fs::read_dir(sweep.join("cells"))?;
    let runs = cells.filter_map(|cell| Some(cell.ok()?.path().join("run")));
    runs.into_iter()
        .find(|run| run.join("predictions-test.safetensors").exists())
        .context("no predictions were made")
}

fn plan_of_nothing() -> String {
    serde_json::json!({ "format": 1, "data": "", "dataset": "", "code": "", "binaries": [] }).to_string()
}

fn markdown(machine: &Machine, arguments: &EvaluationArguments, rows: &[Row]) -> String {
    format!(
        "# Evaluation and report\n\n`cargo xtask bench report`, {} records by 14 labels, {} cells, {} rounds, {}, commit \
         {}.\n\nMachine: {}.\n\n{}\nResults are fabricated; of one run, the one that validation chooses, the \
         predictions too. Two records a patient.\n",
        arguments.records,
        arguments.cells,
        arguments.rounds,
        machine.date,
        machine.commit,
        machine.sentence(),
        process::table(rows),
    )
}
