//! Lengths of training as people say them, `5 epochs`, `2000 steps`, `50000 examples`; they become steps
//! once, when the size of an epoch is known.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

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

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is no length such as `5 epochs`, `2000 steps` or `50000 examples`");
        let (number, unit) = text.trim().split_once(' ').ok_or_else(refuse)?;
        let count = || number.parse().ok().filter(|&count| count > 0).ok_or_else(refuse);
        match unit.trim() {
            "epoch" | "epochs" => {
                let epochs = number.parse().ok().filter(|&epochs: &f64| epochs > 0.0 && epochs.is_finite());
                epochs.map(Span::Epochs).ok_or_else(refuse)
            }
            "step" | "steps" => count().map(Span::Steps),
            "example" | "examples" => count().map(Span::Examples),
            _ => Err(refuse()),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
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
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "5", "five epochs", "-1 steps", "0 epochs", "inf epochs", "3 weeks"] {
            let message = text.parse::<Span>().expect_err(text);
            assert!(message.starts_with(&format!("`{text}` is no length such as")), "{message}");
        }
    }
}
