//! From logits to probabilities that hold: of the records that get 0.3, three in ten are positive. Fitted per label
//! on the validation records, since training makes a network too sure of itself (Guo et al., ICML 2017).
//!
//! | method | probability | when |
//! |---|---|---|
//! | [`Method::Temperature`] | sigmoid(scale · logit) | the ranking and the even point stay |
//! | [`Method::Platt`] | sigmoid(scale · logit + shift) | the usual choice; mends a wrong prevalence as well |
//! | [`Method::Isotonic`] | any rising curve | many positives; it makes ties, so AUC may change a little |

mod isotonic;
mod platt;
mod temperature;

use crate::probability::sigmoid;
use crate::{Column, Error, ValidationScores};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How to calibrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// One number (Guo et al., ICML 2017).
    Temperature,
    /// Two numbers, with Platt's smoothed targets (Platt, 1999; Lin, Lin and Weng, Machine Learning 68, 2007).
    Platt,
    /// The best rising step curve (Zadrozny and Elkan, KDD 2002), drawn through between its steps.
    Isotonic,
}

impl Method {
    const NAMES: [(&'static str, Method); 3] =
        [("temperature", Method::Temperature), ("platt", Method::Platt), ("isotonic", Method::Isotonic)];
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Method::NAMES.iter().find(|(_, method)| method == self).map_or("", |(name, _)| name);
        f.pad(name)
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Method::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, method)| *method).ok_or_else(|| Error::Method { text: text.to_owned() })
    }
}

/// One label's way from logits to probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Calibrator {
    /// sigmoid(scale · logit).
    Temperature {
        /// One over the temperature; above 0.
        scale: f64,
    },
    /// sigmoid(scale · logit + shift).
    Platt {
        /// Above 0.
        scale: f64,
        /// Of the log-odds.
        shift: f64,
    },
    /// Straight lines between knots, level beyond the outer ones.
    Isotonic {
        /// Rising.
        logits: Vec<f64>,
        /// As many, never falling.
        probabilities: Vec<f64>,
    },
}

impl Calibrator {
    /// The probability of a record with this logit.
    pub fn probability(&self, logit: f64) -> f64 {
        match self {
            Calibrator::Temperature { scale } => sigmoid(scale * logit),
            Calibrator::Platt { scale, shift } => sigmoid(scale * logit + shift),
            Calibrator::Isotonic { logits, probabilities } => {
                isotonic::interpolate(logits, probabilities, logit)
            }
        }
    }
}

/// Why a label was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Uncalibrated {
    /// Nobody knows the label of any record, or all of them are of one class.
    #[error("calibration needs positive and negative records; there are {positives} and {negatives}")]
    OneClass {
        /// Known positive records.
        positives: u64,
        /// Known negative records.
        negatives: u64,
    },
    /// All records have one score. It says how common the finding was, nothing of any image.
    #[error("the same score whatever the image, so there is nothing to calibrate")]
    Constant,
    /// The best fit would turn the ranking around: the model is no better than chance on this label.
    #[error("higher scores do not mean more positives, so no rising curve fits")]
    Falling,
    /// The classes lie on the two sides of 0, so that the surer the better, without end.
    #[error("the scores separate the classes perfectly, so no temperature is the best one")]
    Separated,
}

/// One calibrator per label, fitted on the validation records, or why there is none.
///
/// ```
/// use xray_metrics::{Scores, ValidationScores, calibration::{Calibrator, Method, calibrate}};
///
/// // Of four records at log-odds 2 one is positive, of four at -2 none is.
/// let logits = [2.0, 2.0, 2.0, 2.0, -2.0, -2.0, -2.0, -2.0];
/// let truth = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let scores = ValidationScores::new(Scores::new(&logits, &truth, 1)?);
/// let fitted = calibrate(scores, Method::Isotonic).remove(0).expect("both classes");
/// assert_eq!((fitted.probability(2.5), fitted.probability(-2.0)), (0.25, 0.0));
/// # Ok::<(), xray_metrics::Error>(())
/// ```
pub fn calibrate(scores: ValidationScores<'_>, method: Method) -> Vec<Result<Calibrator, Uncalibrated>> {
    (0..scores.num_labels()).map(|label| fit_label(&scores.column(label), method)).collect()
}

fn fit_label(column: &Column, method: Method) -> Result<Calibrator, Uncalibrated> {
    let positives = column.iter().filter(|(_, positive)| *positive).count() as u64;
    let negatives = column.len() as u64 - positives;
    if positives == 0 || negatives == 0 {
        return Err(Uncalibrated::OneClass { positives, negatives });
    }
    if column.has_one_score() {
        return Err(Uncalibrated::Constant);
    }
    match method {
        Method::Temperature => temperature::fit(column),
        Method::Platt => platt::fit(column, positives, negatives),
        Method::Isotonic => isotonic::fit(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_one_class_is_left_as_it_is() {
        let column = |positive: bool| Column::new(vec![1.0, 2.0], vec![positive; 2]).expect("finite");
        for (_, method) in Method::NAMES {
            let why = fit_label(&column(true), method).expect_err("no negatives");
            assert_eq!(why, Uncalibrated::OneClass { positives: 2, negatives: 0 });
            fit_label(&column(false), method).expect_err("no positives");
        }
    }

    /// Of three records in four negative at a logit below 0, a scale alone would fit.
    #[test]
    fn equal_logits_are_left_as_they_are() {
        for (_, method) in Method::NAMES {
            for logit in [-3.0, 0.0, 0.7] {
                let why = |truth: &[bool]| {
                    let column = Column::new(vec![logit; truth.len()], truth.to_vec()).expect("finite");
                    fit_label(&column, method)
                };
                assert_eq!(why(&[true, false]), Err(Uncalibrated::Constant), "{method} {logit}");
                let [rare, common] = [[true, false, false, false], [false, true, true, true]];
                assert_eq!(why(&rare), Err(Uncalibrated::Constant), "{method} {logit}");
                assert_eq!(why(&common), Err(Uncalibrated::Constant), "{method} {logit}");
            }
        }
    }

    #[test]
    fn a_method_reads_as_it_is_written() {
        for (name, method) in Method::NAMES {
            assert_eq!((method.to_string(), name.parse()), (name.to_owned(), Ok(method)));
        }
        let error = "beta".parse::<Method>().expect_err("unknown");
        assert_eq!(error.to_string(), "no calibration is called `beta`: temperature, platt or isotonic");
    }

    #[test]
    fn json_names_the_method() {
        let calibrator = Calibrator::Platt { scale: 2.0, shift: -1.5 };
        let text = serde_json::to_string(&calibrator).expect("finite");
        assert_eq!(text, r#"{"method":"platt","scale":2.0,"shift":-1.5}"#);
        assert_eq!(serde_json::from_str::<Calibrator>(&text).expect("its own"), calibrator);
    }
}
