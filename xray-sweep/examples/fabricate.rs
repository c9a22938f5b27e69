//! Makes a finished sweep without training, for benchmarks: `fabricate DIR --cells 10000`.

use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::{Split, read_json, write_json};
use xray_sweep::cell::Cell;
use xray_sweep::plan::{CellList, Plan};
use xray_sweep::sweep_dir::SweepDir;

#[path = "../tests/fixture/mod.rs"]
mod fixture;

#[derive(Parser)]
struct Arguments {
    /// The sweep directory to make.
    dir: PathBuf,
    /// How many cells: ten fractions and a tenth as many trials.
    #[arg(long, default_value_t = 10_000)]
    cells: usize,
    /// Predictions of the run that validation chooses, on so many test records and as many validation records.
    #[arg(long, default_value_t = 0)]
    records: usize,
    /// The plan of another sweep, which becomes the plan of these cells.
    #[arg(long)]
    plan: Option<PathBuf>,
}

fn main() {
    let Arguments { dir, cells, records, plan } = Arguments::parse();
    let dir = SweepDir::new(dir);
    let cells = fixture::fabricate(&dir, cells);
    if let Some(plan) = plan {
        adopt(&dir, &plan, cells.len());
    }
    let score = |cell: &Cell| fixture::evaluation(cell, Split::Val, 1.0).macro_auc;
    let chosen = cells.iter().max_by(|a, b| score(a).partial_cmp(&score(b)).expect("finite"));
    if let Some(chosen) = chosen.filter(|_| records > 0) {
        fixture::write_predictions(&dir, chosen, records);
    }
}

/// Writes the plan of another sweep as one that vouches for this list of cells.
fn adopt(dir: &SweepDir, plan: &Path, count: usize) {
    let mut plan: Plan = read_json(plan).expect("a plan");
    let cells = fs::read(dir.cells()).expect("a list of cells");
    plan.cells = Some(CellList { count, blake3: blake3::hash(&cells).to_hex().to_string() });
    write_json(&dir.plan(), &plan).expect("a writable folder");
}
