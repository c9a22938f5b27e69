//! What is wrong with a feature, said so that the configuration can be put right.

use crate::example::{Example, Feature};
use std::fmt;

/// Why a feature cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureProblem {
    /// No feature of that name.
    #[error("there is no feature `{name}`")]
    Missing {
        /// The configured name.
        name: String,
        /// Names that the record has, nearest first.
        nearest: Vec<String>,
    },
    /// A feature of another type.
    #[error("feature `{name}` holds {found}, expected {expected}")]
    Kind {
        /// The feature.
        name: String,
        /// What was expected.
        expected: &'static str,
        /// What it holds.
        found: &'static str,
    },
    /// A list where one value is wanted.
    #[error("feature `{name}` holds {values} values, expected one")]
    Several {
        /// The feature.
        name: String,
        /// How many it holds.
        values: usize,
    },
    /// A feature without a value that every record needs.
    #[error("feature `{name}` is empty")]
    Empty {
        /// The feature.
        name: String,
    },
    /// A feature that a record has twice, with different values.
    #[error("feature `{name}` appears twice in the record, with different values")]
    Twice {
        /// The feature.
        name: String,
    },
    /// A feature that a record has under two spellings, with different values.
    #[error("features `{name}` and `{other}` disagree on one label")]
    Contradiction {
        /// The feature that is read.
        name: String,
        /// The other.
        other: String,
    },
    /// `No Finding` beside a finding.
    #[error("`No Finding` is 1 and so is `{label}`")]
    Healthy {
        /// The finding.
        label: String,
    },
    /// Features that look like labels, where nobody said which are.
    #[error("{} that nobody named", look(others))]
    OtherLabels {
        /// Labels that are known, by their features.
        labels: Vec<String>,
        /// Features of zeros and ones beside them.
        others: Vec<String>,
    },
    /// No feature holds 0 or 1.
    #[error("no feature holds a label: {offered}")]
    NoLabels {
        /// What the records hold.
        offered: String,
    },
    /// More features than a record of an X-ray has.
    #[error("the records have more than {most} different features")]
    TooMany {
        /// The most that are looked at.
        most: usize,
    },
    /// A value that means nothing here.
    #[error("feature `{name}` has the value {value}, which is not configured")]
    Value {
        /// The feature.
        name: String,
        /// Its value.
        value: String,
    },
    /// A name or word that is not UTF-8.
    #[error("feature `{name}` is not text")]
    Text {
        /// The feature.
        name: String,
    },
}

impl FeatureProblem {
    pub(super) fn missing(name: &str, example: &Example<'_>) -> Self {
        FeatureProblem::Missing { name: name.to_owned(), nearest: nearest(name, example.names()) }
    }

    pub(super) fn kind(name: &str, expected: &'static str, found: Feature<'_>) -> Self {
        FeatureProblem::Kind { name: name.to_owned(), expected, found: found.kind() }
    }

    pub(super) fn value(name: &str, value: impl fmt::Display) -> Self {
        FeatureProblem::Value { name: name.to_owned(), value: value.to_string() }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            FeatureProblem::Missing { nearest, .. } if nearest.is_empty() => {
                Some("the record has no features at all".to_owned())
            }
            FeatureProblem::Missing { nearest, .. } => {
                Some(format!("the record has `{}`", nearest.join("`, `")))
            }
            FeatureProblem::Several { .. } => {
                Some("write one value for each record: 1 for a finding, 0 for none".to_owned())
            }
            FeatureProblem::Empty { .. } => {
                Some("every record needs an image: write the file again, or name its feature".to_owned())
            }
            FeatureProblem::Twice { .. }
            | FeatureProblem::Contradiction { .. }
            | FeatureProblem::Healthy { .. } => {
                Some("correct the records: no value is preferred over another".to_owned())
            }
            FeatureProblem::OtherLabels { labels, others } => {
                let all: Vec<&str> = labels.iter().chain(others).map(String::as_str).collect();
                Some(format!(
                    "say which to take: xray-data build --labels {}; those that are not named are left out",
                    argument(&all.join(","))
                ))
            }
            FeatureProblem::NoLabels { .. } => {
                Some("labels are features of one number, 1 or 0, one for each finding".to_owned())
            }
            FeatureProblem::TooMany { .. } => {
                Some("the file holds records of another kind, or is damaged: look at it".to_owned())
            }
            FeatureProblem::Value { .. } => {
                Some("say in the feature names' `codes` which value means what".to_owned())
            }
            FeatureProblem::Kind { .. } | FeatureProblem::Text { .. } => {
                Some("another feature was meant: check the feature names".to_owned())
            }
        }
    }
}

/// Names in a sentence; of many the first.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn look(others: &[String]) -> String {
    let names = listed(others);
    if others.len() == 1 {
        format!("{names} looks like a label")
    } else {
        format!("{names} look like labels")
    }
}

/// In quotes where a shell would take it apart.
fn argument(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./,".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Up to five of `present`, those with the fewest edits first.
pub(super) fn nearest<'a>(name: &str, present: impl Iterator<Item = &'a str>) -> Vec<String> {
    let name = name.to_lowercase();
    let mut ranked: Vec<_> =
        present.map(|other| (strsim::levenshtein(&name, &other.to_lowercase()), other.to_owned())).collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(5).map(|(_, other)| other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["Mass", "image/encoded", "Nodule", "image"].into_iter();
        assert_eq!(nearest("imag", names.clone())[0], "image");
        assert_eq!(nearest("mass", names)[0], "Mass");
    }
}
