//! The first screen: how good, from how much data, and how much of the sweep is there.

use crate::report::document::{Block, Card, DASH, Section, number, percent, thousands, with_interval};
use crate::report::groups::{Group, by_combination};
use crate::report::sweep::Sweep;

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
    section
}

fn best(sweep: &Sweep) -> Card {
    let name = format!("Best test {}", sweep.score_name());
    let Some(chosen) = &sweep.chosen else {
        return Card { name, value: DASH.into(), detail: "no cell is done yet".into() };
    };
    let run = &chosen.run;
    let combination =
        if run.combination.is_empty() { String::new() } else { format!(", {}", run.combination) };
    Card {
        name,
        value: with_interval(run.score, run.score_interval, 3),
        detail: format!(
            "of the run that validation chose ({} of the data, {} images, trial {}{combination}); 95 % interval over \
             test patients. Without a look at the image: 0.5.",
            percent(run.fraction),
            thousands(run.train_images),
            run.trial
        ),
    }
}

/// The groups that a question about fractions is asked of: those of the chosen run's combination.
fn chosen_groups<'a>(sweep: &Sweep, all: &'a [Group<'a>]) -> &'a [Group<'a>] {
    let combination = sweep.chosen.as_ref().map_or("", |chosen| &chosen.run.combination);
    by_combination(all).into_iter().find(|groups| groups[0].combination == combination).unwrap_or_default()
}

fn smallest(sweep: &Sweep) -> Card {
    let name = format!("Smallest fraction within {WITHIN} of all the data");
    let all = sweep.groups();
    let (value, detail) = within(chosen_groups(sweep, &all));
    Card { name, value, detail }
}

/// The smallest fraction whose interval reaches the full data's mean less [`WITHIN`], and the smallest one from
/// which on whole intervals lie above it.
fn within(groups: &[Group<'_>]) -> (String, String) {
    let unknown = |why: &str| (DASH.to_owned(), why.to_owned());
    let Some((full, smaller)) = groups.split_last() else { return unknown("no cell is done yet") };
    let Some(target) = full.mean(|run| run.score).map(|mean| mean - WITHIN) else {
        return unknown("no run on the largest fraction is done yet");
    };
    if smaller.is_empty() {
        return unknown("there is one fraction only");
    }
    let ends = |group: &Group<'_>| group.interval(|run| run.score);
    if groups.iter().all(|group| ends(group).is_none()) {
        return unknown("one trial per fraction tells nothing of chance; plan more trials");
    }
    let may = smaller.iter().find(|group| ends(group).is_some_and(|[_, high]| high >= target));
    let surely =
        smaller.iter().rev().take_while(|group| ends(group).is_some_and(|[low, _]| low >= target)).last();
    let value = may.map_or_else(|| percent(full.fraction), |group| percent(group.fraction));
    let reach = match may {
        Some(group) => format!(
            "is the smallest whose 95 % interval over trials reaches {target:.3} ({}; {} of all data: {})",
            with_interval(group.mean(|run| run.score), ends(group), 3),
            percent(full.fraction),
            number(full.mean(|run| run.score), 3)
        ),
        None => format!("no smaller fraction's 95 % interval over trials reaches {target:.3}"),
    };
    let sure = match surely {
        Some(group) => format!("from {} on the whole interval lies above it", percent(group.fraction)),
        None => "no smaller fraction's whole interval lies above it".to_owned(),
    };
    (value, format!("{reach}; {sure}."))
}

fn cells(sweep: &Sweep) -> Card {
    let (done, planned) = (sweep.done(), sweep.runs.len());
    let detail = match planned - done {
        _ if planned == 0 => "nothing was planned".to_owned(),
        0 => "every planned run is in the figures below".to_owned(),
        missing => format!("{missing} are missing in the figures below; the grid of cells says why"),
    };
    Card { name: "Cells done".into(), value: format!("{done} of {planned}"), detail }
}

/// The number that fooled the system before this one.
fn micro(sweep: &Sweep) -> Option<String> {
    let run = &sweep.chosen.as_ref()?.run;
    let (micro, baseline) = (run.micro_auc?, run.micro_auc_baseline?);
    Some(format!(
        "Pooled over all labels (micro) the same run has AUC {micro:.3}. Do not read it as skill: a predictor that \
         looks at no image and says each label's training prevalence gets {baseline:.3}."
    ))
}

/// Whether the model knows more than who is on the image and how it was taken.
fn against_metadata(sweep: &Sweep) -> Option<(bool, String)> {
    let baseline = sweep.metadata_baseline()?;
    let run = &sweep.chosen.as_ref()?.run;
    let surely = run.score_interval.is_some_and(|[low, _]| low > baseline);
    let verdict = match run.score_interval {
        _ if surely => "the whole interval of the model lies above it",
        Some([_, high]) if high < baseline => {
            "the model is surely below it: it has learnt less than these three tell"
        }
        _ => "the model is not surely above it, so it may have learnt nothing else",
    };
    let text = format!(
        "Sex, age and view alone, without the image, reach a {} of {baseline:.3}; {verdict}.",
        sweep.score_name()
    );
    Some((surely, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::groups::groups;
    use crate::report::runs::Run;

    fn check(scores: &[(f64, [f64; 3])], value: &str, detail: &str) {
        let run =
            |fraction, score| Run { fraction, score: Some(score), state: "done".into(), ..Run::default() };
        let runs: Vec<Run> =
            scores.iter().flat_map(|&(fraction, scores)| scores.map(|score| run(fraction, score))).collect();
        let (found, said) = within(&groups(&runs));
        assert_eq!(found, value, "{said}");
        assert!(said.contains(detail), "{said}");
    }

    #[test]
    fn the_smallest_fraction_is_told_with_what_is_sure() {
        let full = (1.0, [0.80, 0.80, 0.80]);
        check(
            &[(0.1, [0.60, 0.61, 0.62]), full],
            "100 %",
            "no smaller fraction's 95 % interval over trials reaches 0.790",
        );
        // 0.78 ± 0.025 reaches 0.79 and is not surely there.
        check(
            &[(0.1, [0.6; 3]), (0.5, [0.77, 0.78, 0.79]), full],
            "50 %",
            "no smaller fraction's whole interval",
        );
        check(
            &[(0.1, [0.6; 3]), (0.5, [0.799, 0.8, 0.801]), full],
            "50 %",
            "from 50 % on the whole interval",
        );
    }

    #[test]
    fn without_chance_or_fractions_nothing_is_told() {
        assert_eq!(within(&[]).0, DASH);
        let runs = [0.5, 1.0].map(|fraction| Run {
            fraction,
            score: Some(0.7),
            state: "done".into(),
            ..Run::default()
        });
        assert_eq!(
            within(&groups(&runs)).1,
            "one trial per fraction tells nothing of chance; plan more trials"
        );
        assert_eq!(within(&groups(&runs[..1])).1, "there is one fraction only");
    }
}
