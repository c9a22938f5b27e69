//! The same for each label.

use super::fractions::{NO_IMAGE, fraction_axis};
use crate::report::document::{Named, Section, Table, Value};
use crate::report::groups::Group;
use crate::report::intervals::{drawn, over_trials};
use crate::report::sweep::Sweep;
use crate::tables::LabelRow;
use std::collections::HashMap;
use xray_artifacts::Split;
use xray_display::chart::{Axis, Chart, Scale, Series};
use xray_metrics::{Bounds, mean};

/// With fewer positives an AUC is mostly chance.
const FEW: i64 = 10;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("labels", "Each finding by fraction");
    let groups = sweep.chosen_groups();
    if sweep.label.is_some() || groups.is_empty() {
        return section;
    }
    let scores = Scores::of(&sweep.labels);
    let labels = sweep.shown_labels();
    let x = |group: &Group<'_>| 100.0 * group.fraction;
    let series_of = |label: &String| {
        let each = |group: &Group<'_>| {
            scores.values(group, label).into_iter().map(|auc| (x(group), auc)).collect::<Vec<_>>()
        };
        let mean = |group: &Group<'_>| Some((x(group), mean(scores.values(group, label))?));
        let interval =
            |group: &Group<'_>| (x(group), over_trials(&scores.values(group, label), Bounds::Share));
        let (band, bars) = drawn(groups.iter().map(interval));
        Series {
            dots: groups.iter().flat_map(each).collect(),
            line: groups.iter().filter_map(mean).collect(),
            band,
            bars,
            ..Series::default()
        }
    };
    let series: Vec<Series> = labels.iter().map(series_of).collect();
    // An AUC of few positives is anywhere between 0 and 1, and would press the others into stripes.
    let steady = |label: &String| {
        sweep.chosen_label(Split::Test, label).is_some_and(|row| row.positives.min(row.negatives) >= FEW)
    };
    let of_steady: Vec<Series> =
        labels.iter().zip(&series).filter(|(label, _)| steady(label)).map(|(_, it)| it.clone()).collect();
    let scaled = if of_steady.is_empty() { &series } else { &of_steady };
    let values = scaled.iter().flat_map(|series| &series.dots).map(|dot| dot.1).chain([NO_IMAGE]);
    let y = Axis::new("test AUC", Scale::around_with_bands(&values.collect::<Vec<_>>(), scaled).of_shares());
    let chart = |(label, series): (&String, Series)| {
        let what = Chart {
            title: label.replace('_', " "),
            x: fraction_axis(&sweep.runs),
            y: y.clone(),
            series: vec![series],
            levels: vec![NO_IMAGE],
            legend: Vec::new(),
            empty: "no AUC",
        };
        Named { name: format!("auc-{}", label.to_lowercase()), what }
    };
    let combination = &groups[0].combination;
    let of = if combination.is_empty() { String::new() } else { format!(" of {combination}") };
    section.text(format!(
        "Test AUC{of} against the share of the training images (%). Dots: trials; line: their mean; band: its 95 % \
         interval where there are three or more; dotted: 0.5. All charts share one scale, which findings with fewer \
         than {FEW} positives may leave."
    ));
    section.multiples(labels.iter().zip(series).map(chart).collect());
    section.table("labels", table(&groups, &labels, &scores, sweep));
    section
}

/// Test AUCs by cell and label.
struct Scores<'a>(HashMap<(&'a str, &'a str), f64>);

impl<'a> Scores<'a> {
    fn of(rows: &'a [LabelRow]) -> Scores<'a> {
        let test = rows.iter().filter(|row| row.split == Split::Test);
        Scores(test.filter_map(|row| Some(((row.cell.as_str(), row.label.as_str()), row.auc?))).collect())
    }

    fn values(&self, group: &Group<'_>, label: &str) -> Vec<f64> {
        let done = group.runs.iter().filter(|run| run.done());
        done.filter_map(|run| self.0.get(&(run.row.cell.as_str(), label)).copied()).collect()
    }
}

fn table(groups: &[Group<'_>], labels: &[String], scores: &Scores<'_>, sweep: &Sweep) -> Table {
    let (first, last) = (&groups[0], &groups[groups.len() - 1]);
    let mut table = Table::new(
        "Test AUC of each finding, mean over trials",
        &[
            ("label", "finding"),
            ("smallest", ">smallest fraction"),
            ("smallest_interval", ">95 % interval"),
            ("largest", ">largest fraction"),
            ("largest_interval", ">95 % interval"),
            ("gain", ">gain"),
            ("no_image", ">no image"),
            ("metadata", ">sex, age, view"),
            ("test_positives", ">test positives"),
        ],
    );
    for label in labels {
        let mean = |group| mean(scores.values(group, label));
        let interval = |group| over_trials(&scores.values(group, label), Bounds::Share);
        let (low, high) = (mean(first), mean(last));
        let row = sweep.labels.iter().find(|row| row.split == Split::Test && row.label == *label);
        table.row(vec![
            Value::text(label.replace('_', " ")),
            Value::number(low, 3),
            Value::interval(interval(first), 3),
            Value::number(high, 3),
            Value::interval(interval(last), 3),
            Value::signed(low.zip(high).map(|(low, high)| high - low), 3),
            Value::number(Some(NO_IMAGE), 1),
            Value::number(sweep.metadata_of(label), 3),
            Value::count(row.map(|row| row.positives)),
        ]);
    }
    let has = |label: &String| {
        [first, last].map(|group| over_trials(&scores.values(group, label), Bounds::Share).is_some())
    };
    let has: Vec<bool> = labels.iter().flat_map(has).collect();
    let note = match (has.contains(&true), has.contains(&false)) {
        (false, _) => "No interval over trials: it needs three trials with an AUC.",
        (true, true) => {
            "Intervals are Student's t over trials, on the logit scale; none where fewer than three trials have an \
             AUC, or where all are perfect."
        }
        (true, false) => "Intervals are Student's t over trials, on the logit scale.",
    };
    table.notes.push(note.to_owned());
    table.without_empty_columns()
}
