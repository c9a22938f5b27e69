//! From logits to probabilities that hold: of the records that get 0.3, three in ten are positive. Fitted per label
//! on the validation records, since training makes a network too sure of itself (Guo et al., ICML 2017).
//!
//! | method | probability | when |
//! |---|---|---|
//! | [`Method::Temperature`] | sigmoid(scale · logit) | the ranking and the even point stay |
//! | [`Method::Platt`] | sigmoid(scale · logit + shift) | the usual choice; mends a wrong prevalence as well |
//! | [`Method::Isotonic`] | any rising curve | many positives; it makes ties, so AUC may change a little |
//!
//! **Few positives.** A slope from four positives may be anything, and carries an odd image to 99 %. So each method takes
//! a number of patients with the finding, and as many without ([`Method::takes`]); with fewer, the next simpler one stands
//! in: isotonic, Platt, a shift of the log-odds alone, nothing. What was done is in [`FittedCalibrator`].
//!
//! | positives | 95 % of Platt's slopes where 1 is right (AUC 0.65, 0.75, 0.9) | log loss above the best: Platt, shift |
//! |---|---|---|
//! | 4 | −0.7–2.2, 0.1–1.7, 0.4–1.1 | 0.0045, 0.0004 |
//! | 10 | −0.1–2.0, 0.4–1.6, 0.5–1.3 | 0.0023, 0.0001 |
//! | 20 | 0.2–1.9, 0.5–1.4, 0.7–1.3 | 0.0011, 0.0001 |
//! | 100 | 0.6–1.4, 0.8–1.2, 0.8–1.1 | 0.0003, 0.0001 |
//!
//! Simulated: 19 negatives for each positive, log losses at AUC 0.75, where the best is 0.178. Twenty positives for two
//! numbers is also the rule of ten events per variable (Peduzzi et al., Journal of Clinical Epidemiology 49, 1996). The
//! isotonic curve of 20 positives was worse than the prevalence at an AUC of 0.65 (Brier score 0.0013 above the best, the
//! prevalence 0.0007); that of 50 was better (0.0006).

mod isotonic;
mod platt;
mod shift;
mod temperature;

use crate::probability::sigmoid;
use crate::units::{Unit, Units};
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

    /// How many patients with the finding, and how many without, it takes. Records are counted where nobody names patients.
    pub fn takes(self) -> u64 {
        match self {
            Method::Temperature | Method::Platt => 20,
            Method::Isotonic => 50,
        }
    }

    /// What stands in with fewer; after Platt's and the temperature it is the shift.
    fn simpler(self) -> Option<Method> {
        (self == Method::Isotonic).then_some(Method::Platt)
    }
}

/// As many take a shift alone: with fewer, the share of positives may be half or twice what was seen.
pub const SHIFT_TAKES: u64 = 5;

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
    /// sigmoid(logit + shift), of few positives: right on average, and no more is known.
    Shift {
        /// Of the log-odds.
        shift: f64,
    },
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
            Calibrator::Shift { shift } => sigmoid(logit + shift),
            Calibrator::Temperature { scale } => sigmoid(scale * logit),
            Calibrator::Platt { scale, shift } => sigmoid(scale * logit + shift),
            Calibrator::Isotonic { logits, probabilities } => {
                isotonic::interpolate(logits, probabilities, logit)
            }
        }
    }
}

/// Who taught a calibrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Support {
    /// What was counted.
    pub unit: Unit,
    /// Units with a positive record.
    pub positives: u64,
    /// Units with a negative record.
    pub negatives: u64,
}

impl Support {
    /// The rarer class, which limits what can be learnt.
    fn rarer(self) -> u64 {
        self.positives.min(self.negatives)
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Support { unit, positives, negatives } = self;
        let plural = if *positives == 1 { "" } else { "s" };
        write!(f, "{positives} {unit}{plural} with it and {negatives} without")
    }
}

/// A calibrator and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedCalibrator {
    /// What was fitted.
    pub calibrator: Calibrator,
    /// On whom.
    pub support: Support,
    /// What was asked for and takes more than these; none where it is what was fitted.
    pub instead_of: Option<Method>,
}

impl FittedCalibrator {
    /// Why this is not the method that was asked for.
    pub fn note(&self) -> Option<String> {
        let asked = self.instead_of?;
        let used = match self.calibrator {
            Calibrator::Shift { .. } => "a shift of the log-odds alone".to_owned(),
            Calibrator::Temperature { .. } => Method::Temperature.to_string(),
            Calibrator::Platt { .. } => Method::Platt.to_string(),
            Calibrator::Isotonic { .. } => Method::Isotonic.to_string(),
        };
        Some(format!("{used}: only {}; {asked} needs {} of each", self.support, asked.takes()))
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
    /// Fewer than [`SHIFT_TAKES`] of either class.
    #[error("only {0}; a shift of the log-odds needs {SHIFT_TAKES} of each")]
    Few(Support),
    /// All records have one score. It says how common the finding was, nothing of any image.
    #[error("every image gets the same score, so there is nothing to calibrate")]
    Constant,
    /// The best fit would turn the ranking around: the model is no better than chance on this label.
    #[error("on validation, higher scores are not more often positive")]
    Falling,
    /// The classes lie on the two sides of 0, so that the surer the better, without end.
    #[error("the scores separate the classes perfectly, so no temperature is the best one")]
    Separated,
}

/// One calibrator per label, fitted on the validation records, or why there is none. `patients` holds one number per
/// record, equal for records of one patient.
///
/// ```
/// use xray_metrics::{Scores, ValidationScores, calibration::{Method, calibrate}};
///
/// // Of 400 records at log-odds 2 a quarter is positive, of 400 at -2 none is.
/// let (logits, truth): (Vec<f64>, Vec<f32>) =
///     (0..800_u16).map(|at| if at < 400 { (2.0, f32::from(at % 4 == 0)) } else { (-2.0, 0.0) }).unzip();
/// let scores = ValidationScores::new(Scores::new(&logits, &truth, 1)?);
/// let fitted = calibrate(scores, None, Method::Isotonic)?.remove(0).expect("both classes");
/// assert_eq!((fitted.calibrator.probability(2.5), fitted.calibrator.probability(-2.0)), (0.25, 0.0));
/// assert_eq!((fitted.support.positives, fitted.note()), (100, None));
/// # Ok::<(), xray_metrics::Error>(())
/// ```
///
/// # Errors
/// If there is not one patient per record.
pub fn calibrate(
    scores: ValidationScores<'_>,
    patients: Option<&[u32]>,
    method: Method,
) -> Result<Vec<Result<FittedCalibrator, Uncalibrated>>, Error> {
    let units = Units::new(scores.num_records(), patients)?;
    let of_label = |label| {
        let support = units.support(scores.truth_of(label));
        fit_label(&scores.logits(label), support, method)
    };
    Ok((0..scores.num_labels()).map(of_label).collect())
}

impl Units {
    /// How many have a positive record and how many a negative one.
    fn support(&self, truth: impl Iterator<Item = Option<bool>>) -> Support {
        let mut seen = vec![[false; 2]; self.count];
        for (truth, &unit) in truth.zip(&self.of_record) {
            truth.iter().for_each(|&positive| seen[unit][usize::from(positive)] = true);
        }
        let count = |class: usize| seen.iter().filter(|seen| seen[class]).count() as u64;
        Support { unit: self.unit, positives: count(1), negatives: count(0) }
    }
}

fn fit_label(column: &Column, support: Support, asked: Method) -> Result<FittedCalibrator, Uncalibrated> {
    let positives = column.iter().filter(|(_, positive)| *positive).count() as u64;
    let negatives = column.len() as u64 - positives;
    if positives == 0 || negatives == 0 {
        return Err(Uncalibrated::OneClass { positives, negatives });
    }
    if column.has_one_score() {
        return Err(Uncalibrated::Constant);
    }
    let mut used = Some(asked);
    while let Some(method) = used.filter(|method| support.rarer() < method.takes()) {
        used = method.simpler();
    }
    let calibrator = match used {
        Some(Method::Temperature) => temperature::fit(column),
        Some(Method::Platt) => platt::fit(column, positives, negatives),
        Some(Method::Isotonic) => isotonic::fit(column),
        None if support.rarer() < SHIFT_TAKES => Err(Uncalibrated::Few(support)),
        None => shift::fit(column, positives),
    }?;
    let instead_of = (used != Some(asked)).then_some(asked);
    Ok(FittedCalibrator { calibrator, support, instead_of })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scores;

    fn of(column: &Column, method: Method) -> Result<FittedCalibrator, Uncalibrated> {
        let positives = column.iter().filter(|(_, positive)| *positive).count() as u64;
        let negatives = column.len() as u64 - positives;
        fit_label(column, Support { unit: Unit::Record, positives, negatives }, method)
    }

    /// `positives` of `records`, mostly higher.
    fn rising(positives: usize, records: usize) -> Column {
        let logit = |at: usize| {
            (at * 7919 % records) as f64 / records as f64 - if at < positives { 3.6 } else { 4.0 }
        };
        Column::of_rows(&(0..records).map(|at| (logit(at), at < positives)).collect::<Vec<_>>())
    }

    #[test]
    fn each_method_takes_its_number_of_either_class() {
        let check = |method, positives, records, expected: Option<&str>| {
            let fitted = of(&rising(positives, records), method);
            let name =
                fitted.as_ref().ok().map(|fitted| serde_json::to_value(&fitted.calibrator).expect("finite"));
            let name = name.map(|it| it["method"].as_str().expect("a name").to_owned());
            assert_eq!(name.as_deref(), expected, "{method} of {positives} and {records}");
            if let Ok(fitted) = fitted {
                assert_eq!(fitted.note().is_some(), expected != Some(&method.to_string()), "{fitted:?}");
            }
        };
        let [shift, platt, isotonic, temperature] = ["shift", "platt", "isotonic", "temperature"].map(Some);
        for (positives, [of_temperature, of_platt, of_isotonic]) in [
            (4, [None; 3]),
            (5, [shift; 3]),
            (19, [shift; 3]),
            (20, [temperature, platt, platt]),
            (49, [temperature, platt, platt]),
            (50, [temperature, platt, isotonic]),
            (500, [temperature, platt, isotonic]),
            (996, [None; 3]), // four negatives
            (995, [shift; 3]),
        ] {
            check(Method::Temperature, positives, 1000, of_temperature);
            check(Method::Platt, positives, 1000, of_platt);
            check(Method::Isotonic, positives, 1000, of_isotonic);
        }
    }

    /// With enough, what was fitted before stands to the last bit.
    #[test]
    fn enough_positives_change_nothing() {
        let column = rising(100, 1000);
        let fitted = |method| of(&column, method).expect("rising").calibrator;
        assert_eq!(Ok(fitted(Method::Platt)), platt::fit(&column, 100, 900));
        assert_eq!(Ok(fitted(Method::Temperature)), temperature::fit(&column));
        assert_eq!(Ok(fitted(Method::Isotonic)), isotonic::fit(&column));
    }

    /// Four positives whose scores lie close together far above the rest: Platt's slope would be 6 and more.
    #[test]
    fn no_slope_comes_from_a_handful() {
        let rows: Vec<_> = (0..400)
            .map(|at| {
                let noise = f64::from(at * 7919 % 400) / 800.0;
                if at < 4 { (-2.6 + noise / 4.0, true) } else { (-3.6 + noise, false) }
            })
            .collect();
        let column = Column::of_rows(&rows);
        let Ok(Calibrator::Platt { scale, .. }) = platt::fit(&column, 4, 396) else { panic!("Platt's") };
        assert!(scale > 6.0, "otherwise this shows nothing: {scale}");
        for (_, method) in Method::NAMES {
            let why = of(&column, method).expect_err("too few").to_string();
            assert_eq!(
                why,
                "only 4 records with it and 396 without; a shift of the log-odds needs 5 of each"
            );
        }
    }

    /// Forty positive records of four patients are four.
    #[test]
    fn patients_are_counted_where_they_are_named() {
        let column = rising(40, 1000);
        let (logits, truth): (Vec<f64>, Vec<f32>) =
            column.iter().map(|(logit, positive)| (logit, f32::from(u8::from(positive)))).unzip();
        let scores = ValidationScores::new(Scores::new(&logits, &truth, 1).expect("valid"));
        let fitted =
            |patients: Option<&[u32]>| calibrate(scores, patients, Method::Platt).expect("fits").remove(0);
        let of_ten: Vec<u32> = (0..1000).map(|record| record / 10).collect();
        let of_four: Vec<u32> = (0..1000).map(|record| record / 4).collect();
        assert!(matches!(fitted(None).expect("enough").calibrator, Calibrator::Platt { .. }));
        let few = Support { unit: Unit::Patient, positives: 4, negatives: 96 };
        assert_eq!(fitted(Some(&of_ten)), Err(Uncalibrated::Few(few)));
        let shifted = fitted(Some(&of_four)).expect("ten patients");
        let note =
            "a shift of the log-odds alone: only 10 patients with it and 240 without; platt needs 20 of each";
        assert_eq!(shifted.note().as_deref(), Some(note));
        let error = calibrate(scores, Some(&[1]), Method::Platt).expect_err("one patient");
        assert_eq!(error, Error::PerRecord { found: 1, expected: 1000 });
    }

    #[test]
    fn a_label_of_one_class_is_left_as_it_is() {
        let column = |positive: bool| Column::new(vec![1.0, 2.0], vec![positive; 2]).expect("finite");
        for (_, method) in Method::NAMES {
            let why = of(&column(true), method).expect_err("no negatives");
            assert_eq!(why, Uncalibrated::OneClass { positives: 2, negatives: 0 });
            of(&column(false), method).expect_err("no positives");
        }
    }

    /// Of three records in four negative at a logit below 0, a scale alone would fit.
    #[test]
    fn equal_logits_are_left_as_they_are() {
        for (_, method) in Method::NAMES {
            for logit in [-3.0, 0.0, 0.7] {
                let why = |truth: &[bool]| {
                    let column = Column::new(vec![logit; truth.len()], truth.to_vec()).expect("finite");
                    of(&column, method)
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
        assert_eq!(error.to_string(), "unknown calibration `beta`: use temperature, platt or isotonic");
    }

    #[test]
    fn json_names_the_method() {
        let calibrator = Calibrator::Platt { scale: 2.0, shift: -1.5 };
        let text = serde_json::to_string(&calibrator).expect("finite");
        assert_eq!(text, r#"{"method":"platt","scale":2.0,"shift":-1.5}"#);
        assert_eq!(serde_json::from_str::<Calibrator>(&text).expect("its own"), calibrator);
    }
}
