//! `cargo xtask`: what people and CI run.
#![expect(clippy::print_stderr, reason = "says on the terminal what it does")]

mod bench;
mod package;
mod programs;
mod quickstart;
mod steps;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

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
    Test(test::TestArguments),
    #[command(subcommand)]
    Package(package::Package),
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Quickstart(arguments) => quickstart::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Package(package) => package::run(&package),
        Command::Bench(bench) => bench::run(&bench),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
