//! Two models on the same test records.

use super::subject::{Subject, failure, scores};
use super::text_table::{TextTable, number};
use serde::Serialize;
use std::collections::HashMap;
use xray_artifacts::{Exit, Failure, Predictions};
use xray_metrics::{Comparison, Difference, compare};

/// What two models differ by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedModels {
    /// The format of this object.
    pub format: u32,
    /// How many test records both have scored.
    pub records: usize,
    /// The findings, in the order of the first model's outputs.
    pub labels: Vec<String>,
    /// The differences.
    pub comparison: Comparison,
}

/// Compares the test scores of `a` and `b`, which may stand in any order but must be of the same records.
pub fn compare_subjects(
    a: &Subject,
    b: &Subject,
    resamples: u32,
    seed: u64,
) -> Result<ComparedModels, Failure> {
    let b = in_order_of(&a.test, &b.test)?;
    let patients = a.test.patient_numbers();
    let comparison = compare(scores(&a.test)?, scores(&b)?, patients.as_deref(), resamples, seed)
        .map_err(|error| failure(a.test.split, &error))?;
    Ok(ComparedModels { format: 1, records: a.test.ids.len(), labels: a.test.labels.clone(), comparison })
}

fn in_order_of(first: &Predictions, other: &Predictions) -> Result<Predictions, Failure> {
    let mismatch = |message: String| {
        Failure::new(Exit::BadData, message).hint("models are compared on the same records and labels only")
    };
    if first.labels != other.labels {
        let differs = first.labels.iter().find(|label| !other.labels.contains(label));
        let differs = differs.or_else(|| other.labels.iter().find(|label| !first.labels.contains(label)));
        return Err(mismatch(match differs {
            Some(label) => format!("only one of the two models scores {label}"),
            None => "the two models have their labels in another order".to_owned(),
        }));
    }
    let places: HashMap<&str, usize> =
        other.ids.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
    if places.len() != other.ids.len() || first.ids.len() != other.ids.len() {
        return Err(mismatch(format!(
            "the first model scored {} records, the second {} ({} different ones)",
            first.ids.len(),
            other.ids.len(),
            places.len()
        )));
    }
    let place = |id: &String| {
        places
            .get(id.as_str())
            .copied()
            .ok_or_else(|| mismatch(format!("the second model has no score of {id}")))
    };
    let places = first.ids.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    Ok(other.records(&places))
}

impl ComparedModels {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut table =
            TextTable::new(&["AUC", "A", "B", "A less B", "95 % interval", "p", "p of all labels (Holm)"]);
        for (label, difference) in self.labels.iter().zip(&self.comparison.labels) {
            table.row(row(label, difference));
        }
        table.row(row("macro", &self.comparison.macro_auc));
        format!("{} test records\n\n{}", self.records, table.text())
    }
}

fn row(name: &str, found: &Difference) -> Vec<String> {
    let signed = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:+.3}"));
    let p = |value: Option<f64>| match value {
        Some(p) if p < 0.001 => "<0.001".to_owned(),
        other => number(other),
    };
    let interval = found.interval.map_or("–".to_owned(), |[low, high]| format!("{low:+.3} to {high:+.3}"));
    vec![
        name.to_owned(),
        number(found.a),
        number(found.b),
        signed(found.difference),
        interval,
        p(found.p_value),
        p(found.p_value_holm),
    ]
}
