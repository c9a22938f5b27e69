//! The sweep's tables: everything that is known of every planned cell, failures included, as Parquet files
//! in `collected/`.

mod attempts;
mod labels;
mod metrics;
mod runs;

use crate::staged::Staged;
use crate::state::CellReport;
use crate::sweep_dir::SweepDir;
use crate::tables::{
    AttemptRow, FILES, Fingerprint, LIST, LabelRow, MetricRow, ParquetFile, Row, RunRow, TableList,
};
use crate::tally::Tally;
use std::path::{Path, PathBuf};
use xray_artifacts::{Failure, FileError, write_json};

/// What was collected.
#[derive(Clone, Debug, PartialEq)]
pub struct Collected {
    /// How many cells there are in each state.
    pub tally: Tally,
    /// The four files, in the order of [`FILES`].
    pub files: Vec<PathBuf>,
    /// Lines of `metrics.jsonl` that were cut off, by a machine that died or by a run that is writing.
    pub skipped_lines: u64,
}

/// Writes the tables of all cells into `folder`, and a list of their hashes. Equal reports and files give equal bytes.
///
/// # Errors
/// If a file can not be read or written, the tables of before stay as they are, all four.
pub fn collect(dir: &SweepDir, reports: &[CellReport], folder: &Path) -> Result<Collected, Failure> {
    let mut reports: Vec<&CellReport> = reports.iter().collect();
    reports.sort_by(|a, b| a.cell.order(&b.cell));

    let staged = Staged::new(folder)?;
    let mut list = TableList::default();
    let mut add = |name: &str, written: Fingerprint| list.tables.insert(name.to_owned(), written);
    let each = || reports.iter().copied();
    add(RunRow::FILE, whole(&staged, &each().map(runs::row).collect::<Vec<_>>())?);
    add(LabelRow::FILE, in_parts(&staged, &reports, labels::rows)?);
    let mut metrics = begin::<MetricRow>(&staged, &[])?;
    let skipped_lines = metrics::write(dir, &reports, &mut metrics)?;
    add(MetricRow::FILE, metrics.finish()?);
    add(AttemptRow::FILE, in_parts(&staged, &reports, attempts::rows)?);
    write_json(&staged.path(LIST), &list)?;
    staged.publish(FILES.into_iter().chain([LIST]))?;

    let files = FILES.map(|name| folder.join(name)).to_vec();
    Ok(Collected { tally: Tally::of(each().map(|report| report.state)), files, skipped_lines })
}

fn begin<R: Row>(staged: &Staged, rows: &[R]) -> Result<ParquetFile, FileError> {
    ParquetFile::create(&staged.path(R::FILE), staged.later(R::FILE), rows)
}

/// So many cells' rows are in memory at a time, and become one row group of the file.
const CELLS_AT_A_TIME: usize = 1024;

fn in_parts<'a, R: Row, I: Iterator<Item = R>>(
    staged: &Staged,
    reports: &[&'a CellReport],
    rows: impl Fn(&'a CellReport) -> I,
) -> Result<Fingerprint, FileError> {
    let mut file = begin::<R>(staged, &[])?;
    for reports in reports.chunks(CELLS_AT_A_TIME) {
        file.append(&reports.iter().copied().flat_map(&rows).collect::<Vec<_>>())?;
    }
    file.finish()
}

fn whole<R: Row>(staged: &Staged, rows: &[R]) -> Result<Fingerprint, FileError> {
    let mut file = begin(staged, rows)?;
    file.append(rows)?;
    file.finish()
}
