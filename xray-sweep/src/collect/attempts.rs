//! `attempts.parquet`: one row per start of a cell's job.

use super::columns::Columns;
use crate::attempt::Attempt;
use crate::cell::Cell;
use crate::state::CellReport;
use polars::prelude::DataFrame;

struct Row<'a> {
    cell: &'a Cell,
    number: u64,
    attempt: &'a Attempt,
}

pub(super) fn table(reports: &[&CellReport]) -> DataFrame {
    let rows: Vec<_> = reports.iter().flat_map(|report| rows_of(report)).collect();
    Columns::of(&rows)
        .text("cell", |r| Some(&r.cell.id))
        .number("fraction", |r| Some(r.cell.fraction))
        .integer("trial", |r| Some(r.cell.trial))
        .integer("attempt", |r| Some(r.number))
        .text("launcher", |r| Some(&r.attempt.launcher))
        .text("job", |r| Some(&r.attempt.job))
        .text("host", |r| r.attempt.host.as_deref())
        .text("slot", |r| r.attempt.slot.as_deref())
        .text("microarch", |r| r.attempt.microarch.as_deref())
        .text("started", |r| r.attempt.started.as_deref())
        .text("ended", |r| r.attempt.ended.as_deref())
        .name("ending", |r| r.attempt.ending)
        .integer("exit", |r| r.attempt.exit)
        .integer("signal", |r| r.attempt.signal)
        .text("reason", |r| r.attempt.reason.as_deref())
        .integer("requested_memory_mib", |r| r.attempt.requested_memory_mib)
        .integer("allocated_memory_mib", |r| r.attempt.allocated_memory_mib)
        .integer("used_memory_mib", |r| r.attempt.used_memory_mib)
        .into_table()
}

fn rows_of(report: &CellReport) -> impl Iterator<Item = Row<'_>> {
    let numbered = (1..).zip(&report.attempts);
    numbered.map(|(number, attempt)| Row { cell: &report.cell, number, attempt })
}
