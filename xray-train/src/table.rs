//! A result as a small table for a terminal.

use crate::run::Outcome;
use std::fmt::Write;
use xray_artifacts::Split;
use xray_metrics::{Evaluation, LabelEvaluation};

/// Per label and over all: test AUC with its interval first, validation beside it.
pub fn table(outcome: &Outcome) -> String {
    let mut text = String::new();
    let (val, test) = (outcome.scores.get(&Split::Val), outcome.scores.get(&Split::Test));
    if let Some(test) = test {
        let width = test.labels.iter().map(|label| label.label.chars().count()).max().unwrap_or(0).max(9);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:width$}  {:>8}  {:>6}  {:^13}  {:>7}",
            "", "test pos", "AUC", "95 % interval", "val AUC"
        );
        for label in &test.labels {
            let same = val.and_then(|val| val.labels.iter().find(|other| other.label == label.label));
            let _ = writeln!(text, "{}", row(label, same, width));
        }
        let _ = writeln!(text, "{}", macro_row(test, val, width));
        let _ = writeln!(text, "{}", micro_row(test, val, width));
        let _ = writeln!(text);
    }
    let training = &outcome.training;
    let kept = training.best_step.map_or(String::new(), |step| format!(", weights of step {step} kept"));
    let _ = writeln!(
        text,
        "{} images (fraction {}), {} steps, {:.2} epochs{kept}",
        outcome.train_images, outcome.fraction, training.steps, training.epochs
    );
    let _ = writeln!(text, "{}", cost(outcome));
    text
}

fn row(test: &LabelEvaluation, val: Option<&LabelEvaluation>, width: usize) -> String {
    let (auc, range) = (number(test.auc), interval(test.auc_interval));
    let val = number(val.and_then(|val| val.auc));
    format!("{:width$}  {:>8}  {auc:>6}  {range:^13}  {val:>7}", test.label, test.positives)
}

fn macro_row(test: &Evaluation, val: Option<&Evaluation>, width: usize) -> String {
    let (auc, range) = (number(test.macro_auc), interval(test.macro_auc_interval));
    let val = number(val.and_then(|val| val.macro_auc));
    let note = match test.undefined_labels {
        0 => "without looking: 0.500".to_owned(),
        1 => "without looking: 0.500; 1 label undefined".to_owned(),
        undefined => format!("without looking: 0.500; {undefined} labels undefined"),
    };
    format!("{:width$}  {:>8}  {auc:>6}  {range:^13}  {val:>7}  {note}", "macro-AUC", "")
}

fn micro_row(test: &Evaluation, val: Option<&Evaluation>, width: usize) -> String {
    let auc = number(test.micro_auc);
    let val = number(val.and_then(|val| val.micro_auc));
    let baseline = number(test.micro_auc_baseline);
    format!("{:width$}  {:>8}  {auc:>6}  {:13}  {val:>7}  without looking: {baseline}", "micro-AUC", "", "")
}

fn cost(outcome: &Outcome) -> String {
    let seconds = &outcome.seconds;
    let speed =
        outcome.images_per_second.map_or(String::new(), |speed| format!("{speed:.0} images/s in training, "));
    let memory =
        outcome.peak_memory_bytes.map_or(String::new(), |bytes| format!(", peak {} MB", bytes / 1_000_000));
    format!(
        "{speed}{:.1} s in all (waiting for data {:.1}, forward {:.1}, backward {:.1}, optimizer {:.1}, evaluation {:.1}){memory}",
        seconds.total, seconds.data, seconds.forward, seconds.backward, seconds.optimizer, seconds.evaluation
    )
}

/// Three digits, or a dash where nothing is defined.
fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}

fn interval(value: Option<[f64; 2]>) -> String {
    value.map_or("–".to_owned(), |[low, high]| format!("{low:.3}–{high:.3}"))
}
