//! Label cells: a list of findings, or one cell per finding.

use crate::error::Result;
use crate::labels::{NIH_14, is_no_finding, nearest, plain};
use crate::schema::Label;
use crate::sources::table::{Row, is_blank};
use crate::sources::{SourceProblem, separator};
use std::collections::{BTreeMap, HashMap};

/// How the lists of findings of one column are read.
pub(crate) struct Lists<'a> {
    column: usize,
    separator: char,
    /// Places of the labels, by their plain names.
    places: HashMap<String, usize>,
    labels: &'a [String],
    /// Whether findings that are not among the labels are left out, as the labels were chosen by a person.
    chosen: bool,
    /// What is offered where a finding is unknown.
    offer: Option<String>,
}

/// What one cell says.
pub(crate) struct Said {
    pub(crate) labels: Vec<Label>,
    /// Whether it says that there is no finding; unknown in a blank cell.
    pub(crate) no_finding: Label,
}

impl<'a> Lists<'a> {
    pub(crate) fn new(column: usize, separator: char, labels: &'a [String]) -> Self {
        let places = labels.iter().enumerate().rev().map(|(place, label)| (plain(label), place)).collect();
        Lists { column, separator, places, labels, chosen: false, offer: None }
    }

    /// Findings that are not labels are counted and left out, unless they look like a misspelled label.
    pub(crate) fn chosen(self, chosen: bool) -> Self {
        Lists { chosen, ..self }
    }

    /// The option that names all findings of the column.
    pub(crate) fn offer(self, offer: Option<String>) -> Self {
        Lists { offer, ..self }
    }

    /// Labels from a cell such as `Effusion|Mass` or `No Finding`. What is not listed is negative. A name that is
    /// neither a label nor in [`NIH_14`] is an error: a misspelled finding would silently become a negative.
    pub(crate) fn read(
        &self,
        row: Row<'_>,
        image_id: &str,
        left_out: &mut BTreeMap<String, u64>,
    ) -> Result<Said> {
        let cell = row.field(self.column);
        let whole = self.places.contains_key(&plain(cell));
        let names = if whole { vec![cell] } else { separator::findings(cell, self.separator) };
        if names.is_empty() || is_blank(cell) {
            return Ok(Said { labels: vec![Label::Unknown; self.labels.len()], no_finding: Label::Unknown });
        }
        let mut labels = vec![Label::Negative; self.labels.len()];
        let (mut healthy, mut found) = (false, None);
        for name in names {
            if let Some(&place) = self.places.get(&plain(name)) {
                labels[place] = Label::Positive;
                // `No Finding` as a label of its own is not a finding either.
                if is_no_finding(name) { healthy = true } else { found = Some(name) }
            } else if is_no_finding(name) {
                healthy = true;
            } else {
                self.refuse_unknown(row, name, image_id)?;
                *left_out.entry(name.to_owned()).or_default() += 1;
                found = Some(name);
            }
        }
        match found {
            Some(finding) if healthy => {
                let (image_id, finding) = (image_id.to_owned(), finding.to_owned());
                Err(row.problem(SourceProblem::Contradiction { image_id, finding }))
            }
            _ => Ok(Said { labels, no_finding: if healthy { Label::Positive } else { Label::Negative } }),
        }
    }

    fn refuse_unknown(&self, row: Row<'_>, name: &str, image_id: &str) -> Result<()> {
        if NIH_14.iter().any(|known| plain(known) == plain(name)) {
            return Ok(());
        }
        let known = self.labels.iter().map(String::as_str).chain(["No Finding"]);
        let nearest = nearest(name, known).map(str::to_owned);
        if self.chosen && nearest.is_none() {
            return Ok(());
        }
        let is_known = |part: &str| {
            let part = plain(part);
            self.places.contains_key(&part) || NIH_14.iter().any(|known| plain(known) == part)
        };
        let joins = |by: &&&str| name.contains(**by) && name.split(**by).all(is_known);
        Err(row.problem(SourceProblem::UnknownFinding {
            joined_by: JOINTS.iter().find(joins).copied(),
            finding: name.to_owned(),
            image_id: image_id.to_owned(),
            nearest,
            column: row.header(self.column).to_owned(),
            separator: self.separator,
            offer: self.offer.clone(),
        }))
    }
}

/// What may join findings, and may be part of a name: Nodule/Mass is a label of VinDr-CXR.
const JOINTS: [&str; 6] = ["/", "+", "&", "\\", ":", " and "];

/// One label cell, as [`value`] reads it.
pub(crate) fn cell(row: Row<'_>, column: usize) -> Result<Label> {
    let text = row.field(column);
    value(text).ok_or_else(|| {
        let (column, value) = (row.header(column).to_owned(), text.to_owned());
        row.problem(SourceProblem::Label { column, value })
    })
}

/// What a label cell says: numbers equal to 1, 0 or -1 (uncertain, as in CheXpert), yes and no in several words, a hedge
/// (as Google's readers had it), and a blank, which says nothing. Of anything else, none.
pub(crate) fn value(text: &str) -> Option<Label> {
    if is_blank(text) {
        return Some(Label::Unknown);
    }
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "positive" | "pos" | "present" => return Some(Label::Positive),
        "0" | "false" | "f" | "no" | "n" | "negative" | "neg" | "absent" => return Some(Label::Negative),
        "uncertain" | "hedge" => return Some(Label::Uncertain),
        _ => {}
    }
    // Numbers only: `inf` is one to the parser. In tables separated by `;` decimals have commas.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,eE".contains(&byte));
    let number: f64 = text.replacen(',', ".", 1).parse().ok().filter(|_| is_number)?;
    match number {
        1.0 => Some(Label::Positive),
        0.0 => Some(Label::Negative),
        -1.0 => Some(Label::Uncertain),
        _ => None,
    }
}

/// `M` or `F` from `M`, `Male`, `female` ...; anything else says nothing.
pub(crate) fn sex(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "m" | "male" => Some("M".to_owned()),
        "f" | "female" => Some("F".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_read_in_every_spelling() {
        use Label::{Negative, Positive, Uncertain, Unknown};
        let check = |texts: &[&str], expected| {
            for text in texts {
                assert_eq!(value(text), expected, "{text}");
            }
        };
        check(
            &["1", "1.0", "1.000000", "+1", "1e0", "1,0", "True", "YES", "y", "positive", "T", "Present"],
            Some(Positive),
        );
        check(
            &["0", "0.0", "-0.0", "0.000000", "0,0", "false", "No", "N", "Negative", "f", "absent"],
            Some(Negative),
        );
        check(&["-1", "-1.0", "-1.000000", "HEDGE", "uncertain"], Some(Uncertain));
        check(&["", "NaN", "nan", "NA", "N/A", "None", "null", "<NA>", "#N/A"], Some(Unknown));
        check(&["2", "0.7", "-2", "1.0.0", "inf", "yes!", "1 0", "0x1", "-", ".", "ja", "\u{661}"], None);
    }

    #[test]
    fn sex_is_m_or_f_or_not_said() {
        let check = |text, expected: Option<&str>| assert_eq!(sex(text).as_deref(), expected, "{text}");
        check("Male", Some("M"));
        check("F", Some("F"));
        check("O", None);
    }
}
