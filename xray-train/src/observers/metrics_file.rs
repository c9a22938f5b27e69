//! `metrics.jsonl`: one JSON object a line for every few steps and every evaluation, for plots. Each bears a hash.

use super::append;
use crate::checkpoint::EVALUATION;
use crate::events::{Event, Observer, StepReport};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use xray_artifacts::{FileError, sealed_line};
use xray_metrics::Evaluation;

/// Adds lines to the file.
pub struct MetricsFile {
    path: PathBuf,
    file: File,
    every: u64,
}

impl MetricsFile {
    /// Opens the file, keeping what earlier starts wrote; a line for each `every`-th step.
    pub fn open(path: &Path, every: u64) -> Result<Self, FileError> {
        Ok(MetricsFile { path: path.to_owned(), file: append(path)?, every })
    }
}

impl Observer for MetricsFile {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError> {
        let Some(line) = Line::of(event, self.every) else { return Ok(()) };
        let line = serde_json::to_string(&line).expect("numbers and strings");
        let written = writeln!(self.file, "{}", sealed_line(&line));
        written.map_err(|source| FileError::Io { path: self.path.clone(), action: "write", source })
    }
}

/// What is written of an event.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Line {
    Step(StepLine),
    Evaluation(Value),
}

impl Line {
    /// For each `every`-th step and every evaluation.
    pub(super) fn of(event: &Event<'_>, every: u64) -> Option<Line> {
        match event {
            Event::Step(report) if report.step.is_multiple_of(every) => Some(Line::Step(step_line(report))),
            Event::Evaluated { split, step, evaluation, is_best } => {
                Some(Line::Evaluation(evaluation_line(split.name(), *step, evaluation, *is_best)))
            }
            _ => None,
        }
    }
}

/// A struct and not a `Value`, which would print `0.1` of an `f32` as `0.10000000149011612`.
#[derive(Serialize)]
pub(super) struct StepLine {
    event: &'static str,
    step: u64,
    epoch: f64,
    loss: f32,
    learning_rate: f64,
    gradient_norm: f32,
}

fn step_line(report: &StepReport) -> StepLine {
    let StepReport { step, epoch, loss, learning_rate, gradient_norm, .. } = *report;
    StepLine { event: "step", step, epoch, loss, learning_rate, gradient_norm }
}

fn evaluation_line(split: &str, step: u64, evaluation: &Evaluation, is_best: bool) -> Value {
    let auc: serde_json::Map<_, _> =
        evaluation.labels.iter().map(|label| (label.label.clone(), label.auc.into())).collect();
    json!({
        "event": EVALUATION,
        "step": step,
        "split": split,
        "macro_auc": evaluation.macro_auc,
        "macro_log_loss": evaluation.macro_log_loss,
        "is_best": is_best,
        "auc": auc,
    })
}
