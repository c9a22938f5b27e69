//! The same figures for parts of the records: by sex, age band, view and source. A model may serve one group worse than
//! another, and a mean hides it.

use crate::figures::{number, with_interval};
use crate::subject::checked;
use serde::Serialize;
use xray_artifacts::Predictions;
use xray_display::TextTable;
use xray_metrics::{NoInterval, auc, auc_intervals};

/// A part of the records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subgroup {
    /// `sex`, `age`, `view` or `source`.
    pub by: &'static str,
    /// Such as `F`, `40–59`, `PA` or `nih`; `unknown` where nobody knows.
    pub group: String,
    /// How many records.
    pub records: usize,
    /// How many patients; null where nobody knows.
    pub patients: Option<usize>,
    /// Mean AUC of the labels that have one here. Groups define different labels, so two of these may differ by them.
    pub macro_auc: Option<f64>,
    /// Its interval over other patients.
    pub macro_auc_interval: Option<[f64; 2]>,
    /// Why it has none.
    pub missing_interval: Option<NoInterval>,
    /// Labels without a positive or without a negative record here.
    pub undefined_labels: usize,
    /// Mean AUC of the labels that every group of the same kind defines, which can be told apart by the groups alone.
    /// Groups without any AUC are not asked.
    pub shared_macro_auc: Option<f64>,
    /// How many labels those are.
    pub shared_labels: usize,
    /// Per label, in the order of the model's outputs.
    pub auc: Vec<Option<f64>>,
}

/// First year of each band and its name.
const AGE_BANDS: [(f32, &str); 5] =
    [(0.0, "0–17"), (18.0, "18–39"), (40.0, "40–59"), (60.0, "60–79"), (80.0, "80 and more")];
const UNKNOWN: &str = "unknown";

/// Every group that has a record; nothing where no record says its sex, age, view or source.
///
/// # Errors
/// If the scores are not finite.
pub fn subgroups(predictions: &Predictions) -> xray_metrics::Result<Vec<Subgroup>> {
    let text = |values: &[String]| -> Vec<String> {
        values.iter().map(|value| if value.is_empty() { UNKNOWN.to_owned() } else { value.clone() }).collect()
    };
    let ages = predictions.ages.iter().map(|&age| age_band(age).to_owned()).collect();
    let mut found = Vec::new();
    let kinds = [
        ("sex", text(&predictions.sexes)),
        ("age", ages),
        ("view", text(&predictions.views)),
        ("source", text(&predictions.sources)),
    ];
    for (by, groups) in kinds {
        let mut names = groups.clone();
        names.sort_by_key(|name| (name == UNKNOWN, name.clone()));
        names.dedup();
        if names.iter().all(|name| name == UNKNOWN) {
            continue;
        }
        let mut of_kind = Vec::with_capacity(names.len());
        for group in names {
            let places: Vec<_> = (0..groups.len()).filter(|&at| groups[at] == group).collect();
            of_kind.push(subgroup(by, group, &predictions.records(&places))?);
        }
        share_labels(&mut of_kind);
        found.extend(of_kind);
    }
    Ok(found)
}

fn subgroup(by: &'static str, group: String, part: &Predictions) -> xray_metrics::Result<Subgroup> {
    let scores = checked(part)?;
    let aucs: Vec<_> = (0..part.labels.len()).map(|label| auc(&scores.column(label))).collect();
    let patients = part.patient_numbers();
    let intervals = auc_intervals(scores, patients.as_deref())?;
    let defined: Vec<f64> = aucs.iter().copied().flatten().collect();
    Ok(Subgroup {
        by,
        group,
        records: part.ids.len(),
        patients: patients.map(|_| intervals.units),
        macro_auc: (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64),
        macro_auc_interval: intervals.macro_auc.ok(),
        missing_interval: intervals.macro_auc.err(),
        undefined_labels: aucs.len() - defined.len(),
        shared_macro_auc: None,
        shared_labels: 0,
        auc: aucs,
    })
}

fn share_labels(groups: &mut [Subgroup]) {
    let asked: Vec<&Subgroup> = groups.iter().filter(|group| group.macro_auc.is_some()).collect();
    let Some(first) = asked.first() else { return };
    let shared: Vec<usize> =
        (0..first.auc.len()).filter(|&label| asked.iter().all(|group| group.auc[label].is_some())).collect();
    for group in groups {
        let aucs: Vec<f64> = shared.iter().filter_map(|&label| group.auc[label]).collect();
        group.shared_labels = shared.len();
        group.shared_macro_auc = (!aucs.is_empty()).then(|| aucs.iter().sum::<f64>() / aucs.len() as f64);
    }
}

fn age_band(age: f32) -> &'static str {
    let band = AGE_BANDS.iter().rev().find(|(first, _)| age >= *first);
    band.map_or(UNKNOWN, |(_, name)| name)
}

/// For a terminal; nothing without groups.
pub(crate) fn table(groups: &[Subgroup]) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let header = [
        "group",
        "records",
        "patients",
        "macro-AUC",
        "labels with AUC",
        "macro-AUC of shared labels",
        "shared",
    ];
    let mut table = TextTable::new(&header);
    for group in groups {
        table.row(vec![
            format!("{} {}", group.by, group.group),
            group.records.to_string(),
            group.patients.map_or("–".to_owned(), |patients| patients.to_string()),
            with_interval(group.macro_auc, group.macro_auc_interval),
            format!("{} of {}", group.auc.len() - group.undefined_labels, group.auc.len()),
            number(group.shared_macro_auc),
            group.shared_labels.to_string(),
        ]);
    }
    let missing =
        |why| move |group: &&Subgroup| group.macro_auc.is_some() && group.missing_interval == Some(why);
    let mut text = table.text();
    for why in [NoInterval::OnePatient, NoInterval::NoLabel] {
        let of: Vec<_> =
            groups.iter().filter(missing(why)).map(|group| format!("{} {}", group.by, group.group)).collect();
        if !of.is_empty() {
            text += &format!("no interval of {}: {why}\n", of.join(", "));
        }
    }
    if groups.iter().any(|group| group.macro_auc.is_some()) {
        text += "a macro-AUC is of the labels that the group defines; compare groups of a kind by the labels that they \
                 share\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_artifacts::Split;

    fn predictions(sexes: &[&str], ages: &[f32]) -> Predictions {
        let records = sexes.len();
        Predictions {
            split: Split::Test,
            labels: vec!["Mass".into()],
            ids: (0..records).map(|at| at.to_string()).collect(),
            patients: vec![],
            sources: vec![],
            views: vec![String::new(); records],
            sexes: sexes.iter().map(|&sex| sex.to_owned()).collect(),
            ages: ages.to_vec(),
            probabilities: vec![],
            logits: (0..records).map(|at| at as f64).collect(),
            truth: (0..records).map(|at| f32::from(u8::from(at % 2 == 1))).collect(),
        }
    }

    #[test]
    fn every_record_is_in_one_group_of_each_kind_that_is_known() {
        let given = predictions(&["F", "M", "F", "", "F"], &[17.0, 18.0, 80.0, f32::NAN, 120.0]);
        let groups = subgroups(&given).expect("finite");
        let sizes: Vec<_> = groups.iter().map(|group| (group.by, &group.group[..], group.records)).collect();
        let sexes = [("sex", "F", 3), ("sex", "M", 1), ("sex", "unknown", 1)];
        let ages =
            [("age", "0–17", 1), ("age", "18–39", 1), ("age", "80 and more", 2), ("age", "unknown", 1)];
        assert_eq!(sizes, [&sexes[..], &ages[..]].concat());
    }

    #[test]
    fn a_group_of_one_class_has_no_auc() {
        let groups = subgroups(&predictions(&["F", "M", "F", "F"], &[f32::NAN; 4])).expect("finite");
        // F holds scores 0, 2 and 3, of which 3 is positive.
        assert_eq!((groups[0].macro_auc, groups[0].undefined_labels), (Some(1.0), 0));
        assert_eq!((groups[1].macro_auc, groups[1].undefined_labels), (None, 1));
        let text = table(&groups);
        assert!(text.contains("sex M"), "{text}");
        assert!(!table(&groups[1..]).contains("macro-AUC is of"), "there is none");
    }

    /// Women define both labels, men the first only, and the two of unknown sex none.
    #[test]
    fn groups_are_compared_on_the_labels_that_they_share() {
        let mut given = predictions(&["F", "F", "F", "F", "M", "M", "M", "", ""], &[f32::NAN; 9]);
        given.labels = vec!["Mass".into(), "Hernia".into()];
        given.logits =
            [4.0, 1.0, 3.0, 2.0, 2.0, 3.0, 1.0, 4.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 1.0, 1.0, 2.0, 2.0].into();
        given.truth =
            [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0].into();
        let groups = subgroups(&given).expect("finite");
        let [women, men, unknown] = &groups[..] else { panic!("{groups:?}") };
        assert_eq!(women.auc, [Some(0.75), Some(1.0 / 3.0)]);
        assert_eq!((women.macro_auc, women.shared_macro_auc), (Some((0.75 + 1.0 / 3.0) / 2.0), Some(0.75)));
        assert_eq!((men.macro_auc, men.shared_macro_auc), (Some(0.0), Some(0.0)));
        assert_eq!((unknown.macro_auc, unknown.shared_macro_auc), (None, None));
        assert!(groups.iter().all(|group| group.shared_labels == 1), "{groups:?}");
    }

    /// Every record twice, by the same patient, is no new evidence.
    #[test]
    fn intervals_of_groups_are_over_patients() {
        let mut once = predictions(&["F"; 40], &[f32::NAN; 40]);
        once.patients = (0..40).map(|at| (at / 2).to_string()).collect();
        once.logits = (0..40).map(|at| f64::from(at * 7 % 13)).collect();
        let twice = once.records(&(0..40).chain(0..40).collect::<Vec<_>>());
        let group = |of: &Predictions| subgroups(of).expect("finite").remove(0);
        let (expected, found) = (group(&once), group(&twice));
        assert_eq!((found.patients, found.macro_auc_interval), (Some(20), expected.macro_auc_interval));
        assert!(found.macro_auc_interval.is_some());
    }
}
