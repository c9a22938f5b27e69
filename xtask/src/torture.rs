//! `cargo xtask torture`: xray-torture, built and run.

use anyhow::Result;
use clap::Args;
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use xray_workspace::Programs;
use xray_workspace::steps::{self, command, execute};

/// Interrupt, starve and damage the programs
///
/// Builds xray-torture, which builds the programs, and runs it with the same arguments. It takes minutes.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct TortureArguments {
    /// What is tried and how; --help lists it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Ends as xray-torture does. It runs where this command does, so that relative paths mean the same.
pub(crate) fn run(arguments: &TortureArguments) -> Result<ExitCode> {
    let program = Programs::build(&[PROGRAM])?.path(PROGRAM)?;
    execute(command(program).args(&arguments.arguments).current_dir(env::current_dir()?))
}

/// The short form, as a step of a longer command: a fault is an error.
pub(crate) fn short() -> Result<()> {
    let program = Programs::build(&[PROGRAM])?.path(PROGRAM)?;
    steps::run(command(program).arg("--short"))
}

const PROGRAM: &str = "xray-torture";
