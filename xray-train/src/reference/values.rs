//! What a setting's value may be, and what is said of one that may not.

use crate::synonyms;
use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use toml::Value;
use xray_artifacts::{Exit, Failure, Length, likeness, nearest};
use xray_model::Architecture;

/// The values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// `true` or `false`.
    Switch,
    /// A whole number between two bounds, both included.
    Whole(i64, i64),
    /// One of these whole numbers.
    OneOf(&'static [i64]),
    /// A finite number between two bounds.
    Number(Bound<f64>, Bound<f64>),
    /// One of these words.
    Names(&'static [&'static str]),
    /// A network, in any spelling that [`Architecture::from_name`] knows.
    Network,
    /// A length of training, such as `5 epochs`.
    Length,
    /// A length of training, `always`, or nothing.
    LengthOrAlways,
    /// A time such as `90s` or `1h 30m`.
    Time,
    /// A time, or nothing.
    TimeOrNone,
    /// The path of a file, or `none`.
    File,
    /// The path of a folder.
    Folder,
    /// Any text.
    Text,
}

impl Values {
    /// What kind of value it is, for a table.
    pub fn kind(self) -> &'static str {
        match self {
            Values::Switch => "true or false",
            Values::Whole(..) | Values::OneOf(_) => "whole number",
            Values::Number(..) => "number",
            Values::Names(_) | Values::Network => "name",
            Values::Length | Values::LengthOrAlways => "length",
            Values::Time | Values::TimeOrNone => "time",
            Values::File => "file",
            Values::Folder => "folder",
            Values::Text => "text",
        }
    }

    /// Which of that kind are allowed; empty where all are.
    pub fn range(self) -> String {
        match self {
            Values::Switch | Values::File | Values::Folder | Values::Text => String::new(),
            Values::Whole(least, i64::MAX) => format!("at least {least}"),
            Values::Whole(least, most) => format!("{least} to {most}"),
            Values::OneOf(numbers) => {
                numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
            }
            Values::Number(from, to) => bounds(from, to),
            Values::Names(names) => names.join(", "),
            Values::Network => Architecture::ALL.map(Architecture::name).join(", "),
            Values::Length => "`5 epochs`, `2000 steps`, `50000 examples`".to_owned(),
            Values::LengthOrAlways => "`1 epochs`, `500 steps`, `always`, or nothing".to_owned(),
            Values::Time => "`90s`, `10m`, `1h 30m`".to_owned(),
            Values::TimeOrNone => "`90s`, `10m`, `1h 30m`, or nothing".to_owned(),
        }
    }

    /// Refuses a value that the setting `key` does not take.
    ///
    /// # Errors
    /// Says what the value is, what it must be, and what was probably meant.
    pub(crate) fn check(self, key: &str, value: &Value) -> Result<(), Failure> {
        let in_range = |holds: bool, number: &dyn Display| {
            if holds { Ok(()) } else { Err(refused(key, number, &self.range())) }
        };
        match (self, value) {
            (Values::Switch, Value::Boolean(_)) => Ok(()),
            (Values::Whole(least, most), Value::Integer(number)) => {
                in_range((least..=most).contains(number), number)
            }
            (Values::OneOf(numbers), Value::Integer(number)) => in_range(numbers.contains(number), number),
            (Values::Number(from, to), Value::Float(number)) => {
                in_range(number.is_finite() && (from, to).contains(number), number)
            }
            (Values::Names(names), Value::String(text)) => is_name(key, text, names),
            (Values::Network, Value::String(text)) if Architecture::from_name(text).is_some() => Ok(()),
            (Values::Network, Value::String(text)) => {
                is_name(key, text, &Architecture::ALL.map(Architecture::name))
            }
            (Values::Length, Value::String(text)) => is_length(key, text),
            // A bare number is a length without its unit.
            (Values::Length | Values::LengthOrAlways, Value::Integer(number)) => {
                is_length(key, &number.to_string())
            }
            (Values::Length | Values::LengthOrAlways, Value::Float(number)) => {
                is_length(key, &number.to_string())
            }
            (
                Values::LengthOrAlways
                | Values::Time
                | Values::TimeOrNone
                | Values::File
                | Values::Folder
                | Values::Text,
                Value::String(_),
            ) => Ok(()),
            _ => {
                let range = self.range();
                let range = if range.is_empty() { range } else { format!(" ({range})") };
                Err(refused(key, &written(value), &format!("{}{range}", self.article())))
            }
        }
    }

    /// The kind in a sentence.
    fn article(self) -> String {
        match self {
            Values::Switch => self.kind().to_owned(),
            Values::Text => "text in quotes".to_owned(),
            Values::File | Values::Folder => format!("the path of a {}", self.kind()),
            _ => format!("a {}", self.kind()),
        }
    }
}

fn bounds(from: Bound<f64>, to: Bound<f64>) -> String {
    use Bound::{Excluded, Included, Unbounded};
    match (from, to) {
        (Included(a), Included(b)) => format!("{a} to {b}"),
        (Excluded(a), Included(b)) => format!("above {a} and at most {b}"),
        (Included(a), Excluded(b)) => format!("at least {a} and below {b}"),
        (Excluded(a), Excluded(b)) => format!("above {a} and below {b}"),
        (Included(a), Unbounded) => format!("at least {a}"),
        (Excluded(a), Unbounded) => format!("above {a}"),
        (Unbounded, Included(b)) => format!("at most {b}"),
        (Unbounded, Excluded(b)) => format!("below {b}"),
        (Unbounded, Unbounded) => String::new(),
    }
}

/// A value as somebody wrote it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        value => value.to_string(),
    }
}

fn is_length(key: &str, text: &str) -> Result<(), Failure> {
    match text.parse::<Length>() {
        Ok(_) => Ok(()),
        Err(problem) => Err(problem.failure(key)),
    }
}

fn is_name(key: &str, text: &str, names: &[&str]) -> Result<(), Failure> {
    if names.contains(&text) {
        return Ok(());
    }
    let listed: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("{key} is `{text}`, expected one of {}", listed.join(", "));
    let failure = Failure::new(Exit::Usage, message);
    let meant = synonyms::of_value(key, text).or_else(|| {
        let near = nearest(text, names.iter().copied()).filter(|name| likeness(text, name) > LIKE);
        near.map(|name| format!("did you mean `{name}`?"))
    });
    Err(match meant {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// Names less alike than this are not a misspelling of each other.
const LIKE: f64 = 0.95;

fn refused(key: &str, value: &dyn Display, expected: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{key} is {value}, it must be {expected}"))
}
