//! The chosen run finding by finding, each figure beside a baseline that ignores the image.

use super::fractions::NO_IMAGE;
use crate::report::document::{Section, Table, Value};
use crate::report::sweep::Sweep;
use crate::tables::LabelRow;
use xray_artifacts::Split;
use xray_metrics::units::Unit;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("findings", "Each finding of the chosen run");
    section.table("findings", table(sweep));
    section
}

fn table(sweep: &Sweep) -> Table {
    let mut table = Table::new(
        "Test records, beside baselines that ignore the image",
        &[
            ("label", "finding"),
            ("auc", ">AUC"),
            ("auc_interval", ">95 % interval"),
            ("no_image", ">no image"),
            ("metadata", ">sex, age, view"),
            ("positives", ">positives"),
            ("negatives", ">negatives"),
            ("average_precision", ">average precision"),
            ("average_precision_baseline", ">test prevalence"),
            ("brier", ">Brier score"),
            ("brier_baseline", ">of training prevalence"),
        ],
    );
    let Some(chosen) = &sweep.chosen else { return table };
    for label in sweep.shown_labels() {
        let Some(row) = sweep.chosen_label(Split::Test, &label) else { continue };
        table.row(vec![
            Value::text(label.replace('_', " ")),
            Value::number(row.auc, 3),
            Value::interval(row.auc_interval(), 3),
            Value::number(row.auc.map(|_| NO_IMAGE), 1),
            Value::number(sweep.metadata_of(&label), 3),
            Value::count(row.positives),
            Value::count(row.negatives),
            Value::number(row.average_precision, 3),
            Value::number(row.prevalence, 3),
            Value::number(row.brier, 4),
            Value::number(row.brier_of_prevalence(), 4),
        ]);
    }
    let drawn = match chosen.run.row.test.intervals_unit {
        Some(Unit::Record) => "test records (patients unknown)",
        _ => "test patients",
    };
    table.notes.push(format!(
        "Intervals: this trained model on other {drawn}; none where fewer than five have the finding or fewer than five do \
         not."
    ));
    let without = |row: &LabelRow| row.auc.is_none();
    let named: Vec<String> = sweep
        .shown_labels()
        .into_iter()
        .filter(|label| sweep.chosen_label(Split::Test, label).is_some_and(without))
        .map(|label| label.replace('_', " "))
        .collect();
    if !named.is_empty() {
        table.notes.push(format!("No AUC for {}: the test records are all of one class.", named.join(", ")));
    }
    table.without_empty_columns()
}
