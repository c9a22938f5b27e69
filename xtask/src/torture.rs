//! `cargo xtask torture`: xray-torture, built and run.

use anyhow::{Result, bail};
use clap::Args;
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use xray_workspace::Programs;
use xray_workspace::steps::{command, execute};

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

/// The short form, as a step of a longer command: a fault is an error. Why this machine cannot do it, where it cannot.
pub(crate) fn short() -> Result<Option<&'static str>> {
    let program = Programs::build(&[PROGRAM])?.path(PROGRAM)?;
    let code = execute(command(program).arg("--short"))?;
    match code {
        ExitCode::SUCCESS => Ok(None),
        code if code == ExitCode::from(CANNOT) => {
            Ok(Some("no C compiler, or a kernel that does not let programs be meddled with"))
        }
        _ => bail!("{PROGRAM} failed"),
    }
}

/// As xray-torture ends where it can do nothing.
const CANNOT: u8 = 3;

const PROGRAM: &str = "xray-torture";
