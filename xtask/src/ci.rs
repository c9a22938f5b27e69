//! `cargo xtask ci`: everything a change must pass, and what each step of it costs.

use crate::deny;
use crate::fuzz;
use crate::ledger::Ledger;
use crate::test::{self, TestArguments};
use crate::torture;
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use xray_workspace::steps::{self, cargo, command};

/// Check formatting, lints, documentation and dependencies, run every test, attack the programs and interrupt them
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
    arguments.test.prepare()?;
    let mut ledger = Ledger::begin();
    let checked = check(&mut ledger)
        .and_then(|()| test::run_in(&arguments.test, &mut ledger))
        .and_then(|()| ledger.step("attacks with damaged input", fuzz::short))
        .and_then(|()| interrupted(&mut ledger));
    let table = ledger.table();
    eprintln!("\n{table}");
    let written = arguments.table.as_ref().map_or(Ok(()), |file| {
        fs::write(file, table).with_context(|| format!("cannot write {}", file.display()))
    });
    checked.and(written)
}

fn interrupted(ledger: &mut Ledger) -> Result<()> {
    if let Some(reason) = ledger.step("programs interrupted and starved", torture::short)? {
        eprintln!("skipped: {reason}");
    }
    Ok(())
}

fn check(ledger: &mut Ledger) -> Result<()> {
    ledger.step("formatting", || {
        steps::run(&mut cargo(["fmt", "--all", "--check"])).and(without_conflicts())
    })?;
    if let Some(reason) = ledger.step("dependencies", deny::check)? {
        eprintln!("skipped: {reason}");
    }
    ledger.step("lints", || steps::run(&mut cargo(CLIPPY)))?;
    ledger.step("documentation", || steps::run(&mut documentation()))
}

/// Refuses what a merge left for a person to settle, which no compiler sees in a document.
fn without_conflicts() -> Result<()> {
    let mut grep = command("git");
    grep.args(["grep", "--line-number", "--extended-regexp", "^(<{7}|>{7}) "]).current_dir(steps::root());
    let found = grep.output().context("cannot start git")?;
    // 1 where nothing matches, 128 outside of a repository.
    ensure!(!found.status.success(), "left by a merge:\n{}", String::from_utf8_lossy(&found.stdout));
    Ok(())
}

const CLIPPY: [&str; 7] = ["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];

/// Naming the examples makes cargo choose the features that the tests need, so that what clippy checked is not checked
/// again.
fn documentation() -> Command {
    let mut doc = cargo(["doc", "--release", "--workspace", "--no-deps", "--lib", "--examples"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    doc
}
