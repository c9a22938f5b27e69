//! The trainer with a GPU backend is a program of its own, `xray-train-gpu`: it is four times as large and needs the
//! system's libraries, while the one that travels with jobs is small and static. `xray-train` hands over to it when a
//! GPU is asked for.

use std::env::{self, consts::EXE_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;
use xray_artifacts::{Exit, Failure};
use xray_model::Backend;

/// Becomes `xray-train-gpu` if `backend` may need it, this build lacks it, and that program lies beside this one.
/// Otherwise returns: a backend that is absent is then an error when it is opened, and `auto` is the CPU.
///
/// # Errors
/// If the program is there and cannot be started.
pub(super) fn hand_over(backend: Backend) -> Result<(), Failure> {
    let may_need_it = match backend {
        Backend::Auto => !Backend::Wgpu.is_compiled() && !Backend::Cuda.is_compiled(),
        Backend::Wgpu | Backend::WgpuBurn | Backend::Cuda => !backend.is_compiled(),
        Backend::Cpu | Backend::Flex | Backend::Ndarray => false,
    };
    match sibling().filter(|_| may_need_it) {
        Some(program) => become_program(&program),
        None => Ok(()),
    }
}

/// Set for the program that takes over, which then does not hand over again, whatever it is.
const HANDED_OVER: &str = "XRAY_HANDED_OVER";

/// Path of `xray-train-gpu` in this program's folder; `None` in a program that was handed over to.
fn sibling() -> Option<PathBuf> {
    let this = env::current_exe().ok().filter(|_| env::var_os(HANDED_OVER).is_none())?;
    let program = this.with_file_name(format!("xray-train-gpu{EXE_SUFFIX}"));
    program.is_file().then_some(program)
}

/// This command line for another program.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1)).env(HANDED_OVER, "1");
    command
}

#[cfg(unix)]
fn become_program(program: &Path) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;
    let error = command(program).exec();
    Err(cannot_start(program, &error))
}

#[cfg(not(unix))]
fn become_program(program: &Path) -> Result<(), Failure> {
    let status = command(program).status();
    let status = status.map_err(|error| cannot_start(program, &error))?;
    std::process::exit(status.code().unwrap_or(Exit::Unexpected.code().into()))
}

fn cannot_start(program: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unexpected, format!("cannot start {}: {error}", program.display()))
}
