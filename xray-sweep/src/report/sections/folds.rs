//! Cross-validation: what the folds say together. They are not trials of one another: each validates on other patients,
//! and any two share most of their training patients.

use crate::report::document::{Section, Table, Value};
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use std::collections::BTreeSet;
use xray_metrics::mean;

/// A section without blocks where no fold is an axis.
pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("folds", "Cross-validation");
    if sweep.runs.iter().all(|run| run.fold().is_none()) {
        return section;
    }
    section.text(
        "A fold is not a trial: each validates on patients of its own, and two folds share most of their training \
         patients. So their scores differ by patients as much as by chance, and their spread has no interval: none \
         is right for all data (Bengio and Grandvalet, JMLR 2004). Test is the same for all, and no fold trains on \
         it.",
    );
    section.text(
        "Settings are chosen by the mean over their folds; the run that this report shows is their first fold. \
         `xray-eval out-of-fold` makes one set of predictions of the runs of all folds, with intervals by patient.",
    );
    section.table("folds", table(sweep));
    section
}

/// The runs that differ in nothing but fold and trial.
fn crossings(runs: &[Run]) -> Vec<Vec<&Run>> {
    let mut crossings: Vec<Vec<&Run>> = Vec::new();
    for run in runs.iter().filter(|run| run.fold().is_some()) {
        let same = |other: &&Run| other.settings == run.settings && other.row.fraction == run.row.fraction;
        match crossings.iter_mut().find(|crossing| same(&crossing[0])) {
            Some(crossing) => crossing.push(run),
            None => crossings.push(vec![run]),
        }
    }
    crossings
}

fn table(sweep: &Sweep) -> Table {
    let mut table = Table::new(
        "Means over folds",
        &[
            ("axes", "axes"),
            ("fraction", ">fraction"),
            ("folds", ">folds done"),
            ("val_score", ">validation"),
            ("val_lowest", ">lowest fold"),
            ("val_highest", ">highest fold"),
            ("score", ">test"),
            ("lowest", ">lowest fold"),
            ("highest", ">highest fold"),
        ],
    );
    for crossing in crossings(&sweep.runs) {
        let planned = folds(&crossing, |_| true);
        let done = folds(&crossing, |run| run.done());
        let [val, test] = [of_folds(&crossing, |run| run.val_score), of_folds(&crossing, |run| run.score)];
        let mut row = vec![
            Value::text(&crossing[0].settings),
            Value::percent(crossing[0].row.fraction),
            Value::text(format!("{} of {}", done.len(), planned.len())),
        ];
        for means in [val, test] {
            row.extend([
                Value::number(mean(means.iter().copied()), 3),
                Value::number(means.iter().copied().reduce(f64::min), 3),
                Value::number(means.iter().copied().reduce(f64::max), 3),
            ]);
        }
        table.row(row);
    }
    table.notes.push(format!("{}; of several trials of a fold the mean.", sweep.score_name()));
    table.without_empty_columns()
}

fn folds(crossing: &[&Run], counts: impl Fn(&Run) -> bool) -> BTreeSet<i64> {
    crossing.iter().filter(|run| counts(run)).filter_map(|run| run.fold()).collect()
}

/// A figure of each fold that is done: the mean of its trials.
fn of_folds(crossing: &[&Run], figure: fn(&Run) -> Option<f64>) -> Vec<f64> {
    let of_fold = |fold| {
        let trials = crossing.iter().filter(|run| run.fold() == Some(fold));
        mean(trials.filter_map(|run| run.figure(figure)))
    };
    folds(crossing, |run| run.done()).into_iter().filter_map(of_fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::CellState;
    use crate::tables::{Axes, RunRow};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn run(fold: i64, width: i64, val: f64) -> Run {
        let axis = Axes(BTreeMap::from([
            ("data.fold".to_owned(), json!(fold)),
            ("model.width".to_owned(), json!(width)),
        ]));
        let row = RunRow { axis, fraction: 1.0, state: CellState::Done, ..RunRow::default() };
        Run { val_score: Some(val), ..Run::of(row) }
    }

    #[test]
    fn folds_are_taken_together_and_their_trials_first() {
        let runs = [run(0, 8, 0.5), run(0, 8, 0.7), run(1, 8, 0.9), run(0, 16, 0.1)];
        let crossings = crossings(&runs);
        assert_eq!(crossings.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(crossings[0][0].settings, "model.width=8");
        let means = of_folds(&crossings[0], |run| run.val_score);
        assert_eq!(means, [0.6, 0.9]);
        assert_eq!(folds(&crossings[0], |run| run.done()), BTreeSet::from([0, 1]));
    }

    #[test]
    fn a_run_of_no_cross_validation_has_no_row() {
        let row = RunRow { fraction: 1.0, ..RunRow::default() };
        assert!(crossings(&[Run::of(row)]).is_empty());
    }
}
