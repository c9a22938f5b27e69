//! The known name that somebody probably meant, for hints.

/// The one of `known` that is most like `name`; none of nothing.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().max_by(|a, b| likeness(name, a).total_cmp(&likeness(name, b)))
}

/// How alike two names are, whatever their case: from 0 to 1.25, more for names that begin alike (Jaro and
/// Winkler). Of dotted names the last parts decide: `learning_rate` is nearest to `schedule.learning_rate`.
pub fn likeness(a: &str, b: &str) -> f64 {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let last = |path: &str| path.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    strsim::jaro_winkler(&last(&a), &last(&b)) + 0.25 * strsim::jaro_winkler(&a, &b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_has_a_nearest_one() {
        let check = |name, known: &[&'static str], expected| {
            assert_eq!(nearest(name, known.iter().copied()), expected, "{name}");
        };
        check("mas", &["Effusion", "Mass", "Hernia"], Some("Mass"));
        let keys = ["data.dir", "data.fraction", "schedule.learning_rate", "seed"];
        check("data.fracton", &keys, Some("data.fraction"));
        check("learning_rate", &keys, Some("schedule.learning_rate"));
        check("anything", &[], None);
    }
}
