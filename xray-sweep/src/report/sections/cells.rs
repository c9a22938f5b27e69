//! Every planned cell: where it stands, and why it failed if it did.

use crate::report::document::{Section, Table, Value};
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use crate::state::CellState;
use std::collections::BTreeSet;

/// Number of rows shown; the rest stands in `runs.parquet`.
const MAX_ROWS: usize = 500;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("cells", "Cells");
    let tally = sweep.tally();
    section.text(match tally.planned() {
        0 => "Nothing was planned.".to_owned(),
        _ => format!("{}.", tally.text()),
    });
    section.table("not-done", not_done(&sweep.runs));
    section.table("grid", grid(&sweep.runs));
    section.table("jobs", jobs(&sweep.runs));
    section
}

fn not_done(runs: &[Run]) -> Table {
    let mut table = Table::new(
        "Cells that are not done",
        &[
            ("cell", "cell"),
            ("fraction", ">fraction"),
            ("trial", ">trial"),
            ("axes", "axes"),
            ("state", "state"),
            ("reason", "reason"),
            ("host", "host"),
            ("ended_with", "ended with"),
            ("starts", ">starts"),
        ],
    );
    let missing: Vec<_> = runs.iter().filter(|run| !run.done()).collect();
    for run in missing.iter().take(MAX_ROWS) {
        table.row(vec![
            Value::text(&run.row.cell),
            Value::percent(run.row.fraction),
            Value::count(run.row.trial),
            Value::text(&run.combination),
            Value::text(run.row.state.name()),
            Value::text(run.row.reason.clone().unwrap_or_default()),
            Value::text(run.row.host.clone().unwrap_or_default()),
            Value::text(ending(run)),
            Value::count(run.row.attempts),
        ]);
    }
    more(&mut table, missing.len());
    table.without_empty_columns()
}

fn more(table: &mut Table, all: usize) {
    if all > MAX_ROWS {
        table.notes.push(format!("{} more stand in runs.parquet.", all - MAX_ROWS));
    }
}

fn ending(run: &Run) -> String {
    match (run.row.signal, run.row.exit) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(exit)) => format!("exit {exit}"),
        (None, None) => String::new(),
    }
}

/// A row per combination and trial, a column per fraction would be too wide for a phone: fractions go down, trials
/// become marks side by side.
fn grid(runs: &[Run]) -> Table {
    let mut table = Table::new(
        "Trials of each fraction",
        &[("axes", "axes"), ("fraction", ">fraction"), ("trials", "trials")],
    );
    let same = |a: &Run, b: &Run| a.row.fraction == b.row.fraction && a.combination == b.combination;
    let mut used = BTreeSet::new();
    for group in runs.chunk_by(same).take(MAX_ROWS) {
        let marks: Vec<&str> = group.iter().map(|run| mark(run.row.state)).collect();
        used.extend(group.iter().map(|run| (mark(run.row.state), run.row.state.name())));
        let text = marks.chunks(10).map(<[_]>::concat).collect::<Vec<_>>().join(" ");
        let states: Vec<_> = group.iter().map(|run| run.row.state.name()).collect();
        table.row(vec![
            Value::text(&group[0].combination),
            Value::percent(group[0].row.fraction),
            Value { text, json: serde_json::json!(states) },
        ]);
    }
    let legend: Vec<_> = used.into_iter().map(|(mark, state)| format!("{mark} {state}")).collect();
    table.notes.push(legend.join(" · "));
    table.without_empty_columns()
}

/// Shapes that differ without colour.
fn mark(state: CellState) -> &'static str {
    match state {
        CellState::Done => "●",
        CellState::Stopped => "–",
        CellState::Waiting => "◔",
        CellState::Running => "◐",
        CellState::Queued => "○",
        CellState::Missing => "·",
        CellState::Held => "▣",
        CellState::Stale => "◇",
        CellState::Failed => "✕",
        CellState::Lost => "?",
    }
}

fn jobs(runs: &[Run]) -> Table {
    let mut table = Table::new(
        "All cells",
        &[
            ("fraction", ">fraction"),
            ("trial", ">trial"),
            ("axes", "axes"),
            ("cell", "cell"),
            ("host", "host"),
            ("seconds", ">run time"),
            ("val_score", ">validation"),
            ("score", ">test"),
            ("state", "state"),
        ],
    );
    let mut jobs: Vec<_> = runs.iter().collect();
    jobs.sort_by(|a, b| a.row.fraction.total_cmp(&b.row.fraction));
    for run in jobs.iter().take(MAX_ROWS) {
        table.row(vec![
            Value::percent(run.row.fraction),
            Value::count(run.row.trial),
            Value::text(&run.combination),
            Value::text(&run.row.cell),
            Value::text(run.row.host.clone().unwrap_or_default()),
            Value::duration(run.figure(|run| run.seconds())),
            Value::number(run.figure(|run| run.val_score), 3),
            Value::number(run.figure(|run| run.score), 3),
            Value::text(run.row.state.name()),
        ]);
    }
    more(&mut table, jobs.len());
    table.without_empty_columns()
}
