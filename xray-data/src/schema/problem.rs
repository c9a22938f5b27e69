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
            FeatureProblem::Value { .. } => {
                Some("say in the feature names' `codes` which value means what".to_owned())
            }
            FeatureProblem::Kind { .. } | FeatureProblem::Text { .. } => {
                Some("another feature was meant: check the feature names".to_owned())
            }
        }
    }
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
