//! One planned run: a place in the grid, what decides its numbers, and what it asks of a machine. Cells are
//! the lines of `cells.jsonl`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use xray_artifacts::{ContentName, Exit, Failure, Length, Versioned, write_bytes};

/// A planned run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The format of this line.
    pub format: u32,
    /// Hash of configuration, data and code: the first 16 hexadecimal digits of a blake3.
    pub id: String,
    /// Share of the training records.
    pub fraction: f64,
    /// Where that share begins.
    pub fraction_offset: f64,
    /// Number of the trial, from 1.
    pub trial: u32,
    /// Its seed.
    pub seed: u64,
    /// Values of the sweep's other axes, by configuration key.
    pub axes: BTreeMap<String, Value>,
    /// Training records it uses; about as many, where `folds` says that it is one of a cross-validation.
    pub train_images: u64,
    /// Lengths of training at which it stops to be compared with others, as it counts them; the whole length is not
    /// among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<Length>,
    /// Into how many folds train and val are cut; 0 where they are as they were built.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub folds: u64,
    /// The files that its settings name, by configuration key; they lie in the sweep's `bin/`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, CellFile>,
    /// The data set's id.
    pub dataset: String,
    /// Version and commit of the trainer it was planned with.
    pub code: String,
    /// What it asks of a machine.
    pub request: Request,
}

impl Versioned for Cell {
    const FORMAT: u32 = 1;
    const KIND: &'static str = "cell";
}

/// A file that a setting of a cell names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellFile {
    /// The path that a person gave.
    pub given: String,
    /// What it holds, and the name of its copy.
    pub content: ContentName,
    /// Its size.
    pub bytes: u64,
}

/// What a run asks of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Processor cores, and as many threads.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in MiB.
    pub disk_mib: u64,
    /// GPUs, 0 or 1: a cell with one is run by `xray-train-gpu`.
    pub gpus: u32,
    /// Time in minutes, which Slurm is asked for; none leaves the limit to the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u64>,
}

impl Cell {
    /// The values of the other axes as `model.width=16 loss.name=focal`; empty without any.
    pub fn axes_text(&self) -> String {
        let axis = |(key, value): (&String, &Value)| format!("{key}={}", axis_text(value));
        self.axes.iter().map(axis).collect::<Vec<_>>().join(" ")
    }

    /// The share of the train split whose shards it needs, and where that begins.
    pub(crate) fn needs(&self) -> (f64, f64) {
        needed(self.folds, self.fraction, self.fraction_offset)
    }

    /// Bytes of the files that its settings name.
    pub fn file_bytes(&self) -> u64 {
        file_bytes(&self.files)
    }

    /// What tables and charts know a cell by: its axes, fraction and trial.
    pub fn place(&self) -> (String, u64, u32) {
        (self.axes_text(), self.fraction.to_bits(), self.trial)
    }

    /// Order by the axes' values, then by fraction and trial; the rest makes it total.
    pub fn order(&self, other: &Cell) -> Ordering {
        order_of_values(self, other)
            .then(self.fraction.total_cmp(&other.fraction))
            .then(self.fraction_offset.total_cmp(&other.fraction_offset))
            .then(self.trial.cmp(&other.trial))
            .then(self.seed.cmp(&other.seed))
            .then_with(|| self.id.cmp(&other.id))
    }

    /// How a person names it: `fraction 0.3, trial 2, model.width=16 (1a2b3c4d5e6f7081)`.
    pub fn name(&self) -> String {
        let Cell { fraction, trial, id, .. } = self;
        match self.axes_text() {
            axes if axes.is_empty() => format!("fraction {fraction}, trial {trial} ({id})"),
            axes => format!("fraction {fraction}, trial {trial}, {axes} ({id})"),
        }
    }
}

/// Into how many folds a resolved configuration cuts the patients of train and val; 0 for none.
pub(crate) fn folds(config: &Value) -> u64 {
    config.pointer("/data/folds").and_then(Value::as_u64).unwrap_or_default()
}

/// Whose shards a run needs of the train split: its share of it, but folds are cut of all of it.
pub(crate) fn needed(folds: u64, fraction: f64, offset: f64) -> (f64, f64) {
    if folds == 0 { (fraction, offset) } else { (1.0, 0.0) }
}

/// Bytes of different files.
pub(crate) fn file_bytes(files: &BTreeMap<String, CellFile>) -> u64 {
    let sizes: BTreeMap<_, _> = files.values().map(|file| (&file.content, file.bytes)).collect();
    sizes.values().sum()
}

fn is_zero(folds: &u64) -> bool {
    *folds == 0
}

/// An axis's value as a person writes it: no quotes around text.
pub(crate) fn axis_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn order_of_values(a: &Cell, b: &Cell) -> Ordering {
    let pairs = a.axes.iter().zip(&b.axes);
    let by_pair = pairs.map(|((key_a, a), (key_b, b))| key_a.cmp(key_b).then_with(|| order_of(a, b)));
    by_pair.fold(Ordering::Equal, Ordering::then).then(a.axes.len().cmp(&b.axes.len()))
}

/// Numbers by size and before everything else, which goes by its text.
fn order_of(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => axis_text(a).cmp(&axis_text(b)),
    }
}

/// Cells as `cells.jsonl` has them, one JSON object a line.
pub(crate) fn cell_lines(cells: &[Cell]) -> String {
    let line = |cell: &Cell| serde_json::to_string(cell).expect("a cell's keys are strings") + "\n";
    cells.iter().map(line).collect()
}

/// Writes such a file; a reader sees the old one or the new one.
///
/// # Errors
/// When the file cannot be written.
pub fn write_cells(path: &Path, cells: &[Cell]) -> Result<(), Failure> {
    Ok(write_bytes(path, cell_lines(cells).as_bytes())?)
}

/// Where there is no list of cells.
pub(crate) fn no_cells(path: &Path) -> Failure {
    let message = format!("there is no {}, so this is not a whole sweep directory", path.display());
    Failure::new(Exit::Usage, message)
        .hint("make one with `xray-sweep plan`; planning again with the same options repairs one")
}

/// Reads the text of such a file, which is called `path`.
///
/// # Errors
/// When a line is not a cell, is of another format, or repeats a cell: with file and line.
pub(crate) fn parse_cells(path: &Path, text: &[u8]) -> Result<Vec<Cell>, Failure> {
    let at = |number: usize, why: String| {
        Failure::new(Exit::BadData, format!("{}: line {number}: {why}", path.display())).hint(
            "restore the file; or delete it and plan again as before: cells keep their folders and results",
        )
    };
    let lines = text.split(|byte| *byte == b'\n').zip(1..).filter(|(line, _)| !line.is_empty());
    let cells: Vec<(Cell, usize)> = lines
        .map(|(line, number)| Ok((parse_cell(line).map_err(|why| at(number, why))?, number)))
        .collect::<Result<_, Failure>>()?;
    let mut seen = HashSet::new();
    if let Some((cell, number)) = cells.iter().find(|(cell, _)| !seen.insert(&cell.id)) {
        return Err(at(*number, format!("cell {} appears twice", cell.id)));
    }
    Ok(cells.into_iter().map(|(cell, _)| cell).collect())
}

fn other_format(found: u64) -> String {
    format!("cell format {found}, this build knows {}", Cell::FORMAT)
}

fn parse_cell(line: &[u8]) -> Result<Cell, String> {
    #[derive(Deserialize)]
    struct Numbered {
        format: Option<u64>,
    }
    let known = u64::from(Cell::FORMAT);
    // The number is looked for alone where the rest makes no sense: another format may have other fields.
    let cell: Cell = match serde_json::from_slice(line) {
        Ok(cell) => cell,
        Err(error) => {
            let numbered = serde_json::from_slice(line).map(|numbered: Numbered| numbered.format);
            return Err(match numbered {
                Ok(None) => "no format number, so it is not a cell".to_owned(),
                Ok(Some(found)) if found != known => other_format(found),
                _ => format!("not a cell: {error}"),
            });
        }
    };
    if u64::from(cell.format) != known {
        return Err(other_format(cell.format.into()));
    }
    // The id is a folder's name.
    if cell.id.is_empty() || !cell.id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("{:?} is not a cell id", cell.id));
    }
    Ok(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(id: &str) -> Cell {
        Cell {
            format: Cell::FORMAT,
            id: id.to_owned(),
            fraction: 0.1,
            fraction_offset: 0.0,
            trial: 1,
            seed: 7,
            axes: BTreeMap::from([("model.width".to_owned(), 16.into())]),
            train_images: 100,
            rungs: Vec::new(),
            folds: 0,
            files: BTreeMap::new(),
            dataset: "d".to_owned(),
            code: "1".to_owned(),
            request: Request { cpus: 1, memory_mib: 500, disk_mib: 100, gpus: 0, minutes: None },
        }
    }

    #[test]
    fn folds_are_cut_of_the_whole_train_split() {
        let cell = Cell { fraction_offset: 0.5, ..cell("a1") };
        assert_eq!(cell.needs(), (0.1, 0.5));
        assert!(!cell_lines(std::slice::from_ref(&cell)).contains("folds"), "as before there were any");
        let cell = Cell { folds: 5, ..cell };
        assert_eq!(cell.needs(), (1.0, 0.0));
        assert_eq!(folds(&serde_json::json!({ "data": { "folds": 5, "fold": 0 } })), 5);
        assert_eq!(folds(&serde_json::json!({ "data": {} })), 0);
    }

    fn check_refused(edit: impl Fn(String) -> String, expected: &str) {
        let text = edit(cell_lines(&[cell("a1"), cell("b2")]));
        let failure = parse_cells(Path::new("cells.jsonl"), text.as_bytes()).expect_err("should be refused");
        assert_eq!(failure.exit, Exit::BadData);
        assert!(failure.message.contains(expected), "{}", failure.message);
    }

    #[test]
    fn cells_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("cells.jsonl");
        let cells = [cell("a1"), cell("b2")];
        write_cells(&path, &cells).expect("a writable folder");
        let text = std::fs::read(&path).expect("just written");
        assert_eq!(parse_cells(&path, &text).expect("just written"), cells);
    }

    #[test]
    fn a_line_that_is_no_cell_is_named() {
        let half = |text: String| text[..text.len() - 9].to_owned();
        check_refused(half, "cells.jsonl: line 2: not a cell");
        let newer = |text: String| text.replacen("\"format\":1", "\"format\":2", 1);
        check_refused(newer, "line 1: cell format 2, this build knows 1");
        check_refused(|text| text.replace("\"format\":1,", ""), "line 1: no format number");
        check_refused(|text| text.replace("a1", "../a"), "line 1: \"../a\" is not a cell id");
        check_refused(|text| text.replace("b2", "a1"), "line 2: cell a1 appears twice");
    }

    #[test]
    fn cells_stand_by_the_size_of_numbers_then_by_fraction_and_trial() {
        let at = |width: u32, fraction, trial| {
            let axes = BTreeMap::from([("model.width".to_owned(), width.into())]);
            Cell { axes, fraction, trial, ..cell("a") }
        };
        let sorted = [at(8, 0.5, 2), at(8, 1.0, 1), at(16, 0.1, 1), at(16, 0.1, 3), at(16, 0.5, 1)];
        let mut cells = [4, 2, 0, 3, 1].map(|at: usize| sorted[at].clone());
        cells.sort_by(Cell::order);
        assert_eq!(cells, sorted);
    }
}
