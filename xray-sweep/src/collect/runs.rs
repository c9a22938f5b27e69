//! Rows of `runs.parquet`.

use crate::attempt::Attempt;
use crate::cell_result::Outcome;
use crate::state::{CellReport, CellState};
use crate::tables::{Axes, RunRow, RunSeconds, SplitScores, count};
use xray_artifacts::{Environment, Seconds, Split};
use xray_metrics::Evaluation;

/// What was planned of a cell and what became of it.
pub(super) fn row(report: &CellReport) -> RunRow {
    let (cell, last, environment) = (&report.cell, last(report), environment(report));
    let training = outcome(report).map(|outcome| &outcome.training);
    let text = |text: Option<&str>| text.map(str::to_owned);
    RunRow {
        cell: cell.id.clone(),
        fraction: cell.fraction,
        fraction_offset: cell.fraction_offset,
        trial: cell.trial.into(),
        seed: cell.seed,
        axis: Axes(cell.axes.clone()),

        state: report.state,
        reason: text(reason(report)),
        exit: exit(report).map(i64::from),
        signal: signal(report).map(i64::from),
        attempts: (!report.lacks_starts).then(|| count(report.attempts.len())),
        started: text(started(report)),
        ended: last.and_then(|attempt| attempt.ended.clone()),

        launcher: last.map(|attempt| attempt.launcher),
        host: text(host(report)),
        slot: last.and_then(|attempt| attempt.slot.clone()),
        microarch: text(microarch(report)),
        cpu: environment.map(|environment| environment.cpu.clone()),
        threads: environment.map(|environment| count(environment.threads)),
        backend: environment.map(|environment| environment.backend.clone()),
        device: environment.map(device),
        requested_cpus: cell.request.cpus.into(),
        requested_memory_mib: count(
            last.and_then(|attempt| attempt.requested_memory_mib).unwrap_or(cell.request.memory_mib),
        ),
        allocated_memory_mib: last.and_then(|attempt| attempt.allocated_memory_mib).map(count),
        used_memory_mib: report.attempts.iter().filter_map(|a| a.used_memory_mib).max().map(count),
        peak_memory_mib: peak_memory_mib(report).map(count),
        requested_disk_mib: Some(count(
            last.and_then(|attempt| attempt.requested_disk_mib).unwrap_or(cell.request.disk_mib),
        )),
        used_disk_mib: report.used_disk_mib().map(count),
        requested_seconds: last.and_then(|attempt| attempt.requested_seconds).map(count),

        code: cell.code.clone(),
        dataset: cell.dataset.clone(),
        train_images: count(train_images(report)),
        steps: training.map(|training| count(training.steps)),
        examples: training.map(|training| count(training.examples)),
        epochs: training.map(|training| training.epochs),
        best_step: training.and_then(|training| training.best_step).map(count),
        stopped_by: training.and_then(|training| training.stopped_by.clone()),
        rung_auc: rung_auc(report),
        last_loss: training.and_then(|training| training.last_loss),

        val: scores(report, Split::Val),
        test: scores(report, Split::Test),
        seconds: outcome(report).map(|outcome| seconds(&outcome.seconds)).unwrap_or_default(),
        images_per_second: outcome(report).and_then(|outcome| outcome.images_per_second),
    }
}

/// What it had at each rung.
fn rung_auc(report: &CellReport) -> Axes {
    let scores = (1..).zip(&report.climb.scores);
    Axes(scores.filter_map(|(rung, score): (usize, _)| Some((rung.to_string(), (*score)?.into()))).collect())
}

/// Its name, and what it rounded factors to if it did.
fn device(environment: &Environment) -> String {
    match environment.precision.as_deref() {
        None | Some("f32") => environment.device.clone(),
        Some(precision) => format!("{}, {precision}", environment.device),
    }
}

fn scores(report: &CellReport, split: Split) -> SplitScores {
    let evaluation = outcome(report).and_then(|outcome| outcome.scores.get(&split));
    evaluation.map(split_scores).unwrap_or_default()
}

fn split_scores(scores: &Evaluation) -> SplitScores {
    SplitScores {
        records: Some(count(scores.records)),
        macro_auc: scores.macro_auc,
        macro_auc_low: scores.macro_auc_interval.map(|[low, _]| low),
        macro_auc_high: scores.macro_auc_interval.map(|[_, high]| high),
        intervals_unit: scores.intervals.as_ref().map(|intervals| intervals.unit),
        undefined_labels: Some(count(scores.undefined_labels)),
        macro_average_precision: scores.macro_average_precision,
        macro_average_precision_baseline: scores.macro_average_precision_baseline,
        macro_brier: scores.macro_brier,
        macro_brier_baseline: scores.macro_brier_baseline,
        macro_log_loss: scores.macro_log_loss,
        macro_log_loss_baseline: scores.macro_log_loss_baseline,
        micro_auc: scores.micro_auc,
        micro_auc_baseline: scores.micro_auc_baseline,
        collapsed_labels: Some(scores.collapsed_labels.join(", ")),
    }
}

fn seconds(seconds: &Seconds) -> RunSeconds {
    RunSeconds {
        data: Some(seconds.data),
        forward: Some(seconds.forward),
        backward: Some(seconds.backward),
        optimizer: Some(seconds.optimizer),
        evaluation: Some(seconds.evaluation),
        checkpoint: Some(seconds.checkpoint),
        total: Some(seconds.total),
    }
}

fn outcome(report: &CellReport) -> Option<&Outcome> {
    report.outcome.as_deref()
}

/// What was trained on, where that is known; else what was planned, which of folds is about as many.
fn train_images(report: &CellReport) -> u64 {
    let trained = outcome(report).map(|outcome| outcome.train_images).filter(|&images| images > 0);
    trained.unwrap_or(report.cell.train_images)
}

fn peak_memory_mib(report: &CellReport) -> Option<u64> {
    Some(outcome(report)?.peak_memory_bytes?.div_ceil(1 << 20))
}

fn environment(report: &CellReport) -> Option<&Environment> {
    report.environment.as_ref()
}

/// The attempt that host, exit code and memory are told of.
fn last(report: &CellReport) -> Option<&Attempt> {
    report.attempts.last()
}

fn reason(report: &CellReport) -> Option<&str> {
    if report.state == CellState::Done {
        return None;
    }
    let own = report.reason.as_deref();
    own.or_else(|| outcome(report)?.reason.as_deref()).or_else(|| last(report)?.reason.as_deref())
}

/// What the result says, where a result is complete; else what the job ended with, which knows more than
/// the result of a process that was killed.
fn exit(report: &CellReport) -> Option<u8> {
    let of_result = outcome(report).and_then(|o| o.exit);
    match (report.state, last(report)) {
        (CellState::Done, _) | (_, None) => of_result,
        (_, Some(attempt)) if attempt.signal.is_some() => None,
        (_, Some(attempt)) => attempt.exit.or(of_result),
    }
}

fn signal(report: &CellReport) -> Option<u8> {
    if report.state == CellState::Done { None } else { last(report)?.signal }
}

fn started(report: &CellReport) -> Option<&str> {
    if report.lacks_starts {
        return None;
    }
    let of_first = report.attempts.first().and_then(|attempt| attempt.started.as_deref());
    of_first.or_else(|| environment(report).map(|e| e.started.as_str()))
}

fn host(report: &CellReport) -> Option<&str> {
    let of_attempt = last(report).and_then(|attempt| attempt.host.as_deref());
    of_attempt.or_else(|| environment(report).map(|e| e.host.as_str()))
}

fn microarch(report: &CellReport) -> Option<&str> {
    let of_attempt = last(report).and_then(|attempt| attempt.microarch.as_deref());
    of_attempt.or_else(|| environment(report)?.microarch.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_with_a_precision_below_float32() {
        let check = |precision: Option<&str>, expected| {
            let text = serde_json::json!({
                "version": "1", "git": null, "build": "b", "command": [], "host": "h", "system": "s", "cpu": "c",
                "microarch": null, "threads": 1, "backend": "wgpu", "device": "H200, WGSL", "precision": precision,
                "started": "2026-01-01T10:00:00Z",
            });
            assert_eq!(device(&serde_json::from_value(text).expect("an environment")), expected);
        };
        check(Some("f16"), "H200, WGSL, f16");
        check(Some("f32"), "H200, WGSL");
        check(None, "H200, WGSL");
    }
}
