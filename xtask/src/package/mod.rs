//! `cargo xtask package`: what is sent to other machines.

pub(crate) mod lambda;
mod level;
pub(crate) mod portable;
mod release;
mod server;
pub(crate) mod worker;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use level::Level;

/// A bundle, in which the first tells what it is.
const MODEL_FILES: [&str; 2] = ["model.json", "model.safetensors"];

/// Build what is sent to other machines
#[derive(Debug, Subcommand)]
pub(crate) enum Package {
    Worker(worker::WorkerArguments),
    Lambda(lambda::LambdaArguments),
    Server(server::ServerArguments),
    Release(release::ReleaseArguments),
}

/// Builds it.
pub(crate) fn run(package: &Package) -> Result<()> {
    match package {
        Package::Worker(arguments) => worker::run(arguments),
        Package::Lambda(arguments) => lambda::run(arguments),
        Package::Server(arguments) => server::run(arguments),
        Package::Release(arguments) => release::run(arguments),
    }
}
