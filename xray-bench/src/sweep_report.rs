//! `cargo xtask bench report`: bootstrap intervals of a large test set, and the report of a large sweep.

use crate::machine::Machine;
use crate::process::{self, Row};
use crate::spread::Spread;
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use xray_workspace::steps::{self, command};
use xray_workspace::{ProgramArguments, Programs};

/// Measure the evaluation of 25,596 records by 14 labels with 1,000 resamples, and the report of 1,000 cells
///
/// Writes results/benchmarks/report.md. With --python, the same bootstrap as a loop over scikit-learn's
/// roc_auc_score stands beside it, of fewer resamples, in turn with ours. Leave the machine alone meanwhile.
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

    /// A Python with scikit-learn
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Resamples of the Python loop; its time is scaled to 1,000
    #[arg(long, value_name = "N", default_value = "20")]
    python_resamples: NonZero<u32>,

    /// Folder for report.md
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

const RESAMPLES: u32 = 1000;
const LOOP: &str = include_str!("bootstrap.py");

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

    let python = arguments.python.as_ref().map(|python| PythonLoop {
        python: python.clone(),
        script: work.join("bootstrap.py"),
        predictions: run.join("predictions-test.safetensors"),
        resamples: arguments.python_resamples.get(),
    });
    if let Some(python) = &python {
        fs::write(&python.script, LOOP)?;
    }
    let mut theirs = Vec::new();
    let evaluated =
        Row::measure("xray-eval run, 1,000 resamples of all and of each subgroup", rounds, || {
            // In turn, so that a machine whose speed drifts moves both.
            theirs.extend(python.as_ref().map(PythonLoop::seconds).transpose()?);
            evaluate(&programs, &run, RESAMPLES)
        })?;
    let without = Row::measure("xray-eval run, without resamples", rounds, || evaluate(&programs, &run, 0))?;
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
    let text = markdown(&Machine::here(), arguments, &[evaluated, without, report], Spread::of(theirs));
    print!("{text}");
    let out = steps::root().join(&arguments.out);
    fs::create_dir_all(&out)?;
    fs::write(out.join("report.md"), text).context("cannot write report.md")
}

fn evaluate(programs: &Programs, run: &Path, resamples: u32) -> Result<std::process::Command> {
    let mut evaluate = command(programs.path("xray-eval")?);
    evaluate.arg("run").arg(run).args(["--format", "json", "--resamples", &resamples.to_string()]);
    Ok(evaluate)
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

struct PythonLoop {
    python: PathBuf,
    script: PathBuf,
    predictions: PathBuf,
    resamples: u32,
}

impl PythonLoop {
    /// Of [`RESAMPLES`], by the time of fewer; start and reading left out.
    fn seconds(&self) -> Result<f64> {
        let mut python = command(&self.python);
        let said =
            steps::output(python.arg(&self.script).arg(&self.predictions).arg(self.resamples.to_string()))?;
        let seconds: f64 = said.trim().parse().context("the loop prints its seconds")?;
        Ok(seconds * f64::from(RESAMPLES) / f64::from(self.resamples))
    }
}

fn markdown(
    machine: &Machine,
    arguments: &EvaluationArguments,
    rows: &[Row],
    theirs: Option<Spread>,
) -> String {
    let beside = theirs.map_or(String::new(), |theirs| {
        format!(
            "\nscikit-learn {theirs} s: the bootstrap of all records alone, as a loop over `roc_auc_score` in one process, \
             scaled from {} resamples to 1,000, start and reading left out, in turn with ours. Ours is the whole command: \
             reading, the bootstrap of all records and those of the subgroups, operating points, calibration.\n",
            arguments.python_resamples
        )
    });
    format!(
        "# Evaluation and report\n\n`cargo xtask bench report`, {} records by 14 labels, {} cells, {} rounds, {}, commit \
         {}.\n\nMachine: {}.\n\n{}{beside}\nResults are fabricated; of one run, the one that validation chooses, the \
         predictions too. Two records a patient; patients are drawn.\n",
        arguments.records,
        arguments.cells,
        arguments.rounds,
        machine.date,
        machine.commit,
        machine.sentence(),
        process::table(rows),
    )
}
