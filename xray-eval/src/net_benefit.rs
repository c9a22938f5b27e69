//! Whether acting on a model's probabilities does more good than harm, at the few threshold probabilities that a reader
//! would ask for: the chosen operating point's, and multiples of how common the finding is.

use crate::carried::{Carried, CarriedLabel};
use crate::figures::number;
use crate::subject::{failure, scores};
use serde::Serialize;
use xray_artifacts::{Failure, Predictions};
use xray_display::TextTable;
use xray_metrics::{Calibrator, Column, NetBenefit, decision_curve};

/// Net benefits of one finding on the test records, of probabilities that were calibrated on validation. Raw ones
/// would be compared with a threshold that they do not mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelNetBenefit {
    /// The finding.
    pub label: String,
    /// Why there are none.
    pub undefined: Option<String>,
    /// Share of positives among the validation records, which scales the thresholds.
    pub val_prevalence: Option<f64>,
    /// At half, once, twice and four times that share; null where that is not a probability below 1.
    pub at_prevalence: [Option<NetBenefit>; 4],
    /// At the calibrated probability of the chosen operating point; null without one.
    pub at_operating_point: Option<NetBenefit>,
}

/// Thresholds as multiples of the prevalence: acting at half of it weighs missed findings more, at four times needless
/// work-ups.
const TIMES_PREVALENCE: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// One per label: calibration, operating point and prevalence are carried over, the benefit is of `test`.
///
/// # Errors
/// If scores or labels are none.
pub fn net_benefits(carried: &Carried, test: &Predictions) -> Result<Vec<LabelNetBenefit>, Failure> {
    let test_scores = scores(test)?;
    let label = |(at, carried): (usize, &CarriedLabel)| {
        let blank = LabelNetBenefit {
            label: test.labels[at].clone(),
            undefined: None,
            val_prevalence: carried.prevalence,
            at_prevalence: [None; 4],
            at_operating_point: None,
        };
        let known = test_scores.logits(at);
        match &carried.calibration {
            Err(why) => Ok(LabelNetBenefit { undefined: Some(why.clone()), ..blank }),
            Ok(_) if known.is_empty() => {
                Ok(LabelNetBenefit { undefined: Some("no test record knows the label".to_owned()), ..blank })
            }
            Ok(fitted) => filled(blank, &known, &fitted.calibrator, carried.logit.threshold())
                .map_err(|error| failure(test.split, &error)),
        }
    };
    carried.labels.iter().enumerate().map(label).collect()
}

fn filled(
    blank: LabelNetBenefit,
    known: &Column,
    calibrator: &Calibrator,
    threshold: Option<f64>,
) -> xray_metrics::Result<LabelNetBenefit> {
    let rows = known.iter().map(|(logit, positive)| (calibrator.probability(logit), positive));
    let (probabilities, truth) = rows.unzip();
    let column = Column::new(probabilities, truth)?;
    let benefit = |probability: f64| -> xray_metrics::Result<Option<NetBenefit>> {
        // From a probability of 1 on nobody acts on anything.
        let below_one = (probability < 1.0).then_some(probability);
        let found = below_one.map(|at| decision_curve(&column, &[at])).transpose()?.flatten();
        Ok(found.and_then(|curve| curve.first().copied()))
    };
    let mut found = blank;
    if let Some(prevalence) = found.val_prevalence {
        for (place, times) in found.at_prevalence.iter_mut().zip(TIMES_PREVALENCE) {
            *place = benefit(times * prevalence)?;
        }
    }
    if let Some(logit) = threshold {
        found.at_operating_point = benefit(calibrator.probability(logit))?;
    }
    Ok(found)
}

/// For a terminal, per 1,000 records.
pub(crate) fn table(labels: &[LabelNetBenefit]) -> String {
    let mut table = TextTable::new(&[
        "label",
        "validation prevalence",
        "half of it",
        "once",
        "twice",
        "4 times",
        "operating point",
    ]);
    let thousandth = |benefit: &NetBenefit| {
        format!("{:.1} (all {:.1})", 1000.0 * benefit.model, 1000.0 * benefit.treat_all)
    };
    let mut whys = String::new();
    for label in labels {
        if let Some(why) = &label.undefined {
            whys += &format!("{}: {why}\n", label.label);
        }
        let mut row = vec![label.label.clone(), number(label.val_prevalence)];
        row.extend(label.at_prevalence.iter().map(|at| at.as_ref().map_or("–".to_owned(), thousandth)));
        row.push(
            label.at_operating_point.as_ref().map_or("–".to_owned(), |at| {
                format!("{} at {:.3}", thousandth(at), at.threshold_probability)
            }),
        );
        table.row(row);
    }
    table.text() + &whys
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_metrics::{Method, Rule};

    fn benefits(
        val: &Predictions,
        test: &Predictions,
        method: Method,
    ) -> Result<Vec<LabelNetBenefit>, Failure> {
        net_benefits(&Carried::of_validation(val, Rule::Youden, method)?, test)
    }
    use xray_artifacts::Split;

    fn predictions(split: Split, rows: &[(f64, f32)]) -> Predictions {
        let (logits, truth) = rows.iter().copied().unzip();
        let ids = (0..rows.len()).map(|at| at.to_string()).collect();
        Predictions { ids, logits, truth, ..Predictions::empty(split, vec!["Mass".into()]) }
    }

    /// Isotonic: of 200 validation records at logit 3 fifty are positive, of 200 at -3 none is. So 0.25 and 0, and a
    /// prevalence of 1/8.
    fn val() -> Predictions {
        let at = |logit: f64, positives: usize| {
            (0..200).map(move |row| (logit, f32::from(u8::from(row < positives))))
        };
        predictions(Split::Val, &at(3.0, 50).chain(at(-3.0, 0)).collect::<Vec<_>>())
    }

    #[test]
    fn probabilities_mean_what_validation_taught() {
        // Raw, the sigmoid of 3 is 0.95 and would act at every threshold below.
        let test = predictions(Split::Test, &[(3.0, 1.0), (3.0, 1.0), (3.0, 0.0), (-3.0, 0.0), (-3.0, 1.0)]);
        let found = benefits(&val(), &test, Method::Isotonic).expect("good").remove(0);
        assert_eq!((found.val_prevalence, &found.undefined), (Some(0.125), &None));
        let [half, once, twice, four] = found.at_prevalence.map(|at| at.expect("below 1"));
        assert_eq!([half, once, twice, four].map(|at| at.threshold_probability), [0.0625, 0.125, 0.25, 0.5]);
        // Two found and one false alarm of five records, at odds of 1/7 and 1/3; nobody reaches 0.5.
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        close(once.model, 0.4 - 0.2 / 7.0);
        close(once.treat_all, 0.6 - 0.4 / 7.0);
        close(twice.model, 0.4 - 0.2 / 3.0);
        close(four.model, 0.0);
        let at = found.at_operating_point.expect("a threshold");
        // The threshold lies midway, at a probability midway.
        close(at.threshold_probability, 0.125);
        let text = table(&[found]);
        assert!(text.contains("371.4 (all 542.9) at 0.125"), "{text}");
    }

    #[test]
    fn without_a_calibration_there_is_no_benefit_but_a_reason() {
        let flat = predictions(Split::Val, &[(1.0, 1.0), (1.0, 0.0), (1.0, 0.0)]);
        let test = predictions(Split::Test, &[(3.0, 1.0), (-3.0, 0.0)]);
        let found = benefits(&flat, &test, Method::Platt).expect("good");
        assert_eq!((found[0].at_prevalence, found[0].at_operating_point), ([None; 4], None));
        assert!(table(&found).contains("Mass: every image gets the same score"), "{}", table(&found));
        let unknown = predictions(Split::Test, &[(3.0, f32::NAN)]);
        let found = benefits(&val(), &unknown, Method::Platt).expect("good");
        assert_eq!(found[0].undefined.as_deref(), Some("no test record knows the label"));
    }

    #[test]
    #[should_panic(expected = "fitted on validation records only")]
    fn test_records_teach_nothing() {
        let test = predictions(Split::Test, &[(3.0, 1.0), (-3.0, 0.0)]);
        benefits(&test, &test, Method::Platt).expect("panics before");
    }
}
