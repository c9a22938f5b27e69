//! How a threshold is chosen, and the words for it in configs and results.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a threshold is to reach on the validation records. Written as text, in JSON too.
///
/// ```
/// use xray_metrics::Rule;
///
/// assert_eq!("sensitivity>=0.9".parse(), Ok(Rule::Sensitivity(0.9)));
/// assert_eq!(Rule::MaxF1.to_string(), "max-f1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Rule {
    /// `youden`: the highest sensitivity plus specificity (Youden, Cancer 3, 1950).
    Youden,
    /// `max-f1`: the highest F1.
    MaxF1,
    /// `sensitivity>=0.9`: this sensitivity or more, at the best specificity; of equals the more sensitive.
    Sensitivity(f64),
    /// `specificity>=0.9`: this specificity or more, at the best sensitivity; of equals the more specific.
    Specificity(f64),
    /// `ppv>=0.3`: this positive predictive value or more, at the best sensitivity; of equals the more specific.
    Ppv(f64),
    /// `lowest-positive`: the lowest score of any positive, as the original project had it. One odd record
    /// decides, so it is here for comparison only.
    LowestPositive,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Youden => f.write_str("youden"),
            Rule::MaxF1 => f.write_str("max-f1"),
            Rule::Sensitivity(least) => write!(f, "sensitivity>={least}"),
            Rule::Specificity(least) => write!(f, "specificity>={least}"),
            Rule::Ppv(least) => write!(f, "ppv>={least}"),
            Rule::LowestPositive => f.write_str("lowest-positive"),
        }
    }
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::Rule { text: text.to_owned() };
        match text {
            "youden" => return Ok(Rule::Youden),
            "max-f1" => return Ok(Rule::MaxF1),
            "lowest-positive" => return Ok(Rule::LowestPositive),
            _ => {}
        }
        let (figure, least) = text.split_once(">=").ok_or_else(unknown)?;
        let rule = match figure {
            "sensitivity" => Rule::Sensitivity,
            "specificity" => Rule::Specificity,
            "ppv" => Rule::Ppv,
            _ => return Err(unknown()),
        };
        // Any threshold reaches 0.
        let least = least.parse().ok().filter(|&least: &f64| least > 0.0 && least <= 1.0);
        least.map(rule).ok_or_else(|| Error::RuleShare { text: text.to_owned() })
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for Rule {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_they_are_read() {
        let check = |text: &str, rule: Rule| {
            assert_eq!(text.parse(), Ok(rule));
            assert_eq!(rule.to_string(), text);
            let json = serde_json::to_string(&rule).expect("text");
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Rule>(&json).expect("its own shape"), rule);
        };
        check("youden", Rule::Youden);
        check("max-f1", Rule::MaxF1);
        check("sensitivity>=0.9", Rule::Sensitivity(0.9));
        check("specificity>=0.95", Rule::Specificity(0.95));
        check("ppv>=1", Rule::Ppv(1.0));
        check("lowest-positive", Rule::LowestPositive);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let error = |text: &str| text.parse::<Rule>().expect_err(text).to_string();
        for text in ["best", "", "youden>=0.3", "npv>=0.9", "sensitivity=0.9"] {
            let expected = format!(
                "`{text}` is none of the threshold rules youden, max-f1, sensitivity>=S, specificity>=S, \
                 ppv>=S and lowest-positive"
            );
            assert_eq!(error(text), expected);
        }
        for text in ["ppv>=0", "ppv>=30", "ppv>=-0.3", "ppv>=NaN", "ppv>=", "ppv>=30%"] {
            let expected = format!("`{text}`: the share must be above 0 and at most 1");
            assert_eq!(error(text), expected);
        }
        let error = serde_json::from_str::<Rule>(r#""best""#).expect_err("no rule").to_string();
        assert!(error.starts_with("`best` is none of the threshold rules"), "{error}");
    }
}
