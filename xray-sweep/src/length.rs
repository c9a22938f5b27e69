//! Lengths of training as the trainer takes them: `3 epochs`, `2000 steps`, `50000 examples`. The trainer reads them by
//! rules of its own (`xray-train/src/span.rs`), which a sweep does not link. It is told the last rung when cells are
//! resolved, so a length that only this module takes is refused before anything is planned.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a length counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Passes over the training records, parts allowed.
    Epochs,
    /// Optimizer steps.
    Steps,
    /// Training images, repeats counted.
    Examples,
}

impl Unit {
    /// As a length is written.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Epochs => "epochs",
            Unit::Steps => "steps",
            Unit::Examples => "examples",
        }
    }
}

/// A length of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length {
    /// How many, above 0.
    pub count: f64,
    /// Of what.
    pub unit: Unit,
}

impl Length {
    /// A number with its unit, or with this one where it has none.
    ///
    /// # Errors
    /// A sentence on what is no length.
    pub fn parse(text: &str, unit: Unit) -> Result<Length, String> {
        let refuse =
            || format!("`{text}` is not a length such as `5 epochs`, `2000 steps` or `50000 examples`");
        let (number, unit) = match text.trim().split_once(' ') {
            None => (text.trim(), unit),
            Some((number, "epoch" | "epochs")) => (number, Unit::Epochs),
            Some((number, "step" | "steps")) => (number, Unit::Steps),
            Some((number, "example" | "examples")) => (number, Unit::Examples),
            Some(_) => return Err(refuse()),
        };
        let count: f64 = number.parse().map_err(|_| refuse())?;
        let is_good = count > 0.0 && count.is_finite() && (unit == Unit::Epochs || count.fract() == 0.0);
        if is_good { Ok(Length { count, unit }) } else { Err(refuse()) }
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Length, String> {
        match text.trim().contains(' ') {
            true => Length::parse(text, Unit::Epochs),
            false => Err(format!("`{text}` has no unit: epochs, steps or examples")),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.unit.name())
    }
}

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Length, String> {
        text.parse()
    }
}

impl From<Length> for String {
    fn from(length: Length) -> String {
        length.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_the_trainer_writes_them() {
        for text in ["3 epochs", "0.5 epochs", "2000 steps", "50000 examples"] {
            assert_eq!(text.parse::<Length>().expect(text).to_string(), text);
        }
        assert_eq!(Length::parse("7", Unit::Steps).expect("good").to_string(), "7 steps");
        assert_eq!("1 epoch".parse::<Length>(), "1 epochs".parse());
        for text in ["", "0 epochs", "-1 steps", "1.5 steps", "3 weeks", "inf epochs", "many steps"] {
            text.parse::<Length>().expect_err(text);
        }
    }
}
