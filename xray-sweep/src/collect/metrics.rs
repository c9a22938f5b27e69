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
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use xray_artifacts::{FileError, Split};

/// So many cells are in memory at a time, and become one row group of the file.
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
        let curves: Vec<_> = counted.map(|report| read(dir, &report.cell)).collect::<Result<_, _>>()?;
        skipped += curves.iter().map(|curve| curve.skipped).sum::<u64>();
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
    skipped: u64,
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

fn read<'a>(dir: &SweepDir, cell: &'a Cell) -> Result<Curve<'a>, FileError> {
    let mut curve = Curve { cell, lines: BTreeMap::new(), skipped: 0 };
    let path = dir.cell(&cell.id).metrics();
    match File::open(&path) {
        Ok(file) => fill(&mut curve, &path, BufReader::new(file))?,
        Err(source) if source.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(FileError::Io { path, action: "read", source }),
    }
    Ok(curve)
}

fn fill(curve: &mut Curve<'_>, path: &Path, file: impl BufRead) -> Result<(), FileError> {
    for line in file.split(b'\n') {
        let line = line.map_err(|source| FileError::Io { path: path.to_owned(), action: "read", source })?;
        match serde_json::from_slice::<Line>(&line) {
            Ok(line) => {
                curve.lines.insert((line.step, line.event, line.split.map(Split::name)), line);
            }
            Err(_) => curve.skipped += 1,
        }
    }
    Ok(())
}
