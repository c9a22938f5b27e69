//! `cargo xtask`: what people and CI run.
#![expect(clippy::print_stderr, reason = "says on the terminal what it does")]

mod bench;
mod build;
mod ci;
mod condor;
mod deny;
mod fuzz;
mod lambda;
mod ledger;
mod package;
mod page;
mod pip;
mod quickstart;
mod sanitize;
mod slurm;
mod stand_in;
mod test;
mod torture;

use clap::{Parser, Subcommand};
use condor::Unavailable;
use std::process::ExitCode;
use xray_workspace::steps;

/// Build, try, test and measure this project
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::QuickstartArguments),
    Build(build::BuildArguments),
    Test(test::TestArguments),
    Ci(ci::CiArguments),
    Page(page::PageArguments),
    /// Run the tests of xray-kernels under an address sanitizer
    ///
    /// It sees reads and writes outside of a buffer in every form of the kernels. Needs a nightly toolchain:
    /// `rustup toolchain install nightly`. Takes a minute.
    Sanitize,
    #[command(subcommand)]
    Package(package::Package),
    Lambda(lambda::EmulatorArguments),
    Bench(bench::BenchArguments),
    Fuzz(fuzz::FuzzArguments),
    Torture(torture::TortureArguments),
    #[command(subcommand)]
    Condor(condor::Condor),
    #[command(subcommand)]
    Slurm(slurm::Slurm),
}

fn main() -> ExitCode {
    if let Some(code) = stand_in::compile() {
        return code;
    }
    // Noted before anything is built. Where it is not known, whoever needs it says so.
    let _ = steps::this_program();
    let done = match Arguments::parse().command {
        Command::Quickstart(arguments) => quickstart::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Build(arguments) => build::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Test(arguments) => test::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Ci(arguments) => ci::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Page(arguments) => page::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Sanitize => sanitize::run().map(|()| ExitCode::SUCCESS),
        Command::Package(package) => package::run(&package).map(|()| ExitCode::SUCCESS),
        Command::Lambda(arguments) => lambda::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Torture(arguments) => torture::run(&arguments),
        Command::Condor(condor) => condor::run(&condor),
        Command::Slurm(slurm) => slurm::run(&slurm),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        match error.downcast_ref::<Unavailable>() {
            Some(_) => ExitCode::from(Unavailable::EXIT_CODE),
            None => ExitCode::FAILURE,
        }
    })
}
