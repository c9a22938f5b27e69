//! Which feature of somebody's records is which, and what of them is left over. Nothing is left over in
//! silence: a feature that looks like a label is asked about, any other is named.

use super::inventory::Inventory;
use super::problem::{listed, nearest};
use super::{FeatureNames, FeatureProblem, Label, Preset, Sample};
use crate::example::Example;
use crate::labels::{NIH_14, NO_FINDING, is_finding, plain, position};
use std::collections::BTreeSet;

const IMAGE: &[&str] = &["image", "encoded", "img", "image_bytes", "jpg_bytes", "jpeg", "jpg", "png", "xray"];
const IMAGE_ID: &[&str] =
    &["image_id", "filename", "file_name", "path", "image_path", "image_name", "Image Index", "id"];
const PATIENT: &[&str] = &["patient_id", "patient", "subject_id", "Patient ID"];
const VIEW: &[&str] = &["view_position", "view", "AP/PA"];
const SEX: &[&str] = &["patient_sex", "sex", "gender", "Patient Gender"];
const AGE: &[&str] = &["patient_age", "age"];
const SPLIT: &[&str] = &["split"];

/// How records are read.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) names: FeatureNames,
    /// Second spellings of a label's feature, by the label's place: both have to say the same.
    pub(crate) twins: Vec<(usize, String)>,
    /// The feature that says that no finding was reported.
    pub(crate) healthy: Option<String>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

impl Resolved {
    /// These names and nothing to say about them.
    pub(crate) fn of(names: FeatureNames) -> Self {
        Resolved { names, twins: Vec::new(), healthy: None, notes: Vec::new() }
    }

    /// Refuses `No Finding` beside a finding, and two spellings of a label that say different things.
    pub(crate) fn contradictions(
        &self,
        example: &Example<'_>,
        sample: &Sample<'_>,
    ) -> Result<(), FeatureProblem> {
        let Resolved { names, twins, healthy, .. } = self;
        for (label, twin) in twins {
            if names.label(twin, example)? != sample.labels[*label] {
                let name = names.labels[*label].1.clone();
                return Err(FeatureProblem::Contradiction { name, other: twin.clone() });
            }
        }
        let mut labels = sample.labels.iter().zip(&names.labels);
        let positive = labels.position(|(label, (name, _))| *label == Label::Positive && is_finding(name));
        if let (Some(healthy), Some(label)) = (healthy, positive)
            && names.label(healthy, example)? == Label::Positive
        {
            return Err(FeatureProblem::Healthy { label: names.labels[label].0.clone() });
        }
        Ok(())
    }
}

/// Source of the feature names.
#[derive(Clone, Debug)]
pub(crate) enum Basis {
    /// The manifest of this project's shards: what it does not list is not a label.
    Manifest(Vec<String>),
    /// Names that the caller gave.
    Given(Box<FeatureNames>),
    /// Nobody: they are recognised.
    Recognised,
}

/// Finds the features. `wanted` are the labels to keep, in this order; where empty, those that are known.
///
/// # Errors
/// A name that no record has; features that look like labels where nobody said which are; no label at all.
pub(crate) fn resolve(
    inventory: &Inventory,
    basis: Basis,
    wanted: &[String],
) -> Result<Resolved, FeatureProblem> {
    inventory.check()?;
    let listed_all = matches!(basis, Basis::Manifest(_));
    let mut names = match basis {
        Basis::Manifest(labels) => of_manifest(labels, inventory),
        Basis::Given(names) => *names,
        Basis::Recognised => recognise(inventory)?,
    };
    if !wanted.is_empty() {
        let found = wanted.iter().map(|label| Ok((label.clone(), feature_of(label, &names, inventory)?)));
        names.labels = found.collect::<Result<_, FeatureProblem>>()?;
    }
    if let Some(name) = names.names().find(|name| !inventory.has(name)) {
        return Err(missing(name, inventory));
    }
    add_usual(&mut names, inventory);
    let twins = twins(&names, inventory);
    let healthy = inventory.names().find(|name| plain(name) == plain(NO_FINDING)).map(str::to_owned);
    let used = used(&names, &twins, healthy.as_ref());
    let others: Vec<String> =
        inventory.label_like().filter(|name| !used.contains(name)).map(str::to_owned).collect();
    if wanted.is_empty() && !listed_all && !others.is_empty() {
        return Err(FeatureProblem::OtherLabels { labels: names.label_names(), others });
    }
    if names.labels.is_empty() {
        let offered = inventory.describe(&BTreeSet::new()).unwrap_or_else(|| "there is none".to_owned());
        return Err(FeatureProblem::NoLabels { offered });
    }
    let mut notes = Vec::new();
    notes.extend(inventory.describe(&used).map(|rest| format!("features that are not used: {rest}")));
    if !listed_all {
        notes.extend(gaps(&names, inventory));
    }
    notes.extend(
        twins
            .iter()
            .map(|(label, twin)| format!("`{twin}` repeats `{}`, which is read", names.labels[*label].1)),
    );
    Ok(Resolved { names, twins, healthy, notes })
}

/// Finds the image and what else is known of it; labels are not wanted.
///
/// # Errors
/// Records without an image.
pub(crate) fn unlabelled(inventory: &Inventory) -> Result<FeatureNames, FeatureProblem> {
    inventory.check()?;
    let mut names = FeatureNames { labels: Vec::new(), ..recognise(inventory)? };
    if let Some(name) = names.names().find(|name| !inventory.has(name)) {
        return Err(missing(name, inventory));
    }
    add_usual(&mut names, inventory);
    Ok(names)
}

/// Our own shards; those of a source without patients have no such feature.
fn of_manifest(labels: Vec<String>, inventory: &Inventory) -> FeatureNames {
    let names = FeatureNames::xray(&labels);
    let there = |name: Option<String>| name.filter(|name| inventory.has(name));
    FeatureNames { image_id: there(names.image_id), patient_id: there(names.patient_id), ..names }
}

/// The preset that fits, or else what the usual names lead to.
fn recognise(inventory: &Inventory) -> Result<FeatureNames, FeatureProblem> {
    if let Some(preset) = Preset::detect(inventory) {
        return Ok(preset.feature_names());
    }
    let image = usual(IMAGE, inventory, |name| inventory.is_bytes(name));
    let image = image.ok_or_else(|| missing("image", inventory))?;
    let labels = NIH_14.iter().filter_map(|label| {
        let feature = same_name(label, inventory)?;
        Some(((*label).to_owned(), feature))
    });
    let labels = labels.collect();
    let image_id = usual(IMAGE_ID, inventory, |name| *name != image);
    Ok(FeatureNames { image, image_id, labels, ..FeatureNames::xray(&[]) }.without_optional())
}

impl FeatureNames {
    fn without_optional(self) -> Self {
        FeatureNames { patient_id: None, view: None, sex: None, age: None, split: None, source: None, ..self }
    }
}

/// Takes what the usual names lead to for what is not named.
fn add_usual(names: &mut FeatureNames, inventory: &Inventory) {
    let labels: BTreeSet<String> = names.labels.iter().map(|(_, feature)| feature.clone()).collect();
    let text = |name: &&str| inventory.is_bytes(name) && !labels.contains(*name);
    let any = |name: &&str| !labels.contains(*name);
    let FeatureNames { patient_id, view, sex, age, split, source, .. } = names;
    *patient_id = patient_id.take().or_else(|| usual(PATIENT, inventory, any));
    *view = view.take().filter(|name| inventory.has(name)).or_else(|| usual(VIEW, inventory, text));
    *sex = sex.take().filter(|name| inventory.has(name)).or_else(|| usual(SEX, inventory, text));
    *age = age.take().filter(|name| inventory.has(name)).or_else(|| usual(AGE, inventory, any));
    *split = split.take().or_else(|| usual(SPLIT, inventory, text));
    *source = source.take().filter(|name| inventory.has(name));
}

/// The feature with the first of these names, apart from case, punctuation and a path in front.
fn usual(candidates: &[&str], inventory: &Inventory, fits: impl Fn(&&str) -> bool) -> Option<String> {
    let named = |wanted: &str| {
        let same = |name: &&str| plain(last(name)) == plain(wanted) && fits(name);
        inventory.names().find(same).map(str::to_owned)
    };
    candidates.iter().find_map(|wanted| named(wanted))
}

/// The feature of a label that was asked for.
fn feature_of(label: &str, names: &FeatureNames, inventory: &Inventory) -> Result<String, FeatureProblem> {
    let known = position(&names.label_names(), label).map(|place| names.labels[place].1.clone());
    let known = known.filter(|feature| inventory.has(feature));
    known.or_else(|| same_name(label, inventory)).ok_or_else(|| missing(label, inventory))
}

/// The feature of that name, exactly, or apart from case and punctuation, or behind a path.
fn same_name(wanted: &str, inventory: &Inventory) -> Option<String> {
    let exact = inventory.has(wanted).then(|| wanted.to_owned());
    let alike = || inventory.names().find(|name| plain(name) == plain(wanted)).map(str::to_owned);
    let below = || inventory.names().find(|name| plain(last(name)) == plain(wanted)).map(str::to_owned);
    exact.or_else(alike).or_else(below)
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Other spellings of the labels' features.
fn twins(names: &FeatureNames, inventory: &Inventory) -> Vec<(usize, String)> {
    let labels = names.labels.iter().enumerate();
    let of_label = |(place, (_, feature)): (usize, &(String, String))| {
        let alike = |name: &&str| name != feature && plain(name) == plain(feature);
        inventory.names().filter(alike).map(|name| (place, name.to_owned())).collect::<Vec<_>>()
    };
    let is_label = |twin: &(usize, String)| !names.labels.iter().any(|(_, feature)| *feature == twin.1);
    labels.flat_map(of_label).filter(is_label).collect()
}

fn used<'a>(
    names: &'a FeatureNames,
    twins: &'a [(usize, String)],
    healthy: Option<&'a String>,
) -> BTreeSet<&'a str> {
    let FeatureNames { image, image_id, patient_id, view, sex, age, split, source, labels, .. } = names;
    let optional = [image_id, patient_id, view, sex, age, split, source].into_iter().flatten();
    let labels = labels.iter().map(|(_, feature)| feature).chain(twins.iter().map(|(_, twin)| twin));
    std::iter::once(image).chain(optional).chain(labels).chain(healthy).map(String::as_str).collect()
}

/// Features that some records lack.
fn gaps(names: &FeatureNames, inventory: &Inventory) -> Option<String> {
    let lacking = used(names, &[], None).into_iter().filter_map(|name| {
        let lacking = inventory.records - inventory.filled(name);
        (lacking > 0).then(|| format!("{name} ({lacking})"))
    });
    let lacking: Vec<String> = lacking.collect();
    let of = inventory.records;
    (!lacking.is_empty())
        .then(|| format!("without a value in some of {of} records: {}", listed(&lacking).replace('`', "")))
}

fn missing(name: &str, inventory: &Inventory) -> FeatureProblem {
    FeatureProblem::Missing { name: name.to_owned(), nearest: nearest(name, inventory.names()) }
}

#[cfg(test)]
mod tests {
    use super::super::inventory::Features;
    use super::*;
    use crate::example::ExampleBuilder;

    fn inventory(records: &[ExampleBuilder<'_>]) -> Inventory {
        let mut inventory = Inventory::default();
        for record in records {
            inventory.add(&Features::of(&Example::parse(&record.encode()).expect("just built")));
        }
        inventory
    }

    fn image() -> ExampleBuilder<'static> {
        ExampleBuilder::new().bytes("image", b"\x89PNG").bytes("image_id", b"a.png")
    }

    fn wanted(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&label| label.to_owned()).collect()
    }

    fn refused(records: &[ExampleBuilder<'_>], labels: &[&str]) -> (String, String) {
        let problem = resolve(&inventory(records), Basis::Recognised, &wanted(labels)).expect_err("unclear");
        (problem.to_string(), problem.hint().unwrap_or_default())
    }

    fn labels(records: &[ExampleBuilder<'_>], labels: &[&str]) -> Resolved {
        resolve(&inventory(records), Basis::Recognised, &wanted(labels)).expect("clear")
    }

    #[test]
    fn labels_of_ones_own_are_asked_about_and_taken_when_they_are_named() {
        let record = || image().int64("Mass", 1).int64("Covid 19", 0).float("Lung Opacity", 1.0);
        let (message, hint) = refused(&[record()], &[]);
        assert_eq!(message, "`Covid 19`, `Lung Opacity` look like labels that nobody named");
        assert!(hint.contains("--labels 'Mass,Covid 19,Lung Opacity'"), "{hint}");
        let taken = labels(&[record()], &["covid_19", "Mass"]);
        let expected = [("covid_19", "Covid 19"), ("Mass", "Mass")];
        assert_eq!(taken.names.labels, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(taken.notes, ["features that are not used: Lung Opacity (1 in 1 of 1 record)"]);
    }

    #[test]
    fn known_labels_are_taken_under_every_spelling_and_numbers_are_no_labels() {
        let record = image().int64("pleural thickening", 0).int64("y/Mass", 1).int64("image/height", 1);
        let taken = labels(&[record.bytes("subject_id", b"7").bytes("split", b"test")], &[]);
        assert_eq!(taken.names.label_names(), ["Mass", "Pleural_Thickening"]);
        assert_eq!(taken.names.patient_id.as_deref(), Some("subject_id"));
        assert_eq!(taken.names.split.as_deref(), Some("split"));
        assert_eq!(taken.notes, ["features that are not used: image/height (int64)"]);
    }

    #[test]
    fn what_some_records_lack_is_said() {
        let taken = labels(&[image().int64("Mass", 1), image().int64("Mass", 0).bytes("patient", b"1")], &[]);
        assert_eq!(taken.notes, ["without a value in some of 2 records: patient (1)"]);
    }

    #[test]
    fn records_without_labels_or_image_are_refused_with_what_they_offer() {
        let (message, _) = refused(&[image().int64("age_in_days", 400)], &[]);
        assert_eq!(message, "no feature holds a label: age_in_days (int64), image (bytes), image_id (bytes)");
        let (message, hint) = refused(&[ExampleBuilder::new().int64("Mass", 1)], &[]);
        assert_eq!(
            (message.as_str(), hint.as_str()),
            ("there is no feature `image`", "the record has `Mass`")
        );
        let (message, _) = refused(&[image().int64("Mass", 1)], &["Fracture"]);
        assert_eq!(message, "there is no feature `Fracture`");
    }

    #[test]
    fn a_second_spelling_is_compared_and_said() {
        let taken = labels(&[image().int64("Pleural_Thickening", 0).int64("Pleural Thickening", 0)], &[]);
        assert_eq!(taken.twins, [(0, "Pleural Thickening".to_owned())]);
        assert_eq!(taken.notes, ["`Pleural Thickening` repeats `Pleural_Thickening`, which is read"]);
    }

    #[test]
    fn a_feature_that_a_record_has_twice_must_say_the_same() {
        let double = |second| {
            [image().int64("Mass", 1).encode(), ExampleBuilder::new().int64("Mass", second).encode()].concat()
        };
        let check = |second, expected: Option<&str>| {
            let record = double(second);
            let record = Example::parse(&record).expect("an example");
            assert_eq!(Features::of(&record).twice, expected, "{second}");
        };
        check(1, None);
        check(0, Some("Mass"));
    }

    #[test]
    fn a_record_of_endless_features_is_refused() {
        let names: Vec<String> = (0..5000).map(|number| format!("f{number}")).collect();
        let record =
            |names: &'_ [String]| names.iter().fold(image(), |record, name| record.int64(name, 1)).encode();
        let mut inventory = Inventory::default();
        for names in names.chunks(1000) {
            inventory.add(&Features::of(&Example::parse(&record(names)).expect("an example")));
        }
        let problem = resolve(&inventory, Basis::Recognised, &[]).expect_err("too many");
        assert_eq!(problem.to_string(), "the records have more than 4096 different features");
    }
}
