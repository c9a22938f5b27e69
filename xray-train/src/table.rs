//! A result as a small table for a terminal.

use crate::run::Outcome;
use std::fmt::Write;
use xray_artifacts::Split;
use xray_display::{Align, Column, DASH, TextTable, counted, number};
use xray_metrics::units::MIN_UNITS;
use xray_metrics::{Evaluation, LabelEvaluation};

/// Per label and over all: test AUC with its interval first, validation beside it.
pub fn table(outcome: &Outcome) -> String {
    let (val, test) = (outcome.scores.get(&Split::Val), outcome.scores.get(&Split::Test));
    let mut text = test.map_or_else(String::new, |test| scores(test, val) + "\n");
    let training = &outcome.training;
    let kept = training.best_step.map_or(String::new(), |step| format!(", weights of step {step} kept"));
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} (fraction {}), {}, {:.2} epochs{kept}",
        counted(outcome.train_images, "image"),
        outcome.fraction,
        counted(training.steps, "step"),
        training.epochs
    );
    let _ = writeln!(text, "{}", cost(outcome));
    text
}

fn scores(test: &Evaluation, val: Option<&Evaluation>) -> String {
    let mut table = TextTable::of([
        Column::new("", Align::Left),
        Column::new("test pos", Align::Right),
        Column::new("AUC", Align::Right).at_least(6),
        Column::new("95 % interval", Align::Centre),
        Column::new("val AUC", Align::Right),
        Column::new("", Align::Left),
    ]);
    for label in &test.labels {
        let same = val.and_then(|val| val.labels.iter().find(|other| other.label == label.label));
        table.row(label_row(label, same));
    }
    table.row(macro_row(test, val));
    table.row(micro_row(test, val));
    table.text() + &about_intervals(test)
}

/// Why labels have no interval, and what the macro-AUC's is of.
fn about_intervals(test: &Evaluation) -> String {
    let Some(intervals) = &test.intervals else {
        return "no intervals: training.bootstrap_resamples is 0\n".to_owned();
    };
    let mut text = String::new();
    let missing: Vec<_> = test
        .labels
        .iter()
        .filter(|label| label.auc.is_some() && label.auc_interval.is_none())
        .map(|label| label.label.as_str())
        .collect();
    if !missing.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "no interval for {}: fewer than {MIN_UNITS} {}s with or without it, or one score for all",
            missing.join(", "),
            intervals.unit
        );
    }
    if !test.macro_auc_dominated_by.is_empty() {
        let labels = test.macro_auc_dominated_by.join(", ");
        let _ = writeln!(text, "more than half of the macro-AUC's variance comes from {labels}");
    }
    text
}

fn label_row(test: &LabelEvaluation, val: Option<&LabelEvaluation>) -> Vec<String> {
    vec![
        test.label.clone(),
        test.positives.to_string(),
        number(test.auc, 3),
        interval(test.auc_interval),
        number(val.and_then(|val| val.auc), 3),
        String::new(),
    ]
}

fn macro_row(test: &Evaluation, val: Option<&Evaluation>) -> Vec<String> {
    let note = match test.undefined_labels {
        0 => "ignoring the image: 0.500".to_owned(),
        undefined => format!("ignoring the image: 0.500; {} undefined", counted(undefined, "label")),
    };
    vec![
        "macro-AUC".to_owned(),
        String::new(),
        number(test.macro_auc, 3),
        interval(test.macro_auc_interval),
        number(val.and_then(|val| val.macro_auc), 3),
        note,
    ]
}

fn micro_row(test: &Evaluation, val: Option<&Evaluation>) -> Vec<String> {
    vec![
        "micro-AUC".to_owned(),
        String::new(),
        number(test.micro_auc, 3),
        String::new(),
        number(val.and_then(|val| val.micro_auc), 3),
        format!("ignoring the image: {}", number(test.micro_auc_baseline, 3)),
    ]
}

fn cost(outcome: &Outcome) -> String {
    let seconds = &outcome.seconds;
    let speed =
        outcome.images_per_second.map_or(String::new(), |speed| format!("{speed:.0} images/s in training, "));
    let memory =
        outcome.peak_memory_bytes.map_or(String::new(), |bytes| format!(", peak {} MB", bytes / 1_000_000));
    format!(
        "{speed}{:.1} s in all (waiting for data {:.1}, forward {:.1}, backward {:.1}, optimizer {:.1}, evaluation \
         {:.1}){memory}",
        seconds.total, seconds.data, seconds.forward, seconds.backward, seconds.optimizer, seconds.evaluation
    )
}

fn interval(value: Option<[f64; 2]>) -> String {
    value.map_or(DASH.to_owned(), |[low, high]| format!("{low:.3}–{high:.3}"))
}
