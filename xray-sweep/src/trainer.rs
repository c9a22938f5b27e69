//! The trainer as a planner sees it: a program that says what settings come to. Sweeps never link it.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use xray_artifacts::{Exit, Failure};

/// What a trainer made of many sets of settings.
pub struct Resolved {
    /// Its version and commit.
    pub version: String,
    /// Keys of the settings that name files.
    pub files: Vec<String>,
    /// One configuration per set of settings, in their order.
    pub configs: Vec<Json>,
}

#[derive(Deserialize)]
struct Header {
    format: u32,
    version: String,
    files: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    config: Option<Json>,
    error: Option<String>,
    hint: Option<String>,
}

/// The format of the trainer's answers.
const FORMAT: u32 = 2;

/// Asks `program` to resolve each of `settings` above the configuration file `config`, in one process.
///
/// # Errors
/// The first set of settings that describes no run, with the trainer's own words and `name(index)`.
pub fn resolve(
    program: &Path,
    config: Option<&Path>,
    settings: &[Map<String, Json>],
    name: impl Fn(usize) -> String,
) -> Result<Resolved, Failure> {
    let failed = |what: &str| Failure::new(Exit::Unexpected, format!("{} {what}", program.display()));
    let mut command = Command::new(program);
    command.arg("--resolve").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.args(config.map(|path| ["--config".as_ref(), path.as_os_str()]).into_iter().flatten());
    let mut child = command.spawn().map_err(|error| {
        Failure::new(Exit::CannotRunHere, format!("cannot start {}: {error}", program.display()))
            .hint("the trainer checks the configuration; it must be able to run on this machine")
    })?;
    let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let answers = std::thread::scope(|scope| {
        // In a thread of its own: both pipes are shorter than what goes through them.
        scope.spawn(move || write_lines(settings, input));
        BufReader::new(output).lines().collect::<Result<Vec<_>, _>>()
    });
    let end = child.wait_with_output().map_err(|error| failed(&format!("cannot be waited for: {error}")))?;
    if !end.status.success() {
        return Err(said(program, &end));
    }
    let answers = answers.map_err(|error| failed(&format!("cannot be read from: {error}")))?;
    let header = answers.first().and_then(|line| serde_json::from_str::<Header>(line).ok());
    let header = header.filter(|header| header.format == FORMAT && answers.len() == settings.len() + 1);
    let header = header.ok_or_else(|| {
        failed("does not answer `--resolve` as this version expects").hint(
            "build both from the same commit; continue a sweep of an earlier version with that version, or plan it \
             again with --binary and --replace",
        )
    })?;
    let config = |(at, line): (usize, &String)| {
        let answer: Answer = serde_json::from_str(line)
            .map_err(|error| failed(&format!("did not answer with JSON: {error}")))?;
        answer.config.ok_or_else(|| {
            let error = answer.error.unwrap_or_default();
            let failure = Failure::new(Exit::Usage, format!("{}: {error}", name(at)));
            Failure { hint: answer.hint, ..failure }
        })
    };
    let configs = answers[1..].iter().enumerate().map(config).collect::<Result<_, Failure>>()?;
    Ok(Resolved { version: header.version, files: header.files, configs })
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
