//! This sweep beside another.

use super::fractions::{fraction_axis, has_interval, series_by_fraction};
use crate::report::document::{Section, Table, Value};
use crate::report::groups::Group;
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use std::collections::BTreeSet;
use xray_artifacts::Predictions;
use xray_display::chart::{Axis, Chart, Scale, Symbol};
use xray_metrics::mean_interval::MIN_REPETITIONS;
use xray_metrics::{Bounds, Difference, Scores, compare, difference_interval};

pub(super) fn section(sweep: &Sweep, other: &Sweep) -> Section {
    let mut section = Section::new("comparison", format!("Beside {}", other.name));
    let (own, others) = (sweep.chosen_groups(), other.chosen_groups());
    if own.is_empty() || others.is_empty() {
        section.text("One of the two sweeps has no finished run, so there is nothing to compare.");
        return section;
    }
    if !same_data(sweep, other) {
        section.warning(
            "The two sweeps are of different data sets, so their scores are of different test records: no difference \
             between them says which is better.",
        );
    }
    section.chart("comparison", chart(sweep, other, &own, &others));
    section.table("comparison", by_fraction(sweep, other, &own, &others));
    match paired(sweep, other) {
        Ok(table) => section.table("comparison-chosen", table),
        Err(why) => section.text(format!("The two chosen runs cannot be compared record by record: {why}.")),
    }
    section
}

/// Whether both were scored on the same data set.
fn same_data(sweep: &Sweep, other: &Sweep) -> bool {
    let data = |sweep: &Sweep| sweep.runs.iter().map(|run| run.row.dataset.clone()).collect::<BTreeSet<_>>();
    data(sweep) == data(other)
}

fn chart(sweep: &Sweep, other: &Sweep, own: &[Group<'_>], others: &[Group<'_>]) -> Chart {
    let score = |run: &Run| run.score;
    let (mut series, _) = series_by_fraction(&[own, others], score, Bounds::Share);
    // Which sweep a cross is of would not be seen; the table counts what is done of each.
    series.iter_mut().for_each(|series| series.crosses.clear());
    let mut legend =
        vec![(Symbol::DotAndLine(0), sweep.name.clone()), (Symbol::DotAndLine(1), other.name.clone())];
    if series.iter().any(has_interval) {
        legend.push((Symbol::Band(0), "95 % over trials".into()));
    }
    let runs: Vec<Run> = own.iter().chain(others).flat_map(|group| group.runs.to_vec()).collect();
    let values: Vec<f64> = runs.iter().filter_map(|run| run.figure(score)).collect();
    Chart {
        title: "Both sweeps by fraction".into(),
        y: Axis::new(
            format!("test {}", sweep.score_name()),
            Scale::around_with_bands(&values, &series).of_shares(),
        ),
        x: fraction_axis(&runs),
        series,
        levels: Vec::new(),
        legend,
        empty: sweep.without_score(),
    }
}

fn by_fraction(sweep: &Sweep, other: &Sweep, own: &[Group<'_>], others: &[Group<'_>]) -> Table {
    let mut table = Table::new(
        format!("Mean test {} of {} (A) and {} (B)", sweep.score_name(), sweep.name, other.name),
        &[
            ("fraction", ">fraction"),
            ("a_done", ">done A"),
            ("b_done", ">done B"),
            ("a_steps", ">steps A"),
            ("b_steps", ">steps B"),
            ("a", ">A"),
            ("b", ">B"),
            ("difference", ">A − B"),
            ("interval", ">95 % interval"),
        ],
    );
    let score = |run: &Run| run.score;
    let steps = |group: &Group<'_>| {
        Value::count(
            group.mean(|run| run.row.steps.map(|steps| steps as f64)).map(|steps| steps.round() as i64),
        )
    };
    for a in own {
        let Some(b) = others.iter().find(|b| b.fraction == a.fraction) else { continue };
        // Scores on other records differ for other reasons.
        let comparable = same_data(sweep, other);
        let difference = difference_interval(&a.values(score), &b.values(score)).filter(|_| comparable);
        table.row(vec![
            Value::percent(a.fraction),
            Value::text(a.done()),
            Value::text(b.done()),
            steps(a),
            steps(b),
            Value::number(a.mean(score), 3),
            Value::number(b.mean(score), 3),
            Value::signed(difference.map(|(difference, _)| difference), 3),
            Value::interval(difference.and_then(|(_, interval)| interval), 3),
        ]);
    }
    let few = own.iter().any(|a| {
        let b = others.iter().find(|b| b.fraction == a.fraction);
        let trials = |group: &Group<'_>| group.values(score).len();
        b.is_some_and(|b| trials(a).min(trials(b)) < MIN_REPETITIONS)
    });
    let reason = match (same_data(sweep, other), few) {
        (false, _) => "; none for scores on different data sets",
        (true, true) => "; none where a sweep has fewer than three done",
        (true, false) => "",
    };
    table.notes.push(format!(
        "Intervals are Welch's over trials, on a scale that keeps differences within 1{reason}. Each fraction is \
         tested separately; one in twenty misses by chance."
    ));
    table.without_empty_columns()
}

/// The chosen runs on the same test records, or why not.
fn paired(sweep: &Sweep, other: &Sweep) -> Result<Table, String> {
    let test = |sweep: &Sweep| -> Option<Predictions> {
        Some(sweep.chosen.as_ref()?.predictions.as_ref().ok()?.test.clone())
    };
    let missing = |name: &str| format!("the predictions of {name} cannot be shown");
    let a = test(sweep).ok_or_else(|| missing(&sweep.name))?;
    let b = test(other).ok_or_else(|| missing(&other.name))?;
    let b = b.in_order_of(&a).map_err(|failure| failure.message.clone())?;
    let of = |predictions| scores(predictions).ok_or("their scores are not finite");
    let (of_a, of_b) = (of(&a)?, of(&b)?);
    let patients = a.patient_numbers();
    let comparison = compare(of_a, of_b, patients.as_deref()).map_err(|error| error.to_string())?;
    let mut table = Table::new(
        format!(
            "The run that validation chose of {} (A) and of {} (B), on the same test patients",
            sweep.name, other.name
        ),
        &[
            ("label", "AUC"),
            ("a", ">A"),
            ("b", ">B"),
            ("difference", ">A − B"),
            ("interval", ">95 % interval"),
            ("p", ">p"),
            ("p_holm", ">p of all findings (Holm)"),
        ],
    );
    let mut row = |name: String, found: &Difference| {
        table.row(vec![
            Value::text(name),
            Value::number(found.a, 3),
            Value::number(found.b, 3),
            Value::signed(found.difference, 3),
            Value::interval(found.interval, 3),
            Value::p(found.p_value),
            Value::p(found.p_value_holm),
        ]);
    };
    row("macro".into(), &comparison.macro_auc);
    for (label, found) in a.labels.iter().zip(&comparison.labels) {
        row(label.replace('_', " "), found);
    }
    table.notes.push(format!(
        "Intervals and p, by {}, are of these two trained models over other {}: they do not include variation \
         between trainings.",
        comparison.method,
        if patients.is_some() { "patients" } else { "records (patients unknown)" }
    ));
    Ok(table)
}

fn scores(predictions: &Predictions) -> Option<Scores<'_>> {
    Scores::new(&predictions.logits, &predictions.truth, predictions.labels.len()).ok()
}
