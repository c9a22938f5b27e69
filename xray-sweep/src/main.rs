//! `xray-sweep`: many training runs, planned, run, watched and collected.

use clap::Parser;
use std::process::ExitCode;
use xray_sweep::cli::{Arguments, run};

#[expect(clippy::print_stderr, reason = "the one place that prints errors")]
fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit.code())
        }
    }
}
