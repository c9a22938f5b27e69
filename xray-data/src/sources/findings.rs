//! Label cells: a `|`-joined list of findings, or one cell per finding.

use crate::error::Result;
use crate::labels::{NIH_14, NO_FINDING, nearest, plain, position};
use crate::schema::Label;
use crate::sources::SourceProblem;
use crate::sources::table::Row;

/// Labels from a cell such as `Effusion|Mass` or `No Finding`. What is not listed is negative. A name that is
/// in neither `labels` nor [`NIH_14`] is an error: a misspelled finding would silently become a negative.
pub(crate) fn joined(row: Row<'_>, column: usize, labels: &[String], image_id: &str) -> Result<Vec<Label>> {
    let mut values = vec![Label::Negative; labels.len()];
    let names: Vec<&str> = row.filled(column)?.split('|').map(str::trim).filter(|n| !n.is_empty()).collect();
    let healthy = |name: &str| plain(name) == plain(NO_FINDING);
    for &name in &names {
        if let Some(label) = position(labels, name) {
            values[label] = Label::Positive;
        } else if !healthy(name) && !NIH_14.iter().any(|known| plain(known) == plain(name)) {
            let known = labels.iter().map(String::as_str).chain([NO_FINDING]);
            return Err(row.problem(SourceProblem::UnknownFinding {
                finding: name.to_owned(),
                image_id: image_id.to_owned(),
                nearest: nearest(name, known).map(str::to_owned),
            }));
        }
    }
    match names.iter().find(|name| !healthy(name)) {
        Some(finding) if names.iter().any(|name| healthy(name)) => {
            let (image_id, finding) = (image_id.to_owned(), (*finding).to_owned());
            Err(row.problem(SourceProblem::Contradiction { image_id, finding }))
        }
        _ => Ok(values),
    }
}

/// One label cell: `1`, `0`, `-1` for uncertain, also as floats, `true` and `false`; empty is not said, as in CheXpert.
pub(crate) fn cell(row: Row<'_>, column: usize) -> Result<Label> {
    let value = row.field(column);
    match value.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Ok(Label::Positive),
        "0" | "0.0" | "false" => Ok(Label::Negative),
        "-1" | "-1.0" => Ok(Label::Uncertain),
        "" => Ok(Label::Unknown),
        _ => {
            let (column, value) = (row.header(column).to_owned(), value.to_owned());
            Err(row.problem(SourceProblem::Label { column, value }))
        }
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
    fn sex_is_m_or_f_or_not_said() {
        let check = |text, expected: Option<&str>| assert_eq!(sex(text).as_deref(), expected, "{text}");
        check("Male", Some("M"));
        check("F", Some("F"));
        check("O", None);
    }
}
