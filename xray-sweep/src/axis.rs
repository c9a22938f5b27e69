//! A further axis of a sweep: a list of values, or a distribution that `--sample` draws from.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt;
use toml::{Table, Value};
use xray_random::Random;

/// What the points of a sweep take for one configuration key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Axis {
    /// Each of these, in a grid.
    Values(Vec<Value>),
    /// Any of these.
    Drawn(Distribution),
}

/// Numbers between two bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Even on a logarithmic scale.
    Log(f64, f64),
    /// Even.
    Uniform(f64, f64),
    /// Whole numbers, each as often.
    Int(i64, i64),
}

impl Axis {
    /// How many values it has, where they can be counted.
    pub fn count(&self) -> Option<u64> {
        match self {
            Axis::Values(values) => Some(values.len() as u64),
            Axis::Drawn(Distribution::Int(low, high)) => Some(low.abs_diff(*high).saturating_add(1)),
            Axis::Drawn(_) => None,
        }
    }

    /// One of its values, of which there is at least one.
    pub fn draw(&self, random: &mut Random) -> Json {
        match self {
            Axis::Values(values) => json(&values[random.below(values.len())]),
            Axis::Drawn(distribution) => distribution.draw(random),
        }
    }
}

impl Distribution {
    /// Draws a value; one that is not whole has four significant digits, so that tables can be read.
    fn draw(self, random: &mut Random) -> Json {
        match self {
            Distribution::Log(low, high) => rounded(random.between(low.ln(), high.ln()).exp(), low, high),
            Distribution::Uniform(low, high) => rounded(random.between(low, high), low, high),
            Distribution::Int(low, high) => {
                let most = usize::try_from(low.abs_diff(high)).unwrap_or(usize::MAX - 1);
                low.saturating_add_unsigned(random.below(most + 1) as u64).into()
            }
        }
    }

    /// None for what has not the form of a distribution.
    fn parse(text: &str) -> Option<Result<Distribution, String>> {
        let (name, rest) = text.split_once('(')?;
        let bounds = rest.strip_suffix(')')?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let refuse = |why: &str| format!("`{text}` {why}");
        let Some((low, high)) = bounds.split_once(',').map(|(low, high)| (low.trim(), high.trim())) else {
            return Some(Err(refuse("must have two bounds, as in log(1e-4,1e-2)")));
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let (a, b) = (number(low), number(high));
        let distribution = match (name, a.zip(b)) {
            ("log", Some((a, b))) if a > 0.0 => Distribution::Log(a, b),
            ("log", Some(_)) => return Some(Err(refuse("must begin above 0"))),
            ("uniform", Some((a, b))) => Distribution::Uniform(a, b),
            ("int", _) => match low.parse().ok().zip(high.parse().ok()) {
                Some((a, b)) => Distribution::Int(a, b),
                None => return Some(Err(refuse("has bounds that are not whole numbers"))),
            },
            ("log" | "uniform", None) => return Some(Err(refuse("has bounds that are not numbers"))),
            _ => {
                return Some(Err(refuse(
                    "is not a distribution: log(a,b), uniform(a,b) or int(a,b); write a text with brackets in a TOML \
                     array, [\"…\"]",
                )));
            }
        };
        Some(if a < b { Ok(distribution) } else { Err(refuse("must end above its beginning")) })
    }
}

fn rounded(value: f64, low: f64, high: f64) -> Json {
    let digits: f64 = format!("{value:.3e}").parse().expect("a number");
    digits.clamp(low, high).into()
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distribution::Log(low, high) => write!(f, "log({low},{high})"),
            Distribution::Uniform(low, high) => write!(f, "uniform({low},{high})"),
            Distribution::Int(low, high) => write!(f, "int({low},{high})"),
        }
    }
}

/// The form in `sweep.toml`: a list, or a text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    List(Vec<Value>),
    Text(String),
}

impl TryFrom<Written> for Axis {
    type Error = String;

    fn try_from(written: Written) -> Result<Axis, String> {
        match written {
            Written::List(values) => Ok(Axis::Values(values)),
            Written::Text(text) => of_text(&text),
        }
    }
}

impl From<Axis> for Written {
    fn from(axis: Axis) -> Written {
        match axis {
            Axis::Values(values) => Written::List(values),
            Axis::Drawn(distribution) => Written::Text(distribution.to_string()),
        }
    }
}

/// `key=a,b,c`, each a TOML value or a bare word; or a TOML array; or a distribution.
///
/// # Errors
/// A sentence on what is none of these.
pub fn parse_axis(text: &str) -> Result<(String, Axis), String> {
    let (key, list) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form key=a,b,c"))?;
    Ok((key.trim().to_owned(), of_text(list.trim())?))
}

fn of_text(text: &str) -> Result<Axis, String> {
    Ok(match parse_value(text) {
        Value::Array(values) => Axis::Values(values),
        Value::String(_) => match Distribution::parse(text) {
            Some(distribution) => Axis::Drawn(distribution?),
            None => Axis::Values(text.split(',').map(|value| parse_value(value.trim())).collect()),
        },
        value => Axis::Values(vec![value]),
    })
}

/// A TOML value or a bare word.
pub(crate) fn parse_value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The value in the form of configurations.
pub(crate) fn json(value: &Value) -> Json {
    serde_json::to_value(value).expect("a TOML value is a JSON value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(text: &str) -> Axis {
        parse_axis(&format!("key={text}")).expect(text).1
    }

    #[test]
    fn a_distribution_is_written_as_a_person_writes_it() {
        for text in ["log(0.0001,0.01)", "uniform(-1,0.5)", "int(2,9)"] {
            let Axis::Drawn(found) = axis(text) else { panic!("{text}") };
            assert_eq!(found.to_string(), text);
        }
        assert_eq!(axis("log(1e-4, 1e-2)"), axis("log(0.0001,0.01)"));
        assert_eq!(axis("a,b"), Axis::Values(vec!["a".into(), "b".into()]));
        assert_eq!(axis("[\"log(1,2)\"]"), Axis::Values(vec!["log(1,2)".into()]));
    }

    #[test]
    fn what_is_no_distribution_says_why() {
        let check = |text: &str, why: &str| {
            let message = parse_axis(&format!("key={text}")).expect_err(text);
            assert!(message.starts_with(&format!("`{text}` {why}")), "{message}");
        };
        check("log(0,1)", "must begin above 0");
        check("uniform(2,1)", "must end above its beginning");
        check("int(1,2.5)", "has bounds that are not whole numbers");
        check("uniform(a,b)", "has bounds that are not numbers");
        check("log(1)", "must have two bounds");
        check("normal(0,1)", "is not a distribution");
    }

    #[test]
    fn draws_lie_within_their_bounds_and_have_four_digits() {
        let draws = |text: &str| {
            let mut random = Random::named(7, text);
            let axis = axis(text);
            (0..2000).map(|_| axis.draw(&mut random)).collect::<Vec<_>>()
        };
        let numbers = |text: &str| draws(text).iter().filter_map(Json::as_f64).collect::<Vec<_>>();
        let log = numbers("log(0.0001,0.01)");
        assert!(log.iter().all(|value| (1e-4..=1e-2).contains(value)));
        // Half of them lie below the middle of the logarithms.
        let below = log.iter().filter(|value| **value < 1e-3).count();
        assert!((900..1100).contains(&below), "{below}");
        assert!(
            log.iter().all(|value| format!("{value:e}").split('e').next().expect("digits").len() <= 5),
            "{log:?}"
        );
        let even = numbers("uniform(0.123456,0.5)");
        assert!(even.iter().all(|value| (0.123456..=0.5).contains(value)));
        let whole: std::collections::BTreeSet<i64> =
            draws("int(-1,2)").iter().filter_map(Json::as_i64).collect();
        assert_eq!(whole.into_iter().collect::<Vec<_>>(), [-1, 0, 1, 2]);
    }
}
