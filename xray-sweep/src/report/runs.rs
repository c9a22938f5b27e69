//! The runs that the report speaks of.

use crate::state::CellState;
use crate::tables::{Axes, RunRow};
use crate::tally::Tally;
use serde_json::Value;
use xray_display::chart::Symbol;
use xray_display::counted;

/// A planned cell, what became of it, and the score that the report is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) row: RunRow,
    /// Values of the axes, `model.width=16 loss.name=focal`; empty without axes.
    pub(super) combination: String,
    /// The settings without the fold, which all folds of a cross-validation share.
    pub(super) settings: String,
    /// The score on validation, which chooses.
    pub(super) val_score: Option<f64>,
    /// The score on test, which is reported.
    pub(super) score: Option<f64>,
    pub(super) score_interval: Option<[f64; 2]>,
}

impl Run {
    /// The score is the macro-AUC.
    pub(super) fn of(row: RunRow) -> Run {
        Run {
            combination: combination(&row.axis, |_| true),
            settings: combination(&row.axis, |key| key != FOLD),
            val_score: row.val.macro_auc,
            score: row.test.macro_auc,
            score_interval: interval(row.test.macro_auc_low, row.test.macro_auc_high),
            row,
        }
    }

    /// Which fold of a cross-validation it is, where folds are an axis.
    pub(super) fn fold(&self) -> Option<i64> {
        self.row.axis.0.get(FOLD)?.as_i64()
    }

    /// Whether its result is complete.
    pub(super) fn done(&self) -> bool {
        self.row.state == CellState::Done
    }

    /// Whether it has no result and nothing goes on: it is marked by a cross. The others are done, go on, or were
    /// never started.
    pub(super) fn stopped(&self) -> bool {
        match self.row.state {
            CellState::Failed | CellState::Lost | CellState::Held | CellState::Stale => true,
            CellState::Done
            | CellState::Stopped
            | CellState::Running
            | CellState::Queued
            | CellState::Waiting
            | CellState::Missing => false,
        }
    }

    /// Its scores' or times' share in a figure: only complete results count.
    pub(super) fn figure(&self, figure: fn(&Run) -> Option<f64>) -> Option<f64> {
        if self.done() { figure(self) } else { None }
    }

    /// How long it took, in seconds.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.row.seconds.total
    }

    /// What it took: cores times time.
    pub(super) fn core_hours(&self) -> Option<f64> {
        Some(self.seconds()? * self.row.threads? as f64 / 3600.0)
    }

    /// What kind of machine it ran on.
    pub(super) fn machine(&self) -> String {
        let processor = self.row.cpu.as_deref().unwrap_or("processor unknown");
        let threads =
            self.row.threads.map_or(String::new(), |threads| format!(", {}", counted(threads, "thread")));
        let microarch = self.row.microarch.as_deref().map_or(String::new(), |level| format!(" ({level})"));
        format!("{processor}{microarch}{threads}")
    }
}

/// What crosses mean, one text for each state: `failed (4)`, `held (2)`.
pub(super) fn crosses<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<(Symbol, String)> {
    let stopped = runs.into_iter().filter(|run| run.stopped()).map(|run| run.row.state);
    let text = |(state, count): (CellState, usize)| (Symbol::Cross, format!("{} ({count})", state.name()));
    Tally::of(stopped).iter().map(text).collect()
}

/// An interval, if both of its ends are known.
pub(super) fn interval(low: Option<f64>, high: Option<f64>) -> Option<[f64; 2]> {
    low.zip(high).map(|(low, high)| [low, high])
}

/// The axis that says which fold of a cross-validation a run is.
const FOLD: &str = "data.fold";

fn combination(axes: &Axes, counts: impl Fn(&str) -> bool) -> String {
    let axis = |(key, value): (&String, &Value)| format!("{key}={}", text(value));
    axes.0.iter().filter(|(key, _)| counts(key)).map(axis).collect::<Vec<_>>().join(" ")
}

/// Decimal numbers as people write them: `1`, not `1.0`.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}
