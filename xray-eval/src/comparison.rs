//! Two models on the same test records.

use crate::figures::number;
use crate::subject::{Subject, failure, scores};
use serde::Serialize;
use xray_artifacts::{Exit, Failure};
use xray_display::{TextTable, counted};
use xray_metrics::units::Unit;
use xray_metrics::{Comparison, Difference, NoInterval, compare};

/// What two models differ by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedModels {
    /// The format of this object.
    pub format: u32,
    /// What a reader should know of either, and of the two together.
    pub notes: Vec<String>,
    /// How many test records both have scored.
    pub records: usize,
    /// The findings, in the order of the first model's outputs.
    pub labels: Vec<String>,
    /// The differences, and whether patients or records count as independent.
    pub comparison: Comparison,
}

/// Compares the test scores of `a` and `b`, which may stand in any order but must be of the same records. Where one
/// of them names no patients, those that the other names for the same ids are both models'.
pub fn compare_subjects(a: &Subject, b: &Subject) -> Result<ComparedModels, Failure> {
    let of_b = b.test.in_order_of(&a.test)?;
    let named = |name: &'static str| move |note: &String| format!("{name}: {note}");
    let mut notes: Vec<_> = a.notes.iter().map(named("A")).chain(b.notes.iter().map(named("B"))).collect();
    let (patients_a, patients_b) = (a.test.patient_numbers(), of_b.patient_numbers());
    if let (Some(of_a), Some(of_b)) = (&patients_a, &patients_b)
        && let Some(at) = of_a.iter().zip(of_b).position(|(a, b)| a != b)
    {
        let message = format!("the two files name different patients for record {}", a.test.ids[at]);
        return Err(Failure::new(Exit::BadData, message)
            .hint("correct the patients of one of them, or leave its column of patients out"));
    }
    notes.extend(
        match (&patients_a, &patients_b) {
            (Some(_), None) => Some("B names no patients; A's patients are used for both"),
            (None, Some(_)) => Some("A names no patients; B's patients are used for both"),
            _ => None,
        }
        .map(str::to_owned),
    );
    let patients = patients_a.or(patients_b);
    let comparison = compare(scores(&a.test)?, scores(&of_b)?, patients.as_deref())
        .map_err(|error| failure(a.test.split, &error))?;
    Ok(ComparedModels {
        format: 1,
        notes,
        records: a.test.ids.len(),
        labels: a.test.labels.clone(),
        comparison,
    })
}

impl ComparedModels {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut table =
            TextTable::new(&["AUC", "A", "B", "A − B", "95 % interval", "p", "p of all labels (Holm)"]);
        for (label, difference) in self.labels.iter().zip(&self.comparison.labels) {
            table.row(row(label, difference));
        }
        table.row(row("macro", &self.comparison.macro_auc));
        let notes: String = self.notes.iter().map(|note| format!("note: {note}\n")).collect();
        let whose = whose_records(&self.comparison);
        format!(
            "{notes}{}{whose}\n\n{}intervals and p-values: {}\n{}",
            counted(self.records, "test record"),
            table.text(),
            self.comparison.method,
            self.why_untested()
        )
    }

    /// Each reason once, with what it is of.
    fn why_untested(&self) -> String {
        let names = self.labels.iter().map(String::as_str).chain(["macro"]);
        let found = self.comparison.labels.iter().chain([&self.comparison.macro_auc]);
        let mut reasons: Vec<(NoInterval, Vec<&str>)> = Vec::new();
        for (name, why) in names.zip(found).filter_map(|(name, found)| Some((name, found.missing?))) {
            match reasons.iter_mut().find(|(other, _)| *other == why) {
                Some((_, names)) => names.push(name),
                None => reasons.push((why, vec![name])),
            }
        }
        let line =
            |(why, names): (NoInterval, Vec<&str>)| format!("no test for {}: {why}\n", names.join(", "));
        reasons.into_iter().map(line).collect()
    }
}

/// The compared records and their patients, as the end of a sentence.
pub(crate) fn whose_records(of: &Comparison) -> String {
    match of.unit {
        Unit::Patient if of.units == 1 => {
            " of one patient, which says nothing about other patients: no intervals, no p-values".to_owned()
        }
        Unit::Patient => format!(" of {}", counted(of.units, "patient")),
        Unit::Record => {
            ", taken as independent because patients are unknown: intervals are too narrow and p-values too small if \
             patients recur"
                .to_owned()
        }
    }
}

fn row(name: &str, found: &Difference) -> Vec<String> {
    vec![
        name.to_owned(),
        number(found.a),
        number(found.b),
        signed(found.difference),
        found.interval.map_or("–".to_owned(), |[low, high]| format!("{low:+.3} to {high:+.3}")),
        p_value(found.p_value),
        p_value(found.p_value_holm),
    ]
}

fn signed(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:+.3}"))
}

/// `+0.120 (+0.070 to +0.170)`, with a dash for what is not defined.
pub(crate) fn signed_with_interval(found: &Difference) -> String {
    match found.interval {
        Some([low, high]) => format!("{} ({low:+.3} to {high:+.3})", signed(found.difference)),
        None => signed(found.difference),
    }
}

/// A p-value with three digits, or as below the smallest of these.
pub(crate) fn p_value(p: Option<f64>) -> String {
    match p {
        Some(p) if p < 0.001 => "<0.001".to_owned(),
        other => number(other),
    }
}
