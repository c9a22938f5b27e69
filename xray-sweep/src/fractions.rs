//! Data fractions as a person writes them: `0.1..1.0:0.1`, `0.01,0.02,0.05`, or both.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::str::FromStr;

/// Distinct shares of the training records, ascending, each above 0 and at most 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Vec<f64>")]
pub struct Fractions(Vec<f64>);

impl Fractions {
    /// Ascending.
    pub fn values(&self) -> &[f64] {
        &self.0
    }
}

/// Why a list of fractions cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FractionError {
    /// Not a number, or more digits than anyone means.
    #[error("`{0}` is not a decimal number with at most 9 places")]
    Number(String),
    /// No share of anything.
    #[error("fraction {0} is not above 0 and at most 1")]
    OutOfRange(String),
    /// A range that goes nowhere.
    #[error("the range `{0}` is empty: it is written FIRST..LAST:STEP, with FIRST <= LAST and STEP > 0")]
    EmptyRange(String),
    /// Nothing at all.
    #[error("there are no fractions")]
    None,
    /// One fraction given in two parts.
    #[error("fraction {0} is given twice: parts of `{1}` overlap")]
    Overlap(String, String),
}

/// Billionths, so that `0.1 + 0.2` is `0.3`.
const UNIT: u64 = 1_000_000_000;

impl FromStr for Fractions {
    type Err = FractionError;

    fn from_str(text: &str) -> Result<Self, FractionError> {
        let mut all = BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            for value in expand(part)? {
                if !(1..=UNIT).contains(&value) {
                    return Err(FractionError::OutOfRange(decimal(value)));
                }
                if !all.insert(value) {
                    return Err(FractionError::Overlap(decimal(value), text.to_owned()));
                }
            }
        }
        if all.is_empty() {
            return Err(FractionError::None);
        }
        let exact = |value: u64| decimal(value).parse().expect("a decimal number");
        Ok(Fractions(all.into_iter().map(exact).collect()))
    }
}

fn expand(part: &str) -> Result<Vec<u64>, FractionError> {
    let Some((first, rest)) = part.split_once("..") else { return Ok(vec![parse(part)?]) };
    let empty = || FractionError::EmptyRange(part.to_owned());
    let (last, step) = rest.split_once(':').ok_or_else(empty)?;
    let (first, last, step) = (parse(first)?, parse(last)?, parse(step)?);
    if first > last || step == 0 {
        return Err(empty());
    }
    Ok((first..=last).step_by(step as usize).collect())
}

fn parse(text: &str) -> Result<u64, FractionError> {
    let text = text.trim();
    let error = || FractionError::Number(text.to_owned());
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && places.is_empty()) || places.len() > 9 || !digits(whole) || !digits(places) {
        return Err(error());
    }
    let number = format!("{whole}{places:0<9}").parse::<u64>().map_err(|_| error())?;
    if number > 1000 * UNIT { Err(error()) } else { Ok(number) }
}

fn decimal(value: u64) -> String {
    let text = format!("{}.{:09}", value / UNIT, value % UNIT);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The form in `sweep.toml`: a text, or a list of numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    List(Vec<f64>),
}

impl TryFrom<Written> for Fractions {
    type Error = FractionError;

    fn try_from(written: Written) -> Result<Self, FractionError> {
        match written {
            Written::Text(text) => text.parse(),
            Written::List(list) => list.iter().map(f64::to_string).collect::<Vec<_>>().join(",").parse(),
        }
    }
}

impl From<Fractions> for Vec<f64> {
    fn from(fractions: Fractions) -> Self {
        fractions.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[f64]) {
        assert_eq!(text.parse::<Fractions>().expect(text).values(), expected);
    }

    fn check_refused(text: &str, expected: &str) {
        assert_eq!(text.parse::<Fractions>().expect_err(text).to_string(), expected);
    }

    #[test]
    fn ranges_are_exact_and_lists_are_sorted() {
        check("0.1..1.0:0.1", &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]);
        check("0.05, 0.01,.02", &[0.01, 0.02, 0.05]);
        check("0.01,0.1..0.35:0.1", &[0.01, 0.1, 0.2, 0.3]);
        check("1", &[1.0]);
    }

    #[test]
    fn what_is_no_list_of_fractions_says_why() {
        check_refused("", "there are no fractions");
        check_refused("0.1,ten", "`ten` is not a decimal number with at most 9 places");
        check_refused("-0.1", "`-0.1` is not a decimal number with at most 9 places");
        check_refused("0", "fraction 0 is not above 0 and at most 1");
        check_refused("0.5,1.5", "fraction 1.5 is not above 0 and at most 1");
        check_refused("0.1..0.3:0.1,0.3", "fraction 0.3 is given twice: parts of `0.1..0.3:0.1,0.3` overlap");
        let empty = "is empty: it is written FIRST..LAST:STEP, with FIRST <= LAST and STEP > 0";
        check_refused("0.5..0.1:0.1", &format!("the range `0.5..0.1:0.1` {empty}"));
        check_refused("0.1..0.5:0", &format!("the range `0.1..0.5:0` {empty}"));
        check_refused("0.1..0.5", &format!("the range `0.1..0.5` {empty}"));
    }

    #[test]
    fn a_file_holds_a_text_or_a_list() {
        let read = |text: &str| {
            toml::from_str::<toml::Table>(text).expect("TOML")["f"].clone().try_into::<Fractions>()
        };
        assert_eq!(read("f = [0.2, 0.1]").expect("a list").values(), [0.1, 0.2]);
        assert_eq!(read("f = \"0.1..0.3:0.1\"").expect("a text").values(), [0.1, 0.2, 0.3]);
        read("f = [0.1, 0.1]").expect_err("twice");
    }
}
