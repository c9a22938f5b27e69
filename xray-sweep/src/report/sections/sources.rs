//! Whether the chosen run tells findings apart, or the places where images were taken: its AUCs within each source.

use crate::report::document::{Section, Table, Value};
use crate::report::sweep::Sweep;
use xray_display::{counted, thousands};
use xray_metrics::units::MIN_IN_GROUP;
use xray_metrics::{BySource, LabelBySource, OneSource};

/// Nothing where the records are not of several sources.
pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("sources", "Findings or sources?");
    let Some(Ok(both)) = sweep.chosen.as_ref().map(|chosen| &chosen.predictions) else { return section };
    let Some(found) = both.by_source() else { return section };
    section.text(
        "The data set is made of several sources. Where one of them has a finding more often, a network that \
         recognises the source gets a high AUC over all records without seeing the finding: 0.86 for pneumonia in \
         two hospitals (Zech et al., 2018). Within the sources each positive record is compared with the negative \
         ones of its own source and counts once (Janes and Pepe, 2009); recognising the source earns nothing there.",
    );
    let shown = sweep.shown_labels();
    let labels: Vec<&LabelBySource> = found.labels.iter().filter(|of| shown.contains(&of.label)).collect();
    section.table("within-sources", within(&found, &labels, shown.len() == found.labels.len()));
    section.table("positives-by-source", positives(&found, &labels));
    section
}

fn within(found: &BySource, labels: &[&LabelBySource], all: bool) -> Table {
    let mut table = Table::new(
        "On the test records of the chosen run",
        &[
            ("label", "finding"),
            ("auc", ">AUC over all"),
            ("within_auc", ">within sources"),
            ("within_auc_interval", ">95 % interval"),
            ("source_alone_auc", ">the source alone"),
            ("left_out", ">positives left out"),
        ],
    );
    for of in labels {
        table.row(vec![
            Value::text(of.label.replace('_', " ")),
            Value::number(of.auc, 3),
            Value::number(of.within_auc, 3),
            Value::interval(of.within_auc_interval, 3),
            Value::number(of.source_alone_auc, 3),
            Value::count(i64::try_from(of.left_out).ok()),
        ]);
    }
    if all {
        table.row(vec![
            Value::text("macro"),
            Value::number(found.macro_auc, 3),
            Value::number(found.within_macro_auc, 3),
            Value::interval(found.within_macro_auc_interval, 3),
            Value::number(found.source_alone_macro_auc, 3),
            Value::none(),
        ]);
        table
            .notes
            .push("The macro-AUC over all averages the labels that have one within the sources.".into());
    }
    table.notes.push(
        "The source alone: every record is scored by how often the validation records of its source have the \
         finding. Positives whose source has no negative record are left out. Intervals are over other patients of \
         the same sources."
            .into(),
    );
    table
}

fn positives(found: &BySource, labels: &[&LabelBySource]) -> Table {
    let mut table = Table::new(
        "Which source the positives come from",
        &[
            ("label", "finding"),
            ("source", "source"),
            ("positives", ">positives"),
            ("negatives", ">negatives"),
            ("auc", ">AUC"),
        ],
    );
    let (mut unknown, mut few) = (Vec::new(), 0);
    for of in labels {
        for (source, one) in found.sources.iter().zip(&of.by_source) {
            let source = if source.is_empty() { "unknown" } else { source };
            if one.positives + one.negatives == 0 {
                unknown.push(format!("{} in {source}", of.label.replace('_', " ")));
                continue;
            }
            table.row(vec![
                Value::text(of.label.replace('_', " ")),
                Value::text(source),
                count(one.positives),
                count(one.negatives),
                Value::number(one.auc.filter(|_| !is_small(one)), 3),
            ]);
            few += usize::from(is_small(one));
        }
    }
    if few > 0 {
        table.notes.push(format!(
            "{} with fewer than {MIN_IN_GROUP} positives or negatives: no AUC is shown.",
            counted(few, "row")
        ));
    }
    if !unknown.is_empty() {
        table
            .notes
            .push(format!("Unknown for every record, and so counted nowhere: {}.", unknown.join(", ")));
    }
    table
}

/// Whether an AUC would say more about these few records than about the model.
fn is_small(one: &OneSource) -> bool {
    one.positives.min(one.negatives) < MIN_IN_GROUP
}

fn count(count: u64) -> Value {
    Value { text: thousands(count), json: count.into() }
}
