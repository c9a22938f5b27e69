//! `metrics.parquet`: the curves of `metrics.jsonl`. An evaluation is one row of event `evaluation` and one
//! of event `label` for each of its labels. A run that was resumed has written some steps twice: the later
//! line counts.

use super::columns::Columns;
use super::parquet::Staged;
use crate::cell::Cell;
use crate::state::{CellReport, CellState};
use crate::sweep_dir::SweepDir;
use polars::prelude::DataFrame;
use rayon::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use xray_artifacts::FileError;

/// So many cells are in memory at a time, and become one row group of the file.
const CELLS_AT_A_TIME: usize = 128;

/// Writes the table; returns how many lines were skipped as cut off.
pub(super) fn write(dir: &SweepDir, reports: &[&CellReport], staged: &Staged) -> Result<u64, FileError> {
    let mut file = staged.file("metrics.parquet", &table(&[]))?;
    let mut skipped = 0;
    for reports in reports.chunks(CELLS_AT_A_TIME) {
        // What lies in a stale cell's folder is not this sweep's.
        let counted = reports.par_iter().filter(|report| report.state != CellState::Stale);
        let curves: Vec<_> = counted.map(|report| read(dir, &report.cell)).collect::<Result<_, _>>()?;
        skipped += curves.iter().map(|curve| curve.skipped).sum::<u64>();
        file.write(&table(&curves.iter().flat_map(Curve::rows).collect::<Vec<_>>()))?;
    }
    file.finish()?;
    Ok(skipped)
}

/// A line of `metrics.jsonl`.
#[derive(Deserialize)]
struct Line {
    event: String,
    step: u64,
    split: Option<String>,
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

/// One cell's lines, by step, event and split.
struct Curve<'a> {
    cell: &'a Cell,
    lines: BTreeMap<(u64, String, Option<String>), Line>,
    skipped: u64,
}

struct Row<'a> {
    cell: &'a Cell,
    line: &'a Line,
    label: Option<(&'a String, Option<f64>)>,
}

impl Curve<'_> {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.lines.values().flat_map(move |line| {
            let row = move |label| Row { cell: self.cell, line, label };
            let labels = line.auc.iter().map(move |(label, &auc)| row(Some((label, auc))));
            std::iter::once(row(None)).chain(labels)
        })
    }
}

impl<'a> Row<'a> {
    /// The line, unless this is a row of one of its labels.
    fn whole(&self) -> Option<&'a Line> {
        self.label.is_none().then_some(self.line)
    }
}

fn table(rows: &[Row<'_>]) -> DataFrame {
    Columns::of(rows)
        .text("cell", |r| Some(&r.cell.id))
        .number("fraction", |r| Some(r.cell.fraction))
        .integer("trial", |r| Some(r.cell.trial))
        .text("event", |r| Some(r.whole().map_or("label", |line| &line.event)))
        .text("split", |r| r.line.split.as_deref())
        .integer("step", |r| Some(r.line.step))
        .number("epoch", |r| r.line.epoch)
        .single("loss", |r| r.whole()?.loss)
        .number("learning_rate", |r| r.whole()?.learning_rate)
        .single("gradient_norm", |r| r.whole()?.gradient_norm)
        .number("macro_auc", |r| r.whole()?.macro_auc)
        .number("macro_log_loss", |r| r.whole()?.macro_log_loss)
        .flag("is_best", |r| r.whole()?.is_best)
        .text("label", |r| Some(r.label?.0))
        .number("auc", |r| r.label?.1)
        .into_table()
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
                curve.lines.insert((line.step, line.event.clone(), line.split.clone()), line);
            }
            Err(_) => curve.skipped += 1,
        }
    }
    Ok(())
}
