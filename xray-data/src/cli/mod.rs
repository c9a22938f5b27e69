//! The command line: one file per command. Results go to stdout, everything else to stderr.

mod bench;
mod build;
mod check;
mod kind;
mod publish;
mod show;
mod source;
mod split;
mod stats;
mod synth;
mod training;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use std::fmt::Display;
use xray_artifacts::{Exit, Failure};
use xray_cli::say;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; for check: the data are good
  1  something unexpected, such as a full disk
  2  a command line that cannot be run
  3  nothing matches
  5  records, images, labels or splits that cannot be used";

/// Turn chest X-rays and their labels into shards for training; check, count, split and look at them
#[derive(Debug, Parser)]
#[command(arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Threads to work with; 0 is one per core
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    threads: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::BuildArguments),
    Check(check::CheckArguments),
    Stats(stats::StatsArguments),
    Split(split::SplitArguments),
    Show(show::ShowArguments),
    Publish(publish::PublishArguments),
    Synth(synth::SynthArguments),
    Bench(bench::BenchArguments),
}

/// Does what was asked.
pub(crate) fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let Common { format, threads } = arguments.common;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool =
        pool.map_err(|error| Failure::new(Exit::Unexpected, format!("cannot start threads: {error}")))?;
    pool.install(|| match arguments.command {
        Some(Command::Build(arguments)) => build::run(&arguments, format),
        Some(Command::Check(arguments)) => check::run(&arguments, format),
        Some(Command::Stats(arguments)) => stats::run(&arguments, format),
        Some(Command::Split(arguments)) => split::run(&arguments, format),
        Some(Command::Show(arguments)) => show::run(&arguments, format),
        Some(Command::Publish(arguments)) => publish::run(&arguments, format),
        Some(Command::Synth(arguments)) => synth::run(&arguments, format),
        Some(Command::Bench(arguments)) => bench::run(&arguments, format),
        None => Err(Failure::new(Exit::Usage, "no command was given").hint("xray-data --help lists them")),
    })
}

/// Prints a result in the wanted format.
fn print<T: Serialize>(format: Format, value: &T, text: impl Display) -> Result<(), Failure> {
    let text = match format {
        Format::Text => text.to_string(),
        Format::Json => serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Exit::Unexpected, format!("cannot print as JSON: {error}")))?,
    };
    xray_cli::print(&format!("{}\n", text.trim_end()))
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
}
