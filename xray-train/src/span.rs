//! Lengths of training as people say them, `5 epochs`, `2000 steps`, `50000 examples`; they become steps
//! once, when the size of an epoch is known.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use xray_artifacts::{Exit, Failure};

/// A length of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Span {
    /// Passes over the training records, parts allowed.
    Epochs(f64),
    /// Optimizer steps.
    Steps(u64),
    /// Training images, repeats counted.
    Examples(u64),
}

impl Span {
    /// Steps, at least one, for epochs of that many steps and steps of that many images.
    pub fn steps(self, steps_per_epoch: u64, batch_size: usize) -> u64 {
        let steps = match self {
            Span::Epochs(epochs) => (epochs * steps_per_epoch as f64).round() as u64,
            Span::Steps(steps) => steps,
            Span::Examples(examples) => examples.div_ceil(batch_size as u64),
        };
        steps.max(1)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span::Epochs(epochs) => write!(f, "{epochs} epochs"),
            Span::Steps(steps) => write!(f, "{steps} steps"),
            Span::Examples(examples) => write!(f, "{examples} examples"),
        }
    }
}

/// A text that is not a length of training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanProblem {
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

impl SpanProblem {
    fn message(&self) -> String {
        let SpanProblem { text, what } = self;
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

impl fmt::Display for SpanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        self.hint().map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

impl std::error::Error for SpanProblem {}

impl FromStr for Span {
    type Err = SpanProblem;

    fn from_str(text: &str) -> Result<Self, SpanProblem> {
        let text = text.trim();
        let refuse = |what| SpanProblem { text: text.to_owned(), what };
        let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
        let amount: f64 = number.parse().map_err(|_| refuse(What::Other))?;
        if !amount.is_finite() {
            return Err(refuse(What::Other));
        }
        let count = || number.parse().map_err(|_| refuse(What::Other));
        match unit.trim() {
            "" => Err(refuse(What::NoUnit)),
            "epoch" | "epochs" | "step" | "steps" | "example" | "examples" if amount <= 0.0 => {
                Err(refuse(What::Nothing))
            }
            "epoch" | "epochs" => Ok(Span::Epochs(amount)),
            "step" | "steps" => count().map(Span::Steps),
            "example" | "examples" => count().map(Span::Examples),
            _ => Err(refuse(What::Other)),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = SpanProblem;

    fn try_from(text: String) -> Result<Self, SpanProblem> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_steps() {
        let check = |text: &str, expected| {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.steps(100, 32), expected, "{text}");
            assert_eq!(span.to_string().parse(), Ok(span));
        };
        check("5 epochs", 500);
        check("1 epoch", 100);
        check("0.25 epochs", 25);
        check("0.001 epochs", 1);
        check("7 steps", 7);
        check("65 examples", 3);
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        let check = |text: &str, expected: &str| {
            let problem = text.parse::<Span>().expect_err(text).to_string();
            assert!(problem.starts_with(&format!("`{text}` {expected}")), "{problem}");
        };
        for text in ["", "five epochs", "inf epochs", "nan steps", "3 weeks", "1.5 steps"] {
            check(text, "is not a length such as `5 epochs`");
        }
        check("5", "has no unit: write \"5 epochs\"");
        check("0 epochs", "is not allowed: use at least 1");
        check("-1 steps", "is not allowed: use at least 1");
    }
}
