//! A model's figures on its own test records and on another data set, side by side.

use super::labels::MatchedLabel;
use crate::appraisal::Appraisal;
use crate::carried::Carried;
use crate::subject::{failure, scores};
use serde::Serialize;
use xray_artifacts::{Failure, Predictions, Split};
use xray_bundle::Card;
use xray_metrics::probability::sigmoid;
use xray_metrics::{Drift, OperatingPoint, Proportion, Unpaired, drift, evaluate, mean, unpaired};

/// Figures of one label, `a` on the model's own test records and `b` on the other data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelBeside {
    /// The finding, as the model calls it.
    pub label: String,
    /// Its name in the data.
    pub data_label: String,
    /// Share of positives.
    pub prevalence: Unpaired,
    /// Area under the ROC curve.
    pub auc: Unpaired,
    /// Sensitivity at the threshold that is carried over.
    pub sensitivity: Unpaired,
    /// Specificity at the threshold that is carried over.
    pub specificity: Unpaired,
    /// Positives among those called positive, each at its own prevalence.
    pub ppv: Unpaired,
    /// The PPV that the model's own sensitivity and specificity would have at the new prevalence.
    pub ppv_expected: Option<f64>,
    /// Negatives among those called negative.
    pub npv: Unpaired,
    /// How the probabilities that are carried over hold on the model's own test records; null without their scores.
    pub own_calibration: Option<Drift>,
    /// Calibration on the other data.
    pub calibration: Option<Drift>,
}

/// A model's own side.
pub(super) enum Own<'a> {
    /// Its test records, on the labels that match, and what was found on them.
    Scores { test: &'a Predictions, appraisal: &'a Appraisal, carried: Option<&'a Carried> },
    /// What its card says.
    Card(&'a Card),
}

/// What a figure is and what it could be.
type Figure = (Option<f64>, Option<[f64; 2]>);

impl Own<'_> {
    fn auc(&self, at: usize, label: &MatchedLabel) -> Figure {
        match self {
            Own::Scores { appraisal, .. } => {
                let label = &appraisal.test.labels[at];
                (label.auc, label.auc_interval)
            }
            Own::Card(card) => card
                .scores
                .get(&Split::Test)
                .and_then(|scores| scores.labels.get(label.model_place))
                .map_or((None, None), |label| (label.auc, label.auc_interval)),
        }
    }

    fn prevalence(&self, at: usize, label: &MatchedLabel) -> Option<f64> {
        match self {
            Own::Scores { appraisal, .. } => appraisal.test.labels[at].prevalence,
            Own::Card(card) => card.scores.get(&Split::Test)?.labels.get(label.model_place)?.prevalence,
        }
    }

    fn point(&self, at: usize) -> Option<&OperatingPoint> {
        match self {
            Own::Scores { appraisal, .. } => point(appraisal, at),
            Own::Card(_) => None,
        }
    }

    /// Sensitivity and specificity of the threshold that is carried over.
    fn calls(&self, at: usize, label: &MatchedLabel) -> [Figure; 2] {
        match self {
            Own::Scores { .. } => {
                let of = |figure: fn(&OperatingPoint) -> Option<Proportion>| share(self.point(at), figure);
                [of(|point| point.sensitivity), of(|point| point.specificity)]
            }
            Own::Card(card) => {
                let threshold = card.thresholds.get(label.model_place);
                let value = |value: Option<f64>| (value, None);
                [
                    value(threshold.and_then(|threshold| threshold.test_sensitivity)),
                    value(threshold.and_then(|threshold| threshold.test_specificity)),
                ]
            }
        }
    }

    fn drift(&self, at: usize) -> Result<Option<Drift>, Failure> {
        match self {
            Own::Scores { test, carried, .. } => calibration(test, *carried, at),
            Own::Card(_) => Ok(None),
        }
    }

    /// Mean AUC of labels, by their places among those that match.
    fn macro_auc(&self, places: &[usize], labels: &[MatchedLabel]) -> Result<Figure, Failure> {
        match self {
            Own::Scores { test, .. } => macro_auc(test, places),
            Own::Card(card) => {
                let of = |at: &usize| self.auc(*at, &labels[*at]).0;
                // How labels vary together is not in a card, but of all of them together.
                let scores = card.scores.get(&Split::Test);
                let whole =
                    scores.filter(|scores| places.len() + scores.undefined_labels == scores.labels.len());
                let value = mean(places.iter().filter_map(of));
                Ok((value, whole.and_then(|scores| scores.macro_auc_interval)))
            }
        }
    }
}

/// Figures of both sides, and the mean AUC of the labels that both define.
///
/// # Errors
/// If scores or labels are none.
pub(super) fn beside(
    labels: &[MatchedLabel],
    own: &Own<'_>,
    test: &Predictions,
    appraisal: &Appraisal,
    carried: Option<&Carried>,
) -> Result<(Vec<LabelBeside>, Unpaired, usize), Failure> {
    let label = |(at, label): (usize, &MatchedLabel)| {
        let found = &appraisal.test.labels[at];
        let point = point(appraisal, at);
        let [own_sensitivity, own_specificity] = own.calls(at, label);
        let of = |own: Figure, figure: fn(&OperatingPoint) -> Option<Proportion>| {
            unpaired(own, share(point, figure))
        };
        let beside_own =
            |figure: fn(&OperatingPoint) -> Option<Proportion>| of(share(own.point(at), figure), figure);
        Ok(LabelBeside {
            label: label.model.clone(),
            data_label: label.data.clone(),
            prevalence: unpaired((own.prevalence(at, label), None), (found.prevalence, None)),
            auc: unpaired(own.auc(at, label), (found.auc, found.auc_interval)),
            sensitivity: of(own_sensitivity, |point| point.sensitivity),
            specificity: of(own_specificity, |point| point.specificity),
            ppv: beside_own(|point| point.ppv),
            ppv_expected: ppv_expected(own_sensitivity.0, own_specificity.0, found.prevalence),
            npv: beside_own(|point| point.npv),
            own_calibration: own.drift(at)?,
            calibration: calibration(test, carried, at)?,
        })
    };
    let beside = labels.iter().enumerate().map(label).collect::<Result<Vec<_>, Failure>>()?;
    let both = |at: &usize| beside[*at].auc.difference.is_some();
    let shared: Vec<usize> = (0..labels.len()).filter(both).collect();
    let of_both = match shared.is_empty() {
        true => Unpaired::default(),
        false => unpaired(own.macro_auc(&shared, labels)?, macro_auc(test, &shared)?),
    };
    Ok((beside, of_both, shared.len()))
}

fn point(appraisal: &Appraisal, at: usize) -> Option<&OperatingPoint> {
    appraisal.operating_points.as_ref()?.labels.get(at)?.point.as_ref()
}

fn share(point: Option<&OperatingPoint>, figure: fn(&OperatingPoint) -> Option<Proportion>) -> Figure {
    let share = point.and_then(figure);
    (share.map(|share| share.value), share.map(|share| share.interval))
}

/// Bayes' rule.
fn ppv_expected(sensitivity: Option<f64>, specificity: Option<f64>, prevalence: Option<f64>) -> Option<f64> {
    let (sensitivity, specificity, prevalence) = (sensitivity?, specificity?, prevalence?);
    let (right, wrong) = (sensitivity * prevalence, (1.0 - specificity) * (1.0 - prevalence));
    (right + wrong > 0.0).then(|| right / (right + wrong))
}

fn macro_auc(of: &Predictions, places: &[usize]) -> Result<Figure, Failure> {
    let of = of.of_labels(places);
    let patients = of.patient_numbers();
    let unknown = vec![f64::NAN; places.len()];
    let found = evaluate(&of.labels, scores(&of)?, &unknown, patients.as_deref())
        .map_err(|error| failure(of.split, &error))?;
    Ok((found.macro_auc, found.macro_auc_interval))
}

/// How a label's probabilities hold: calibrated where there is a calibration.
fn calibration(of: &Predictions, carried: Option<&Carried>, at: usize) -> Result<Option<Drift>, Failure> {
    let calibrator =
        carried.and_then(|carried| carried.labels[at].calibration.as_ref().ok()).map(|it| &it.calibrator);
    let classes = of.labels.len();
    let logits = of.logits.iter().skip(at).step_by(classes);
    let probabilities: Vec<f64> = logits
        .map(|&logit| calibrator.map_or_else(|| sigmoid(logit), |calibrator| calibrator.probability(logit)))
        .collect();
    let known = |&truth: &f32| (!truth.is_nan()).then_some(truth == 1.0);
    let truth: Vec<Option<bool>> = of.truth.iter().skip(at).step_by(classes).map(known).collect();
    let patients = of.patient_numbers();
    drift(&probabilities, &truth, patients.as_deref()).map_err(|error| failure(of.split, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rarer_finding_has_a_lower_ppv_at_the_same_calls() {
        let check = |prevalence, expected: f64| {
            let found = ppv_expected(Some(0.8), Some(0.9), Some(prevalence)).expect("defined");
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        };
        check(0.5, 0.4 / 0.45);
        check(0.01, 0.008 / 0.107);
        assert_eq!(ppv_expected(Some(0.0), Some(1.0), Some(0.1)), None);
        assert_eq!(ppv_expected(None, Some(1.0), Some(0.1)), None);
    }
}
