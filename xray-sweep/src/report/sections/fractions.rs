//! The score against the fraction of the data.

use crate::budget::Budget;
use crate::report::document::{Section, Table, Value};
use crate::report::groups::{Group, by_combination};
use crate::report::intervals::{drawn, without_interval};
use crate::report::runs::{Run, crosses};
use crate::report::sweep::Sweep;
use std::collections::BTreeMap;
use xray_display::chart::{Axis, Chart, Scale, Series, Symbol};
use xray_display::{counted, thousands};
use xray_metrics::Bounds;

/// AUC of any ranking that ignores the image.
pub(super) const NO_IMAGE: f64 = 0.5;
/// With more lines than this, ribbons hide each other.
const MOST_RIBBONS: usize = 3;

pub(super) fn section(sweep: &Sweep) -> Section {
    let title = format!("Test {} by fraction of the data", sweep.score_name());
    let mut section = Section::new("fractions", title);
    let metadata = sweep.metadata_baseline();
    section.chart("auc-by-fraction", chart(sweep, metadata));
    section.table("auc-by-fraction", table(sweep));
    if let Some(text) = steps(sweep) {
        section.text(text);
    }
    if let Some(text) = collapsed(&sweep.runs) {
        section.text(text);
    }
    section
}

fn chart(sweep: &Sweep, metadata: Option<f64>) -> Chart {
    let groups = sweep.groups();
    let score = |run: &Run| run.score;
    let lines = by_combination(&groups);
    let (series, mut legend) = series_by_fraction(&lines, score, Bounds::Share);
    let mut levels = vec![NO_IMAGE];
    legend.push((Symbol::Level(0), "no image: 0.5".to_owned()));
    if let Some(metadata) = metadata {
        levels.push(metadata);
        legend.push((Symbol::Level(1), format!("sex, age, view only: {metadata:.3}")));
    }
    let values = sweep.runs.iter().filter_map(|run| run.figure(score)).chain(levels.iter().copied());
    // Room below for the crosses of failed runs.
    let values: Vec<f64> = values.chain([NO_IMAGE - 0.02]).collect();
    Chart {
        title: format!("{} by fraction", capitalised(&sweep.score_name())),
        x: fraction_axis(&sweep.runs),
        y: Axis::new(
            format!("test {}", sweep.score_name()),
            Scale::around_with_bands(&values, &series).of_shares(),
        ),
        series,
        levels,
        legend,
        empty: sweep.without_score(),
    }
}

/// One series per combination: every trial a dot, means a line, runs that stopped crosses; and what says so.
pub(super) fn series_by_fraction(
    lines: &[&[Group<'_>]],
    figure: fn(&Run) -> Option<f64>,
    bounds: Bounds,
) -> (Vec<Series>, Vec<(Symbol, String)>) {
    let x = |run: &Run| 100.0 * run.row.fraction;
    let one = |(look, groups): (usize, &&[Group<'_>])| {
        let runs = || groups.iter().flat_map(|group| group.runs);
        let interval = |group: &Group<'_>| (100.0 * group.fraction, group.interval(figure, bounds));
        let few = lines.len() <= MOST_RIBBONS;
        let (band, bars) = drawn(groups.iter().filter(|_| few).map(interval));
        Series {
            look,
            dots: runs().filter_map(|run| Some((x(run), run.figure(figure)?))).collect(),
            line: groups
                .iter()
                .filter_map(|group| Some((100.0 * group.fraction, group.mean(figure)?)))
                .collect(),
            band,
            bars,
            crosses: runs().filter(|run| run.stopped()).map(x).collect(),
            ..Series::default()
        }
    };
    let series: Vec<Series> = lines.iter().enumerate().map(one).collect();
    let mut legend = Vec::new();
    if lines.len() == 1 {
        legend.push((Symbol::Dot(0), "one trial".to_owned()));
        let interval = series.iter().any(has_interval);
        let mean = if interval {
            "mean of the trials, 95 % interval of three or more"
        } else {
            "mean of the trials"
        };
        legend.push((Symbol::Line(0), mean.to_owned()));
    } else {
        let name =
            |(at, groups): (usize, &&[Group<'_>])| (Symbol::DotAndLine(at), groups[0].combination.to_owned());
        legend.extend(lines.iter().enumerate().map(name));
    }
    legend.extend(crosses(lines.iter().flat_map(|groups| *groups).flat_map(|group| group.runs)));
    (series, legend)
}

pub(super) fn has_interval(series: &Series) -> bool {
    !(series.band.is_empty() && series.bars.is_empty())
}

/// Percent of the training images, logarithmic where the fractions span more than a factor of 20.
pub(super) fn fraction_axis(runs: &[Run]) -> Axis {
    Axis::new(
        "share of the training images (%)",
        Scale::of_sizes(runs.iter().map(|run| 100.0 * run.row.fraction)),
    )
}

pub(super) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn table(sweep: &Sweep) -> Table {
    let mut table = Table::new(
        "Means over finished trials",
        &[
            ("axes", "axes"),
            ("fraction", ">fraction"),
            ("score", ">mean"),
            ("score_interval", ">95 % interval"),
            ("no_image", ">no image"),
            ("metadata", ">sex, age, view"),
            ("lowest", ">lowest"),
            ("highest", ">highest"),
            ("done", ">done"),
            ("train_images", ">images"),
            ("steps", ">steps"),
            ("epochs", ">epochs"),
            ("average_precision", ">average precision"),
            ("average_precision_baseline", ">no image"),
            ("micro_auc", ">micro-AUC"),
            ("micro_auc_baseline", ">no image"),
        ],
    );
    let score = |run: &Run| run.score;
    for group in sweep.groups() {
        let values = group.values(score);
        table.row(vec![
            Value::text(group.combination),
            Value::percent(group.fraction),
            Value::number(group.mean(score), 3),
            Value::interval(group.interval(score, Bounds::Share), 3),
            Value::number(Some(NO_IMAGE), 1),
            Value::number(sweep.metadata_baseline(), 3),
            Value::number(values.iter().copied().reduce(f64::min), 3),
            Value::number(values.iter().copied().reduce(f64::max), 3),
            Value::text(group.done()),
            Value::count(group.images()),
            Value::count(
                group.mean(|run| run.row.steps.map(|steps| steps as f64)).map(|steps| steps.round() as i64),
            ),
            Value::number(group.mean(|run| run.row.epochs), 1),
            Value::number(group.mean(|run| run.row.test.macro_average_precision), 3),
            Value::number(group.mean(|run| run.row.test.macro_average_precision_baseline), 3),
            Value::number(group.mean(|run| run.row.test.micro_auc), 3),
            Value::number(group.mean(|run| run.row.test.micro_auc_baseline), 3),
        ]);
    }
    let groups = sweep.groups();
    let interval = if groups.iter().any(|group| group.interval(score, Bounds::Share).is_some()) {
        format!(
            "Intervals are Student's t over trials, on the logit scale: where the mean of many trainings may lie, on \
             these test patients. {}{}",
            what_trials_vary(sweep),
            without_interval(&groups, |group| group.values(score)),
        )
    } else {
        "No interval over trials: it needs three finished trials of a fraction.".to_owned()
    };
    table.notes.push(format!(
        "{interval} Average precision and micro-AUC cover all labels; beside each stands a baseline that ignores the \
         image."
    ));
    table.without_empty_columns()
}

/// What chance is in the trials of a fraction.
fn what_trials_vary(sweep: &Sweep) -> &'static str {
    if sweep.trials_share_data() {
        "Trials of a fraction train on the same images and differ only in first weights and order, so the interval \
         leaves out the choice of images (`xray-sweep plan --rotate-data` includes it)."
    } else {
        "Trials of a fraction also differ in their training images."
    }
}

/// What else the fractions differ in, or that they do not.
fn steps(sweep: &Sweep) -> Option<String> {
    let groups = sweep.chosen_groups();
    let taken = |group: &Group<'_>| group.mean(|run| run.row.steps.map(|steps| steps as f64));
    let (first, last) = (taken(groups.first()?)?, taken(groups.last()?)?);
    let planned = match sweep.spec.as_ref().map(|spec| spec.budget) {
        Some(Budget::Epochs) => "Every fraction trains for the same number of epochs. ",
        Some(Budget::Steps) => "Every fraction trains for the same number of steps. ",
        None => "",
    };
    if last <= 1.2 * first {
        return (!planned.is_empty()).then(|| planned.trim_end().to_owned());
    }
    Some(format!(
        "{planned}The smallest took {}, the largest {}: the curve mixes the effect of less data with that of less \
         training. With `xray-sweep plan --budget steps`, every fraction takes as many steps as the full data.",
        counted(first.round() as i64, "step"),
        thousands(last.round() as i64)
    ))
}

/// Labels that got the same score for every image.
fn collapsed(runs: &[Run]) -> Option<String> {
    let mut counts = BTreeMap::<_, usize>::new();
    let named =
        runs.iter().filter(|run| run.done()).filter_map(|run| run.row.test.collapsed_labels.as_deref());
    for label in named.flat_map(|names| names.split(", ")).filter(|label| !label.is_empty()) {
        *counts.entry(label).or_default() += 1;
    }
    let named: Vec<_> = counts
        .iter()
        .map(|(label, count)| format!("{} ({})", label.replace('_', " "), counted(*count, "run")))
        .collect();
    (!named.is_empty())
        .then(|| format!("Some runs give every image the same score for: {}.", named.join(", ")))
}
