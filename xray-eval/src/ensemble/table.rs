//! The table of an ensemble's probabilities, as `xray-eval score` reads it.

use std::path::Path;
use xray_artifacts::{Exit, Failure, Predictions, write_bytes};

/// That a table can be put there.
///
/// # Errors
/// If one is there already, or it would be no CSV file.
pub(super) fn check(out: &Path, overwrite: bool) -> Result<(), Failure> {
    if !out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
        return Err(Failure::new(Exit::Usage, format!("{} is not named .csv", out.display()))
            .hint("the table is CSV, which `xray-eval score` reads: --out ensemble.csv"));
    }
    if out.exists() && !overwrite {
        return Err(Failure::new(Exit::Usage, format!("{} is there already", out.display()))
            .hint("choose another --out, or replace it with --overwrite"));
    }
    Ok(())
}

/// Writes the records of all splits, one after the other.
pub(super) fn write(out: &Path, splits: &[&Predictions]) -> Result<(), Failure> {
    let labels = &splits[0].labels;
    let of_label = labels.iter().flat_map(|label| [format!("true_{label}"), format!("prob_{label}")]);
    let known = ["id", "patient", "source", "split", "view", "sex", "age"].map(str::to_owned);
    let mut table = csv::Writer::from_writer(Vec::new());
    let in_memory = "a row is as long as the header, and memory does not fail";
    table.write_record(known.into_iter().chain(of_label)).expect(in_memory);
    for predictions in splits {
        for at in 0..predictions.ids.len() {
            table.write_record(row(predictions, at)).expect(in_memory);
        }
    }
    Ok(write_bytes(out, &table.into_inner().expect(in_memory))?)
}

fn row(of: &Predictions, at: usize) -> Vec<String> {
    let text = |values: &[String]| values.get(at).cloned().unwrap_or_default();
    let age = of.ages[at];
    let mut row = vec![
        of.ids[at].clone(),
        text(&of.patients),
        text(&of.sources),
        of.split.name().to_owned(),
        text(&of.views),
        text(&of.sexes),
        if age.is_nan() { String::new() } else { age.to_string() },
    ];
    for label in 0..of.labels.len() {
        let place = at * of.labels.len() + label;
        let truth = of.truth[place];
        row.push(if truth.is_nan() { String::new() } else { truth.to_string() });
        row.push(of.probabilities[place].to_string());
    }
    row
}
