//! How much data is enough: the smallest fraction whose trials show that it is about as good as all the data.

use super::without_score;
use crate::report::document::{Card, Value};
use crate::report::groups::Group;
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use xray_display::{number, percent};
use xray_metrics::difference_interval;

/// A fraction counts as good enough if its mean is this close to that of the largest one.
const WITHIN: f64 = 0.01;

pub(super) fn card(sweep: &Sweep) -> Card {
    let (fraction, detail) = within(&sweep.chosen_groups(), &without_score(sweep));
    let text = fraction.map_or_else(|| Value::none().text, percent);
    let value = Value { text, json: serde_json::json!(fraction) };
    Card { name: "How much data is enough?".into(), value, detail }
}

/// The smallest fraction from which on whole intervals of the difference to the largest one lie above `-WITHIN`. In words
/// also the smallest fraction whose interval reaches that: its difference could be chance.
fn within(groups: &[Group<'_>], without_score: &str) -> (Option<f64>, String) {
    let score = |run: &Run| run.score;
    let Some((full, smaller)) = groups.split_last() else { return (None, without_score.to_owned()) };
    if full.values(score).is_empty() {
        return (None, "No run on the largest fraction is done yet.".to_owned());
    }
    if smaller.is_empty() {
        return (None, "Only one fraction was planned.".to_owned());
    }
    let behind = |group: &Group<'_>| {
        difference_interval(&group.values(score), &full.values(score)).and_then(|it| it.1)
    };
    if smaller.iter().all(|group| behind(group).is_none()) {
        return (
            None,
            "Not known: an interval needs three trials of a fraction; plan more trials.".to_owned(),
        );
    }
    let may = smaller.iter().find(|group| behind(group).is_some_and(|[_, high]| high >= -WITHIN));
    let shown =
        smaller.iter().rev().take_while(|group| behind(group).is_some_and(|[low, _]| low >= -WITHIN)).last();
    let mean = |group: &Group<'_>| number(group.mean(score), 3);
    let of = match full.fraction < 1.0 {
        true => format!("the largest planned fraction, {} (mean {})", percent(full.fraction), mean(full)),
        false => format!("all the data (mean {})", mean(full)),
    };
    let shown_text = match shown {
        Some(group) => format!(
            "This is the smallest fraction shown to be within {WITHIN} of {of}: its mean is {}, and from it on the 95 % \
             interval of the difference over trials lies above −{WITHIN}.",
            mean(group)
        ),
        None => format!("No smaller fraction is shown to be within {WITHIN} of {of}."),
    };
    let least = shown.map_or(full.fraction, |group| group.fraction);
    let may_text = match may {
        Some(group) if group.fraction < least => {
            format!(
                " From {} on (mean {}), the difference could be chance.",
                percent(group.fraction),
                mean(group)
            )
        }
        _ => String::new(),
    };
    let few = smaller.iter().filter(|group| behind(group).is_none());
    let few: Vec<String> = few.map(|group| percent(group.fraction)).collect();
    let few_text = match few.is_empty() {
        true => String::new(),
        false => format!(" No interval at {}: fewer than three trials are done.", few.join(", ")),
    };
    (Some(least), format!("{shown_text}{may_text}{few_text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::groups::groups;
    use crate::state::CellState;
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
            "No smaller fraction is shown to be within 0.01 of all the data (mean 0.800).",
        );
        // −0.02 ± 0.025 reaches −0.01 and is not surely there.
        check(
            &[(0.1, &[0.6; 3]), (0.5, &[0.77, 0.78, 0.79]), FULL],
            1.0,
            " From 50 % on (mean 0.780), the difference could be chance.",
        );
        check(
            &[(0.1, &[0.6; 3]), (0.5, &[0.799, 0.8, 0.801]), FULL],
            0.5,
            "of all the data (mean 0.800): its mean is 0.800, and from it on the 95 % interval",
        );
    }

    #[test]
    fn of_two_trials_nothing_is_told() {
        check(
            &[(0.01, &[0.55, 0.60]), (0.5, &[0.6; 3]), FULL],
            1.0,
            " No interval at 1 %: fewer than three trials are done.",
        );
        check(
            &[(0.01, &[0.55, 0.60, 0.80]), (0.5, &[0.6; 3]), FULL],
            1.0,
            " From 1 % on (mean 0.650), the difference could be chance.",
        );
    }

    #[test]
    fn without_chance_or_fractions_nothing_is_told() {
        assert_eq!(within(&[], "nothing yet"), (None, "nothing yet".into()));
        let runs = [0.5, 1.0].map(|fraction| run(fraction, 0.7));
        assert_eq!(
            within(&groups(&runs), "").1,
            "Not known: an interval needs three trials of a fraction; plan more trials."
        );
        assert_eq!(within(&groups(&runs[..1]), "").1, "Only one fraction was planned.");
    }
}
