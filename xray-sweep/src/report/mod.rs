//! The report of a sweep: markdown with static charts, made of the collected tables and of nothing else.
//! It tells first how much of what was planned is there.

mod auc;
mod chart;
mod failures;
mod fractions;
mod markdown;
mod mean_time;
mod run_time;
mod runs;
mod ticks;

use crate::sweep_dir::SweepDir;
use markdown::Table;
use runs::Run;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use xray_artifacts::{Failure, FileError, write_bytes};

/// A chart and the figures it shows.
struct Figure {
    file: &'static str,
    svg: String,
    markdown: String,
}

/// Writes `report/report.md` and its charts; returns the markdown file.
///
/// # Errors
/// If the sweep was not collected, or by another version, or the report can not be written.
pub fn report(dir: &SweepDir) -> Result<PathBuf, Failure> {
    let runs = runs::read(dir)?;
    let folder = dir.path().join("report");
    let refused = |source| FileError::Io { path: folder.clone(), action: "write", source };
    fs::create_dir_all(&folder).map_err(refused)?;

    let mut text = heading(dir, &runs);
    text += &failures::section(&runs);
    for figure in [auc::figure(&runs), mean_time::figure(&runs), run_time::figure(&runs)] {
        write_bytes(&folder.join(figure.file), figure.svg.as_bytes())?;
        text += &figure.markdown;
    }
    let path = folder.join("report.md");
    write_bytes(&path, text.as_bytes())?;
    Ok(path)
}

fn heading(dir: &SweepDir, runs: &[Run]) -> String {
    let name = fs::canonicalize(dir.path()).ok().and_then(|path| Some(path.file_name()?.to_owned()));
    let name = name.map_or_else(|| "sweep".into(), |name| name.to_string_lossy().into_owned());
    let mut text = format!("# Sweep {}\n\n", markdown::escape(&name));
    let done = runs.iter().filter(|run| run.done()).count();
    writeln!(text, "**{done} of {} planned cells are done.**\n", runs.len()).expect("memory");

    let mut states: Vec<_> = runs.iter().map(|run| run.state.as_str()).collect();
    states.sort_unstable();
    let mut table = Table::new(&["state", ">cells"]);
    for state in states.chunk_by(|a, b| a == b) {
        table.row(&[state[0].to_owned(), state.len().to_string()]);
    }
    text + &table.text()
}
