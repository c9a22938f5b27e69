//! A model on test records of several sources, such as hospitals: within each, over all, and what the source alone gets.

use crate::figures::{number, with_interval};
use crate::subject::{failure, test, validation};
use xray_artifacts::{Failure, Predictions};
use xray_display::TextTable;
use xray_metrics::{BySource, LabelBySource, OneSource, by_source};

/// None where the test records are not of several sources. What the source alone gets is chosen on validation.
pub(crate) fn of_test(of: &Predictions, val: Option<&Predictions>) -> Result<Option<BySource>, Failure> {
    if of.sources.is_empty() {
        return Ok(None);
    }
    let patients = of.patient_numbers();
    let val = val.filter(|val| !val.sources.is_empty());
    let val = val.map(|val| Ok::<_, Failure>((validation(val)?, &val.sources[..]))).transpose()?;
    by_source(&of.labels, (test(of)?, &of.sources), patients.as_deref(), val)
        .map_err(|error| failure(of.split, &error))
}

/// For a terminal.
pub(crate) fn text(found: &BySource) -> String {
    let mut header = vec!["label", "AUC over all", "within sources", "source alone"];
    let names: Vec<String> =
        found.sources.iter().map(|source| format!("positives of {}", named(source))).collect();
    header.extend(names.iter().map(String::as_str));
    let mut table = TextTable::new(&header);
    for label in &found.labels {
        let mut row = vec![
            label.label.clone(),
            number(label.auc),
            with_interval(label.within_auc, label.within_auc_interval),
            number(label.source_alone_auc),
        ];
        row.extend(label.by_source.iter().map(|one| positives(one, label)));
        table.row(row);
    }
    let mut row = vec![
        "macro".to_owned(),
        with_interval(found.macro_auc, found.macro_auc_interval),
        with_interval(found.within_macro_auc, found.within_macro_auc_interval),
        number(found.source_alone_macro_auc),
    ];
    row.extend(found.sources.iter().map(|_| String::new()));
    table.row(row);
    let mut text = table.text();
    text += "within: each positive record is compared with the negative ones of its own source and counts once (Janes \
    and Pepe, 2009); the macro-AUC over all averages the same labels\n\
             source alone: every image is scored by how often its source has the finding in validation (Zech et al., \
             2018)\n";
    let left_out: Vec<String> = (found.labels.iter().filter(|label| label.left_out > 0))
        .map(|label| format!("{} {}", label.left_out, label.label))
        .collect();
    if !left_out.is_empty() {
        text +=
            &format!("positives left out because their source has no negative: {}\n", left_out.join(", "));
    }
    text
}

fn named(source: &str) -> &str {
    if source.is_empty() { "unknown" } else { source }
}

/// `12 (80 %)`, the share being that of all positives; a dash where the source does not know the label.
fn positives(one: &OneSource, label: &LabelBySource) -> String {
    let all: u64 = label.by_source.iter().map(|one| one.positives).sum();
    match one.positives {
        0 if one.negatives == 0 => "–".to_owned(),
        0 => "0".to_owned(),
        positives => format!("{positives} ({:.0} %)", 100.0 * positives as f64 / all as f64),
    }
}
