//! A program watched until it ends.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Debug)]
pub struct Ending {
    /// Its exit code or the signal that ended it.
    pub status: ExitStatus,
    /// The beginning of what it printed.
    pub stdout: String,
    /// The beginning of what it said on stderr.
    pub stderr: String,
    /// How long it ran.
    pub time: Duration,
    /// The most memory that it held.
    pub peak_mib: f64,
}

/// Runs a command to its end, or for `deadline`, after which it is killed. Its memory is noted while it is the program
/// of this name: until a shell has become it, the memory may be this process's, which it shared when it was started.
pub fn watch(command: &mut Command, name: &str, deadline: Duration) -> Result<Ending> {
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let start = Instant::now();
    let mut child =
        command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let mut peak_mib = 0.0_f64;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if is_called(child.id(), name) {
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
pub fn memory_mib(process: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

/// What a program said last, or rather why it ended.
pub fn last_words(said: &str) -> &str {
    let lines = || said.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('{'));
    let why =
        lines().rfind(|line| line.contains("fatal runtime error") || line.contains("memory allocation"));
    why.or_else(|| lines().next_back()).unwrap_or("nothing said")
}

/// A panic in what a program wrote to stderr: where, and why.
pub fn panic_in(stderr: &str) -> Option<String> {
    let at = stderr.find("panicked at")?;
    Some(stderr[at..].lines().take(2).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn ending(script: &str, deadline: Duration) -> Ending {
        watch(Command::new("sh").args(["-c", script]), "sh", deadline).expect("a shell starts")
    }

    #[test]
    fn what_a_program_does_and_says_is_known() {
        let ended = ending("echo out; echo err >&2; exit 7", Duration::from_secs(5));
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(ended.status.code(), Some(7));
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let ended = ending("exec sleep 60", Duration::from_millis(50));
        assert_eq!(ended.status.signal(), Some(9));
        assert!(ended.time < Duration::from_secs(30));
    }

    #[test]
    fn a_panic_and_last_words_are_found() {
        assert_eq!(
            panic_in("a\nthread 'x' panicked at a.rs:1\nwhy\nmore"),
            Some("panicked at a.rs:1 why".into())
        );
        assert_eq!(panic_in("error: no"), None);
        assert_eq!(
            last_words("memory allocation of 9 bytes failed\nmore\n"),
            "memory allocation of 9 bytes failed"
        );
        assert_eq!(last_words("\n{}\n"), "nothing said");
    }
}
