//! The first screen answers what a reader asks first: how good the model is, how much data is enough, and whether it is
//! better than a baseline that ignores the image. Then how much of the sweep is there.

mod baseline;
mod enough;

use crate::report::document::{Block, Card, Section, Value};
use crate::report::groups::Group;
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use crate::state::CellState;
use std::collections::BTreeMap;
use xray_artifacts::{Exit, Split};
use xray_display::{counted, percent};
use xray_metrics::auc_intervals;
use xray_metrics::units::Unit;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("headline", "In short");
    let cards = vec![quality(sweep), enough::card(sweep), baseline::card(sweep), cells(sweep)];
    section.blocks.push(Block::Cards(cards));
    if let Some(text) = micro(sweep) {
        section.warning(text);
    }
    if let Some(text) = diverged(&sweep.groups()) {
        section.warning(text);
    }
    section
}

fn quality(sweep: &Sweep) -> Card {
    let name = "How good is the model?".to_owned();
    let Some(chosen) = &sweep.chosen else {
        return Card { name, value: Value::none(), detail: without_score(sweep) };
    };
    let run = &chosen.run;
    let combination =
        if run.combination.is_empty() { String::new() } else { format!(", {}", run.combination) };
    Card {
        name,
        value: Value::estimate(run.score, run.score_interval, 3),
        detail: format!(
            "Test {}{}, {}. Validation chose this run: {} of the data, {}, trial {}{combination}. An AUC of 1 is perfect, 0.5 is \
             chance.{}",
            sweep.score_name(),
            mean_of(sweep),
            interval_of(run),
            percent(run.row.fraction),
            counted(run.row.train_images, "image"),
            run.row.trial,
            dominated(sweep),
        ),
    }
}

/// Why no run has the score, as a sentence.
fn without_score(sweep: &Sweep) -> String {
    let (first, rest) = sweep.without_score().split_at(1);
    format!("{}{rest}.", first.to_uppercase())
}

/// The sampling unit of the interval, or why there is none.
fn interval_of(run: &Run) -> &'static str {
    match (run.score_interval, run.row.test.intervals_unit) {
        (Some(_), Some(Unit::Record)) => {
            "with its 95 % interval over test records (patients unknown: too narrow if they recur)"
        }
        (Some(_), _) => "with its 95 % interval over test patients",
        (None, Some(_)) => "without an interval (too few test patients with or without the finding)",
        (None, None) => "without an interval (none was asked for)",
    }
}

/// The findings that the mean averages.
fn mean_of(sweep: &Sweep) -> String {
    if sweep.label.is_some() {
        return String::new();
    }
    let labels = sweep.shown_labels();
    let undefined: Vec<String> = labels
        .iter()
        .filter(|label| sweep.chosen_label(Split::Test, label).is_none_or(|row| row.auc.is_none()))
        .map(|label| label.replace('_', " "))
        .collect();
    match undefined.is_empty() {
        true => format!(", the mean of {}", counted(labels.len(), "finding")),
        false => format!(
            ", the mean of {} of {} (no AUC for {}: all test records are of one class)",
            labels.len() - undefined.len(),
            counted(labels.len(), "finding"),
            undefined.join(", ")
        ),
    }
}

/// Rare findings that cause most of the interval's width.
fn dominated(sweep: &Sweep) -> String {
    let both = sweep.chosen.as_ref().and_then(|chosen| chosen.predictions.as_ref().ok());
    let Some(both) = both.filter(|_| sweep.label.is_none()) else { return String::new() };
    let Ok(intervals) = auc_intervals(both.test_scores(), both.test.patient_numbers().as_deref()) else {
        return String::new();
    };
    let names: Vec<String> =
        intervals.dominant.iter().map(|&label| both.test.labels[label].replace('_', " ")).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(
            " More than half of the variance comes from {}: too few patients have these findings.",
            names.join(", ")
        ),
    }
}

/// Trials that diverged are missing in a mean, which is then one of the lucky ones.
fn diverged(groups: &[Group<'_>]) -> Option<String> {
    let places: Vec<String> = groups
        .iter()
        .filter_map(|group| {
            let lost = group
                .runs
                .iter()
                .filter(|run| {
                    run.row.state == CellState::Failed && run.row.exit == Some(Exit::Diverged.code().into())
                })
                .count();
            (lost > 0).then(|| format!("{lost} of {} at {}", group.runs.len(), group.place()))
        })
        .collect();
    (!places.is_empty()).then(|| {
        format!("Trials diverged: {}. Means leave these trials out, so they are too high.", places.join(", "))
    })
}

fn cells(sweep: &Sweep) -> Card {
    let tally = sweep.tally();
    let mut detail = match tally.not_done() {
        _ if tally.planned() == 0 => "nothing was planned".to_owned(),
        states if states.is_empty() => "every planned run is included below".to_owned(),
        states => format!("{states}: not included below; the table of cells says why"),
    };
    let unscored = sweep.runs.iter().filter(|run| run.done() && run.score.is_none()).count();
    if tally.done() > 0 && unscored > 0 {
        detail += &format!("; {unscored} done without a {}, left out of it", sweep.score_name());
    }
    let states: BTreeMap<&str, usize> = tally.iter().map(|(state, count)| (state.name(), count)).collect();
    let value = Value {
        text: format!("{} of {}", tally.done(), tally.planned()),
        json: serde_json::json!({ "done": tally.done(), "planned": tally.planned(), "states": states }),
    };
    Card { name: "Cells done".into(), value, detail }
}

/// The number that fooled the system before this one.
fn micro(sweep: &Sweep) -> Option<String> {
    let run = &sweep.chosen.as_ref()?.run;
    let (micro, baseline) = (run.row.test.micro_auc?, run.row.test.micro_auc_baseline?);
    Some(format!(
        "Pooled over all labels (micro) the same run has AUC {micro:.3}. This is not skill: a baseline that ignores \
         the image and predicts each label's training prevalence gets {baseline:.3}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::groups::groups;
    use crate::tables::RunRow;

    #[test]
    fn trials_that_diverged_are_told_beside_the_means_that_lack_them() {
        let run = |fraction| Run::of(RunRow { fraction, state: CellState::Done, ..RunRow::default() });
        let (state, exit) = (CellState::Failed, Some(Exit::Diverged.code().into()));
        let lost = Run::of(RunRow { fraction: 0.1, state, exit, ..RunRow::default() });
        let runs = [run(0.1), lost, run(0.5)];
        let said = diverged(&groups(&runs)).expect("one did");
        assert!(said.starts_with("Trials diverged: 1 of 2 at 10 %."), "{said}");
        assert_eq!(diverged(&groups(&runs[2..])), None);
    }
}
