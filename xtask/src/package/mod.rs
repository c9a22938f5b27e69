//! `cargo xtask package`: what is sent to other machines.

pub(crate) mod lambda;
mod level;
mod portable;
mod server;
pub(crate) mod worker;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use level::Level;
pub(crate) use portable::Profile;

/// A bundle, in which the first tells what it is.
const MODEL_FILES: [&str; 2] = ["model.json", "model.safetensors"];

/// Build what is sent to other machines
#[derive(Debug, Subcommand)]
pub(crate) enum Package {
    Worker(worker::WorkerArguments),
    Lambda(lambda::LambdaArguments),
    Server(server::ServerArguments),
}

/// Builds it.
pub(crate) fn run(package: &Package) -> Result<()> {
    match package {
        Package::Worker(arguments) => worker::run(arguments),
        Package::Lambda(arguments) => lambda::run(arguments),
        Package::Server(arguments) => server::run(arguments),
    }
}
