//! The same figures for parts of the records: by sex, age band, view and source. A model may serve one group worse than
//! another, and a mean hides it.
//!
//! A label with fewer than [`MIN_IN_GROUP`] positive or negative records in a group has no AUC there: it would say more
//! about those few records than about the model.

use crate::figures::{number, with_interval};
use crate::subject::checked;
use serde::Serialize;
use xray_artifacts::Predictions;
use xray_display::{TextTable, counted};
use xray_metrics::units::MIN_IN_GROUP;
use xray_metrics::{LabelCounts, NoInterval, auc, auc_intervals};

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
    /// Labels with fewer than [`MIN_IN_GROUP`] positive or negative records here.
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
            of_kind.push(subgroup(by, group, predictions.records(&places))?);
        }
        share_labels(&mut of_kind);
        found.extend(of_kind);
    }
    Ok(found)
}

fn subgroup(by: &'static str, group: String, mut part: Predictions) -> xray_metrics::Result<Subgroup> {
    leave_out_rare(&mut part)?;
    let scores = checked(&part)?;
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

/// Makes labels unknown that have fewer than [`MIN_IN_GROUP`] positive or negative records.
fn leave_out_rare(part: &mut Predictions) -> xray_metrics::Result<()> {
    let counts = checked(part)?.counts();
    let is_rare = |of: &LabelCounts| of.positives.min(of.negatives) < MIN_IN_GROUP;
    let rare: Vec<bool> = counts.iter().map(is_rare).collect();
    for (_, truth) in part.truth.iter_mut().enumerate().filter(|(at, _)| rare[at % rare.len()]) {
        *truth = f32::NAN;
    }
    Ok(())
}

impl Subgroup {
    fn name(&self) -> String {
        format!("{} {}", self.by, self.group)
    }
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
    let (shown, small): (Vec<_>, Vec<_>) = groups.iter().partition(|group| group.macro_auc.is_some());
    let mut table = TextTable::new(&header);
    for group in &shown {
        table.row(vec![
            group.name(),
            group.records.to_string(),
            group.patients.map_or("–".to_owned(), |patients| patients.to_string()),
            with_interval(group.macro_auc, group.macro_auc_interval),
            format!("{} of {}", group.auc.len() - group.undefined_labels, group.auc.len()),
            number(group.shared_macro_auc),
            group.shared_labels.to_string(),
        ]);
    }
    let mut text = if shown.is_empty() { String::new() } else { table.text() };
    for why in [NoInterval::OnePatient, NoInterval::NoLabel] {
        let of = shown.iter().filter(|group| group.missing_interval == Some(why));
        let of: Vec<String> = of.map(|group| group.name()).collect();
        if !of.is_empty() {
            text += &format!("no interval for {}: {why}\n", of.join(", "));
        }
    }
    if !shown.is_empty() {
        text += &format!(
            "a macro-AUC averages the labels with at least {MIN_IN_GROUP} positive and {MIN_IN_GROUP} negative \
             records in the group; compare groups by the labels that they share\n"
        );
    }
    if !small.is_empty() {
        let names: Vec<String> = small.iter().map(|group| group.name()).collect();
        text += &format!(
            "not shown, because no label has {MIN_IN_GROUP} positive and {MIN_IN_GROUP} negative records there: {} \
             ({})\n",
            counted(small.len(), "group"),
            names.join(", ")
        );
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

    /// Alternating labels under rising scores; so many records that each class has `of_each`.
    fn group(sex: &'static str, of_each: usize) -> Vec<&'static str> {
        vec![sex; 2 * of_each]
    }

    #[test]
    fn small_groups_are_counted_and_not_shown() {
        let minimum = MIN_IN_GROUP as usize;
        let sexes = [group("F", minimum), group("M", minimum - 1)].concat();
        let groups = subgroups(&predictions(&sexes, &vec![f32::NAN; sexes.len()])).expect("finite");
        assert!(groups[0].macro_auc.is_some() && groups[0].undefined_labels == 0, "{groups:?}");
        assert_eq!((groups[1].macro_auc, groups[1].undefined_labels), (None, 1));
        let text = table(&groups);
        assert!(text.contains("sex F") && !text.lines().any(|line| line.starts_with("sex M")), "{text}");
        assert!(text.contains("at least 10 positive and 10 negative records"), "{text}");
        let left_out =
            "not shown, because no label has 10 positive and 10 negative records there: 1 group (sex M)\n";
        assert!(text.ends_with(left_out), "{text}");
        assert_eq!(table(&groups[1..]), left_out);
    }

    /// Women define both labels, men the first only, and those of unknown sex none.
    #[test]
    fn groups_are_compared_on_the_labels_that_they_share() {
        let sexes = [vec!["F"; 40], vec!["M"; 40], vec![""; 40]].concat();
        let mut given = predictions(&sexes, &[f32::NAN; 120]);
        given.labels = vec!["Mass".into(), "Hernia".into()];
        // Mass: positive in every second record, but in none of unknown sex. Hernia: in every fourth of a woman and in
        // nine men, one too few.
        let is_mass = |at: usize| at.is_multiple_of(2) && at < 80;
        let is_hernia = |at: usize| if at < 40 { at.is_multiple_of(4) } else { (40..49).contains(&at) };
        let truth = |at| [is_mass(at), is_hernia(at)].map(|positive| f32::from(u8::from(positive)));
        given.truth = (0..120).flat_map(truth).collect();
        // Hernia is ranked perfectly. Of Mass, women's are, and men's are the wrong way round.
        let score =
            |at: usize| [f64::from(u8::from(is_mass(at) == (at < 40))), f64::from(u8::from(is_hernia(at)))];
        given.logits = (0..120).flat_map(score).collect();
        let groups = subgroups(&given).expect("finite");
        let [women, men, unknown] = &groups[..] else { panic!("{groups:?}") };
        assert_eq!((&women.auc, &men.auc), (&vec![Some(1.0), Some(1.0)], &vec![Some(0.0), None]));
        assert_eq!((women.macro_auc, women.shared_macro_auc), (Some(1.0), Some(1.0)));
        assert_eq!((men.macro_auc, men.shared_macro_auc), (Some(0.0), Some(0.0)));
        assert_eq!((unknown.macro_auc, unknown.shared_macro_auc), (None, None));
        assert!(groups.iter().all(|group| group.shared_labels == 1), "{groups:?}");
    }

    /// Every record twice, by the same patient, is not new evidence.
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
