//! `cargo xtask bench`: xray-bench, built and run.

use anyhow::Result;
use clap::Args;
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use xray_workspace::steps::{cargo, execute, root};

/// Measure, and compare with others on the same machine and data
///
/// Builds xray-bench and runs it with the same arguments.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct BenchArguments {
    /// What is measured and how; --help lists it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Ends as xray-bench does. It runs where this command does, so that relative paths mean the same.
pub(crate) fn run(arguments: &BenchArguments) -> Result<ExitCode> {
    let mut bench = cargo(["run", "--quiet", "--release", "--package", "xray-bench", "--manifest-path"]);
    bench.arg(root().join("Cargo.toml")).arg("--").args(&arguments.arguments);
    execute(bench.current_dir(env::current_dir()?))
}
