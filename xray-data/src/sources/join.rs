//! Several rows for one image, as several readers or boxes make them, become one by a rule that is asked for.

use crate::error::Result;
use crate::labels::{is_finding, is_no_finding};
use crate::schema::Label;
use crate::sources::{Listed, SourceProblem, Table, without_extension};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// How the labels of several rows become one. Only rows that say 0 or 1 vote; where none does, a finding is
/// uncertain if any row is, else unknown. Command lines name it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Join {
    /// Positive where any row says so
    Any,
    /// What more rows say; uncertain where as many say the one as the other
    Majority,
    /// Positive where every row that says anything says so
    All,
}

impl Join {
    /// What a finding is, `No Finding` being the opposite of one.
    fn vote(self, votes: impl Iterator<Item = Label>, opposite: bool) -> Label {
        let (mut yes, mut no, mut uncertain) = (0u64, 0u64, 0u64);
        for vote in votes {
            match vote {
                Label::Positive => yes += 1,
                Label::Negative => no += 1,
                Label::Uncertain => uncertain += 1,
                Label::Unknown => {}
            }
        }
        let unsure = if uncertain > 0 { Label::Uncertain } else { Label::Unknown };
        let (first, second) = ((yes, Label::Positive), (no, Label::Negative));
        let [(most, wins), (least, loses)] = match (self, opposite) {
            (Join::Any, false) | (Join::All, true) => [first, second],
            (Join::All, false) | (Join::Any, true) => [second, first],
            (Join::Majority, _) if yes == no => return if yes > 0 { Label::Uncertain } else { unsure },
            (Join::Majority, _) => return if yes > no { Label::Positive } else { Label::Negative },
        };
        match (most > 0, uncertain > 0, least > 0) {
            (true, ..) => wins,
            (false, true, _) => unsure,
            (false, false, true) => loses,
            (false, false, false) => unsure,
        }
    }

    /// What it does, for messages.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Join::Any => "positive where any row says so",
            Join::Majority => "what more rows say, uncertain where as many say the one as the other",
            Join::All => "positive where every row that says anything says so",
        }
    }
}

/// One row per image, in the order of the first; what rows say of the patient, view, sex, age and split has to agree.
pub(super) fn join(rows: Vec<Listed>, rule: Join, labels: &[String], table: &Table) -> Result<Vec<Listed>> {
    let mut groups: Vec<Vec<Listed>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for listed in rows {
        match places.entry(without_extension(&listed.row.image_id).to_owned()) {
            Entry::Occupied(place) => groups[*place.get()].push(listed),
            Entry::Vacant(place) => {
                place.insert(groups.len());
                groups.push(vec![listed]);
            }
        }
    }
    groups.into_iter().map(|group| one(&group, rule, labels, table)).collect()
}

fn one(group: &[Listed], rule: Join, names: &[String], table: &Table) -> Result<Listed> {
    let mut joined = group[0].clone();
    for other in &group[1..] {
        merge(&mut joined, other, table)?;
    }
    let votes = |place: usize| group.iter().map(move |listed| listed.row.labels[place]);
    let labels = names.iter().enumerate().map(|(place, name)| rule.vote(votes(place), is_no_finding(name)));
    joined.row.labels = labels.collect();
    joined.row.no_finding = group.iter().any(|listed| listed.row.no_finding.is_some()).then(|| {
        let votes = group.iter().map(|listed| listed.row.no_finding.unwrap_or(Label::Unknown));
        let found =
            names.iter().zip(&joined.row.labels).any(|(n, label)| is_finding(n) && *label == Label::Positive);
        if found { Label::Negative } else { rule.vote(votes, true) }
    });
    Ok(joined)
}

fn merge(joined: &mut Listed, other: &Listed, table: &Table) -> Result<()> {
    let (image_id, line) = (joined.row.image_id.clone(), other.line);
    let differ = |what, first: String, second: String| {
        let first_line = joined.line;
        Err(table.problem(
            line,
            SourceProblem::RowsDiffer { image_id: image_id.clone(), what, first_line, first, second },
        ))
    };
    let (row, more) = (&mut joined.row, &other.row);
    let texts = [
        ("patient", &mut row.patient_id, &more.patient_id),
        ("view", &mut row.view, &more.view),
        ("sex", &mut row.sex, &more.sex),
    ];
    for (what, first, second) in texts {
        match (&first, second) {
            (Some(first), Some(second)) if first != second => {
                return differ(what, first.clone(), second.clone());
            }
            _ => *first = first.take().or_else(|| second.clone()),
        }
    }
    match (row.age, more.age) {
        (Some(first), Some(second)) if first != second => {
            return differ("age", first.to_string(), second.to_string());
        }
        _ => row.age = row.age.or(more.age),
    }
    match (row.split, more.split) {
        (Some(first), Some(second)) if first != second => {
            return differ("split", first.to_string(), second.to_string());
        }
        _ => row.split = row.split.or(more.split),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_vote_by_the_rule() {
        use Label::{Negative as N, Positive as P, Uncertain as U, Unknown as X};
        let check = |votes: &[Label], any, majority, all| {
            let vote = |rule: Join| rule.vote(votes.iter().copied(), false);
            assert_eq!(
                [vote(Join::Any), vote(Join::Majority), vote(Join::All)],
                [any, majority, all],
                "{votes:?}"
            );
            // What any row says of a finding, all rows say of its absence.
            let opposite = |rule: Join| rule.vote(votes.iter().copied(), true);
            assert_eq!([opposite(Join::Any), opposite(Join::All)], [all, any], "{votes:?}");
        };
        check(&[P, N, N], P, N, N);
        check(&[P, P, N], P, P, N);
        check(&[P, P, P], P, P, P);
        check(&[P, N], P, U, N);
        check(&[P, X, X], P, P, P);
        check(&[N, X], N, N, N);
        check(&[U, N], U, N, N);
        check(&[U, P], P, P, U);
        check(&[U, X], U, U, U);
        check(&[X, X], X, X, X);
    }
}
