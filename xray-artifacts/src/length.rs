//! Lengths of training as people write them: `5 epochs`, `2000 steps`, `50000 examples`. The trainer and a sweep read them
//! here, and they become steps once, when the size of an epoch is known.

use crate::{Exit, Failure};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A length of training.
///
/// Files hold it with its unit in the plural, `1 epochs`, because the ids of cells hold that text; [`fmt::Display`] is for
/// people, `1 epoch`. Both are read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Length {
    /// Passes over the training records, parts allowed.
    Epochs(f64),
    /// Optimizer steps.
    Steps(u64),
    /// Training images, repeats counted.
    Examples(u64),
}

/// What a length counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthUnit {
    /// See [`Length::Epochs`].
    Epochs,
    /// See [`Length::Steps`].
    Steps,
    /// See [`Length::Examples`].
    Examples,
}

impl LengthUnit {
    /// `epochs`, `steps` or `examples`.
    pub fn name(self) -> &'static str {
        match self {
            LengthUnit::Epochs => "epochs",
            LengthUnit::Steps => "steps",
            LengthUnit::Examples => "examples",
        }
    }

    fn of_name(name: &str) -> Option<LengthUnit> {
        match name {
            "epoch" | "epochs" => Some(LengthUnit::Epochs),
            "step" | "steps" => Some(LengthUnit::Steps),
            "example" | "examples" => Some(LengthUnit::Examples),
            _ => None,
        }
    }
}

impl Length {
    /// Reads a number with its unit, or a bare number of this unit.
    ///
    /// # Errors
    /// If it is not a length.
    pub fn parse(text: &str, unit: LengthUnit) -> Result<Length, LengthProblem> {
        Length::read(text, Some(unit))
    }

    fn read(text: &str, bare: Option<LengthUnit>) -> Result<Length, LengthProblem> {
        let text = text.trim();
        let refuse = |what| LengthProblem { text: text.to_owned(), what };
        let (number, name) = text.split_once(' ').unwrap_or((text, ""));
        let amount: f64 = number.parse().map_err(|_| refuse(What::Other))?;
        if !amount.is_finite() {
            return Err(refuse(What::Other));
        }
        let unit = match (name.trim(), bare) {
            ("", Some(unit)) => unit,
            ("", None) => return Err(refuse(What::NoUnit)),
            (name, _) => LengthUnit::of_name(name).ok_or_else(|| refuse(What::Other))?,
        };
        if amount <= 0.0 {
            return Err(refuse(What::Nothing));
        }
        let count = || number.parse().map_err(|_| refuse(What::Other));
        Ok(match unit {
            LengthUnit::Epochs => Length::Epochs(amount),
            LengthUnit::Steps => Length::Steps(count()?),
            LengthUnit::Examples => Length::Examples(count()?),
        })
    }

    /// How many, of [its unit](Length::unit).
    pub fn count(self) -> f64 {
        match self {
            Length::Epochs(epochs) => epochs,
            Length::Steps(count) | Length::Examples(count) => count as f64,
        }
    }

    /// What it counts.
    pub fn unit(self) -> LengthUnit {
        match self {
            Length::Epochs(_) => LengthUnit::Epochs,
            Length::Steps(_) => LengthUnit::Steps,
            Length::Examples(_) => LengthUnit::Examples,
        }
    }

    /// Steps, at least one, for epochs of that many steps and steps of that many images.
    pub fn steps(self, steps_per_epoch: u64, batch_size: u64) -> u64 {
        let steps = match self {
            Length::Epochs(epochs) => (epochs * steps_per_epoch as f64).round() as u64,
            Length::Steps(steps) => steps,
            Length::Examples(examples) => examples.div_ceil(batch_size.max(1)),
        };
        steps.max(1)
    }
}

/// A text that is not a length of training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LengthProblem {
    text: String,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A number by itself.
    NoUnit,
    /// A unit that is known, of none or fewer.
    Nothing,
    /// Anything else.
    Other,
}

impl LengthProblem {
    fn message(&self) -> String {
        let LengthProblem { text, what } = self;
        match what {
            What::NoUnit => format!("`{text}` has no unit"),
            What::Nothing => format!("`{text}` is not allowed"),
            What::Other => {
                format!("`{text}` is not a length such as `5 epochs`, `2000 steps` or `50000 examples`")
            }
        }
    }

    fn hint(&self) -> Option<String> {
        let text = &self.text;
        match self.what {
            What::NoUnit => {
                Some(format!("write \"{text} epochs\"; the units are epochs, steps and examples"))
            }
            What::Nothing => Some("use at least 1".to_owned()),
            What::Other => None,
        }
    }

    /// The same of the setting or option `key`.
    pub fn failure(&self, key: &str) -> Failure {
        let failure = Failure::new(Exit::Usage, format!("{key}: {}", self.message()));
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl fmt::Display for LengthProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        self.hint().map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

impl std::error::Error for LengthProblem {}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = (self.count(), self.unit().name());
        write!(f, "{count} {}", if count == 1.0 { unit.trim_end_matches('s') } else { unit })
    }
}

impl FromStr for Length {
    type Err = LengthProblem;

    fn from_str(text: &str) -> Result<Length, LengthProblem> {
        Length::read(text, None)
    }
}

impl TryFrom<String> for Length {
    type Error = LengthProblem;

    fn try_from(text: String) -> Result<Length, LengthProblem> {
        text.parse()
    }
}

impl From<Length> for String {
    fn from(length: Length) -> String {
        format!("{} {}", length.count(), length.unit().name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_steps() {
        let check = |text: &str, expected| {
            let length: Length = text.parse().expect(text);
            assert_eq!(length.steps(100, 32), expected, "{text}");
            assert_eq!(length.to_string().parse(), Ok(length), "for people");
            assert_eq!(String::from(length).parse(), Ok(length), "in files");
        };
        check("5 epochs", 500);
        check("1 epoch", 100);
        check("0.25 epochs", 25);
        check("0.001 epochs", 1);
        check("7 steps", 7);
        check("7  steps", 7);
        check("65 examples", 3);
    }

    #[test]
    fn people_read_the_singular_and_files_keep_their_text() {
        let check = |text: &str, shown: &str, kept: &str| {
            let length: Length = text.parse().expect(text);
            assert_eq!((length.to_string().as_str(), String::from(length).as_str()), (shown, kept));
        };
        check("1 epochs", "1 epoch", "1 epochs");
        check("1 step", "1 step", "1 steps");
        check("1 examples", "1 example", "1 examples");
        check("0.5 epochs", "0.5 epochs", "0.5 epochs");
        check("2000 steps", "2000 steps", "2000 steps");
        // A settled text: cells are known by it.
        assert_eq!(serde_json::to_value(Length::Epochs(1.0)).expect("text"), "1 epochs");
    }

    #[test]
    fn a_bare_number_has_the_unit_that_is_meant() {
        assert_eq!(Length::parse("7", LengthUnit::Steps), Ok(Length::Steps(7)));
        assert_eq!(Length::parse("0.5", LengthUnit::Epochs), Ok(Length::Epochs(0.5)));
        Length::parse("0.5", LengthUnit::Steps).expect_err("half a step");
        "7".parse::<Length>().expect_err("of what");
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        let check = |text: &str, expected: &str| {
            let problem = text.parse::<Length>().expect_err(text).to_string();
            assert!(problem.starts_with(&format!("`{text}` {expected}")), "{problem}");
        };
        for text in ["", "five epochs", "inf epochs", "nan steps", "3 weeks", "1.5 steps", "many steps"] {
            check(text, "is not a length such as `5 epochs`");
        }
        check("5", "has no unit: write \"5 epochs\"");
        check("0 epochs", "is not allowed: use at least 1");
        check("-1 steps", "is not allowed: use at least 1");
    }
}
