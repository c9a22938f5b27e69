//! The findings that a data set is labelled with: their names, their usual order, and how the spellings met
//! in the wild are brought to them.

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

/// The candidate that `name` was probably meant to be: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(name);
    let scored = candidates.into_iter().map(|c| (strsim::levenshtein(&wanted, &plain(c)), c));
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
    fn spellings_that_differ_in_case_and_blanks_are_one() {
        let names = nih_14();
        assert_eq!(position(&names, "pleural thickening"), Some(12));
        assert_eq!(position(&names, "Pleural"), None);
    }
}
