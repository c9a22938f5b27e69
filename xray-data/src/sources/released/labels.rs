//! Labels of published data sets in the words of ChestX-ray14.

use super::{Draft, NIH_14, Release};
use crate::labels::position;
use crate::schema::Label;
use crate::sources::csv_table::quoted_few;

/// Whose labels a data set is built with. Command lines name it so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LabelSet {
    /// The data set's own
    #[default]
    Own,
    /// Those of the fourteen of ChestX-ray14 that the data set's labels stand for
    Nih,
}

/// A finding of ChestX-ray14 in the words of another data set: positive where any of `own` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equivalent {
    /// One of [`NIH_14`].
    pub nih: &'static str,
    /// The other data set's names.
    pub own: &'static [&'static str],
    /// Publication that supports the mapping.
    pub source: &'static str,
}

/// One line of a map.
pub(super) const fn line(
    nih: &'static str,
    own: &'static [&'static str],
    source: &'static str,
) -> Equivalent {
    Equivalent { nih, own, source }
}

const SAME: &str = "the fourteen themselves";

/// ChestX-ray14's own.
pub(super) const IDENTICAL: &[Equivalent] = &[
    line("Atelectasis", &["Atelectasis"], SAME),
    line("Cardiomegaly", &["Cardiomegaly"], SAME),
    line("Effusion", &["Effusion"], SAME),
    line("Infiltration", &["Infiltration"], SAME),
    line("Mass", &["Mass"], SAME),
    line("Nodule", &["Nodule"], SAME),
    line("Pneumonia", &["Pneumonia"], SAME),
    line("Pneumothorax", &["Pneumothorax"], SAME),
    line("Consolidation", &["Consolidation"], SAME),
    line("Edema", &["Edema"], SAME),
    line("Emphysema", &["Emphysema"], SAME),
    line("Fibrosis", &["Fibrosis"], SAME),
    line("Pleural_Thickening", &["Pleural_Thickening"], SAME),
    line("Hernia", &["Hernia"], SAME),
];

/// The labels that [`Release::equivalents`] makes of a data set's own, and what is said of it. A line counts as far as the
/// tables at hand have its names.
pub(super) fn translated(mut draft: Draft, release: Release) -> Draft {
    let of_line = |line: &Equivalent| -> Vec<usize> {
        line.own.iter().filter_map(|name| position(&draft.labels, name)).collect()
    };
    let lines = release.equivalents().iter().map(|line| (line, of_line(line)));
    let lines: Vec<(&Equivalent, Vec<usize>)> = lines.filter(|(_, places)| !places.is_empty()).collect();
    for (line, places) in &lines {
        let own = quoted_few(places.iter().map(|&place| draft.labels[place].as_str()));
        draft.notes.push(format!("label `{}` is {own}: {}", line.nih, line.source));
    }
    let absent = NIH_14.into_iter().filter(|name| lines.iter().all(|(line, _)| line.nih != *name));
    let absent: Vec<&str> = absent.collect();
    if !absent.is_empty() {
        let names = quoted_few(absent.into_iter());
        draft.notes.push(format!("findings of ChestX-ray14 that {} does not have: {names}", release.title()));
    }
    let unused =
        (0..draft.labels.len()).filter(|place| lines.iter().all(|(_, places)| !places.contains(place)));
    let unused: Vec<&str> = unused.map(|place| draft.labels[place].as_str()).collect();
    if !unused.is_empty() {
        let names = quoted_few(unused.into_iter());
        draft
            .notes
            .push(format!("labels of {} that stand for none of the fourteen: {names}", release.title()));
    }
    for listed in &mut draft.rows {
        let own = &listed.row.labels;
        listed.row.labels =
            lines.iter().map(|(_, places)| any(places.iter().map(|&place| own[place]))).collect();
    }
    draft.labels = lines.iter().map(|(line, _)| line.nih.to_owned()).collect();
    draft
}

/// What several labels say of the finding that each of them is a kind of.
fn any(labels: impl Iterator<Item = Label>) -> Label {
    let rank = |label: &Label| match label {
        Label::Negative => 0,
        Label::Unknown => 1,
        Label::Uncertain => 2,
        Label::Positive => 3,
    };
    labels.max_by_key(rank).unwrap_or(Label::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_map_names_each_finding_once_and_says_why() {
        for release in Release::ALL {
            let mut seen = HashSet::new();
            let mut own = HashSet::new();
            for line in release.equivalents() {
                assert!(NIH_14.contains(&line.nih), "{release:?}: {}", line.nih);
                assert!(seen.insert(line.nih), "{release:?} maps {} twice", line.nih);
                assert!(!line.own.is_empty() && !line.source.is_empty(), "{release:?}: {}", line.nih);
                for name in line.own {
                    // Fluid and air at once are two findings.
                    assert!(
                        own.insert(*name) || *name == "hydropneumothorax",
                        "{release:?} uses {name} twice"
                    );
                }
            }
        }
    }

    #[test]
    fn a_finding_is_there_where_any_kind_of_it_is() {
        use Label::{Negative as N, Positive as P, Uncertain as U, Unknown as X};
        let check =
            |labels: &[Label], expected| assert_eq!(any(labels.iter().copied()), expected, "{labels:?}");
        check(&[N, N], N);
        check(&[N, P, U], P);
        check(&[N, U, X], U);
        check(&[N, X], X);
    }
}
