//! The sweep's tables: everything that is known of every planned cell, failures included, as Parquet files
//! in `collected/`.

mod attempts;
mod labels;
mod metrics;
mod runs;

use crate::state::{CellReport, CellState};
use crate::sweep_dir::SweepDir;
use crate::tables::{AttemptRow, FILES, LabelRow, RunRow, Staged};
use std::collections::BTreeMap;
use std::path::PathBuf;
use xray_artifacts::Failure;

/// What was collected.
#[derive(Clone, Debug, PartialEq)]
pub struct Collected {
    /// How many cells there are in each state; states without any are absent.
    pub counts: BTreeMap<CellState, usize>,
    /// The four files, in the order of [`FILES`].
    pub files: Vec<PathBuf>,
    /// Lines of `metrics.jsonl` that were cut off, by a machine that died or by a run that is writing.
    pub skipped_lines: u64,
}

impl Collected {
    /// All cells.
    pub fn planned(&self) -> usize {
        self.counts.values().sum()
    }

    /// Cells with their complete result.
    pub fn done(&self) -> usize {
        self.counts.get(&CellState::Done).copied().unwrap_or(0)
    }
}

/// Writes the tables of all cells. Equal reports and files give equal bytes.
///
/// # Errors
/// If a file can not be read or written, the tables of before stay as they are, all four.
pub fn collect(dir: &SweepDir, reports: &[CellReport]) -> Result<Collected, Failure> {
    let mut reports: Vec<&CellReport> = reports.iter().collect();
    reports.sort_by(|a, b| a.cell.order(&b.cell));

    let staged = Staged::new(&dir.collected())?;
    let each = || reports.iter().copied();
    staged.write::<RunRow>(&each().map(runs::row).collect::<Vec<_>>())?;
    staged.write::<LabelRow>(&each().flat_map(labels::rows).collect::<Vec<_>>())?;
    let skipped_lines = metrics::write(dir, &reports, &staged)?;
    staged.write::<AttemptRow>(&each().flat_map(attempts::rows).collect::<Vec<_>>())?;
    staged.publish(&FILES)?;

    let mut counts = BTreeMap::new();
    for report in &reports {
        *counts.entry(report.state).or_insert(0) += 1;
    }
    let files = FILES.map(|name| dir.collected().join(name)).to_vec();
    Ok(Collected { counts, files, skipped_lines })
}
