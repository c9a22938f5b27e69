//! One record as the rest of the crate sees it, and back into bytes.

use crate::example::ExampleBuilder;
use crate::labels::{NO_FINDING, is_no_finding};
use serde::{Deserialize, Serialize};
use xray_artifacts::Split;

/// One X-ray with what is known about it. The image is a slice of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The encoded image: JPEG or PNG.
    pub image: &'a [u8],
    /// File name of the image, without folders.
    pub image_id: String,
    /// Whose image it is.
    pub patient_id: Option<String>,
    /// In the order of the labels' names.
    pub labels: Vec<Label>,
    /// Whether it is said that there is no finding; none where that follows from the labels.
    pub no_finding: Option<Label>,
    /// `PA` or `AP`.
    pub view: Option<String>,
    /// `M` or `F`.
    pub sex: Option<String>,
    /// In years.
    pub age: Option<u16>,
    /// Where the source wants it.
    pub split: Option<Split>,
    /// Which of several sources it is from.
    pub source: Option<String>,
}

/// Whether an image shows a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// It does not.
    Negative,
    /// It does.
    Positive,
    /// The reader was uncertain: no score counts it, and training treats it as [`Uncertain`] says.
    Uncertain,
    /// Not said: no loss is computed and no score counts it.
    Unknown,
}

/// What training makes of uncertain labels (Irvin et al.: CheXpert, AAAI 2019, §3.1: U-Ignore, U-Zeros, U-Ones).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uncertain {
    /// No loss is computed for them.
    #[default]
    Ignore,
    /// They are taken for negative.
    Zero,
    /// They are taken for positive.
    One,
}

impl Label {
    /// Whether it is positive or negative.
    pub fn is_known(self) -> bool {
        matches!(self, Label::Negative | Label::Positive)
    }

    /// 0, 1, or NaN for what counts nothing.
    pub fn as_f32(self, uncertain: Uncertain) -> f32 {
        match (self, uncertain) {
            (Label::Negative, _) | (Label::Uncertain, Uncertain::Zero) => 0.0,
            (Label::Positive, _) | (Label::Uncertain, Uncertain::One) => 1.0,
            (Label::Uncertain, Uncertain::Ignore) | (Label::Unknown, _) => f32::NAN,
        }
    }

    /// 0, 1, -1 for uncertain and -2 for unknown: how shards hold it.
    pub fn as_i64(self) -> i64 {
        match self {
            Label::Negative => 0,
            Label::Positive => 1,
            Label::Uncertain => -1,
            Label::Unknown => -2,
        }
    }
}

/// A record of this project's shards: the names of [`Preset::Xray`](super::Preset::Xray), one integer per
/// label and one for `No Finding`. `names` are the labels' names, in the order of `sample.labels`.
pub fn encode_sample(sample: &Sample<'_>, names: &[String]) -> Vec<u8> {
    assert_eq!(names.len(), sample.labels.len(), "one name per label");
    let mut example =
        ExampleBuilder::new().bytes("image", sample.image).bytes("image_id", sample.image_id.as_bytes());
    // As a label of its own it is written with the labels.
    if !names.iter().any(|name| name == NO_FINDING) {
        let own = names.iter().position(|name| is_no_finding(name)).map(|place| sample.labels[place]);
        let said = sample.no_finding.or(own).unwrap_or_else(|| no_finding(&sample.labels));
        example = example.int64(NO_FINDING, said.as_i64());
    }
    let texts = [
        ("patient_id", &sample.patient_id),
        ("patient_sex", &sample.sex),
        ("view_position", &sample.view),
        ("source", &sample.source),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            example = example.bytes(name, text.as_bytes());
        }
    }
    if let Some(age) = sample.age {
        example = example.int64("patient_age", age.into());
    }
    for (name, label) in names.iter().zip(&sample.labels) {
        example = example.int64(name, label.as_i64());
    }
    example.encode()
}

/// Positive when all findings are known to be absent.
fn no_finding(labels: &[Label]) -> Label {
    if labels.contains(&Label::Positive) {
        Label::Negative
    } else if let Some(&label) = labels.iter().find(|label| !label.is_known()) {
        label
    } else {
        Label::Positive
    }
}
