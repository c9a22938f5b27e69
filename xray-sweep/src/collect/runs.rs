//! `runs.parquet`: one row per planned cell, whatever became of it.

use super::axes;
use super::columns::Columns;
use crate::attempt::Attempt;
use crate::cell_result::Outcome;
use crate::state::{CellReport, CellState};
use polars::prelude::DataFrame;
use xray_artifacts::{Environment, Seconds, Split};
use xray_metrics::Evaluation;
use xray_metrics::bootstrap::Unit;

pub(super) fn table(reports: &[&CellReport]) -> DataFrame {
    let columns = planned(Columns::of(reports));
    let columns = ended(columns);
    let columns = ran(columns);
    let columns = trained(columns);
    let columns = [Split::Val, Split::Test].into_iter().fold(columns, scored);
    spent(columns).into_table()
}

type Reports<'a> = Columns<'a, &'a CellReport>;

fn planned<'a>(columns: Reports<'a>) -> Reports<'a> {
    let columns = columns
        .text("cell", |r| Some(&r.cell.id))
        .number("fraction", |r| Some(r.cell.fraction))
        .number("fraction_offset", |r| Some(r.cell.fraction_offset))
        .integer("trial", |r| Some(r.cell.trial))
        .bits("seed", |r| Some(r.cell.seed));
    let axes = axes::columns(columns.rows());
    axes.into_iter().fold(columns, Columns::column)
}

fn ended<'a>(columns: Reports<'a>) -> Reports<'a> {
    columns
        .name("state", |r| Some(r.state))
        .text("reason", |r| reason(r))
        .integer("exit", exit)
        .integer("signal", signal)
        .integer("attempts", |r| Some(r.attempts.len() as u64))
        .text("started", |r| started(r))
        .text("ended", |r| last(r)?.ended.as_deref())
}

fn ran<'a>(columns: Reports<'a>) -> Reports<'a> {
    columns
        .text("launcher", |r| last(r).map(|attempt| attempt.launcher.as_str()))
        .text("host", |r| host(r))
        .text("slot", |r| last(r)?.slot.as_deref())
        .text("microarch", |r| microarch(r))
        .text("cpu", |r| environment(r).map(|e| e.cpu.as_str()))
        .integer("threads", |r| environment(r).map(|e| e.threads as u64))
        .text("backend", |r| environment(r).map(|e| e.backend.as_str()))
        .text("device", |r| environment(r).map(|e| e.device.as_str()))
        .integer("requested_cpus", |r| Some(r.cell.request.cpus))
        .integer("requested_memory_mib", |r| {
            Some(last(r).and_then(|a| a.requested_memory_mib).unwrap_or(r.cell.request.memory_mib))
        })
        .integer("allocated_memory_mib", |r| last(r)?.allocated_memory_mib)
        .integer("used_memory_mib", |r| r.attempts.iter().filter_map(|a| a.used_memory_mib).max())
        .integer("peak_memory_mib", |r| Some(outcome(r)?.peak_memory_bytes?.div_ceil(1 << 20)))
}

fn trained<'a>(columns: Reports<'a>) -> Reports<'a> {
    columns
        .text("code", |r| Some(&r.cell.code))
        .text("dataset", |r| Some(&r.cell.dataset))
        .integer("train_images", |r| Some(r.cell.train_images))
        .integer("steps", |r| outcome(r).map(|o| o.training.steps))
        .integer("examples", |r| outcome(r).map(|o| o.training.examples))
        .number("epochs", |r| outcome(r).map(|o| o.training.epochs))
        .integer("best_step", |r| outcome(r)?.training.best_step)
        .text("stopped_by", |r| outcome(r)?.training.stopped_by.as_deref())
        .single("last_loss", |r| outcome(r)?.training.last_loss)
}

fn scored<'a>(columns: Reports<'a>, split: Split) -> Reports<'a> {
    let name = |figure: &str| format!("{split}_{figure}");
    let scores = move |r: &&'a CellReport| -> Option<&'a Evaluation> { outcome(r)?.scores.get(&split) };
    columns
        .integer(&name("records"), |r| Some(scores(r)?.records))
        .number(&name("macro_auc"), |r| scores(r)?.macro_auc)
        .number(&name("macro_auc_low"), |r| Some(scores(r)?.macro_auc_interval?[0]))
        .number(&name("macro_auc_high"), |r| Some(scores(r)?.macro_auc_interval?[1]))
        .text(&name("intervals_unit"), |r| {
            Some(match scores(r)?.intervals.as_ref()?.unit {
                Unit::Patient => "patient",
                Unit::Record => "record",
            })
        })
        .integer(&name("undefined_labels"), |r| Some(scores(r)?.undefined_labels as u64))
        .number(&name("macro_average_precision"), |r| scores(r)?.macro_average_precision)
        .number(&name("macro_average_precision_baseline"), |r| scores(r)?.macro_average_precision_baseline)
        .number(&name("macro_brier"), |r| scores(r)?.macro_brier)
        .number(&name("macro_brier_baseline"), |r| scores(r)?.macro_brier_baseline)
        .number(&name("macro_log_loss"), |r| scores(r)?.macro_log_loss)
        .number(&name("macro_log_loss_baseline"), |r| scores(r)?.macro_log_loss_baseline)
        .number(&name("micro_auc"), |r| scores(r)?.micro_auc)
        .number(&name("micro_auc_baseline"), |r| scores(r)?.micro_auc_baseline)
        .text(&name("collapsed_labels"), |r| Some(scores(r)?.collapsed_labels.join(", ")))
}

fn spent<'a>(columns: Reports<'a>) -> Reports<'a> {
    let seconds = |r: &&'a CellReport| -> Option<&'a Seconds> { outcome(r).map(|o| &o.seconds) };
    columns
        .number("seconds_data", |r| Some(seconds(r)?.data))
        .number("seconds_forward", |r| Some(seconds(r)?.forward))
        .number("seconds_backward", |r| Some(seconds(r)?.backward))
        .number("seconds_optimizer", |r| Some(seconds(r)?.optimizer))
        .number("seconds_evaluation", |r| Some(seconds(r)?.evaluation))
        .number("seconds_checkpoint", |r| Some(seconds(r)?.checkpoint))
        .number("seconds_total", |r| Some(seconds(r)?.total))
        .number("images_per_second", |r| outcome(r)?.images_per_second)
}

fn outcome<'a>(report: &&'a CellReport) -> Option<&'a Outcome> {
    report.outcome.as_deref()
}

fn environment<'a>(report: &&'a CellReport) -> Option<&'a Environment> {
    report.environment.as_ref()
}

/// The attempt that host, exit code and memory are told of.
fn last<'a>(report: &&'a CellReport) -> Option<&'a Attempt> {
    report.attempts.last()
}

fn reason<'a>(report: &&'a CellReport) -> Option<&'a str> {
    if report.state == CellState::Done {
        return None;
    }
    let own = report.reason.as_deref();
    own.or_else(|| outcome(report)?.reason.as_deref()).or_else(|| last(report)?.reason.as_deref())
}

/// What the result says, where a result is complete; else what the job ended with, which knows more than
/// the result of a process that was killed.
fn exit(report: &&CellReport) -> Option<u8> {
    let of_result = outcome(report).and_then(|o| o.exit);
    match (report.state, last(report)) {
        (CellState::Done, _) | (_, None) => of_result,
        (_, Some(attempt)) if attempt.signal.is_some() => None,
        (_, Some(attempt)) => attempt.exit.or(of_result),
    }
}

fn signal(report: &&CellReport) -> Option<u8> {
    if report.state == CellState::Done { None } else { last(report)?.signal }
}

fn started<'a>(report: &&'a CellReport) -> Option<&'a str> {
    let of_first = report.attempts.first().and_then(|attempt| attempt.started.as_deref());
    of_first.or_else(|| environment(report).map(|e| e.started.as_str()))
}

fn host<'a>(report: &&'a CellReport) -> Option<&'a str> {
    let of_attempt = last(report).and_then(|attempt| attempt.host.as_deref());
    of_attempt.or_else(|| environment(report).map(|e| e.host.as_str()))
}

fn microarch<'a>(report: &&'a CellReport) -> Option<&'a str> {
    let of_attempt = last(report).and_then(|attempt| attempt.microarch.as_deref());
    of_attempt.or_else(|| environment(report)?.microarch.as_deref())
}
