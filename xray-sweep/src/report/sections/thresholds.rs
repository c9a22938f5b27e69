//! Where "positive" begins, by rule, and what that does on the test records.

use crate::report::document::{Block, Section, Table, Value, with_interval};
use crate::report::sweep::{BothSplits, Sweep, scores};
use xray_metrics::probability::sigmoid;
use xray_metrics::threshold::fit;
use xray_metrics::{OperatingPoint, Proportion, Rule, TestScores, ValidationScores, operating_points};

/// Shown beside the rule that was asked for. The last is what the system before this one did, on test.
const RULES: [Rule; 6] = [
    Rule::Youden,
    Rule::MaxF1,
    Rule::Sensitivity(0.9),
    Rule::Specificity(0.9),
    Rule::Sensitivity(0.95),
    Rule::LowestPositive,
];

pub(super) fn section(sweep: &Sweep, rule: Rule) -> Section {
    let mut section = Section::new("thresholds", "Operating points of the chosen run");
    let Some(both) = sweep.chosen.as_ref().and_then(|chosen| chosen.predictions.as_ref()) else {
        return section;
    };
    section.text(
        "Thresholds are chosen on the validation records and reported on the test records, so they may miss what the rule \
         asks for; that gap is what a user meets. Intervals are Wilson's, 95 %, and count records as independent.",
    );
    section.table("thresholds", by_label(sweep, both, rule));
    section.table("rules", by_rule(sweep, both));
    section.blocks.push(Block::Text(
        "`lowest-positive` puts the threshold at the lowest score of any positive record, as the system before this one \
         did; the one positive that is hardest to see decides for all."
            .into(),
    ));
    section
}

/// One per label, fitted on validation, on the test records.
pub(super) fn points(both: &BothSplits, rule: Rule) -> Vec<Option<OperatingPoint>> {
    let (Some(val), Some(test)) = (scores(&both.val), scores(&both.test)) else { return Vec::new() };
    operating_points(TestScores::new(test), &fit(ValidationScores::new(val), rule)).unwrap_or_default()
}

fn by_label(sweep: &Sweep, both: &BothSplits, rule: Rule) -> Table {
    let mut table = Table::new(
        format!("Rule {rule}"),
        &[
            ("label", "finding"),
            ("threshold", ">threshold"),
            ("sensitivity", ">sensitivity"),
            ("specificity", ">specificity"),
            ("ppv", ">PPV"),
            ("npv", ">NPV"),
            ("f1", ">F1"),
            ("accuracy", ">accuracy"),
            ("accuracy_always_no", ">always no"),
        ],
    );
    let (Some(val), Some(test)) = (scores(&both.val), scores(&both.test)) else { return table };
    let fitted = fit(ValidationScores::new(val), rule);
    let points = points(both, rule);
    for (at, label) in
        both.test.labels.iter().enumerate().filter(|(_, label)| sweep.shown_labels().contains(label))
    {
        let point = points.get(at).and_then(Option::as_ref);
        let share = |of: fn(&OperatingPoint) -> Option<Proportion>| {
            let share = point.and_then(of);
            Value {
                text: with_interval(share.map(|share| share.value), share.map(|share| share.interval), 2),
                json: serde_json::json!(share),
            }
        };
        if let xray_metrics::Fitted::Undefined(why) = fitted[at] {
            table.notes.push(format!("{}: no threshold: {why}.", label.replace('_', " ")));
        }
        let prevalence = test.counts()[at].prevalence();
        table.row(vec![
            Value::text(label.replace('_', " ")),
            Value::number(fitted[at].threshold().map(|logit| sigmoid(f64::from(logit))), 3),
            share(|point| point.sensitivity),
            share(|point| point.specificity),
            share(|point| point.ppv),
            share(|point| point.npv),
            Value::number(point.and_then(|point| point.f1), 3),
            Value::number(point.and_then(|point| point.confusion.accuracy()), 3),
            Value::number(prevalence.map(|share| 1.0 - share), 3),
        ]);
    }
    table
}

/// Means over the labels that have a threshold.
fn by_rule(sweep: &Sweep, both: &BothSplits) -> Table {
    let mut table = Table::new(
        "Other rules, mean over the findings",
        &[
            ("rule", "rule"),
            ("labels", ">findings"),
            ("sensitivity", ">sensitivity"),
            ("specificity", ">specificity"),
            ("ppv", ">PPV"),
            ("npv", ">NPV"),
        ],
    );
    let shown = sweep.shown_labels();
    for rule in RULES {
        let points: Vec<OperatingPoint> = both
            .test
            .labels
            .iter()
            .zip(points(both, rule))
            .filter(|(label, _)| shown.contains(label))
            .filter_map(|(_, point)| point)
            .collect();
        let mean = |of: fn(&OperatingPoint) -> Option<Proportion>| {
            let values: Vec<f64> = points.iter().filter_map(|point| Some(of(point)?.value)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        table.row(vec![
            Value::text(rule.to_string()),
            Value::count(points.len() as i64),
            Value::number(mean(|point| point.sensitivity), 3),
            Value::number(mean(|point| point.specificity), 3),
            Value::number(mean(|point| point.ppv), 3),
            Value::number(mean(|point| point.npv), 3),
        ]);
    }
    table
}
