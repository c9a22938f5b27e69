//! How a sweep stands, for a person and for a program.

mod estimate;
mod grid;
mod usage;

use crate::state::{CellReport, CellState};
use estimate::seconds_left;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use usage::Usage;
use xray_display::{TextTable, counted};

/// Rows of a table of cells; all of them stand in the JSON.
const ROWS: usize = 20;

/// The format of the JSON.
const FORMAT: u32 = 1;

/// For a person: the grid, the counts, and what is not as it should be. Lines of the grid fit into `width`
/// columns; `color` is for a terminal whose user did not set `NO_COLOR`.
pub fn text(reports: &[CellReport], width: usize, color: bool) -> String {
    let parts = [
        grid::text(reports, width, color),
        summary(reports),
        holds_text(reports),
        ended_text(reports),
        rungs_text(reports),
        running_text(reports),
        usage::text(reports),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// For a program: everything that [`text`] shows, of every cell.
pub fn json(reports: &[CellReport]) -> serde_json::Value {
    let view = View {
        format: FORMAT,
        counts: counts(reports).into_iter().map(|(state, count)| (state.name(), count)).collect(),
        seconds_left: seconds_left(reports),
        holds: holds(reports),
        memory: Usage::of_memory(reports).map(|usage| usage.json("mib")),
        disk: Usage::of_disk(reports).map(|usage| usage.json("mib")),
        time: Usage::of_time(reports).map(|usage| usage.json("seconds")),
        cells: reports.iter().map(CellView::of).collect(),
    };
    serde_json::to_value(view).expect("keys are strings")
}

#[derive(Serialize)]
struct View<'a> {
    format: u32,
    counts: BTreeMap<&'static str, usize>,
    /// Null when nothing tells.
    seconds_left: Option<f64>,
    holds: Vec<Hold<'a>>,
    memory: Option<serde_json::Value>,
    disk: Option<serde_json::Value>,
    /// Time of one start.
    time: Option<serde_json::Value>,
    cells: Vec<CellView<'a>>,
}

/// Cells that are held for the same reason.
#[derive(Serialize)]
struct Hold<'a> {
    reason: &'a str,
    count: usize,
    cells: Vec<&'a str>,
}

#[derive(Serialize)]
struct CellView<'a> {
    id: &'a str,
    fraction: f64,
    trial: u32,
    axes: &'a BTreeMap<String, serde_json::Value>,
    state: CellState,
    reason: Option<&'a str>,
    /// None where the event log lacks some.
    attempts: Option<usize>,
    job: Option<&'a str>,
    host: Option<&'a str>,
    microarch: Option<&'a str>,
    step: Option<u64>,
    total_steps: Option<u64>,
    /// Duration of the complete run.
    seconds: Option<f64>,
    requested_memory_mib: u64,
    used_memory_mib: Option<u64>,
}

impl<'a> CellView<'a> {
    fn of(report: &'a CellReport) -> Self {
        let CellReport { cell, state, outcome, environment, status, attempts, .. } = report;
        let latest = attempts.last();
        let host = latest.and_then(|attempt| attempt.host.as_deref());
        let microarch = latest.and_then(|attempt| attempt.microarch.as_deref());
        CellView {
            id: &cell.id,
            fraction: cell.fraction,
            trial: cell.trial,
            axes: &cell.axes,
            state: *state,
            reason: report.reason.as_deref(),
            attempts: (!report.lacks_starts).then_some(attempts.len()),
            job: latest.map(|attempt| attempt.job.as_str()),
            host: host.or(environment.as_ref().map(|environment| environment.host.as_str())),
            microarch: microarch.or(environment.as_ref().and_then(|e| e.microarch.as_deref())),
            step: status.as_ref().map(|status| status.step),
            total_steps: status.as_ref().map(|status| status.total_steps),
            seconds: outcome.as_ref().filter(|_| *state == CellState::Done).map(|o| o.seconds.total),
            requested_memory_mib: cell.request.memory_mib,
            used_memory_mib: report.used_memory_mib(),
        }
    }

    fn place(&self) -> String {
        match (self.host, self.microarch) {
            (Some(host), Some(microarch)) => format!("{host} ({microarch})"),
            (Some(host), None) => host.to_owned(),
            (None, _) => "-".to_owned(),
        }
    }
}

fn counts(reports: &[CellReport]) -> BTreeMap<CellState, usize> {
    let mut counts = BTreeMap::new();
    for report in reports {
        *counts.entry(report.state).or_default() += 1;
    }
    counts
}

/// `30 cells: 12 done, 3 running, 15 queued; about 2h 30m left`
fn summary(reports: &[CellReport]) -> String {
    let counts = counts(reports);
    let states: Vec<String> =
        counts.iter().map(|(state, count)| format!("{count} {}", state.name())).collect();
    let goes_on = counts.keys().any(|state| matches!(state, CellState::Running | CellState::Queued));
    let left = match seconds_left(reports) {
        _ if !goes_on => String::new(),
        Some(seconds) => format!("; about {} left", duration(seconds)),
        None => "; time left unknown".to_owned(),
    };
    format!("{}: {}{left}\n", counted(reports.len(), "cell"), states.join(", "))
}

/// In two units: `2h 30m`.
pub(crate) fn duration(seconds: f64) -> String {
    let rounded = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX);
    let text = humantime::format_duration(rounded).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn holds(reports: &[CellReport]) -> Vec<Hold<'_>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for report in reports.iter().filter(|report| report.state == CellState::Held) {
        let reason = report.reason.as_deref().unwrap_or("no reason given");
        groups.entry(reason).or_default().push(&report.cell.id);
    }
    let hold = |(reason, cells): (_, Vec<_>)| Hold { reason, count: cells.len(), cells };
    let mut holds: Vec<Hold<'_>> = groups.into_iter().map(hold).collect();
    holds.sort_by_key(|hold| std::cmp::Reverse(hold.count));
    holds
}

fn holds_text(reports: &[CellReport]) -> String {
    let row = |hold: &Hold<'_>| {
        let few = hold.cells.iter().take(3).copied().collect::<Vec<_>>().join(" ");
        let more = if hold.count > 3 { " ..." } else { "" };
        vec![hold.count.to_string(), few + more, hold.reason.to_owned()]
    };
    let rows: Vec<Vec<String>> = holds(reports).iter().map(row).collect();
    section(&["held", "cells", "reason"], rows)
}

/// Cells that ended without a result of their own.
fn ended_text(reports: &[CellReport]) -> String {
    let is_over = |state| matches!(state, CellState::Failed | CellState::Lost | CellState::Stale);
    let row = |report: &CellReport| {
        let view = CellView::of(report);
        vec![
            report.state.name().to_owned(),
            report.cell.name(),
            view.place(),
            clipped(view.reason.unwrap_or("-")),
        ]
    };
    let rows = reports.iter().filter(|report| is_over(report.state)).map(row).collect();
    section(&["ended", "cell", "where", "reason"], rows)
}

/// Cells at a rung, and those that were left there.
fn rungs_text(reports: &[CellReport]) -> String {
    let is_at_one = |state| matches!(state, CellState::Waiting | CellState::Stopped);
    let row = |report: &CellReport| vec![report.cell.name(), report.reason.clone().unwrap_or_default()];
    let rows = reports.iter().filter(|report| is_at_one(report.state)).map(row).collect();
    section(&["at a rung", "where it stands"], rows)
}

/// A reason may name all images of a batch; `logs` and the JSON show the whole.
pub(crate) fn clipped(reason: &str) -> String {
    const LONGEST: usize = 100;
    match reason.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", reason[..end].trim_end()),
        None => reason.to_owned(),
    }
}

fn running_text(reports: &[CellReport]) -> String {
    let row = |report: &CellReport| {
        let view = CellView::of(report);
        let step = match (view.step, view.total_steps) {
            (Some(step), Some(total)) if total > 0 => {
                format!("{step}/{total} ({:.0} %)", 100.0 * step as f64 / total as f64)
            }
            _ => "-".to_owned(),
        };
        vec![report.cell.name(), step, view.place()]
    };
    let running = reports.iter().filter(|report| report.state == CellState::Running);
    section(&["running", "step", "where"], running.map(row).collect())
}

/// A table, cut off where it would fill the screen; nothing without rows.
fn section(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let more = match rows.len() {
        0 => return String::new(),
        few if few <= ROWS => String::new(),
        many => format!("... and {} more (`--format json` lists all)\n", many - ROWS),
    };
    let mut table = TextTable::of_text(head);
    rows.into_iter().take(ROWS).for_each(|row| table.row(row));
    table.text() + &more
}
