//! A model on records of several sources: its AUCs over all of them beside those within each source ([`mod@crate::within`])
//! and beside what the name of the source gets alone, and which source the positives come from.

use crate::auc_interval::{NoInterval, auc_intervals};
use crate::mean::mean_of_defined;
use crate::within::{Within, WithinLabel, within};
use crate::{Column, Error, LabelCounts, Result, Scores, TestScores, ValidationScores, auc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The figures by source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BySource {
    /// The names of the sources of the test records, in order; empty for records of which nobody knows.
    pub sources: Vec<String>,
    /// Mean AUC over all records of the labels that have one within the sources.
    pub macro_auc: Option<f64>,
    /// Low and high end of what that could be on other patients.
    pub macro_auc_interval: Option<[f64; 2]>,
    /// Mean of the same labels' AUCs within the sources.
    pub within_macro_auc: Option<f64>,
    /// Low and high end of what that could be on other patients.
    pub within_macro_auc_interval: Option<[f64; 2]>,
    /// Why it has none.
    pub missing_within_macro_interval: Option<NoInterval>,
    /// Mean over the labels that define it of what the source alone gets; null without validation records.
    pub source_alone_macro_auc: Option<f64>,
    /// One per label.
    pub labels: Vec<LabelBySource>,
}

/// The figures of one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelBySource {
    /// The finding.
    pub label: String,
    /// Over all records.
    pub auc: Option<f64>,
    /// Within the sources: each weighted by its positives.
    pub within_auc: Option<f64>,
    /// Low and high end of what that could be on other patients.
    pub within_auc_interval: Option<[f64; 2]>,
    /// Why it has none.
    pub missing_within_interval: Option<NoInterval>,
    /// Positive records that no figure within a source counts, because theirs has no negative one.
    pub left_out: usize,
    /// Of a predictor that says of each record how often the label is positive in the validation records of its source.
    /// Null without validation records, and where fewer than two sources know the label: there is nothing to tell apart.
    pub source_alone_auc: Option<f64>,
    /// One per source.
    pub by_source: Vec<OneSource>,
}

/// One label in one source.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneSource {
    /// Test records that have it.
    pub positives: u64,
    /// Test records that do not.
    pub negatives: u64,
    /// Among these.
    pub auc: Option<f64>,
}

/// The figures of the test records by their sources, one name per record; none where they are not of several. The prevalence
/// of each source comes from the validation records.
///
/// # Errors
/// If there is not one name, one patient or, per label, one label name for each.
pub fn by_source(
    labels: &[String],
    test: (TestScores<'_>, &[String]),
    patients: Option<&[u32]>,
    val: Option<(ValidationScores<'_>, &[String])>,
) -> Result<Option<BySource>> {
    let (scores, names) = (test.0.scores(), test.1);
    let mut sources = names.to_vec();
    sources.sort_unstable();
    sources.dedup();
    if sources.len() < 2 {
        return Ok(None);
    }
    check_names(scores.num_records(), names)?;
    let of_record: Vec<usize> =
        names.iter().map(|name| sources.partition_point(|other| other < name)).collect();
    let found = within(scores, &of_record, sources.len(), patients)?;
    let prevalence = match val {
        None => vec![BTreeMap::new(); labels.len()],
        Some((val, names)) => {
            check_names(val.num_records(), names)?;
            (0..labels.len()).map(|label| prevalence_of(names, val.truth_of(label))).collect()
        }
    };
    let alone: Vec<_> =
        prevalence.iter().enumerate().map(|(label, of)| alone(of, names, scores.truth_of(label))).collect();
    let (macro_auc, macro_auc_interval) = pooled_mean(scores, &found, patients)?;
    let label = |(at, label): (usize, &String)| LabelBySource {
        label: label.clone(),
        auc: auc(&scores.column(at)),
        source_alone_auc: alone[at],
        by_source: counts(scores.truth_of(at), &of_record, &found.labels[at]),
        ..of_within(&found.labels[at])
    };
    Ok(Some(BySource {
        macro_auc,
        macro_auc_interval,
        within_macro_auc: found.macro_auc,
        within_macro_auc_interval: found.macro_interval.ok(),
        missing_within_macro_interval: found.macro_interval.err(),
        source_alone_macro_auc: mean_of_defined(&alone),
        labels: labels.iter().enumerate().map(label).collect(),
        sources,
    }))
}

fn check_names(records: usize, names: &[String]) -> Result<()> {
    if names.len() == records {
        Ok(())
    } else {
        Err(Error::PerRecord { found: names.len(), expected: records })
    }
}

fn of_within(of: &WithinLabel) -> LabelBySource {
    LabelBySource {
        label: String::new(),
        auc: None,
        within_auc: of.auc,
        within_auc_interval: of.interval.ok(),
        missing_within_interval: of.interval.err(),
        left_out: of.left_out,
        source_alone_auc: None,
        by_source: Vec::new(),
    }
}

fn counts(
    truths: impl Iterator<Item = Option<bool>>,
    of_record: &[usize],
    of: &WithinLabel,
) -> Vec<OneSource> {
    let mut truths_of = vec![Vec::new(); of.sources.len()];
    of_record.iter().zip(truths).for_each(|(&source, truth)| truths_of[source].push(truth));
    let one = |(truths, &auc): (Vec<_>, &Option<f64>)| {
        let LabelCounts { positives, negatives, .. } = LabelCounts::of(truths.into_iter());
        OneSource { positives, negatives, auc }
    };
    truths_of.into_iter().zip(&of.sources).map(one).collect()
}

/// The mean AUC over all records of the labels that have one within the sources, with its interval.
fn pooled_mean(
    scores: Scores<'_>,
    within: &Within,
    patients: Option<&[u32]>,
) -> Result<(Option<f64>, Option<[f64; 2]>)> {
    let width = scores.num_labels();
    let shared = |(at, &truth): (usize, &f32)| match within.labels[at % width].auc {
        Some(_) => truth,
        None => f32::NAN,
    };
    let truth: Vec<f32> = scores.truth().iter().enumerate().map(shared).collect();
    let scores = scores.with_truth(&truth);
    let aucs: Vec<_> = (0..width).map(|label| auc(&scores.column(label))).collect();
    Ok((mean_of_defined(&aucs), auc_intervals(scores, patients)?.macro_auc.ok()))
}

/// How often a label is positive in each source that knows it.
fn prevalence_of(sources: &[String], truths: impl Iterator<Item = Option<bool>>) -> BTreeMap<&str, f64> {
    let mut known: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (source, truth) in sources.iter().zip(truths) {
        let Some(positive) = truth else { continue };
        let (positives, records) = known.entry(source).or_default();
        *positives += f64::from(u8::from(positive));
        *records += 1.0;
    }
    known.into_iter().map(|(source, (positives, records))| (source, positives / records)).collect()
}

/// The AUC of these prevalences on the test records of the sources that have one.
fn alone(
    prevalence: &BTreeMap<&str, f64>,
    sources: &[String],
    truths: impl Iterator<Item = Option<bool>>,
) -> Option<f64> {
    let known = sources.iter().zip(truths).filter_map(|(source, truth)| Some((source, truth?)));
    let rows: Vec<_> = known.filter(|(source, _)| prevalence.contains_key(source.as_str())).collect();
    let several = rows.iter().any(|row| row.0 != rows[0].0);
    let (said, truth) = rows.iter().map(|(source, truth)| (prevalence[source.as_str()], *truth)).unzip();
    auc(&Column::new(said, truth).ok()?).filter(|_| several)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    /// Mass is known to both hospitals, Edema to the second only.
    #[test]
    fn figures_stand_beside_those_within_and_those_of_the_source_alone() {
        const NAN: f32 = f32::NAN;
        let labels = texts(&["Mass", "Edema"]);
        let names = texts(&["b", "a", "a", "a", "a", "b", "b", "b"]);
        #[rustfmt::skip]
        let (values, truth) = (
            [1.0, 3.0,  9.0, 1.0,  8.0, 1.0,  7.0, 1.0,  6.0, 1.0,  3.0, 1.0,  2.0, 2.0,  0.0, 0.0],
            [1.0, 1.0,  1.0, NAN,  1.0, NAN,  0.0, NAN,  1.0, NAN,  0.0, 0.0,  0.0, 1.0,  0.0, 0.0],
        );
        let scores = Scores::new(&values, &truth, 2).expect("valid");
        let val_names = texts(&["a", "a", "b", "b"]);
        let val_truth = [1.0, NAN, 0.0, NAN, 0.0, 1.0, 0.0, 0.0];
        let val = ValidationScores::new(Scores::new(&[0.0; 8], &val_truth, 2).expect("valid"));
        let found = |val: Option<(ValidationScores<'_>, &[String])>| {
            by_source(&labels, (TestScores::new(scores), &names), None, val).expect("a name per record")
        };
        let of = found(Some((val, &val_names))).expect("two sources");
        assert_eq!(of.sources, ["a", "b"]);
        let [mass, edema] = &of.labels[..] else { panic!("two labels") };
        // Over all, the positives 9, 8, 6 and 1 outrank 4, 4, 3 and 1 of the negatives 7, 3, 2 and 0.
        assert_eq!(mass.auc, Some(12.0 / 16.0));
        assert_eq!(mass.within_auc, Some((3.0 * (2.0 / 3.0) + 1.0 / 3.0) / 4.0));
        // The first hospital has 3 of 4 positive, the second 1 of 4.
        assert_eq!(mass.source_alone_auc, Some(0.75));
        let one = |positives, negatives, auc| OneSource { positives, negatives, auc };
        assert_eq!(mass.by_source, [one(3, 1, Some(2.0 / 3.0)), one(1, 3, Some(1.0 / 3.0))]);
        assert_eq!(edema.by_source, [one(0, 0, None), one(2, 2, Some(1.0))]);
        assert_eq!((edema.within_auc, edema.source_alone_auc), (Some(1.0), None));
        assert_eq!((of.macro_auc, of.source_alone_macro_auc), (Some(1.75 / 2.0), Some(0.75)));
        let without = found(None).expect("two sources");
        assert_eq!((without.source_alone_macro_auc, without.labels[0].source_alone_auc), (None, None));
        assert_eq!(without.within_macro_auc, of.within_macro_auc);
        let text = serde_json::to_string(&of).expect("figures are finite");
        assert!(text.contains(r#""source_alone_auc":null,"by_source":[{"positives":0"#), "{text}");
    }

    /// A label that no source can rank counts in neither mean.
    #[test]
    fn means_are_of_the_same_labels() {
        let truth = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0];
        let values = [4.0, 4.0, 3.0, 3.0, 2.0, 2.0, 1.0, 1.0];
        let scores = TestScores::new(Scores::new(&values, &truth, 2).expect("valid"));
        let of = |names: &[&str]| by_source(&texts(&["Mass", "Edema"]), (scores, &texts(names)), None, None);
        let found = of(&["a", "a", "b", "b"]).expect("a name per record").expect("two sources");
        assert_eq!((found.labels[1].auc, found.labels[1].within_auc), (Some(1.0), None));
        assert_eq!((found.macro_auc, found.within_macro_auc), (Some(0.75), Some(1.0)));
        assert_eq!(found.labels[1].left_out, 2);
        assert_eq!(of(&["a"; 4]), Ok(None));
        assert_eq!(of(&["a", "b"]), Err(Error::PerRecord { found: 2, expected: 4 }));
    }
}
