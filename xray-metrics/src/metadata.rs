//! What a predictor gets that looks at no image but knows who is on it and how it was taken: a logistic regression
//! per label on sex, view, age and its square (some findings belong to the middle of life). The sick are X-rayed
//! lying down (view AP), so on ChestX-ray14 this reaches a macro-AUC of about 0.6. A model that has not left it
//! behind has perhaps learnt nothing else.

use crate::logistic::Logistic;
use crate::mean::mean_of_defined;
use crate::{Column, TestScores, ValidationScores, auc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is known of some records besides their image: one entry per record each. Empty text and NaN stand for
/// unknown.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    /// Such as `F` and `M`.
    pub sexes: &'a [String],
    /// In years.
    pub ages: &'a [f32],
    /// Such as `PA` and `AP`.
    pub views: &'a [String],
}

/// How far metadata alone go on the test records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetadataBaseline {
    /// Mean over the labels that define it.
    pub macro_auc: Option<f64>,
    /// One per label; null where validation or test records are of one class.
    pub labels: Vec<Option<f64>>,
}

/// Fits on the validation records (the truth is the only part of their scores that counts) and ranks the test
/// records. None where the records tell of nothing that could rank them.
///
/// # Panics
/// If the metadata are not of as many records as the scores.
pub fn metadata_baseline(
    val: (ValidationScores<'_>, Metadata<'_>),
    test: (TestScores<'_>, Metadata<'_>),
) -> Option<MetadataBaseline> {
    let encoding = Encoding::of(val.1);
    if encoding.width() == 0 {
        return None;
    }
    let (val_features, test_features) = (encoding.features(val.1), encoding.features(test.1));
    let label = |label: usize| {
        let (features, truth) = known(&val_features, encoding.width(), val.0.truth_of(label));
        let fitted = Logistic::fit(&features, &truth, encoding.width())?;
        let (features, truth) = known(&test_features, encoding.width(), test.0.truth_of(label));
        let logits = features.chunks_exact(encoding.width()).map(|row| fitted.logit(row)).collect();
        auc(&Column::new(logits, truth).ok()?)
    };
    let labels: Vec<_> = (0..test.0.num_labels()).map(label).collect();
    Some(MetadataBaseline { macro_auc: mean_of_defined(&labels), labels })
}

/// The rows whose truth is known.
fn known(
    features: &[f64],
    width: usize,
    rows: impl ExactSizeIterator<Item = Option<bool>>,
) -> (Vec<f64>, Vec<bool>) {
    assert_eq!(features.len(), rows.len() * width, "metadata of every record");
    let kept = features.chunks_exact(width).zip(rows).filter_map(|(row, truth)| Some((row, truth?)));
    let (rows, truth): (Vec<_>, Vec<_>) = kept.unzip();
    (rows.concat(), truth)
}

/// From metadata to numbers, as the validation records have them.
struct Encoding {
    sexes: Vec<String>,
    views: Vec<String>,
    /// Mean and standard deviation; none where all ages are equal or unknown.
    age: Option<(f64, f64)>,
}

impl Encoding {
    fn of(val: Metadata<'_>) -> Encoding {
        Encoding { sexes: categories(val.sexes), views: categories(val.views), age: spread(val.ages) }
    }

    fn width(&self) -> usize {
        self.sexes.len() + self.views.len() + if self.age.is_some() { 2 } else { 0 }
    }

    /// Row-major `[records, width]`.
    fn features(&self, of: Metadata<'_>) -> Vec<f64> {
        let row = |at: usize| {
            let one_hot = |names: &[String], value: &String| {
                names.iter().map(|name| f64::from(u8::from(name == value))).collect::<Vec<_>>()
            };
            // An unknown age is the mean one.
            let age = self.age.map(|(mean, deviation)| {
                let age = f64::from(of.ages[at]);
                let age = if age.is_nan() { 0.0 } else { (age - mean) / deviation };
                [age, age * age]
            });
            let (sex, view) = (one_hot(&self.sexes, &of.sexes[at]), one_hot(&self.views, &of.views[at]));
            [sex, view, age.into_iter().flatten().collect()].concat()
        };
        (0..of.ages.len()).flat_map(row).collect()
    }
}

/// All but the first, which is what the intercept stands for.
fn categories(values: &[String]) -> Vec<String> {
    let distinct: BTreeSet<_> = values.iter().collect();
    distinct.into_iter().skip(1).cloned().collect()
}

fn spread(ages: &[f32]) -> Option<(f64, f64)> {
    let known: Vec<f64> = ages.iter().filter(|age| !age.is_nan()).map(|&age| f64::from(age)).collect();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let variance = known.iter().map(|age| (age - mean).powi(2)).sum::<f64>() / known.len() as f64;
    (variance > 0.0).then_some((mean, variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scores;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    /// Records `AP` are positive in validation; in test one of two is, and one `PA` is besides.
    #[test]
    fn test_records_are_ranked_as_validation_records_taught() {
        let (sexes, ages) = (texts(&["F"; 4]), [f32::NAN; 4]);
        let (val_views, test_views) = (texts(&["AP", "AP", "PA", "PA"]), texts(&["AP", "PA", "PA", "AP"]));
        let val = Scores::new(&[0.0; 4], &[1.0, 1.0, 0.0, 0.0], 1).expect("valid");
        let test = Scores::new(&[0.0; 4], &[1.0, 0.0, 0.0, 1.0], 1).expect("valid");
        let of = |views| Metadata { sexes: &sexes, ages: &ages, views };
        let found = metadata_baseline(
            (ValidationScores::new(val), of(&val_views)),
            (TestScores::new(test), of(&test_views)),
        );
        assert_eq!(found.expect("views").macro_auc, Some(1.0));
        // Turned round in test: fitted on test it would be right again.
        let turned = Scores::new(&[0.0; 4], &[0.0, 1.0, 1.0, 0.0], 1).expect("valid");
        let found = metadata_baseline(
            (ValidationScores::new(val), of(&val_views)),
            (TestScores::new(turned), of(&test_views)),
        );
        assert_eq!(found.expect("views").labels, [Some(0.0)]);
    }

    #[test]
    fn records_that_all_look_alike_are_not_ranked() {
        let (sexes, views) = (texts(&["", ""]), texts(&["PA", "PA"]));
        let scores = Scores::new(&[0.0; 2], &[1.0, 0.0], 1).expect("valid");
        let of = |ages| Metadata { sexes: &sexes, ages, views: &views };
        let baseline = |ages| {
            metadata_baseline((ValidationScores::new(scores), of(ages)), (TestScores::new(scores), of(ages)))
        };
        assert_eq!(baseline(&[40.0, f32::NAN]), None);
        assert_eq!(baseline(&[40.0, 50.0]).expect("ages").labels, [Some(1.0)]);
    }

    #[test]
    fn labels_of_one_class_have_no_figure() {
        let (sexes, views) = (texts(&["F", "M"]), texts(&["", ""]));
        let all = Scores::new(&[0.0; 4], &[1.0, 1.0, 0.0, 1.0], 2).expect("valid");
        let of = Metadata { sexes: &sexes, ages: &[1.0, 2.0], views: &views };
        let found = metadata_baseline((ValidationScores::new(all), of), (TestScores::new(all), of));
        assert_eq!(found.expect("sexes").labels, [Some(1.0), None]);
    }
}
