//! Makes a finished sweep without training, for benchmarks: `fabricate DIR --cells 10000`.

use clap::Parser;
use std::path::PathBuf;
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
}

fn main() {
    let Arguments { dir, cells } = Arguments::parse();
    fixture::fabricate(&SweepDir::new(dir), cells);
}
