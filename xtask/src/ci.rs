//! `cargo xtask ci`: everything a change must pass, and what each step of it costs.

use crate::deny;
use crate::ledger::Ledger;
use crate::test::{self, TestArguments};
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use xray_workspace::steps::{self, cargo};

/// Check formatting, lints, documentation and dependencies, and run every test
///
/// Ends at the first step that fails, with a table of what the steps cost.
#[derive(Debug, Args)]
pub(crate) struct CiArguments {
    #[command(flatten)]
    test: TestArguments,

    /// Write the table into this file too
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

/// Takes all steps.
pub(crate) fn run(arguments: &CiArguments) -> Result<()> {
    let mut ledger = Ledger::begin();
    let checked = check(&mut ledger).and_then(|skipped| {
        let tested = test::run_in(&arguments.test, &mut ledger);
        skipped.iter().for_each(|reason| eprintln!("skipped: {reason}"));
        tested
    });
    let table = ledger.table();
    eprintln!("\n{table}");
    if let Some(file) = &arguments.table {
        fs::write(file, table).with_context(|| format!("cannot write {}", file.display()))?;
    }
    checked
}

/// What could not be checked here is returned as sentences.
fn check(ledger: &mut Ledger) -> Result<Option<String>> {
    ledger.step("formatting", || steps::run(&mut cargo(["fmt", "--all", "--check"])))?;
    let skipped = ledger.step("licences and sources", deny::check)?;
    ledger.step("lints", || steps::run(&mut cargo(CLIPPY)))?;
    ledger.step("lints without DICOM", || steps::run(&mut cargo(CLIPPY_WITHOUT_DICOM)))?;
    ledger.step("documentation", || steps::run(&mut documentation()))?;
    Ok(skipped)
}

const CLIPPY: [&str; 7] = ["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];

/// The server has it always.
const CLIPPY_WITHOUT_DICOM: [&str; 10] = [
    "clippy",
    "--release",
    "--package",
    "xray-data",
    "--package",
    "xray-image",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

/// Naming the examples makes cargo choose the features that the tests need, so that what clippy checked is not checked
/// again.
fn documentation() -> Command {
    let mut doc = cargo(["doc", "--release", "--workspace", "--no-deps", "--lib", "--examples"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    doc
}
