//! Whether acting on the chosen run's probabilities does more good than harm, and from which probability on.

use crate::report::document::{Named, Section, Table, Value};
use crate::report::sweep::Sweep;
use xray_display::chart::{Axis, Chart, Scale, Series};
use xray_display::percent;
use xray_metrics::{Calibrator, Column, Method, NetBenefit, decision_curve};

/// Threshold probabilities, as multiples of the finding's prevalence in the validation records.
const MULTIPLES: [f64; 3] = [0.5, 1.0, 2.0];
const POINTS: u32 = 40;
/// The curve ends at so many times the prevalence.
const FURTHEST: f64 = 4.0;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("net-benefit", "Is it worth acting on?");
    let Some(Ok(both)) = sweep.chosen.as_ref().map(|chosen| &chosen.predictions) else { return section };
    section.text(
        "Net benefit (Vickers and Elkin 2006) on the test records, per 1,000 records: true positives − false positives × \
         odds of the threshold probability. At a threshold of 10 %, one true positive is worth nine false positives. Solid: \
         the model, calibrated on validation; dashed: treat all; 0 is treat none. A model is useful at thresholds where it \
         lies above both. The table has half, once and twice the validation prevalence.",
    );
    let mut table = Table::new(
        "Net benefit per 1,000 records",
        &[
            ("label", "finding"),
            ("threshold", ">threshold"),
            ("model", ">model"),
            ("treat_all", ">treat all"),
            ("treat_none", ">treat none"),
            ("worth", "useful"),
        ],
    );
    let fitted = both.calibrations(Method::Platt);
    let chosen_on = both.validation_counts();
    let (mut charts, mut uncalibrated, mut one_class) = (Vec::new(), Vec::new(), Vec::new());
    let shown = sweep.shown_labels();
    for (at, label) in both.places(&shown) {
        let name = label.replace('_', " ");
        let Ok(fit) = &fitted[at] else {
            uncalibrated.push(name);
            continue;
        };
        let Some(prevalence) = chosen_on[at].prevalence() else { continue };
        let Some(column) = calibrated(&both.test_scores().column(at), &fit.calibrator) else {
            one_class.push(name);
            continue;
        };
        for multiple in MULTIPLES {
            let Some(point) = at_thresholds(&column, &[(multiple * prevalence).min(0.99)]).first().copied()
            else {
                continue;
            };
            table.row(row(label, point));
        }
        let furthest = (FURTHEST * prevalence).min(0.99);
        let places: Vec<f64> = (0..=POINTS).map(|at| furthest * f64::from(at) / f64::from(POINTS)).collect();
        charts.extend(chart(label, &at_thresholds(&column, &places), furthest));
    }
    let left_out = [
        (uncalibrated, "because they are not calibrated, for the reasons above"),
        (one_class, "because the test records are all of one class"),
    ];
    for (labels, why) in left_out.iter().filter(|(labels, _)| !labels.is_empty()) {
        section.text(format!("Left out {why}: {}.", labels.join(", ")));
    }
    if table.rows.is_empty() {
        section.text("No finding could be calibrated on validation, so there is nothing to act on.");
    }
    section.multiples(charts);
    section.table("net-benefit", table);
    section
}

fn calibrated(column: &Column, calibrator: &Calibrator) -> Option<Column> {
    let (probabilities, truth): (Vec<f64>, Vec<bool>) =
        column.iter().map(|(logit, positive)| (calibrator.probability(logit), positive)).unzip();
    let both_classes = truth.contains(&true) && truth.contains(&false);
    Column::new(probabilities, truth).ok().filter(|_| both_classes)
}

fn at_thresholds(column: &Column, thresholds: &[f64]) -> Vec<NetBenefit> {
    decision_curve(column, thresholds).ok().flatten().unwrap_or_default()
}

fn row(label: &str, point: NetBenefit) -> Vec<Value> {
    let per_1000 = |benefit: f64| Value::number(Some(1000.0 * benefit), 1);
    let worth = point.model > point.treat_all.max(point.treat_none);
    vec![
        Value::text(label.replace('_', " ")),
        Value {
            text: percent((point.threshold_probability * 1000.0).round() / 1000.0),
            json: point.threshold_probability.into(),
        },
        per_1000(point.model),
        per_1000(point.treat_all),
        per_1000(point.treat_none),
        Value { text: if worth { "yes" } else { "no" }.into(), json: worth.into() },
    ]
}

fn chart(label: &str, curve: &[NetBenefit], furthest: f64) -> Option<Named<Chart>> {
    let place = |point: &NetBenefit| 100.0 * point.threshold_probability;
    let model = Series {
        line: curve.iter().map(|point| (place(point), 1000.0 * point.model)).collect(),
        ..Series::default()
    };
    let all = Series {
        look: 6,
        dashed: curve.iter().map(|point| (place(point), 1000.0 * point.treat_all)).collect(),
        ..Series::default()
    };
    let highest = curve.iter().map(|point| 1000.0 * point.model.max(point.treat_all)).reduce(f64::max)?;
    // Acting on all falls far below; what is told apart lies around 0.
    let y = Scale::around([-0.4 * highest, highest, 0.0]);
    let what = Chart {
        title: label.replace('_', " "),
        x: Axis::new("threshold (%)", Scale::Linear { low: 0.0, high: 100.0 * furthest }),
        y: Axis::new("net benefit per 1,000", y),
        series: vec![all, model],
        levels: vec![0.0],
        legend: Vec::new(),
        empty: "no records",
    };
    Some(Named { name: format!("net-benefit-{}", label.to_lowercase()), what })
}
