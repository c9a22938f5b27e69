//! Attributes of the jobs that a person adds. To HTCondor `ProjectName`, `+projectname` and `My.PROJECTNAME` are one
//! attribute, of which a submit file has one line.

use super::quote;
use crate::spec::Condor;
use serde::Serialize;
use std::collections::BTreeMap;
use xray_artifacts::{Exit, Failure};

/// Those that the submit file sets itself.
const OWN: [&str; 5] = ["PeriodicRemoveReason", "XrayCell", "XrayFraction", "XraySeed", "XrayTrial"];

/// A line of the submit file.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Attribute<'a> {
    name: &'a str,
    value: &'a str,
}

/// Lays what the command line says over what a sweep has: an attribute of the same name gives way, however it is spelt.
///
/// # Errors
/// A name that is none, or that the command line gives twice.
pub(crate) fn lay(given: &[(String, String)], over: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    for (at, (name, value)) in given.iter().enumerate() {
        let bare = quote::attribute(name)?;
        if let Some((first, _)) = given[..at].iter().find(|(other, _)| is_same(other, bare)) {
            return Err(twice(first, name));
        }
        over.retain(|other, _| !is_same(other, bare));
        over.insert(bare.to_owned(), value.clone());
    }
    Ok(())
}

/// The lines of the submit file.
///
/// # Errors
/// A name that is none, that stands there twice, or that the submit file sets itself; a value that is not an expression.
pub(super) fn lines(condor: &Condor) -> Result<Vec<Attribute<'_>>, Failure> {
    let mut lines: Vec<Attribute<'_>> = Vec::new();
    for (spelt, value) in &condor.attributes {
        let name = quote::attribute(spelt)?;
        if OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(Failure::new(Exit::Usage, format!("--attribute {spelt} is set by the submit file"))
                .hint("choose another name"));
        }
        if let Some(first) = lines.iter().find(|line| line.name.eq_ignore_ascii_case(name)) {
            return Err(twice(first.name, spelt));
        }
        lines.push(Attribute { name, value: quote::expression(&format!("--attribute {spelt}"), value)? });
    }
    Ok(lines)
}

fn is_same(spelt: &str, bare: &str) -> bool {
    quote::attribute(spelt).is_ok_and(|name| name.eq_ignore_ascii_case(bare))
}

fn twice(first: &str, second: &str) -> Failure {
    Failure::new(Exit::Usage, format!("--attribute {first} and {second} are the same attribute"))
        .hint("HTCondor ignores case, `+` and `My.`: leave one of them out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair((name, value): (&str, &str)) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn laid(sweep: &[(&str, &str)], given: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let mut attributes = sweep.iter().copied().map(pair).collect();
        let given: Vec<_> = given.iter().copied().map(pair).collect();
        lay(&given, &mut attributes).map_err(|failure| failure.message)?;
        Ok(attributes.into_iter().collect())
    }

    #[test]
    fn an_attribute_gives_way_to_the_same_one_however_it_is_spelt() {
        for (was, now) in [("A", "A"), ("A", "+A"), ("+a", "A"), ("My.A", "MY.a"), ("A", "a")] {
            let bare = quote::attribute(now).expect("a name");
            assert_eq!(laid(&[(was, "1"), ("B", "2")], &[(now, "3")]), {
                let mut expected = vec![pair((bare, "3")), pair(("B", "2"))];
                expected.sort();
                Ok(expected)
            });
        }
        for both in [[("A", "1"), ("+A", "2")], [("A", "1"), ("A", "2")], [("my.a", "1"), ("A", "1")]] {
            let refused = laid(&[], &both).expect_err("twice");
            assert!(refused.ends_with("are the same attribute"), "{refused}");
        }
        assert!(laid(&[], &[("a b", "1")]).expect_err("no name").contains("is not the name"));
    }

    #[test]
    fn no_attribute_has_two_lines() {
        let refused = |names: &[&str]| {
            let attributes = names.iter().map(|name| pair((name, "1"))).collect();
            let condor = Condor { attributes, ..Condor::default() };
            lines(&condor).map(|lines| lines.len()).map_err(|failure| failure.message)
        };
        assert_eq!(refused(&["ProjectName", "+Other"]), Ok(2));
        assert_eq!(refused(&["+A", "a"]), Err("--attribute A and a are the same attribute".to_owned()));
        for name in ["XrayCell", "+xraytrial", "My.PeriodicRemoveReason"] {
            assert_eq!(refused(&[name]), Err(format!("--attribute {name} is set by the submit file")));
        }
    }

    /// The list above is what the template has.
    #[test]
    fn the_submit_files_own_attributes_are_all_known() {
        let template = include_str!("../../../submit-templates/job.sub.jinja");
        let lines = template.lines().filter_map(|line| line.strip_prefix("My.")?.split_once('='));
        let mut own: Vec<&str> =
            lines.map(|(name, _)| name.trim()).filter(|name| !name.contains("{{")).collect();
        own.sort_unstable();
        assert_eq!(own, OWN);
    }
}
