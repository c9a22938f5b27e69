//! The command line of `xray-sweep`.

mod clean;
mod collect;
mod job;
mod plan;
mod progress;
mod retry;
mod run;
mod rung;
mod watch;

use crate::sweep_dir::SweepDir;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  xray-sweep plan sweeps/nih --data shards --fractions 0.1..1.0:0.1 --trials 5

  # by hand: on a pool, and on a cluster with Slurm
  cd sweeps/nih && condor_submit sweep.sub
  sbatch sweeps/nih/sweep.sbatch

  # the same on this machine
  xray-sweep run sweeps/nih --launcher local -j 2

  xray-sweep status sweeps/nih --watch
  xray-sweep collect sweeps/nih && xray-sweep report sweeps/nih

Exit codes: 0 ok · 1 unexpected · 2 usage · 3 nothing matches, or no machine of the pool does · 4 cells are \
missing or failed · 5 bad or changed data · 7 planned with other code · 8 a planned file changed or is damaged · \
78 this machine cannot run it · 130/143 stopped by a signal";

/// Plan, run and collect many training runs, on an HTCondor pool, a Slurm cluster or this machine.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(Box<plan::PlanArguments>),
    Run(run::RunArguments),
    Status(watch::StatusArguments),
    Logs(watch::LogsArguments),
    Retry(retry::RetryArguments),
    Collect(collect::CollectArguments),
    Job(job::JobArguments),
    Rung(rung::RungArguments),
    Report(collect::ReportArguments),
    Clean(clean::CleanArguments),
}

/// Which sweep.
#[derive(Debug, Args)]
struct Sweep {
    /// The sweep directory
    #[arg(value_name = "SWEEP")]
    dir: PathBuf,
}

impl Sweep {
    fn dir(&self) -> SweepDir {
        SweepDir::new(&self.dir)
    }
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Does what the command line says.
pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    match arguments.command {
        Some(Command::Plan(arguments)) => plan::run(&arguments),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::Status(arguments)) => watch::status(&arguments),
        Some(Command::Logs(arguments)) => watch::logs(&arguments),
        Some(Command::Retry(arguments)) => retry::retry(&arguments),
        Some(Command::Job(arguments)) => job::job(&arguments),
        Some(Command::Rung(arguments)) => rung::rung(&arguments),
        Some(Command::Collect(arguments)) => collect::collect(&arguments),
        Some(Command::Report(arguments)) => collect::report(&arguments),
        Some(Command::Clean(arguments)) => clean::run(&arguments),
        None => Err(Failure::new(Exit::Usage, "no command given").hint("xray-sweep --help lists them")),
    }
}
