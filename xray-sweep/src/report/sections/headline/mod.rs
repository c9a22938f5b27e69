//! The first screen: how good, from how much data, and how much of the sweep is there.

use crate::report::document::{Block, Card, Section, Value};
use crate::report::groups::Group;
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use crate::state::CellState;
use std::collections::BTreeMap;
use xray_artifacts::{Exit, Split};
use xray_display::{counted, number, percent, thousands};
use xray_metrics::units::Unit;
use xray_metrics::{auc_intervals, difference_interval};

/// So close to the full data's mean counts as reaching it.
const WITHIN: f64 = 0.01;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("headline", "In short");
    section.blocks.push(Block::Cards(vec![best(sweep), smallest(sweep), cells(sweep)]));
    if let Some(text) = micro(sweep) {
        section.warning(text);
    }
    match against_metadata(sweep) {
        Some((true, text)) => section.text(text),
        Some((false, text)) => section.warning(text),
        None => {}
    }
    if let Some(text) = diverged(&sweep.groups()) {
        section.warning(text);
    }
    section
}

fn best(sweep: &Sweep) -> Card {
    let name = format!("Best test {}", sweep.score_name());
    let Some(chosen) = &sweep.chosen else {
        return Card { name, value: Value::none(), detail: sweep.without_score().to_owned() };
    };
    let run = &chosen.run;
    let combination =
        if run.combination.is_empty() { String::new() } else { format!(", {}", run.combination) };
    Card {
        name,
        value: Value::estimate(run.score, run.score_interval, 3),
        detail: format!(
            "of the run that validation chose ({} of the data, {}, trial {}{combination}); {}.{}{} A baseline that \
             ignores the image: 0.5.",
            percent(run.row.fraction),
            counted(run.row.train_images, "image"),
            run.row.trial,
            interval_of(run),
            mean_of(sweep),
            dominated(sweep),
        ),
    }
}

/// Over what the interval is, or that there is none.
fn interval_of(run: &Run) -> &'static str {
    match (run.score_interval, run.row.test.intervals_unit) {
        (Some(_), Some(Unit::Record)) => {
            "95 % interval over test records, too narrow if patients recur: none is named"
        }
        (Some(_), _) => "95 % interval over test patients",
        (None, Some(_)) => "no interval: too few test patients have the finding, or have it not",
        (None, None) => "no interval: none was asked for",
    }
}

/// Which findings the mean leaves out.
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
        true => format!(" Mean of {}.", counted(labels.len(), "finding")),
        false => format!(
            " Mean of {} of {}; no AUC for {}: all test records are of one class.",
            labels.len() - undefined.len(),
            counted(labels.len(), "finding"),
            undefined.join(", ")
        ),
    }
}

/// Which rare findings the mean's interval is mostly of.
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

fn smallest(sweep: &Sweep) -> Card {
    let groups = sweep.chosen_groups();
    let of = match groups.last() {
        Some(largest) if largest.fraction < 1.0 => {
            format!("the largest planned fraction ({})", percent(largest.fraction))
        }
        _ => "the full data".to_owned(),
    };
    let (fraction, detail) = within(&groups, sweep.without_score());
    let value = Value {
        text: fraction.map_or_else(|| Value::none().text, percent),
        json: serde_json::json!(fraction),
    };
    Card { name: format!("Smallest fraction shown to be within {WITHIN} of {of}"), value, detail }
}

/// The smallest fraction from which on whole intervals of the difference to the largest one lie above `-WITHIN`, and
/// in words also the smallest one whose interval reaches it: what is shown, and what chance leaves open.
fn within(groups: &[Group<'_>], without_score: &str) -> (Option<f64>, String) {
    let score = |run: &Run| run.score;
    let Some((full, smaller)) = groups.split_last() else { return (None, without_score.to_owned()) };
    if full.values(score).is_empty() {
        return (None, "no run on the largest fraction is done yet".to_owned());
    }
    if smaller.is_empty() {
        return (None, "only one fraction was planned".to_owned());
    }
    let behind = |group: &Group<'_>| {
        difference_interval(&group.values(score), &full.values(score)).and_then(|it| it.1)
    };
    if smaller.iter().all(|group| behind(group).is_none()) {
        return (
            None,
            "not known: an interval needs three trials of a fraction; plan more trials".to_owned(),
        );
    }
    let may = smaller.iter().find(|group| behind(group).is_some_and(|[_, high]| high >= -WITHIN));
    let shown =
        smaller.iter().rev().take_while(|group| behind(group).is_some_and(|[low, _]| low >= -WITHIN)).last();
    let mean = |group: &Group<'_>| number(group.mean(score), 3);
    let shown_text = match shown {
        Some(group) => format!(
            "from this fraction on, the 95 % interval of the difference over trials lies above −{WITHIN} ({}; {} at \
             {})",
            mean(group),
            mean(full),
            percent(full.fraction)
        ),
        None => format!(
            "no smaller fraction is shown to be as good ({} at {})",
            mean(full),
            percent(full.fraction)
        ),
    };
    let least = shown.map_or(full.fraction, |group| group.fraction);
    let may_text = match may {
        Some(group) if group.fraction < least => {
            format!("; from {} on ({}), the difference could be chance", percent(group.fraction), mean(group))
        }
        _ => String::new(),
    };
    let few = smaller.iter().filter(|group| behind(group).is_none());
    let few: Vec<String> = few.map(|group| percent(group.fraction)).collect();
    let few_text = match few.is_empty() {
        true => String::new(),
        false => format!("; no interval at {}: fewer than three trials are done", few.join(", ")),
    };
    (Some(least), format!("{shown_text}{may_text}{few_text}."))
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
        format!(
            "Trials diverged: {}. Means leave these trials out, so they flatter the settings.",
            places.join(", ")
        )
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

/// Whether the model knows more than who is on the image and how it was taken.
fn against_metadata(sweep: &Sweep) -> Option<(bool, String)> {
    let (fitted_on, difference) = sweep.beside_metadata()?;
    let (baseline, ahead) = (difference.b?, difference.difference?);
    let surely = difference.interval.is_some_and(|[low, _]| low > 0.0);
    let verdict = match difference.interval {
        Some(_) if surely => "so it has learned more than these three show",
        Some([_, high]) if high < 0.0 => "so it is worse than these three",
        Some(_) => "so the difference could be chance",
        None => "so whether it has learned more is not known",
    };
    let interval = match (difference.interval, difference.missing) {
        (Some([low, high]), _) => {
            format!("95 % interval {low:+.3} to {high:+.3}, on the same test records")
        }
        (None, Some(why)) => format!("no interval: {why}"),
        (None, None) => "no interval".to_owned(),
    };
    let text = format!(
        "A logistic regression on sex, age and view, which ignores the image, reaches a {} of {baseline:.3} (fitted \
         on {} validation records). The chosen run − this baseline is {ahead:+.3} ({interval}), {verdict}.",
        sweep.score_name(),
        thousands(fitted_on as i64)
    );
    Some((surely, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::groups::groups;
    use crate::tables::RunRow;

    fn run(fraction: f64, score: f64) -> Run {
        let row = RunRow { fraction, state: CellState::Done, ..RunRow::default() };
        Run { row, score: Some(score), ..Run::default() }
    }

    fn check(scores: &[(f64, &[f64])], value: f64, detail: &str) {
        let runs: Vec<Run> = scores
            .iter()
            .flat_map(|&(fraction, scores)| scores.iter().map(move |&score| run(fraction, score)))
            .collect();
        let (found, said) = within(&groups(&runs), "");
        assert_eq!(found, Some(value), "{said}");
        assert!(said.contains(detail), "{said}");
    }

    const FULL: (f64, &[f64]) = (1.0, &[0.80, 0.80, 0.80]);

    #[test]
    fn the_smallest_fraction_is_what_the_trials_show_not_what_chance_leaves_open() {
        check(
            &[(0.1, &[0.60, 0.61, 0.62]), FULL],
            1.0,
            "no smaller fraction is shown to be as good (0.800 at 100 %).",
        );
        // −0.02 ± 0.025 reaches −0.01 and is not surely there.
        check(
            &[(0.1, &[0.6; 3]), (0.5, &[0.77, 0.78, 0.79]), FULL],
            1.0,
            "from 50 % on (0.780), the difference could be chance",
        );
        check(
            &[(0.1, &[0.6; 3]), (0.5, &[0.799, 0.8, 0.801]), FULL],
            0.5,
            "from this fraction on, the 95 % interval",
        );
    }

    #[test]
    fn of_two_trials_nothing_is_told() {
        check(
            &[(0.01, &[0.55, 0.60]), (0.5, &[0.6; 3]), FULL],
            1.0,
            "(0.800 at 100 %); no interval at 1 %: fewer than three trials are done.",
        );
        check(
            &[(0.01, &[0.55, 0.60, 0.80]), (0.5, &[0.6; 3]), FULL],
            1.0,
            "; from 1 % on (0.650), the difference could be chance",
        );
    }

    #[test]
    fn without_chance_or_fractions_nothing_is_told() {
        assert_eq!(within(&[], "nothing yet"), (None, "nothing yet".into()));
        let runs = [0.5, 1.0].map(|fraction| run(fraction, 0.7));
        assert_eq!(
            within(&groups(&runs), "").1,
            "not known: an interval needs three trials of a fraction; plan more trials"
        );
        assert_eq!(within(&groups(&runs[..1]), "").1, "only one fraction was planned");
    }

    #[test]
    fn trials_that_diverged_are_told_beside_the_means_that_lack_them() {
        let (state, exit) = (CellState::Failed, Some(Exit::Diverged.code().into()));
        let lost = Run::of(RunRow { fraction: 0.1, state, exit, ..RunRow::default() });
        let runs = [run(0.1, 0.7), lost, run(0.5, 0.7)];
        let said = diverged(&groups(&runs)).expect("one did");
        assert!(said.starts_with("Trials diverged: 1 of 2 at 10 %."), "{said}");
        assert_eq!(diverged(&groups(&runs[2..])), None);
    }
}
