//! Rows of `attempts.parquet`.

use crate::state::CellReport;
use crate::tables::{AttemptRow, count};

/// One row per start of the cell's job, oldest first.
pub(super) fn rows(report: &CellReport) -> impl Iterator<Item = AttemptRow> {
    let cell = &report.cell;
    (1..).zip(&report.attempts).map(|(number, attempt)| AttemptRow {
        cell: cell.id.clone(),
        fraction: cell.fraction,
        trial: cell.trial.into(),
        attempt: number,
        launcher: attempt.launcher,
        job: attempt.job.clone(),
        host: attempt.host.clone(),
        slot: attempt.slot.clone(),
        microarch: attempt.microarch.clone(),
        started: attempt.started.clone(),
        ended: attempt.ended.clone(),
        ending: attempt.ending,
        exit: attempt.exit.map(i64::from),
        signal: attempt.signal.map(i64::from),
        reason: attempt.reason.clone(),
        requested_memory_mib: attempt.requested_memory_mib.map(count),
        allocated_memory_mib: attempt.allocated_memory_mib.map(count),
        used_memory_mib: attempt.used_memory_mib.map(count),
        out_of_memory: Some(attempt.died_of_memory()),
        requested_disk_mib: attempt.requested_disk_mib.map(count),
        used_disk_mib: attempt.used_disk_mib.map(count),
        requested_seconds: attempt.requested_seconds.map(count),
    })
}
