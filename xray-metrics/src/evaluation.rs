//! All figures of one model on one split, as they stand in `result.json`.

use crate::auc_interval::{AucIntervals, auc_intervals};
use crate::baseline::Baseline;
use crate::collapse::{has_collapsed, logit_spread};
use crate::error::check_per_label;
use crate::mean::mean_of_defined;
use crate::probability::{brier, brier_of_probabilities, log_loss, log_loss_of_probabilities};
use crate::units::{LEVEL, Unit};
use crate::{LabelCounts, Result, Scores, auc, average_precision};
use serde::{Deserialize, Serialize};

/// How good a model is on some records. Read macro-AUC, its interval and the labels first. Macro figures are
/// means over the labels that define them; each `..._baseline` is that of a baseline that ignores the image
/// ([`Baseline`]); what the records do not define is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How many records were scored.
    pub records: u64,
    /// Mean AUC of the labels; 0.5 for a baseline that ignores the image.
    pub macro_auc: Option<f64>,
    /// Low and high end of what macro-AUC could be on other patients.
    pub macro_auc_interval: Option<[f64; 2]>,
    /// Labels that make more than half of that interval's variance, where one of them is of too few patients for an
    /// interval of its own; none otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macro_auc_dominated_by: Vec<String>,
    /// Labels without a positive or without a negative record. No AUC nor average precision counts them.
    pub undefined_labels: usize,
    /// How the intervals were made; null if none were asked for.
    pub intervals: Option<IntervalMethod>,
    /// Mean average precision of the labels.
    pub macro_average_precision: Option<f64>,
    /// Mean prevalence of the same labels, which is what any constant gets.
    pub macro_average_precision_baseline: Option<f64>,
    /// Mean Brier score of the labels.
    pub macro_brier: Option<f64>,
    /// Mean Brier score of the training prevalences.
    pub macro_brier_baseline: Option<f64>,
    /// Mean log loss of the labels, in nats.
    pub macro_log_loss: Option<f64>,
    /// Mean log loss of the training prevalences, in nats.
    pub macro_log_loss_baseline: Option<f64>,
    /// AUC of all labels in one pool: only worth a look beside the next figure.
    pub micro_auc: Option<f64>,
    /// Micro-AUC of the training prevalences.
    pub micro_auc_baseline: Option<f64>,
    /// Names of the labels that get the same score for every image ([`crate::collapse`]).
    pub collapsed_labels: Vec<String>,
    /// One per label, in the order of the model's outputs.
    pub labels: Vec<LabelEvaluation>,
}

/// How good a model is on one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelEvaluation {
    /// The finding.
    pub label: String,
    /// Records that have it.
    pub positives: u64,
    /// Records that do not.
    pub negatives: u64,
    /// Records where nobody knows; no figure of this label counts them.
    pub unknown: u64,
    /// Positives among the known.
    pub prevalence: Option<f64>,
    /// The same in the training records; null if none of them knows.
    pub train_prevalence: Option<f64>,
    /// Area under the ROC curve.
    pub auc: Option<f64>,
    /// Low and high end of what the AUC could be on other patients; null with few patients of either class
    /// ([`crate::units::MIN_UNITS`]).
    pub auc_interval: Option<[f64; 2]>,
    /// Average precision; compare it with the prevalence.
    pub average_precision: Option<f64>,
    /// Brier score of the probabilities.
    pub brier: Option<f64>,
    /// Brier score of the training prevalence; null in files of an older version.
    #[serde(default)]
    pub brier_baseline: Option<f64>,
    /// Log loss of the probabilities, in nats. Exact for logits; given probabilities are clipped
    /// ([`crate::probability::log_loss_of_probabilities`]).
    pub log_loss: Option<f64>,
    /// Standard deviation of the logits over all records.
    pub logit_spread: Option<f64>,
}

/// How intervals were made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntervalMethod {
    /// How often an interval promises to hold the truth.
    pub level: f64,
    /// The formula; files that name none are of versions that drew resamples.
    #[serde(default)]
    pub method: IntervalFormula,
    /// How many resamples, where some were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resamples: Option<u32>,
    /// The seed of the draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What counts as independent.
    pub unit: Unit,
    /// How many distinct ones there are.
    pub units: usize,
}

/// By which formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalFormula {
    /// Percentiles of resamples: of versions before 0.2; too narrow for few patients.
    #[default]
    PercentileBootstrap,
    /// [`mod@crate::auc_interval`].
    WilsonEffective,
}

/// Evaluates scores of the labels named `labels`.
///
/// `train_prevalence` is the share of positives per label in the training records, NaN where none of them
/// knows. `patients` holds one number per record, equal for records of one patient; without it the
/// intervals treat records as independent and are too narrow.
///
/// # Errors
/// If there is not one name and one prevalence per label and one patient per record, or a prevalence is
/// outside [0, 1].
pub fn evaluate(
    labels: &[String],
    scores: Scores<'_>,
    train_prevalence: &[f64],
    patients: Option<&[u32]>,
) -> Result<Evaluation> {
    check_per_label("names", labels.len(), scores.num_labels())?;
    let counts = scores.counts();
    let baseline = Baseline::new(train_prevalence, &counts)?;
    let brier_baselines = baseline.brier();
    let intervals = auc_intervals(scores, patients)?;

    let evaluated: Vec<_> = labels
        .iter()
        .enumerate()
        .map(|(at, name)| LabelEvaluation {
            train_prevalence: Some(train_prevalence[at]).filter(|p| !p.is_nan()),
            auc_interval: intervals.labels[at].ok(),
            brier_baseline: brier_baselines[at],
            ..evaluate_label(name, scores, at, counts[at])
        })
        .collect();
    let macro_of = |figure: fn(&LabelEvaluation) -> Option<f64>| {
        mean_of_defined(&evaluated.iter().map(figure).collect::<Vec<_>>())
    };
    Ok(Evaluation {
        records: scores.num_records() as u64,
        macro_auc: macro_of(|label| label.auc),
        macro_auc_interval: intervals.macro_auc.ok(),
        macro_auc_dominated_by: intervals.dominant.iter().map(|&label| labels[label].clone()).collect(),
        undefined_labels: evaluated.iter().filter(|label| label.auc.is_none()).count(),
        intervals: Some(IntervalMethod::of(&intervals)),
        macro_average_precision: macro_of(|label| label.average_precision),
        macro_average_precision_baseline: macro_of(|label| label.average_precision.and(label.prevalence)),
        macro_brier: macro_of(|label| label.brier),
        macro_brier_baseline: macro_of(|label| label.brier_baseline),
        macro_log_loss: macro_of(|label| label.log_loss),
        macro_log_loss_baseline: mean_of_defined(&baseline.log_loss()),
        micro_auc: auc(&scores.pooled()),
        micro_auc_baseline: baseline.micro_auc(),
        collapsed_labels: names_of_collapsed(&evaluated),
        labels: evaluated,
    })
}

impl Evaluation {
    /// The same without intervals.
    pub fn without_intervals(mut self) -> Self {
        self.labels.iter_mut().for_each(|label| label.auc_interval = None);
        Evaluation { macro_auc_interval: None, macro_auc_dominated_by: Vec::new(), intervals: None, ..self }
    }
}

impl IntervalMethod {
    fn of(intervals: &AucIntervals) -> Self {
        let AucIntervals { unit, units, .. } = *intervals;
        let method = IntervalFormula::WilsonEffective;
        IntervalMethod { level: LEVEL, method, resamples: None, seed: None, unit, units }
    }
}

fn names_of_collapsed(labels: &[LabelEvaluation]) -> Vec<String> {
    labels.iter().filter(|label| has_collapsed(label.logit_spread)).map(|label| label.label.clone()).collect()
}

fn evaluate_label(name: &str, scores: Scores<'_>, at: usize, counts: LabelCounts) -> LabelEvaluation {
    let known = scores.column(at);
    let (brier, log_loss) = if scores.has_probabilities() {
        (brier_of_probabilities(&known), log_loss_of_probabilities(&known))
    } else {
        (brier(&known), log_loss(&known))
    };
    LabelEvaluation {
        label: name.to_owned(),
        positives: counts.positives,
        negatives: counts.negatives,
        unknown: counts.unknown,
        prevalence: counts.prevalence(),
        train_prevalence: None,
        auc: auc(&known),
        auc_interval: None,
        average_precision: average_precision(&known),
        brier,
        brier_baseline: None,
        log_loss,
        logit_spread: logit_spread(scores, at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const NAN: f32 = f32::NAN;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// Two labels on 20 records of 10 patients: one ranked well, one constant and never positive.
    fn example() -> Evaluation {
        let logits: Vec<_> = (0..20_u8).flat_map(|i| [f64::from(i) - 10.0, -5.0]).collect();
        let truth: Vec<_> =
            (0..20_u8).flat_map(|i| [f32::from(i % 4 >= 2), if i < 2 { NAN } else { 0.0 }]).collect();
        let patients: Vec<_> = (0..20).map(|i| i / 2).collect();
        let scores = Scores::new(&logits, &truth, 2).expect("valid");
        let names = names(&["Mass", "Hernia"]);
        evaluate(&names, scores, &[0.5, f64::NAN], Some(&patients)).expect("valid")
    }

    #[test]
    fn what_is_undefined_is_named_and_left_out_of_the_means() {
        let evaluation = example();
        let [mass, hernia] = &evaluation.labels[..] else { panic!("two labels") };
        assert_eq!((hernia.auc, hernia.auc_interval, hernia.average_precision), (None, None, None));
        assert_eq!((hernia.positives, hernia.negatives, hernia.unknown), (0, 18, 2));
        assert_eq!((hernia.prevalence, hernia.train_prevalence), (Some(0.0), None));
        assert_eq!(evaluation.macro_auc, mass.auc);
        assert_eq!(evaluation.macro_auc_interval, mass.auc_interval);
        assert_eq!(evaluation.macro_average_precision_baseline, Some(0.5));
        assert_eq!((evaluation.undefined_labels, evaluation.records), (1, 20));
        // Half of them positive, and a label that training knows nothing of gets the mean of the others.
        assert_eq!((mass.brier_baseline, hernia.brier_baseline), (Some(0.25), Some(0.25)));
        assert_eq!(evaluation.collapsed_labels, ["Hernia"]);
        let method = IntervalFormula::WilsonEffective;
        let (unit, units) = (Unit::Patient, 10);
        let expected = IntervalMethod { level: 0.95, method, resamples: None, seed: None, unit, units };
        assert_eq!(evaluation.intervals, Some(expected));
        let without = evaluation.clone().without_intervals();
        assert_eq!((without.macro_auc_interval, without.labels[0].auc_interval), (None, None));
        assert_eq!((without.intervals, without.macro_auc), (None, evaluation.macro_auc));
    }

    #[test]
    fn json_keeps_everything_and_says_null_where_nothing_is_defined() {
        let text = serde_json::to_string(&example()).expect("figures are finite");
        assert!(text.contains(r#""label":"Hernia","positives":0,"negatives":18,"unknown":2"#), "{text}");
        assert!(text.contains(r#""unit":"patient""#), "{text}");
        let read: Evaluation = serde_json::from_str(&text).expect("its own shape");
        assert_eq!(serde_json::to_string(&read).expect("figures are finite"), text);
    }

    #[test]
    fn what_a_version_that_drew_resamples_wrote_is_read() {
        let old = r#"{"level":0.95,"resamples":1000,"seed":3,"unit":"patient","units":4}"#;
        let read: IntervalMethod = serde_json::from_str(old).expect("of the version before");
        assert_eq!((read.method, read.resamples), (IntervalFormula::PercentileBootstrap, Some(1000)));
    }

    #[test]
    fn companions_of_another_shape_are_refused() {
        let scores = Scores::new(&[0.0; 4], &[1.0; 4], 2).expect("valid");
        let check = |given: &[&str], prevalences: &[f64], patients: Option<&[u32]>, expected| {
            assert_eq!(evaluate(&names(given), scores, prevalences, patients), Err(expected));
        };
        check(&["a"], &[0.1; 2], None, Error::PerLabel { what: "names", found: 1, expected: 2 });
        let prevalences = Error::PerLabel { what: "training prevalences", found: 3, expected: 2 };
        check(&["a", "b"], &[0.1; 3], None, prevalences);
        check(&["a", "b"], &[0.1; 2], Some(&[1]), Error::PerRecord { found: 1, expected: 2 });
        check(&["a", "b"], &[0.1, 2.0], None, Error::Prevalence { label: 1, value: 2.0 });
    }

    #[test]
    fn no_records_make_no_figures() {
        let scores = Scores::new(&[], &[], 1).expect("valid");
        let evaluation = evaluate(&names(&["a"]), scores, &[0.1], Some(&[])).expect("valid");
        assert_eq!((evaluation.macro_auc, evaluation.macro_auc_interval), (None, None));
        assert_eq!((evaluation.macro_brier, evaluation.macro_log_loss_baseline), (None, None));
        assert!(evaluation.collapsed_labels.is_empty());
    }
}
