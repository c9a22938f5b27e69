//! Makes a finished sweep without training, for benchmarks: `fabricate DIR --cells 10000`.

use clap::Parser;
use std::path::PathBuf;
use xray_artifacts::Split;
use xray_sweep::cell::Cell;
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
}

fn main() {
    let Arguments { dir, cells, records } = Arguments::parse();
    let dir = SweepDir::new(dir);
    let cells = fixture::fabricate(&dir, cells);
    let score = |cell: &Cell| fixture::evaluation(cell, Split::Val, 1.0).macro_auc;
    let chosen = cells.iter().max_by(|a, b| score(a).partial_cmp(&score(b)).expect("finite"));
    if let Some(chosen) = chosen.filter(|_| records > 0) {
        fixture::write_predictions(&dir, chosen, records);
    }
}
