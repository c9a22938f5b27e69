//! What was asked for and what was used, so that the next sweep asks for what it needs.

use super::duration;
use crate::attempt::Attempt;
use crate::sizes::{enough_mib, enough_minutes};
use crate::state::CellReport;
use serde_json::{Value as Json, json};
use xray_display::{counted, thousands};

/// Use of all cells where it is known, in MiB or seconds.
pub(super) struct Usage {
    /// The most that one cell used.
    max_used: u64,
    /// What that cell asked for.
    requested: u64,
    /// Cells whose use is known.
    cells: usize,
    /// The most that was used of what was asked for, as a share.
    max_share: f64,
}

impl Usage {
    /// Memory in MiB; none when no cell's use is known.
    pub(super) fn of_memory(reports: &[CellReport]) -> Option<Usage> {
        Usage::of(reports, |report| {
            let requested = latest(report, |attempt| attempt.requested_memory_mib);
            Some((report.used_memory_mib()?, requested.unwrap_or(report.cell.request.memory_mib)))
        })
    }

    /// Disk in MiB.
    pub(super) fn of_disk(reports: &[CellReport]) -> Option<Usage> {
        Usage::of(reports, |report| {
            let requested = latest(report, |attempt| attempt.requested_disk_mib);
            Some((report.used_disk_mib()?, requested.unwrap_or(report.cell.request.disk_mib)))
        })
    }

    /// Time in seconds, of the longest start of a cell that asked for some.
    pub(super) fn of_time(reports: &[CellReport]) -> Option<Usage> {
        let took = |attempt: &Attempt| Some((attempt.seconds()?, attempt.requested_seconds?));
        Usage::of(reports, |report| report.attempts.iter().filter_map(took).max())
    }

    /// Use from pairs of each cell: used, and requested.
    fn of(reports: &[CellReport], pair: impl Fn(&CellReport) -> Option<(u64, u64)>) -> Option<Usage> {
        let known: Vec<(u64, u64)> = reports.iter().filter_map(pair).collect();
        let &(max_used, requested) = known.iter().max()?;
        let shares = known.iter().map(|&(used, requested)| used as f64 / requested.max(1) as f64);
        Some(Usage { max_used, requested, cells: known.len(), max_share: shares.fold(0.0, f64::max) })
    }

    /// For a program; the unit is part of the names.
    pub(super) fn json(&self, unit: &str) -> Json {
        let Usage { max_used, requested, cells, max_share } = self;
        let (used, asked) = (format!("max_used_{unit}"), format!("requested_{unit}"));
        json!({ used: max_used, asked: requested, "cells": cells, "max_share": max_share })
    }

    fn is_in_vain(&self) -> bool {
        self.max_share < 0.5
    }

    fn is_tight(&self) -> bool {
        self.max_share > 0.9
    }

    fn text(&self, what: &str, amount: impl Fn(u64) -> String, enough: u64) -> String {
        let Usage { max_used, requested, cells, .. } = self;
        let advice = match amount(enough) {
            enough if self.is_in_vain() => format!("; {enough} would be enough"),
            enough if self.is_tight() => format!("; tight: ask for {enough}"),
            _ => String::new(),
        };
        let (asked, used) = (amount(*requested), amount(*max_used));
        format!("{what}: requested {asked}, peak use {used} ({} known){advice}\n", counted(*cells, "cell"))
    }
}

fn latest(report: &CellReport, of: fn(&Attempt) -> Option<u64>) -> Option<u64> {
    report.attempts.iter().rev().find_map(of)
}

/// A line for each thing that is known, and what to do where it was asked for in vain.
pub(super) fn text(reports: &[CellReport]) -> String {
    let mib = |mib: u64| format!("{} MiB", thousands(mib));
    let seconds = |seconds: u64| duration(seconds as f64);
    let [memory, disk, time] = [Usage::of_memory(reports), Usage::of_disk(reports), Usage::of_time(reports)];
    let mebibytes = |usage: &Usage, what| usage.text(what, mib, enough_mib(usage.max_used));
    let limit = |usage: &Usage| usage.text("time", seconds, 60 * enough_minutes(usage.max_used as f64));
    let lines = [
        memory.as_ref().map(|usage| mebibytes(usage, "memory")),
        disk.as_ref().map(|usage| mebibytes(usage, "disk")),
        time.as_ref().map(limit),
    ];
    let mut text: String = lines.into_iter().flatten().collect();
    if [memory, disk, time].iter().flatten().any(|usage| usage.is_in_vain() || usage.is_tight()) {
        text += "right-size: plan the next sweep with --sizes-from and this one's folder\n";
    }
    text
}
