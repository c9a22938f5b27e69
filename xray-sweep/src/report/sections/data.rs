//! What was trained and scored on.

use crate::report::document::{Section, Table, Value, thousands};
use crate::report::sweep::{BothSplits, Sweep};
use std::collections::BTreeSet;
use xray_artifacts::{DatasetManifest, Split};

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("data", "Data");
    if let Some(dataset) = &sweep.dataset {
        section.table("splits", splits(dataset));
    }
    let both = sweep.chosen.as_ref().and_then(|chosen| chosen.predictions.as_ref());
    if let Some(text) = both.and_then(overlap) {
        section.text(text);
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

/// How many patients are in validation and in test; none where nobody names them.
fn overlap(both: &BothSplits) -> Option<String> {
    if both.val.patients.is_empty() || both.test.patients.is_empty() {
        return Some(
            "The records do not name their patients, so nobody can tell whether a patient is in validation and in test; \
             intervals treat records as independent and are too narrow if patients recur."
                .to_owned(),
        );
    }
    let (val, test): (BTreeSet<_>, BTreeSet<_>) =
        (both.val.patients.iter().collect(), both.test.patients.iter().collect());
    Some(format!(
        "Patients in validation and in test at once: {} (of {} and {}).",
        val.intersection(&test).count(),
        thousands(val.len() as i64),
        thousands(test.len() as i64)
    ))
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
    let Some(chosen) = &sweep.chosen else { return table };
    for label in sweep.shown_labels() {
        let row = |split: &str| {
            sweep
                .labels
                .iter()
                .find(|row| row.cell == chosen.run.cell && row.split == split && row.label == label)
        };
        let share = |split| {
            let row = row(split)?;
            let known = row.positives + row.negatives;
            (known > 0).then(|| row.positives as f64 / known as f64)
        };
        let (val, test) = (row("val"), row("test"));
        let train = test.or(val).and_then(|row| row.train_prevalence);
        table.row(vec![
            Value::text(label.replace('_', " ")),
            Value::number(train, 4),
            Value::number(share("val"), 4),
            Value::count(val.map(|row| row.positives)),
            Value::number(share("test"), 4),
            Value::count(test.map(|row| row.positives)),
            Value::count(test.map(|row| row.unknown).filter(|unknown| *unknown > 0)),
        ]);
    }
    table.notes.push("Train: the records of the chosen run's fraction.".to_owned());
    table.without_empty_columns()
}
