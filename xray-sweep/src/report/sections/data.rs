//! What was trained and scored on.

use crate::report::document::{Section, Table, Value};
use crate::report::sweep::Sweep;
use std::collections::BTreeSet;
use xray_artifacts::{DatasetManifest, Predictions, Split, SplitRule};
use xray_display::thousands;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("data", "Data");
    if let Some(dataset) = &sweep.dataset {
        section.table("splits", splits(dataset));
    }
    if let Some(text) = sweep.dataset.as_ref().map(rule) {
        section.text(text);
    }
    let both = sweep.chosen.as_ref().and_then(|chosen| chosen.predictions.as_ref().ok());
    match both.map(|both| (both, both.shared_patients())) {
        Some((both, Some(0))) => section.text(format!(
            "Patients in both validation and test: 0 (of {} and {}).",
            distinct(&both.val),
            distinct(&both.test)
        )),
        Some((both, Some(shared))) => section.warning(format!(
            "Patients in both validation and test: {shared} (of {} and {}). Thresholds and calibrations were chosen \
             on patients on whom they are reported, so they look better than they are.",
            distinct(&both.val),
            distinct(&both.test)
        )),
        Some((_, None)) => section.warning(
            "The records do not name their patients, so whether a patient is in both validation and test is not \
             known; intervals treat records as independent and are too narrow if patients recur.",
        ),
        None => {}
    }
    section.table("prevalence", prevalence(sweep));
    section
}

fn splits(dataset: &DatasetManifest) -> Table {
    let mut table = Table::new(
        "Records by split",
        &[
            ("split", "split"),
            ("images", ">images"),
            ("patients", ">patients"),
            ("findings", ">findings per image"),
        ],
    );
    for split in Split::ALL {
        let Some(summary) = dataset.splits.get(&split) else { continue };
        let findings = summary.positives.iter().sum::<u64>() as f64 / summary.images.max(1) as f64;
        table.row(vec![
            Value::text(split.name()),
            Value::count(summary.images as i64),
            Value::count(summary.patients.map(|patients| patients as i64)),
            Value::number(Some(findings), 2),
        ]);
    }
    table
}

/// How many patients there are.
fn distinct(predictions: &Predictions) -> String {
    thousands(predictions.patients.iter().collect::<BTreeSet<_>>().len() as i64)
}

/// How records came to their splits, and what that says of patients in training and in test at once.
fn rule(dataset: &DatasetManifest) -> String {
    const PROVEN: &str = "no patient is in two splits; `xray-data build` refuses such a split.";
    let by_patient = dataset.splits.values().all(|split| split.patients.is_some());
    match (dataset.split_rule, by_patient) {
        (SplitRule::Patient, _) => format!("The splits were drawn by patient: {PROVEN}"),
        (SplitRule::Official, true) => format!("The test split is the official one: {PROVEN}"),
        (SplitRule::Column, true) => format!("The source assigns records to splits: {PROVEN}"),
        _ => "The source names no patients, so a patient may be in training and in test at once, and scores may be \
              too high."
            .to_owned(),
    }
}

fn prevalence(sweep: &Sweep) -> Table {
    let mut table = Table::new(
        "Share of positives",
        &[
            ("label", "finding"),
            ("train", ">train"),
            ("val", ">validation"),
            ("val_positives", ">positives"),
            ("test", ">test"),
            ("test_positives", ">positives"),
            ("test_unknown", ">unknown"),
        ],
    );
    if sweep.chosen.is_none() {
        return table;
    }
    for label in sweep.shown_labels() {
        let (val, test) = (sweep.chosen_label(Split::Val, &label), sweep.chosen_label(Split::Test, &label));
        let train = test.or(val).and_then(|row| row.train_prevalence);
        table.row(vec![
            Value::text(label.replace('_', " ")),
            Value::number(train, 4),
            Value::number(val.and_then(|row| row.prevalence), 4),
            Value::count(val.map(|row| row.positives)),
            Value::number(test.and_then(|row| row.prevalence), 4),
            Value::count(test.map(|row| row.positives)),
            Value::count(test.map(|row| row.unknown).filter(|unknown| *unknown > 0)),
        ]);
    }
    table.notes.push("Train: the records of the chosen run's fraction.".to_owned());
    table.without_empty_columns()
}
