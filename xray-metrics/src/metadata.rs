//! A baseline that ignores the image but knows who is on it and how it was taken: a logistic regression
//! per label on sex, view, age and its square (some findings belong to the middle of life). The sick are X-rayed
//! lying down (view AP), so on ChestX-ray14 this reaches a macro-AUC of about 0.6. A model that has not left it
//! behind has perhaps learnt nothing else.

use crate::logistic::Logistic;
use crate::mean::mean_of_defined;
use crate::{Column, Comparison, Result, Scores, TestScores, ValidationScores, auc, compare};
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
    /// Validation records that it was fitted on. There are many fewer than a network had, so a fair share of what it
    /// lacks may be theirs.
    pub fitted_on: u64,
    /// Mean over the labels that define it.
    pub macro_auc: Option<f64>,
    /// One per label; null where validation or test records are of one class.
    pub labels: Vec<Option<f64>>,
    /// Its logits of the test records, row-major `[records, labels]`; NaN for a label that has no regression.
    #[serde(skip)]
    pub logits: Vec<f64>,
}

impl MetadataBaseline {
    /// A model beside it on the test records that it ranked, patient by patient, on the labels that both define:
    /// `a` is the model, `b` the metadata. See [`compare`] for the rest.
    ///
    /// # Errors
    /// If the model was scored on another number of records or labels, or there is not one patient per record.
    pub fn beside(&self, model: TestScores<'_>, patients: Option<&[u32]>) -> Result<Comparison> {
        let model = model.scores();
        let masked = |(&truth, logit): (&f32, &f64)| if logit.is_nan() { f32::NAN } else { truth };
        let truth: Vec<f32> = model.truth().iter().zip(&self.logits).map(masked).collect();
        let own: Vec<f64> =
            self.logits.iter().map(|&logit| if logit.is_nan() { 0.0 } else { logit }).collect();
        let of = |logits| Scores::new(logits, &truth, model.num_labels());
        compare(of(model.values())?, of(&own)?, patients)
    }
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
    let (records, num_labels) = (test.0.num_records(), test.0.num_labels());
    assert_eq!(test_features.len(), records * encoding.width(), "metadata of every record");
    let mut logits = vec![f64::NAN; records * num_labels];
    let mut labels = Vec::with_capacity(num_labels);
    for label in 0..num_labels {
        let (features, truth) = known(&val_features, encoding.width(), val.0.truth_of(label));
        let Some(fitted) = Logistic::fit(&features, &truth, encoding.width()) else {
            labels.push(None);
            continue;
        };
        for (record, row) in test_features.chunks_exact(encoding.width()).enumerate() {
            logits[record * num_labels + label] = fitted.logit(row);
        }
        labels.push(auc_of(&logits, test.0, label));
    }
    let fitted_on = val.0.num_records() as u64;
    Some(MetadataBaseline { fitted_on, macro_auc: mean_of_defined(&labels), labels, logits })
}

fn auc_of(logits: &[f64], test: TestScores<'_>, label: usize) -> Option<f64> {
    let of_label = logits.iter().skip(label).step_by(test.num_labels());
    let rows = of_label.zip(test.truth_of(label)).filter_map(|(&logit, truth)| Some((logit, truth?)));
    let (logits, truth) = rows.unzip();
    auc(&Column::new(logits, truth).ok()?)
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
        let found = found.expect("views");
        assert_eq!((&found.labels[..], found.fitted_on), (&[Some(0.0)][..], 4));
    }

    /// Forty patients with two records each. Metadata rank the first label as well as the model; validation has
    /// nobody with the second, and test nobody with the third.
    #[test]
    fn the_model_stands_beside_it_on_the_labels_that_both_define() {
        let records = 80_usize;
        let view = |at: usize| if at / 2 % 4 < 2 { "AP" } else { "PA" };
        let views: Vec<String> = (0..records).map(|at| view(at).to_owned()).collect();
        let (sexes, ages) = (texts(&["F"; 80]), [f32::NAN; 80]);
        let metadata = Metadata { sexes: &sexes, ages: &ages, views: &views };
        let sick = |at: usize| f32::from(u8::from(view(at) == "AP" || at / 2 % 8 == 3));
        let odd = |at: usize| f32::from(u8::from(at / 2 % 2 == 1));
        let truth = |of: &dyn Fn(usize) -> [f32; 3]| (0..records).flat_map(of).collect::<Vec<_>>();
        let (val, test) = (truth(&|at| [sick(at), 0.0, odd(at)]), truth(&|at| [sick(at), odd(at), 0.0]));
        let logits: Vec<f64> = (0..records)
            .flat_map(|at| [f64::from(u8::from(view(at) == "AP")), odd(at).into(), 0.0])
            .collect();
        let scores = |truth| Scores::new(&logits, truth, 3).expect("valid");
        let (val, test) = (ValidationScores::new(scores(&val)), TestScores::new(scores(&test)));
        let baseline = metadata_baseline((val, metadata), (test, metadata)).expect("views");
        let patients: Vec<u32> = (0..80).map(|at| at / 2).collect();
        let found = baseline.beside(test, Some(&patients)).expect("of the same records");
        assert_eq!(found.units, 40);
        assert_eq!(found.labels[0].a, found.labels[0].b);
        assert_eq!((found.labels[0].a, found.macro_auc.a), (baseline.labels[0], baseline.labels[0]));
        assert_eq!(found.labels[1].a, None, "the model's 1.0 has nothing beside it");
        assert_eq!((baseline.labels[1], baseline.labels[2], found.labels[2].b), (None, None, None));
        let other = Scores::new(&[0.0; 3], &[1.0; 3], 3).expect("valid");
        baseline.beside(TestScores::new(other), None).expect_err("other records");
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
