//! Attempts that were written down where they ran, on this machine or by a job of Slurm: `attempts.jsonl`, one line when one starts and one when it ends, each with its hash.

use crate::attempt::{Attempt, Launcher};
use crate::present;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};
use xray_artifacts::{FileError, SealedLine, State, Status, line_seal, sealed_line};

/// The format of a line.
pub const FORMAT: u32 = 1;

/// A run renews its heartbeat every 5 seconds; one this old has died.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Clocks of a worker and of this machine are this close.
const SKEW: Duration = Duration::from_secs(30);

/// A process was started this close to what the launcher wrote down; one that got its number later was not.
const START: Duration = Duration::from_secs(30);

/// Reads a cell's local attempts, oldest first. Of lines with the same `job` and `started` the last counts. A
/// file that is not there has none. A line that is none is left out and named among the `notes`, but for a last one that
/// is cut off, as a full disk leaves it.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn read_attempts(path: &Path, notes: &mut Vec<String>) -> Result<Vec<Attempt>, FileError> {
    #[derive(Deserialize)]
    struct Line {
        format: u32,
        #[serde(flatten)]
        attempt: Attempt,
    }
    let mut attempts: Vec<Attempt> = Vec::new();
    let Some(bytes) = present::bytes(path)? else { return Ok(attempts) };
    if bytes.is_empty() {
        notes.push(format!("{} is empty: its records are lost", path.display()));
    }
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let attempt = match serde_json::from_slice::<Line>(line) {
            Ok(found) if found.format == FORMAT && line_seal(line) != SealedLine::Damaged => found.attempt,
            Err(error) if error.is_eof() && !line.ends_with(b"\n") => continue,
            _ => {
                notes.push(format!(
                    "{} line {number} is damaged or not an attempt, and is left out",
                    path.display()
                ));
                continue;
            }
        };
        let same = |old: &&mut Attempt| (&old.job, &old.started) == (&attempt.job, &attempt.started);
        match attempts.iter_mut().rev().find(same) {
            Some(old) => *old = attempt,
            None => attempts.push(attempt),
        }
    }
    Ok(attempts)
}

/// Adds a line to a cell's `attempts.jsonl`. One start writes two: when it begins, and again when it has ended.
pub fn append_attempt(path: &Path, attempt: &Attempt) -> Result<(), FileError> {
    #[derive(Serialize)]
    struct Line<'a> {
        format: u32,
        #[serde(flatten)]
        attempt: &'a Attempt,
    }
    let line = serde_json::to_string(&Line { format: FORMAT, attempt }).expect("plain values");
    let mut line = sealed_line(&line) + "\n";
    let file = File::options().read(true).append(true).create(true).open(path);
    let written = file.and_then(|mut file| {
        if is_cut_off(&mut file)? {
            line.insert(0, '\n');
        }
        file.write_all(line.as_bytes())
    });
    written.map_err(|source| FileError::Io { path: path.to_owned(), action: "write", source })
}

/// Whether the last line has no end: another one must not become part of it.
fn is_cut_off(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Whether a cell is being run without a pool: its latest local attempt has not ended, and its process is
/// there. The process of another machine is out of sight; then a fresh heartbeat tells, as it does for a run
/// that no launcher wrote down. `ended` is when the latest job on a pool did: a heartbeat from before came home with
/// it.
pub fn lives(
    latest: Option<&Attempt>,
    status: Option<&Status>,
    ended: Option<&str>,
    now: SystemTime,
) -> bool {
    match latest {
        Some(attempt) if attempt.ended.is_some() => false,
        Some(attempt)
            if attempt.launcher == Launcher::Local
                && attempt.host.as_deref() == Some(this_host().as_str()) =>
        {
            is_process(&attempt.job, attempt.started.as_deref(), now)
        }
        _ => status.is_some_and(|status| is_fresh(status, now) && is_after(&status.heartbeat, ended)),
    }
}

fn is_after(heartbeat: &str, ended: Option<&str>) -> bool {
    let time = |text: &str| humantime::parse_rfc3339(text).ok();
    ended.and_then(time).is_none_or(|ended| time(heartbeat).is_some_and(|beat| beat > ended + SKEW))
}

fn is_fresh(status: &Status, now: SystemTime) -> bool {
    let is_at_work = matches!(status.state, State::Started | State::Training | State::Evaluating);
    let beat = humantime::parse_rfc3339(&status.heartbeat);
    is_at_work
        && beat.is_ok_and(|beat| now.duration_since(beat).is_ok_and(|age| age < HEARTBEAT) || beat >= now)
}

fn this_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the process with this number is the one that was started then.
fn is_process(number: &str, started: Option<&str>, now: SystemTime) -> bool {
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let Some(begun) = is_number.then(|| process_start(number, now)).flatten() else { return false };
    let Some(started) = started.and_then(|started| humantime::parse_rfc3339(started).ok()) else {
        return true;
    };
    let apart = begun.duration_since(started).unwrap_or_else(|earlier| earlier.duration());
    apart < START
}

/// When a living process was started; none for one that is dead or only waits to be buried.
fn process_start(number: &str, now: SystemTime) -> Option<SystemTime> {
    /// Ticks a second, as `/proc` counts them on every machine that Linux runs on here.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name in brackets may hold anything; behind it come the state and, 19 further, the start.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return None;
    }
    let ticks: f64 = fields.get(19)?.parse().ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    now.checked_sub(Duration::try_from_secs_f64((uptime - ticks / TICKS).max(0.0)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(job: &str, ended: Option<&str>) -> Attempt {
        Attempt {
            cell: "a1".into(),
            launcher: Launcher::Local,
            job: job.into(),
            host: Some(this_host()),
            started: Some(humantime::format_rfc3339_seconds(SystemTime::now()).to_string()),
            ended: ended.map(str::to_owned),
            ..Attempt::default()
        }
    }

    fn status(age: u64, state: State) -> Status {
        let beat = SystemTime::now() - Duration::from_secs(age);
        let heartbeat = humantime::format_rfc3339(beat).to_string();
        Status { state, heartbeat, step: 1, total_steps: 2, loss: None, pid: 1 }
    }

    #[test]
    fn the_later_line_of_a_start_replaces_the_earlier() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("attempts.jsonl");
        let start =
            r#"{"format":1,"cell":"a","launcher":"local","job":"7","started":"2026-11-23T10:00:00Z"}"#;
        let end = start.replace("}", r#","ended":"2026-11-23T10:01:00Z","ending":"failed","exit":5}"#);
        let other = start.replace("\"7\"", "\"8\"");
        let newer = start.replace("\"format\":1", "\"format\":9");
        let text = format!("{start}\n{other}\n{end}\n{newer}\n\u{0}junk\n{}", &start[..30]);
        std::fs::write(&path, text).expect("a writable folder");
        let read = |path: &Path| {
            let mut notes = Vec::new();
            (read_attempts(path, &mut notes).expect("readable"), notes)
        };
        let (attempts, notes) = read(&path);
        let seen: Vec<_> = attempts.iter().map(|a| (a.job.as_str(), a.exit)).collect();
        assert_eq!(seen, [("7", Some(5)), ("8", None)]);
        let left_out = |line: u32| {
            format!("{} line {line} is damaged or not an attempt, and is left out", path.display())
        };
        assert_eq!(notes, [left_out(4), left_out(5)], "and nothing of the last, which is cut off");
        append_attempt(&path, &Attempt { job: "9".into(), ..attempts[0].clone() }).expect("writable");
        let (attempts, notes) = read(&path);
        assert_eq!(attempts[2].job, "9", "on a line of its own");
        assert_eq!(notes, [4, 5, 6].map(left_out));
        assert_eq!(read(&dir.path().join("none")), (Vec::new(), Vec::new()));
    }

    #[test]
    fn an_attempt_lives_while_its_own_process_does() {
        let now = SystemTime::now();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let mine = attempt(&child.id().to_string(), None);
        let later = Attempt { started: Some("2020-01-01T00:00:00Z".into()), ..mine.clone() };
        assert!(lives(Some(&mine), None, None, now));
        assert!(!lives(Some(&later), None, None, now), "the number belongs to another process now");
        assert!(!lives(Some(&attempt(&mine.job, Some("2026-11-23T10:01:00Z"))), None, None, now));
        child.kill().expect("a child of ours");
        std::thread::sleep(Duration::from_millis(200));
        assert!(!lives(Some(&mine), None, None, now), "killed, and not yet waited for");
        child.wait().expect("a child of ours");
        let fresh = status(1, State::Training);
        assert!(!lives(Some(&mine), Some(&fresh), None, now), "a dead process's heartbeat is not life");
    }

    #[test]
    fn elsewhere_the_heartbeat_tells() {
        let now = SystemTime::now();
        let there = Attempt { host: Some("node7.example".into()), ..attempt("1", None) };
        assert!(lives(Some(&there), Some(&status(5, State::Training)), None, now));
        assert!(!lives(Some(&there), Some(&status(90, State::Training)), None, now));
        assert!(!lives(Some(&there), Some(&status(5, State::Interrupted)), None, now));
        assert!(!lives(Some(&there), None, None, now));
        assert!(lives(None, Some(&status(5, State::Evaluating)), None, now));
        let ago = |seconds| humantime::format_rfc3339(now - Duration::from_secs(seconds)).to_string();
        let beat = status(10, State::Training);
        assert!(!lives(None, Some(&beat), Some(&ago(5)), now), "it came home with the job that ended");
        assert!(lives(None, Some(&beat), Some(&ago(90)), now), "begun after the job had ended");
    }
}
