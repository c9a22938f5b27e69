//! The findings that a data set is labelled with: their names, their usual order, and how the spellings met
//! in the wild are brought to them.

use std::collections::HashSet;

/// The fourteen findings of ChestX-ray14 in the order of Wang et al. 2017, table 1, which papers and
/// published models share.
pub const NIH_14: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
];

/// What ChestX-ray14 writes where none of the fourteen was reported. It is the absence of findings, never a
/// finding of its own: a model has no output for it.
pub const NO_FINDING: &str = "No Finding";

/// The most labels a data set may have: PadChest has 174. Tables of findings that occur together grow with the square.
pub const MAX_LABELS: usize = 1000;

/// Names of the other features of a record: a label of that name would take its place.
const RESERVED: [&str; 7] =
    ["image", "image_id", "patient_id", "patient_sex", "patient_age", "view_position", "source"];

/// Why names cannot be the labels of a data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelNameProblem {
    /// More than [`MAX_LABELS`].
    #[error("{0} labels, at most {MAX_LABELS} are possible")]
    TooMany(usize),
    /// A label without a name.
    #[error("a label without a name")]
    Empty,
    /// Two labels of one name, apart from case, blanks and punctuation.
    #[error("the label `{0}` is named twice")]
    Twice(String),
    /// A name that a record uses for something else.
    #[error("`{0}` cannot be a label: shards have it for something else")]
    Reserved(String),
}

/// Whether these names can be the labels of a data set.
///
/// # Errors
/// The first that cannot.
pub fn check_names(names: &[String]) -> Result<(), LabelNameProblem> {
    if names.len() > MAX_LABELS {
        return Err(LabelNameProblem::TooMany(names.len()));
    }
    let mut seen = HashSet::new();
    for name in names {
        let key = Some(plain(name)).filter(|plain| !plain.is_empty()).unwrap_or_else(|| name.clone());
        if name.trim().is_empty() {
            return Err(LabelNameProblem::Empty);
        } else if RESERVED.contains(&name.as_str()) {
            return Err(LabelNameProblem::Reserved(name.clone()));
        } else if !seen.insert(key) {
            return Err(LabelNameProblem::Twice(name.clone()));
        }
    }
    Ok(())
}

/// `A,B` as `--labels` takes it, quoted for CSV where a name needs it, and for a shell.
pub fn labels_option<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |name: &str| match name.contains([',', '"', '\n', '\r']) || name != name.trim() {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    };
    let list = names.into_iter().map(quoted).collect::<Vec<_>>().join(",");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-,./".contains(c);
    match list.chars().all(is_plain) {
        true => format!("--labels {list}"),
        false => format!("--labels '{}'", list.replace('\'', "'\\''")),
    }
}

/// The names in a value of `--labels`: one line of CSV.
pub fn parse_labels(text: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let names = reader.records().flatten().flat_map(|record| {
        let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
        names
    });
    names.collect()
}

/// Whether a name says that there is no finding: `No Finding`, or `normal` as in PadChest.
pub(crate) fn is_no_finding(name: &str) -> bool {
    ["nofinding", "nofindings", "normal"].contains(&plain(name).as_str())
}

/// Whether a label is compatible with `No Finding`: a device is seen in healthy lungs too, and CheXpert's labeler
/// says so (Irvin et al. 2019).
pub(crate) fn is_finding(name: &str) -> bool {
    !is_no_finding(name) && plain(name) != "supportdevices"
}

/// [`NIH_14`] as owned strings.
pub fn nih_14() -> Vec<String> {
    NIH_14.map(str::to_owned).to_vec()
}

/// A name without case, blanks and punctuation, so that `Pleural_Thickening`, `pleural thickening` and
/// `PleuralThickening` are one.
pub fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The place of `name` in `names`, spelled exactly or differing in case, blanks and punctuation only.
pub fn position(names: &[String], name: &str) -> Option<usize> {
    let wanted = plain(name);
    names.iter().position(|n| n == name).or_else(|| names.iter().position(|n| plain(n) == wanted))
}

/// Bytes of the longest name that is compared.
const LONGEST: usize = 200;

/// The candidate that `name` was probably meant to be: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A longer text is not a misspelled name, and its distance takes the product of the lengths.
    if name.len() > LONGEST {
        return None;
    }
    let wanted = plain(name);
    let candidates = candidates.into_iter().filter(|candidate| candidate.len() <= LONGEST);
    let scored = candidates.map(|c| (strsim::levenshtein(&wanted, &plain(c)), c));
    let (distance, best) = scored.min_by_key(|&(distance, _)| distance)?;
    (distance <= plain(best).chars().count().max(3) / 3).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_finding_has_a_nearest_name() {
        let check = |name, expected| assert_eq!(nearest(name, NIH_14), expected, "{name}");
        check("Efusion", Some("Effusion"));
        check("pleural thickening", Some("Pleural_Thickening"));
        check("Infiltrate", Some("Infiltration")); // as the box list spells it
        check("Fracture", None);
    }

    #[test]
    fn an_option_that_is_offered_is_read_back() {
        let check = |names: &[&str], expected: &str| {
            let option = labels_option(names.iter().copied());
            assert_eq!(option, expected);
            let value = option.strip_prefix("--labels ").expect("the option");
            // What a shell makes of it.
            let value = value.trim_matches('\'').replace("'\\''", "'");
            assert_eq!(parse_labels(&value), names);
        };
        check(&["Mass", "Pleural_Thickening"], "--labels Mass,Pleural_Thickening");
        check(&["Lung Opacity", "Nodule/Mass"], "--labels 'Lung Opacity,Nodule/Mass'");
        check(
            &["Mass", "Nodule, calcified", "a \"b\""],
            "--labels 'Mass,\"Nodule, calcified\",\"a \"\"b\"\"\"'",
        );
        check(&["Kerley's lines", "$x"], "--labels 'Kerley'\\''s lines,$x'");
    }

    #[test]
    fn names_that_cannot_be_labels_are_refused() {
        let check = |names: &[&str], expected: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let said = check_names(&names).map_or_else(|problem| problem.to_string(), |()| String::new());
            assert_eq!(said, expected);
        };
        check(&["Mass", "Lung Opacity", "No Finding"], "");
        check(&["Mass", ""], "a label without a name");
        check(&["Mass", "mass "], "the label `mass ` is named twice");
        check(&["image_id"], "`image_id` cannot be a label: shards have it for something else");
        check(&["a"; 1001], "1001 labels, at most 1000 are possible");
    }

    #[test]
    fn spellings_that_differ_in_case_and_blanks_are_one() {
        let names = nih_14();
        assert_eq!(position(&names, "pleural thickening"), Some(12));
        assert_eq!(position(&names, "Pleural"), None);
    }
}
