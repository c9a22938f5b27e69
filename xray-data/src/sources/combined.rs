//! Several sources as one: the labels of all, each unknown to those that do not have it; images and patients named by their
//! source, so that equal numbers in two hospitals are two people.

use super::{SourceImage, SourceSet};
use crate::labels::{NIH_14, plain};
use crate::schema::Label;
use std::collections::HashMap;
use xray_artifacts::ImageFormat;

/// Puts named sources together. What is already of several, as a data set that was built so, keeps its names.
pub fn combine(sets: Vec<(String, SourceSet)>) -> SourceSet {
    let labels = union(sets.iter().map(|(_, set)| set.labels.as_slice()));
    let places: HashMap<String, usize> =
        labels.iter().enumerate().map(|(place, label)| (plain(label), place)).collect();
    let formats = sets.iter().map(|(_, set)| set.built.clone()).collect::<Vec<_>>();
    let mut all = SourceSet {
        kind: "several",
        labels,
        images: Vec::new(),
        missing: 0,
        unusable: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
        built: common_format(&formats),
    };
    for (name, set) in sets {
        let own: Vec<usize> = set.labels.iter().map(|label| places[&plain(label)]).collect();
        let absent: Vec<&str> = (0..all.labels.len())
            .filter(|place| !own.contains(place))
            .map(|place| all.labels[place].as_str())
            .collect();
        let said = |text: &String| format!("{name}: {text}");
        all.notes.push(format!("{name}: {} images, of kind {}", set.images.len(), set.kind));
        if !absent.is_empty() {
            let absent = super::csv_table::quoted_few(absent.into_iter());
            all.notes.push(format!("{name}: labels that it does not have and that are unknown: {absent}"));
        }
        all.notes.extend(set.notes.iter().map(said));
        all.warnings.extend(set.warnings.iter().map(said));
        all.missing += set.missing;
        all.unusable.extend(set.unusable);
        let count = all.labels.len();
        all.images.extend(set.images.into_iter().map(|image| named(image, &name, &own, count)));
    }
    all
}

/// The labels of ChestX-ray14 in their order, then others as they come.
fn union<'a>(sets: impl Iterator<Item = &'a [String]>) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for label in sets.flatten() {
        if labels.iter().all(|known| plain(known) != plain(label)) {
            labels.push(label.clone());
        }
    }
    let place =
        |label: &String| NIH_14.iter().position(|known| plain(known) == plain(label)).unwrap_or(NIH_14.len());
    labels.sort_by_key(place);
    labels
}

fn named(mut image: SourceImage, name: &str, own: &[usize], count: usize) -> SourceImage {
    let row = &mut image.row;
    let mut labels = vec![Label::Unknown; count];
    own.iter().zip(&row.labels).for_each(|(&place, label)| labels[place] = *label);
    row.labels = labels;
    if row.source.is_none() {
        row.source = Some(name.to_owned());
        row.image_id = format!("{name}:{}", row.image_id);
        row.patient_id = row.patient_id.take().map(|patient| format!("{name}:{patient}"));
    }
    image
}

/// What an earlier build did to the images of any of them.
fn common_format(formats: &[Option<ImageFormat>]) -> Option<ImageFormat> {
    let mut built = formats.iter().flatten();
    let first = built.next()?.clone();
    Some(built.fold(first, |all, other| ImageFormat {
        resized: all.resized || other.resized,
        white_level: all.white_level.filter(|level| other.white_level == Some(*level)),
        ..all
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{ImageRow, Origin};
    use Label::{Negative as N, Positive as P, Unknown as X};

    fn set(labels: &[&str], rows: &[(&str, Option<&str>, &[Label])]) -> SourceSet {
        let image = |(id, patient, labels): &(&str, Option<&str>, &[Label])| SourceImage {
            row: ImageRow {
                image_id: (*id).to_owned(),
                patient_id: patient.map(str::to_owned),
                labels: labels.to_vec(),
                no_finding: None,
                split: None,
                view: None,
                sex: None,
                age: None,
                source: None,
            },
            origin: Origin::File((*id).into()),
        };
        SourceSet {
            kind: "csv",
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            images: rows.iter().map(image).collect(),
            missing: 1,
            unusable: vec!["a.dcm: damaged".into()],
            notes: vec!["a note".into()],
            warnings: vec!["a warning".into()],
            built: None,
        }
    }

    #[test]
    fn labels_that_a_source_does_not_have_are_unknown() {
        let first = set(&["Covid", "Mass"], &[("1.png", Some("7"), &[P, N])]);
        let second = set(&["mass", "Effusion"], &[("1.png", Some("7"), &[P, N]), ("2.png", None, &[N, X])]);
        let all = combine(vec![("a".into(), first), ("b".into(), second)]);
        assert_eq!(all.labels, ["Effusion", "Mass", "Covid"]);
        let rows: Vec<_> = all.images.iter().map(|image| &image.row).collect();
        assert_eq!(rows[0].labels, [X, N, P]);
        assert_eq!(rows[1].labels, [N, P, X]);
        let names: Vec<_> = rows.iter().map(|r| (r.image_id.as_str(), r.patient_id.as_deref())).collect();
        assert_eq!(names, [("a:1.png", Some("a:7")), ("b:1.png", Some("b:7")), ("b:2.png", None)]);
        assert_eq!(
            (all.missing, all.warnings),
            (2, vec!["a: a warning".to_owned(), "b: a warning".to_owned()])
        );
        assert!(
            all.notes
                .contains(&"a: labels that it does not have and that are unknown: `Effusion`".to_owned())
        );
    }
}
