//! `cargo xtask condor`: a real HTCondor pool on this machine, for tests and for trying a sweep.

pub(crate) mod installed;
mod machine;
mod root;
mod unavailable;

pub(crate) use unavailable::Unavailable;

use anyhow::Result;
use clap::{Args, Subcommand};
use machine::Machine;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use xray_workspace::steps::{self, execute};

/// A real HTCondor pool on this machine, for tests
///
/// `up` installs HTCondor into a folder below target/ (once, three minutes, 1.2 GB) and starts it there in
/// namespaces of its own: nothing on this machine changes, and `down` leaves nothing running. That needs root and
/// debootstrap. Where HTCondor is already installed and answers, that pool is used and nothing is started. Where
/// neither can be had, every command says why and exits 3.
///
/// The pool has seven machines: x86_64-v2, -v3, -v4 with a GPU that is not there, for which Mesa's software renderer stands
/// in, -v3, and two that emulate an Intel Nehalem, where a newer instruction is really illegal. The last of them says
/// nothing of its level and has a small disk. The seventh says that it has a GPU and has no driver for Vulkan. Only jobs
/// with `My.WantEmulated = true` are sent to the first of those two, those with `My.WantUnknown = true` or
/// `My.WantFullDisk = true` to the second, and those with `My.WantMissingVulkan = true` to the seventh.
#[derive(Debug, Subcommand)]
pub(crate) enum Condor {
    /// Install the pool where it is missing, start it and wait for its machines
    Up,
    /// Stop the pool; its queue and its jobs are gone
    Down,
    /// Say which pool there is and show its machines; exits 3 without one
    Status,
    Run(RunArguments),
    Bind(BindArguments),
}

/// Run a command in the pool, as a user without privileges
///
/// The command's exit code becomes that of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Folder to run in, at the same path as here; it is shown to the pool as `bind --writable` does. Choose one
    /// outside /tmp: DAGMan refuses to keep its logs there
    #[arg(short = 'C', long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Show a folder of this machine to the pool, at the same path
///
/// The folder is shown until the pool stops. An installed pool sees every folder already.
#[derive(Debug, Args)]
pub(crate) struct BindArguments {
    /// Let the pool write: the folder and all in it become the property of the user inside
    #[arg(long)]
    writable: bool,
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(condor: &Condor) -> Result<ExitCode> {
    if installed::answers() {
        return with_installed(condor);
    }
    let folder = steps::target_folder()?.join("condor");
    match condor {
        Condor::Up => Machine::up(&folder)?.run(None, &["condor_status"]),
        Condor::Down => Machine::down(&folder).map(|()| ExitCode::SUCCESS),
        Condor::Status => Machine::running(&folder)?.run(None, &["condor_status"]),
        Condor::Run(arguments) => {
            Machine::running(&folder)?.run(arguments.folder.as_deref(), &arguments.command)
        }
        Condor::Bind(arguments) => {
            Machine::running(&folder)?.bind(&arguments.folder, arguments.writable)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A pool of our own that stops when this is dropped, unless it was up before.
pub(crate) struct TestPool {
    started: Option<PathBuf>,
}

/// Starts our own pool for tests, which know its machines: none that is installed here would do.
pub(crate) fn for_tests() -> Result<TestPool> {
    let folder = steps::target_folder()?.join("condor");
    let was_up = Machine::running(&folder).is_ok();
    Machine::up(&folder)?;
    Ok(TestPool { started: (!was_up).then_some(folder) })
}

impl Drop for TestPool {
    fn drop(&mut self) {
        if let Some(folder) = &self.started {
            let _ = Machine::down(folder);
        }
    }
}

fn with_installed(condor: &Condor) -> Result<ExitCode> {
    match condor {
        Condor::Up | Condor::Status => {
            eprintln!("HTCondor is installed here and answers");
            execute(Command::new("condor_status").current_dir(steps::root()))
        }
        Condor::Down | Condor::Bind(_) => Ok(ExitCode::SUCCESS),
        Condor::Run(arguments) => {
            let folder = arguments.folder.clone().unwrap_or_else(steps::root);
            let (program, rest) = arguments.command.split_first().expect("clap requires a command");
            execute(Command::new(program).args(rest).current_dir(folder))
        }
    }
}
