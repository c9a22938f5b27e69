//! The trainer as a planner sees it: a program that says what settings come to. Sweeps never link it.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use xray_artifacts::{Exit, Failure};

/// What a trainer says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Trainer {
    format: u32,
    /// Its version and commit.
    pub version: String,
    /// Keys of the settings that name files.
    pub files: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    config: Option<Json>,
    error: Option<String>,
    hint: Option<String>,
}

/// The format of the trainer's answers.
const FORMAT: u32 = 2;

/// What `program` says of itself.
///
/// # Errors
/// When it cannot be started, or is no trainer of this version.
pub fn ask(program: &Path) -> Result<Trainer, Failure> {
    resolve(program, None, &[], |_| String::new(), |_, _, _| Ok(())).map(|(trainer, _)| trainer)
}

/// Asks `program` to resolve each of `settings` above the configuration file `config`, in one process, and hands each
/// configuration to `take` while the program goes on: thousands of them never lie in memory together.
///
/// # Errors
/// The first set of settings that describes no run, with the trainer's own words and `name(index)`; the first error of
/// `take`.
pub fn resolve<T>(
    program: &Path,
    config: Option<&Path>,
    settings: &[Map<String, Json>],
    name: impl Fn(usize) -> String,
    mut take: impl FnMut(&Trainer, usize, Json) -> Result<T, Failure>,
) -> Result<(Trainer, Vec<T>), Failure> {
    let failed = |what: &str| Failure::new(Exit::Unexpected, format!("{} {what}", program.display()));
    let mut command = Command::new(program);
    command.arg("--resolve").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.args(config.map(|path| ["--config".as_ref(), path.as_os_str()]).into_iter().flatten());
    let mut child = command.spawn().map_err(|error| {
        Failure::new(Exit::CannotRunHere, format!("cannot start {}: {error}", program.display()))
            .hint("the trainer checks the configuration; it must be able to run on this machine")
    })?;
    let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let taken = std::thread::scope(|scope| {
        // In a thread of its own: both pipes are shorter than what goes through them.
        scope.spawn(move || write_lines(settings, input));
        let mut lines = BufReader::new(output).lines();
        let taken = answers(&mut lines, settings.len(), failed, name, &mut take);
        // Whoever is not read to the end is killed by it, and then has not said why.
        lines.for_each(drop);
        taken
    });
    let end = child.wait_with_output().map_err(|error| failed(&format!("cannot be waited for: {error}")))?;
    if end.status.success() { taken } else { Err(said(program, &end)) }
}

/// Takes what the trainer answers, line by line.
fn answers<T>(
    lines: &mut impl Iterator<Item = io::Result<String>>,
    count: usize,
    failed: impl Fn(&str) -> Failure,
    name: impl Fn(usize) -> String,
    take: &mut impl FnMut(&Trainer, usize, Json) -> Result<T, Failure>,
) -> Result<(Trainer, Vec<T>), Failure> {
    let mut next = || {
        let line = lines.next().transpose();
        line.map_err(|error| failed(&format!("cannot be read from: {error}")))
    };
    let other_version = || {
        failed("does not answer `--resolve` as this version expects").hint(
            "build both from the same commit; continue a sweep of an earlier version with that version, or plan it \
             again with --binary and --replace",
        )
    };
    let trainer = next()?.and_then(|line| serde_json::from_str::<Trainer>(&line).ok());
    let trainer = trainer.filter(|trainer| trainer.format == FORMAT).ok_or_else(other_version)?;
    let mut taken = Vec::with_capacity(count);
    for at in 0..count {
        let line = next()?.ok_or_else(other_version)?;
        let answer: Answer = serde_json::from_str(&line)
            .map_err(|error| failed(&format!("did not answer with JSON: {error}")))?;
        let config = answer.config.ok_or_else(|| {
            let error = answer.error.unwrap_or_default();
            let failure = Failure::new(Exit::Usage, format!("{}: {error}", name(at)));
            Failure { hint: answer.hint, ..failure }
        })?;
        taken.push(take(&trainer, at, config)?);
    }
    if next()?.is_some() { Err(other_version()) } else { Ok((trainer, taken)) }
}

/// A trainer that dies has said why on its stderr; then writing ends early, and that is not a second error.
fn write_lines(settings: &[Map<String, Json>], input: impl Write) {
    let mut input = BufWriter::new(input);
    for set in settings {
        let line = serde_json::to_string(set).expect("plain values");
        if writeln!(input, "{line}").is_err() {
            return;
        }
    }
    let _ = input.flush();
}

/// The trainer's own error, with its own exit code.
fn said(program: &Path, end: &std::process::Output) -> Failure {
    let text = String::from_utf8_lossy(&end.stderr);
    let find = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::to_owned);
    let code = end.status.code().and_then(|code| u8::try_from(code).ok()).and_then(Exit::from_code);
    let message =
        find("error: ").unwrap_or_else(|| format!("{} ended with {}", program.display(), end.status));
    Failure { exit: code.unwrap_or(Exit::CannotRunHere), message, hint: find("hint: ") }
}
