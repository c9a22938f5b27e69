//! A program under a limit of its address space, watched until it ends.

use crate::fault::{Fault, Limits, What};
use anyhow::Result;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use xray_workspace::watch::{Ending, last_words, panic_in, watch};

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
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    watch(limited(program, limits).args(arguments), &name, deadline)
}

/// What is wrong with how a program ended, where these exit codes tell of bad input and it may take so long.
pub(crate) fn fault(ended: &Ending, codes: &[i32], limits: &Limits, deadline: Duration) -> Option<Fault> {
    let said = ended.stdout.clone() + &ended.stderr;
    let last = last_words(&said);
    // One that is too slow is killed, which is not a death of its own.
    if ended.time > deadline {
        return Some(Fault::new(What::Slow, format!("{:.1} s", ended.time.as_secs_f64())));
    }
    if let Some(signal) = ended.status.signal() {
        return Some(Fault::new(What::Death, format!("signal {signal}; {}", last)));
    }
    if let Some(panic) = panic_in(&ended.stderr) {
        return Some(Fault::new(What::Panic, panic));
    }
    if ended.peak_mib > limits.growth_mib {
        return Some(Fault::new(What::Memory, format!("{:.0} MiB", ended.peak_mib)));
    }
    match ended.status.code() {
        Some(code) if codes.contains(&code) => None,
        code => Some(Fault::new(What::Code, format!("exit code {}; {}", code.unwrap_or(-1), last))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { address_mib: 1024, slowest: Duration::from_secs(2), growth_mib: 300.0 };

    fn fault(script: &str) -> Option<What> {
        let deadline = Duration::from_secs(5);
        let ending = run(Path::new("/bin/sh"), ["-c", script], &LIMITS, deadline).expect("a shell starts");
        super::fault(&ending, &[0, 5], &LIMITS, deadline).map(|fault| fault.what)
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
        assert_eq!(super::fault(&ending, &[0], &LIMITS, deadline).map(|fault| fault.what), Some(What::Slow));
    }

    #[test]
    fn address_space_is_limited() {
        let ending = run(Path::new("/bin/sh"), ["-c", "ulimit -v"], &LIMITS, Duration::from_secs(5));
        assert_eq!(ending.expect("a shell starts").stdout.trim(), "1048576");
    }
}
