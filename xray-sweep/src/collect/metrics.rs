//! `metrics.parquet`, from the curves of `metrics.jsonl`. An evaluation is one row of event `evaluation` and one
//! of event `label` for each of its labels. A run that was resumed has written some steps twice: the later
//! line counts.

use crate::cell::Cell;
use crate::state::{CellReport, CellState};
use crate::sweep_dir::SweepDir;
use crate::tables::{MetricEvent, MetricRow, ParquetFile, count};
use rayon::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use xray_artifacts::{FileError, SealedLine, Split, line_seal};
use xray_cli::say;

/// Number of cells in memory at a time; they become one row group of the file.
const CELLS_AT_A_TIME: usize = 128;

/// Writes the table's rows; returns how many lines were skipped as cut off.
pub(super) fn write(
    dir: &SweepDir,
    reports: &[&CellReport],
    file: &mut ParquetFile,
) -> Result<u64, FileError> {
    let mut skipped = 0;
    for reports in reports.chunks(CELLS_AT_A_TIME) {
        // What lies in a stale cell's folder is not this sweep's.
        let counted = reports.par_iter().filter(|report| report.state != CellState::Stale);
        let curves: Vec<_> = counted.map(|report| read(dir, report)).collect::<Result<_, _>>()?;
        skipped += curves.iter().map(|curve| curve.skipped).sum::<u64>();
        for curve in &curves {
            // No finished run left a line without its end.
            let damaged = curve.damaged + if curve.is_done { curve.skipped } else { 0 };
            if damaged == 0 {
                continue;
            }
            let path = dir.cell(&curve.cell.id).metrics();
            say(format_args!("warning: {}: {damaged} damaged lines are left out", path.display()));
        }
        file.append(&curves.iter().flat_map(Curve::rows).collect::<Vec<_>>())?;
    }
    Ok(skipped)
}

/// A line of `metrics.jsonl`.
#[derive(Deserialize)]
struct Line {
    event: MetricEvent,
    step: u64,
    split: Option<Split>,
    epoch: Option<f64>,
    loss: Option<f32>,
    learning_rate: Option<f64>,
    gradient_norm: Option<f32>,
    macro_auc: Option<f64>,
    macro_log_loss: Option<f64>,
    is_best: Option<bool>,
    #[serde(default)]
    auc: BTreeMap<String, Option<f64>>,
}

/// One cell's lines, by step, event and the name of the split.
struct Curve<'a> {
    cell: &'a Cell,
    lines: BTreeMap<(u64, MetricEvent, Option<&'static str>), Line>,
    /// Number of lines that were cut off.
    skipped: u64,
    damaged: u64,
    is_done: bool,
}

impl Curve<'_> {
    fn rows(&self) -> impl Iterator<Item = MetricRow> {
        self.lines.values().flat_map(|line| {
            let labels = line.auc.iter().map(|(label, &auc)| label_row(self.cell, line, label, auc));
            std::iter::once(row(self.cell, line)).chain(labels)
        })
    }
}

fn row(cell: &Cell, line: &Line) -> MetricRow {
    MetricRow {
        event: line.event,
        loss: line.loss,
        learning_rate: line.learning_rate,
        gradient_norm: line.gradient_norm,
        macro_auc: line.macro_auc,
        macro_log_loss: line.macro_log_loss,
        is_best: line.is_best,
        ..place(cell, line)
    }
}

fn label_row(cell: &Cell, line: &Line, label: &str, auc: Option<f64>) -> MetricRow {
    MetricRow { event: MetricEvent::Label, label: Some(label.to_owned()), auc, ..place(cell, line) }
}

/// What all rows of a line have in common.
fn place(cell: &Cell, line: &Line) -> MetricRow {
    MetricRow {
        cell: cell.id.clone(),
        fraction: cell.fraction,
        trial: cell.trial.into(),
        split: line.split,
        step: count(line.step),
        epoch: line.epoch,
        ..MetricRow::default()
    }
}

fn read<'a>(dir: &SweepDir, report: &'a CellReport) -> Result<Curve<'a>, FileError> {
    let (cell, is_done) = (&report.cell, report.state == CellState::Done);
    let mut curve = Curve { cell, lines: BTreeMap::new(), skipped: 0, damaged: 0, is_done };
    let path = dir.cell(&cell.id).metrics();
    // A pipe or a device would be waited for, or never end.
    let file = fs::metadata(&path).and_then(|found| match found.is_file() {
        true => File::open(&path),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
    });
    match file.and_then(|file| fill(&mut curve, BufReader::new(file))) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(FileError::Io { path, action: "read", source })
        }
        _ => Ok(curve),
    }
}

fn fill(curve: &mut Curve<'_>, mut file: impl BufRead) -> io::Result<()> {
    let mut line = Vec::new();
    while next_line(&mut file, &mut line)? {
        if line_seal(&line) == SealedLine::Damaged {
            curve.damaged += 1;
            continue;
        }
        match serde_json::from_slice::<Line>(&line) {
            Ok(line) => {
                curve.lines.insert((line.step, line.event, line.split.map(Split::name)), line);
            }
            // Whoever wrote it was killed.
            Err(_) if line.last() != Some(&b'\n') => curve.skipped += 1,
            Err(_) => curve.damaged += 1,
        }
    }
    Ok(())
}

/// The next line, or as much of it as a line of a run can be; false at the end.
fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    /// Longest line: a thousand labels with long names.
    const LONGEST: u64 = 1 << 20;
    line.clear();
    let length = file.by_ref().take(LONGEST).read_until(b'\n', line)?;
    if length as u64 == LONGEST && line.last() != Some(&b'\n') {
        file.skip_until(b'\n')?;
    }
    Ok(length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_left_out() {
        let text = [b"a\n".to_vec(), vec![0; 3 << 20], b"\nb".to_vec()].concat();
        let (mut file, mut line, mut lengths) = (text.as_slice(), Vec::new(), Vec::new());
        while next_line(&mut file, &mut line).expect("memory") {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [2, 1 << 20, 1]);
    }
}
