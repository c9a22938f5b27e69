//! Requested against used memory, so that the next sweep asks for what it needs.

use crate::state::CellReport;
use serde::Serialize;

/// Over all cells whose use is known.
#[derive(Serialize)]
pub(super) struct Memory {
    /// The most that one cell used, in MiB.
    max_used_mib: u64,
    /// What that cell asked for, in MiB.
    requested_mib: u64,
    /// Cells whose use is known.
    cells: usize,
    /// The most that was used of what was asked for, as a share.
    max_share: f64,
}

impl Memory {
    /// None when no cell's use is known.
    pub(super) fn of(reports: &[CellReport]) -> Option<Memory> {
        let known = reports.iter().filter_map(|report| Some((used(report)?, requested(report))));
        let known: Vec<(u64, u64)> = known.collect();
        let &(max_used_mib, requested_mib) = known.iter().max()?;
        let shares = known.iter().map(|&(used, requested)| used as f64 / requested.max(1) as f64);
        Some(Memory {
            max_used_mib,
            requested_mib,
            cells: known.len(),
            max_share: shares.fold(0.0, f64::max),
        })
    }

    pub(super) fn text(&self) -> String {
        let Memory { max_used_mib, requested_mib, cells, max_share } = self;
        // A quarter on top of the most that was seen.
        let enough = (max_used_mib * 5).div_ceil(4);
        let advice = match max_share {
            share if *share < 0.5 => format!("; right-size: {enough} MiB are enough"),
            share if *share > 0.9 => format!("; tight: ask for {enough} MiB"),
            _ => String::new(),
        };
        format!("memory: at most {max_used_mib} of {requested_mib} MiB used ({cells} known){advice}\n")
    }
}

/// The most that a cell used, in MiB: by its starts, and by what the trainer itself saw.
pub(super) fn used(report: &CellReport) -> Option<u64> {
    let by_attempts = report.attempts.iter().filter_map(|attempt| attempt.used_memory_mib).max();
    let bytes = report.outcome.as_ref().and_then(|outcome| outcome.peak_memory_bytes);
    by_attempts.max(bytes.map(|bytes| bytes.div_ceil(1 << 20)))
}

/// What it asked for, at its latest start where that is known.
fn requested(report: &CellReport) -> u64 {
    let latest = report.attempts.iter().rev().find_map(|attempt| attempt.requested_memory_mib);
    latest.unwrap_or(report.cell.request.memory_mib)
}
