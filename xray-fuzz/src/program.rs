//! A program under a limit of its address space, watched until it ends.

use crate::fault::{Fault, Limits, What};
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) time: Duration,
    pub(crate) peak_mib: f64,
}

/// A command under the limit of its address space. A shell sets it, so that it holds from the first instruction.
pub(crate) fn limited(program: &Path, limits: &Limits) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -c 0; ulimit -v {} && exec \"$0\" \"$@\"", limits.address_mib * 1024);
    command.args(["-c", &script]).arg(program).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

/// Runs a program to its end, or for `deadline`, after which it is killed.
pub(crate) fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
    limits: &Limits,
    deadline: Duration,
) -> Result<Ending> {
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut command = limited(program, limits);
    command.args(arguments).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    // Until the shell has become the program, the memory may be this process's, which it shared when it was started.
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let mut peak_mib = 0.0_f64;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if is_called(child.id(), &name) {
            peak_mib = peak_mib.max(memory_mib(child.id(), "VmHWM:").unwrap_or(0.0));
        }
        if start.elapsed() > deadline {
            child.kill()?;
        }
        sleep(Duration::from_millis(1));
    };
    let time = start.elapsed();
    Ok(Ending { status, stdout: text(stdout)?, stderr: text(stderr)?, time, peak_mib })
}

/// The beginning of what was written.
fn text(mut file: File) -> Result<String> {
    use std::io::Seek;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(8 << 20).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a process runs the program of this name, of which the system keeps 15 letters.
fn is_called(process: u32, name: &str) -> bool {
    let found = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    !found.is_empty() && name.starts_with(found.trim_end())
}

/// A field of a process's status.
pub(crate) fn memory_mib(process: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

impl Ending {
    /// What is wrong with it, where these exit codes tell of bad input and it may take so long.
    pub(crate) fn fault(&self, codes: &[i32], limits: &Limits, deadline: Duration) -> Option<Fault> {
        let said = self.stdout.clone() + &self.stderr;
        let last = Fault::last_words(&said);
        // One that is too slow is killed, which is no death of its own.
        if self.time > deadline {
            return Some(Fault::new(What::Slow, format!("{:.1} s", self.time.as_secs_f64())));
        }
        if let Some(signal) = self.status.signal() {
            return Some(Fault::new(What::Death, format!("signal {signal}; {}", last)));
        }
        if let Some(panic) = Fault::panic_in(&self.stderr) {
            return Some(panic);
        }
        if self.peak_mib > limits.growth_mib {
            return Some(Fault::new(What::Memory, format!("{:.0} MiB", self.peak_mib)));
        }
        match self.status.code() {
            Some(code) if codes.contains(&code) => None,
            code => Some(Fault::new(What::Code, format!("exit code {}; {}", code.unwrap_or(-1), last))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { address_mib: 1024, slowest: Duration::from_secs(2), growth_mib: 300.0 };

    fn fault(script: &str) -> Option<What> {
        let deadline = Duration::from_secs(5);
        let ending = run(Path::new("/bin/sh"), ["-c", script], &LIMITS, deadline).expect("a shell starts");
        ending.fault(&[0, 5], &LIMITS, deadline).map(|fault| fault.what)
    }

    #[test]
    fn what_must_not_happen_is_seen() {
        assert_eq!(fault("exit 0"), None);
        assert_eq!(fault("exit 5"), None);
        assert_eq!(fault("exit 1"), Some(What::Code));
        assert_eq!(fault("kill -SEGV $$"), Some(What::Death));
        assert_eq!(fault("echo \"thread 'main' panicked at a.rs\" >&2; exit 5"), Some(What::Panic));
    }

    #[test]
    fn a_program_that_does_not_end_is_slow() {
        let deadline = Duration::from_millis(200);
        let ending = run(Path::new("/bin/sleep"), ["60"], &LIMITS, deadline).expect("it starts");
        assert_eq!(ending.fault(&[0], &LIMITS, deadline).map(|fault| fault.what), Some(What::Slow));
    }

    #[test]
    fn address_space_is_limited() {
        let ending = run(Path::new("/bin/sh"), ["-c", "ulimit -v"], &LIMITS, Duration::from_secs(5));
        assert_eq!(ending.expect("a shell starts").stdout.trim(), "1048576");
    }
}
