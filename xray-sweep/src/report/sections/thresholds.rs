//! Where "positive" begins, by rule, and what that does on the test records.

use crate::report::document::{Section, Table, Value};
use crate::report::predictions::BothSplits;
use crate::report::sweep::Sweep;
use serde_json::json;
use xray_metrics::probability::sigmoid;
use xray_metrics::threshold::fit;
use xray_metrics::{Fitted, OperatingPoint, Proportion, Rule, one_sided, operating_points};

/// Shown beside the rule that was asked for. The last is what the system before this one did.
const RULES: [Rule; 7] = [
    Rule::Youden,
    Rule::MaxF1,
    Rule::Sensitivity(0.9),
    Rule::Sensitivity(0.95),
    Rule::Specificity(0.9),
    Rule::Ppv(0.3),
    Rule::LowestPositive,
];

pub(super) fn section(sweep: &Sweep, rule: Rule) -> Section {
    let mut section = Section::new("thresholds", "Operating points of the chosen run");
    let Some(Ok(both)) = sweep.chosen.as_ref().map(|chosen| &chosen.predictions) else { return section };
    let shown = sweep.shown_labels();
    let unit = if both.test_patients().is_some() { "by patient" } else { "over records (patients unknown)" };
    section.text(format!(
        "Thresholds are chosen on the validation records and reported on the test records, so they may miss what the \
         rule asks for; users will meet the same gap. They apply to the network's own probability, before \
         calibration. Intervals are Wilson's, 95 %, {unit}; PPV, NPV and F1 hold at the test prevalence."
    ));
    let fitted = fit(both.validation(), rule);
    section.table("thresholds", by_label(both, &shown, rule, &fitted));
    section.table("constants", beside_constants(both, &shown, rule, &fitted));
    let all = all_rules(both);
    section.table("rules", by_rule(both, &shown, &all));
    section.table("rules-by-finding", by_rule_and_finding(both, &shown, &all));
    section.text(
        "`lowest-positive` puts the threshold at the lowest score of any positive record, as this project's \
         predecessor did: the one positive that is hardest to see decides for all.",
    );
    section
}

/// One per label, fitted on validation, on the test records.
pub(super) fn points(both: &BothSplits, rule: Rule) -> Vec<Option<OperatingPoint>> {
    points_of(both, &fit(both.validation(), rule))
}

fn points_of(both: &BothSplits, fitted: &[Fitted]) -> Vec<Option<OperatingPoint>> {
    let patients = both.test_patients();
    operating_points(both.test(), fitted, patients.as_deref()).expect("both splits are of the same labels")
}

fn by_label(both: &BothSplits, shown: &[String], rule: Rule, fitted: &[Fitted]) -> Table {
    let mut table = Table::new(
        format!("Rule {rule}"),
        &[
            ("label", "finding"),
            ("sensitivity", ">sensitivity"),
            ("specificity", ">specificity"),
            ("ppv", ">PPV"),
            ("prevalence", ">test prevalence"),
            ("npv", ">NPV"),
            ("threshold", ">threshold"),
        ],
    );
    let counts = both.test_scores().counts();
    let points = points_of(both, fitted);
    for (at, label) in both.places(shown) {
        if let Fitted::Undefined(why) = fitted[at] {
            table.notes.push(format!("{}: no threshold: {why}.", label.replace('_', " ")));
        }
        if let Some(warning) = warning(both, at, fitted[at], points[at].as_ref()) {
            table.notes.push(format!("{}: {warning}.", label.replace('_', " ")));
        }
        let point = points[at].as_ref();
        table.row(vec![
            Value::text(label.replace('_', " ")),
            share(point, |point| point.sensitivity),
            share(point, |point| point.specificity),
            share(point, |point| point.ppv),
            Value::number(counts[at].prevalence(), 3),
            share(point, |point| point.npv),
            threshold(fitted[at]),
        ]);
    }
    table
}

/// F1 and accuracy, each beside the constant answer that gets the most of it: apart from the other figures, so that a page
/// has room for both and the constant answers are not the columns that are cut off.
fn beside_constants(both: &BothSplits, shown: &[String], rule: Rule, fitted: &[Fitted]) -> Table {
    let mut table = Table::new(
        format!("Rule {rule}, beside constant answers"),
        &[
            ("label", "finding"),
            ("f1", ">F1"),
            ("f1_always_yes", ">always yes"),
            ("accuracy", ">accuracy"),
            ("accuracy_always_no", ">always no"),
            ("positives", ">positives"),
            ("negatives", ">negatives"),
        ],
    );
    let counts = both.test_scores().counts();
    let points = points_of(both, fitted);
    for (at, label) in both.places(shown) {
        let (point, prevalence) = (points[at].as_ref(), counts[at].prevalence());
        table.row(vec![
            Value::text(label.replace('_', " ")),
            Value::number(point.and_then(|point| point.f1), 3),
            Value::number(prevalence.map(|share| 2.0 * share / (1.0 + share)), 3),
            Value::number(point.and_then(|point| point.confusion.accuracy()), 3),
            Value::number(prevalence.map(|share| 1.0 - share), 3),
            Value::count(counts[at].positives as i64),
            Value::count(counts[at].negatives as i64),
        ]);
    }
    table
}

/// Why the calls of a label say little.
fn warning(both: &BothSplits, at: usize, fitted: Fitted, point: Option<&OperatingPoint>) -> Option<String> {
    one_sided::warning(fitted, &both.validation_scores().column(at), point)
}

fn threshold(fitted: Fitted) -> Value {
    Value::number(fitted.threshold().map(sigmoid), 3)
}

fn share(point: Option<&OperatingPoint>, of: fn(&OperatingPoint) -> Option<Proportion>) -> Value {
    let share = point.and_then(of);
    let value = Value::estimate(share.map(|share| share.value), share.map(|share| share.interval), 2);
    Value { json: json!(share), ..value }
}

/// What each rule chose on validation, and what that does on test.
type Ruled = (Rule, Vec<Fitted>, Vec<Option<OperatingPoint>>);

fn all_rules(both: &BothSplits) -> Vec<Ruled> {
    let of = |rule| {
        let fitted = fit(both.validation(), rule);
        let points = points_of(both, &fitted);
        (rule, fitted, points)
    };
    RULES.map(of).to_vec()
}

/// Means over the labels that have a threshold by every rule, so that rules differ in nothing else.
fn by_rule(both: &BothSplits, shown: &[String], all: &[Ruled]) -> Table {
    let mut table = Table::new(
        "Rules compared: mean over the findings for which every rule has a threshold",
        &[
            ("rule", "rule"),
            ("findings", ">findings"),
            ("sensitivity", ">sensitivity"),
            ("specificity", ">specificity"),
            ("ppv", ">PPV"),
            ("npv", ">NPV"),
        ],
    );
    let has_ppv = |point: &Option<OperatingPoint>| point.as_ref().is_some_and(|point| point.ppv.is_some());
    let common: Vec<usize> = both
        .places(shown)
        .map(|(at, _)| at)
        .filter(|&at| all.iter().all(|(.., points)| has_ppv(&points[at])))
        .collect();
    if common.is_empty() {
        return table;
    }
    let mean = |of: &dyn Fn(usize) -> Option<f64>| {
        let values: Vec<f64> = common.iter().filter_map(|&at| of(at)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    for (rule, _, points) in all {
        let of = |figure: fn(&OperatingPoint) -> Option<Proportion>| {
            Value::number(mean(&|at| Some(figure(points[at].as_ref()?)?.value)), 3)
        };
        table.row(vec![
            Value::text(rule.to_string()),
            Value::count(common.len() as i64),
            of(|point| point.sensitivity),
            of(|point| point.specificity),
            of(|point| point.ppv),
            of(|point| point.npv),
        ]);
    }
    let counts = both.test_scores().counts();
    let prevalence = mean(&|at| counts[at].prevalence());
    let mut baseline = |name: &str, sensitivity, ppv, npv| {
        table.row(vec![
            Value::text(name),
            Value::count(common.len() as i64),
            Value::number(Some(sensitivity), 3),
            Value::number(Some(1.0 - sensitivity), 3),
            Value::number(ppv, 3),
            Value::number(npv, 3),
        ]);
    };
    baseline("always no", 0.0, None, prevalence.map(|share| 1.0 - share));
    baseline("always yes", 1.0, prevalence, None);
    table
}

fn by_rule_and_finding(both: &BothSplits, shown: &[String], all: &[Ruled]) -> Table {
    let mut table = Table::new(
        "Every rule for every finding",
        &[
            ("label", "finding"),
            ("rule", "rule"),
            ("threshold", ">threshold"),
            ("sensitivity", ">sensitivity"),
            ("specificity", ">specificity"),
            ("ppv", ">PPV"),
            ("npv", ">NPV"),
        ],
    );
    for (at, label) in both.places(shown) {
        for (rule, fitted, points) in all {
            let point = points[at].as_ref();
            if let Some(warning) = warning(both, at, fitted[at], point) {
                table.notes.push(format!("{} by {rule}: {warning}.", label.replace('_', " ")));
            }
            table.row(vec![
                Value::text(label.replace('_', " ")),
                Value::text(rule.to_string()),
                threshold(fitted[at]),
                share(point, |point| point.sensitivity),
                share(point, |point| point.specificity),
                share(point, |point| point.ppv),
                share(point, |point| point.npv),
            ]);
        }
    }
    table
}
