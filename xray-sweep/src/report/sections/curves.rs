//! ROC and precision-recall curves of the chosen run, with the operating points that validation chose.

use super::thresholds::points;
use crate::report::document::{Named, Section};
use crate::report::sweep::Sweep;
use xray_display::chart::{Axis, Chart, Scale, Series, Symbol};
use xray_display::number;
use xray_metrics::{
    Column, OperatingPoint, Rule, auc, average_precision, precision_recall_curve, roc_curve, thin,
};

/// More points no eye tells apart in charts of this size.
const MOST_POINTS: usize = 160;

pub(super) fn section(sweep: &Sweep, rule: Rule) -> Section {
    let mut section = Section::new("curves", "ROC and precision-recall curves of the chosen run");
    let Some(chosen) = &sweep.chosen else { return section };
    let both = match &chosen.predictions {
        Ok(both) => both,
        Err(why) => {
            section.warning(format!(
                "No curves, thresholds and calibration of the chosen run can be shown: {why}."
            ));
            return section;
        }
    };
    let test = both.test_scores();
    let points = points(both, rule);
    section.text(format!(
        "On the test records. The ring is the operating point of the rule `{rule}`, chosen on validation. Upper \
         charts: sensitivity against false positive rate; the dashed diagonal is chance. Lower charts: precision \
         against recall; the dotted line is the test prevalence."
    ));
    let (mut roc, mut pr) = (Vec::new(), Vec::new());
    let shown = sweep.shown_labels();
    for (at, label) in both.places(&shown) {
        let (column, point) = (test.column(at), points.get(at).and_then(Option::as_ref));
        let name = |kind: &str| format!("{kind}-{}", label.to_lowercase());
        roc.extend(roc_chart(label, &column, point).map(|what| Named { name: name("roc"), what }));
        pr.extend(pr_chart(label, &column, point).map(|what| Named { name: name("pr"), what }));
    }
    let missing: Vec<String> = both
        .places(&shown)
        .filter(|(at, _)| auc(&test.column(*at)).is_none())
        .map(|(_, label)| label.replace('_', " "))
        .collect();
    section.multiples(roc);
    section.multiples(pr);
    if !missing.is_empty() {
        section.text(format!("No curve for {}: all test records are of one class.", missing.join(", ")));
    }
    section
}

fn unit_axis(label: &str) -> Axis {
    Axis::new(label, Scale::Linear { low: 0.0, high: 1.0 })
}

fn roc_chart(label: &str, column: &Column, point: Option<&OperatingPoint>) -> Option<Chart> {
    let curve = roc_curve(column)?;
    let place = |point: &xray_metrics::RocPoint| [point.false_positive_rate, point.true_positive_rate];
    let curve = thin(&curve, MOST_POINTS, place);
    let ring = point.and_then(|point| Some((1.0 - point.specificity?.value, point.sensitivity?.value)));
    let series = Series {
        line: curve.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect(),
        rings: ring.into_iter().collect(),
        ..Series::default()
    };
    let chance = Series { look: 6, dashed: vec![(0.0, 0.0), (1.0, 1.0)], ..Series::default() };
    Some(Chart {
        title: format!("{}: AUC {}", label.replace('_', " "), number(auc(column), 3)),
        x: unit_axis("false positive rate"),
        y: unit_axis("sensitivity"),
        series: vec![chance, series],
        levels: Vec::new(),
        legend: vec![(Symbol::Line(0), "ROC".into())],
        empty: "no curve",
    })
}

fn pr_chart(label: &str, column: &Column, point: Option<&OperatingPoint>) -> Option<Chart> {
    let curve = precision_recall_curve(column)?;
    // The first point calls nothing positive; its precision is a convention.
    let curve = thin(&curve[1..], MOST_POINTS, |point| [point.recall, point.precision]);
    let ring = point.and_then(|point| Some((point.sensitivity?.value, point.ppv?.value)));
    let series = Series {
        line: curve.iter().map(|point| (point.recall, point.precision)).collect(),
        rings: ring.into_iter().collect(),
        ..Series::default()
    };
    let positives = column.iter().filter(|(_, positive)| *positive).count();
    Some(Chart {
        title: format!("{}: AP {}", label.replace('_', " "), number(average_precision(column), 3)),
        x: unit_axis("recall"),
        y: unit_axis("precision"),
        series: vec![series],
        levels: vec![positives as f64 / column.len() as f64],
        legend: vec![(Symbol::Line(0), "precision-recall".into())],
        empty: "no curve",
    })
}
