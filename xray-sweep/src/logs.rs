//! One cell's story: its starts, and what the trainer said.

use crate::attempt::Attempt;
use crate::present;
use crate::selection::find;
use crate::state::{CellReport, survey};
use crate::sweep_dir::SweepDir;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError};
use xray_display::TextTable;

/// What to show of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// Its starts, then the ends of its stderr and its log.
    #[default]
    Story,
    /// All of its stdout.
    Stdout,
    /// All of its stderr.
    Stderr,
    /// All of its `train.log`.
    Log,
}

/// Lines of a file that the story shows.
const TAIL: usize = 20;

/// Shows the cell whose id begins with `id_prefix`.
///
/// # Errors
/// When no cell or more than one has such an id, naming those that come into question, and when the file
/// asked for cannot be read.
pub fn logs(dir: &SweepDir, id_prefix: &str, which: Which) -> Result<String, Failure> {
    let reports = survey(dir)?;
    let report = find(&reports, id_prefix)?;
    let cell = dir.cell(&report.cell.id);
    let train_log = cell.run().join("train.log");
    let whole = |path: &Path| {
        let message = || Failure::new(Exit::NothingMatches, format!("there is no {}", path.display()));
        tail(path, usize::MAX)?.ok_or_else(message)
    };
    match which {
        Which::Story => Ok(story(report) + &end_of(&cell.stderr())? + &end_of(&train_log)?),
        Which::Stdout => whole(&cell.stdout()),
        Which::Stderr => whole(&cell.stderr()),
        Which::Log => whole(&train_log),
    }
}

fn story(report: &CellReport) -> String {
    let state = report.state.name();
    let reason = report.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut text = format!("{}\n{state}{reason}\n", report.cell.name());
    if report.attempts.is_empty() {
        return text + "\nnever started\n";
    }
    let mut table = TextTable::of_text(&["started", "ended", "job", "where", "memory", "ending"]);
    report.attempts.iter().for_each(|attempt| table.row(row(attempt)));
    text.push('\n');
    text + &table.text()
}

fn row(attempt: &Attempt) -> Vec<String> {
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
    let memory = |mib: Option<u64>| mib.map_or("?".to_owned(), |mib| mib.to_string());
    vec![
        time(&attempt.started),
        time(&attempt.ended),
        format!("{} {}", attempt.launcher.name(), attempt.job),
        attempt.place(),
        format!("{} of {} MiB", memory(attempt.used_memory_mib), memory(attempt.requested_memory_mib)),
        attempt.ending_text(),
    ]
}

fn end_of(path: &Path) -> Result<String, FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(match tail(path, TAIL)? {
        Some(text) if text.trim().is_empty() => format!("\n{name} is empty\n"),
        Some(text) => format!("\nthe end of {name}:\n{}\n", text.trim_end()),
        None => format!("\nthere is no {name}\n"),
    })
}

/// The last lines of a file, of its last 64 KiB unless all are wanted; what is not UTF-8 becomes a mark. None if there
/// is not a file.
pub(crate) fn tail(path: &Path, lines: usize) -> Result<Option<String>, FileError> {
    if !present::is_there(path)? {
        return Ok(None);
    }
    end(path, lines).map(Some).map_err(|source| present::unreadable(path, source))
}

fn end(path: &Path, lines: usize) -> io::Result<String> {
    const MOST: u64 = 64 << 10;
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if lines != usize::MAX {
        file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    if lines == usize::MAX {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}
