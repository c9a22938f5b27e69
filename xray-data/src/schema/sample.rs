//! One record as the rest of the crate sees it, and back into bytes.

use crate::example::ExampleBuilder;
use crate::labels::NO_FINDING;
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
    /// `PA` or `AP`.
    pub view: Option<String>,
    /// `M` or `F`.
    pub sex: Option<String>,
    /// In years.
    pub age: Option<u16>,
    /// Where the source wants it.
    pub split: Option<Split>,
}

/// Whether an image shows a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// It does not.
    Negative,
    /// It does.
    Positive,
    /// Uncertain or not said: no loss is computed and no score counts it.
    Unknown,
}

impl Label {
    /// 0, 1, or NaN for unknown.
    pub fn as_f32(self) -> f32 {
        match self {
            Label::Negative => 0.0,
            Label::Positive => 1.0,
            Label::Unknown => f32::NAN,
        }
    }

    /// 0, 1, or -1 for unknown: how shards hold it.
    pub fn as_i64(self) -> i64 {
        match self {
            Label::Negative => 0,
            Label::Positive => 1,
            Label::Unknown => -1,
        }
    }
}

/// A record of this project's shards: the names of [`Preset::Xray`](super::Preset::Xray), one integer per
/// label and one for `No Finding`. `names` are the labels' names, in the order of `sample.labels`.
pub fn encode_sample(sample: &Sample<'_>, names: &[String]) -> Vec<u8> {
    assert_eq!(names.len(), sample.labels.len(), "one name per label");
    let mut example = ExampleBuilder::new()
        .bytes("image", sample.image)
        .bytes("image_id", sample.image_id.as_bytes())
        .int64(NO_FINDING, no_finding(&sample.labels).as_i64());
    let texts =
        [("patient_id", &sample.patient_id), ("patient_sex", &sample.sex), ("view_position", &sample.view)];
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
    } else if labels.contains(&Label::Unknown) {
        Label::Unknown
    } else {
        Label::Positive
    }
}
