//! `cargo xtask package`: what is sent to other machines.

mod level;
pub(crate) mod worker;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use level::Level;

/// Build what is sent to other machines
#[derive(Debug, Subcommand)]
pub(crate) enum Package {
    Worker(worker::WorkerArguments),
}

/// Builds it.
pub(crate) fn run(package: &Package) -> Result<()> {
    match package {
        Package::Worker(arguments) => worker::run(arguments),
    }
}
