//! Which feature of a record means what. Features are read by name: their order differs between files, and
//! the names between those who wrote them, so names are configuration with presets.

mod inventory;
mod presets;
mod problem;
mod resolve;
mod sample;

pub(crate) use inventory::Inventory;
pub(crate) use presets::CHEXPERT;
pub use presets::Preset;
pub use problem::FeatureProblem;
pub(crate) use resolve::{Basis, Resolved, resolve, unlabelled};
pub use sample::{Label, Sample, Uncertain, encode_sample};

use crate::example::{Example, Feature};
use crate::labels::NO_FINDING;
use crate::sources::csv_table::split_name;
use crate::sources::parse_age;
use serde::{Deserialize, Serialize};
use xray_artifacts::Split;

/// The feature names of a file of records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureNames {
    /// Bytes: the encoded image.
    pub image: String,
    /// Bytes or a number: the image's name; of a path, the file name counts.
    pub image_id: Option<String>,
    /// Bytes or a number: whose image it is.
    pub patient_id: Option<String>,
    /// Bytes: `PA` or `AP`.
    pub view: Option<String>,
    /// Bytes: `M` or `F`.
    pub sex: Option<String>,
    /// A number, or bytes as `058Y`: years.
    pub age: Option<String>,
    /// Bytes: `train`, `val` or `test`.
    pub split: Option<String>,
    /// Bytes: which of several sources of the data set it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Label and the feature that holds its value, in the order of a model's outputs.
    pub labels: Vec<(String, String)>,
    /// Which value means what.
    #[serde(default)]
    pub codes: LabelCodes,
}

/// How label values are written as numbers. Any other value is an error; NaN is always unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCodes {
    /// The finding is absent.
    pub negative: f64,
    /// The finding is there.
    pub positive: f64,
    /// Uncertain.
    #[serde(default)]
    pub uncertain: Vec<f64>,
    /// Not mentioned.
    #[serde(default)]
    pub unknown: Vec<f64>,
}

impl Default for LabelCodes {
    /// 0, 1, -1 for uncertain and -2 for not mentioned.
    fn default() -> Self {
        LabelCodes { negative: 0.0, positive: 1.0, uncertain: vec![-1.0], unknown: vec![-2.0] }
    }
}

impl LabelCodes {
    fn label(&self, value: f64) -> Option<Label> {
        if value == self.positive {
            Some(Label::Positive)
        } else if value == self.negative {
            Some(Label::Negative)
        } else if self.uncertain.contains(&value) {
            Some(Label::Uncertain)
        } else if value.is_nan() || self.unknown.contains(&value) {
            Some(Label::Unknown)
        } else {
            None
        }
    }
}

impl FeatureNames {
    /// The labels' names, in order.
    pub fn label_names(&self) -> Vec<String> {
        self.labels.iter().map(|(label, _)| label.clone()).collect()
    }

    /// What a record holds. An optional feature or a label that this record lacks is unknown; without an
    /// image name the caller has to make one.
    pub fn read<'a>(&self, example: &Example<'a>) -> Result<Sample<'a>, FeatureProblem> {
        let labels = self.labels.iter().map(|(_, name)| self.label(name, example));
        Ok(Sample {
            image: self.image(example)?,
            image_id: self.path(example)?.map(file_name).unwrap_or_default(),
            patient_id: text(&self.patient_id, example)?,
            labels: labels.collect::<Result<_, _>>()?,
            no_finding: example.get(NO_FINDING).and_then(|_| self.label(NO_FINDING, example).ok()),
            view: text(&self.view, example)?,
            sex: text(&self.sex, example)?,
            age: text(&self.age, example)?.and_then(|age| parse_age(&age)),
            split: self.split(example)?,
            source: text(&self.source, example)?,
        })
    }

    /// The image's name as the record has it: often with folders.
    ///
    /// # Errors
    /// A name that is not text, or several.
    pub fn path(&self, example: &Example<'_>) -> Result<Option<String>, FeatureProblem> {
        text(&self.image_id, example)
    }

    fn image<'a>(&self, example: &Example<'a>) -> Result<&'a [u8], FeatureProblem> {
        let name = &self.image;
        match example.get(name) {
            Some(Feature::Bytes(list)) => {
                only(name, list.iter())?.ok_or_else(|| FeatureProblem::Empty { name: name.clone() })
            }
            Some(Feature::Empty) => Err(FeatureProblem::Empty { name: name.clone() }),
            Some(other) => Err(FeatureProblem::kind(name, "bytes", other)),
            None => Err(FeatureProblem::missing(name, example)),
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        let optional = [&self.image_id, &self.patient_id, &self.split];
        let labels = self.labels.iter().map(|(_, feature)| feature);
        std::iter::once(&self.image).chain(optional.into_iter().flatten()).chain(labels)
    }

    /// What one feature says of a finding; unknown where it is absent or empty.
    pub(crate) fn label(&self, name: &str, example: &Example<'_>) -> Result<Label, FeatureProblem> {
        let value = match example.get(name) {
            Some(Feature::Int64(list)) => only(name, list.iter())?.map(|value| value as f64),
            Some(Feature::Float(list)) => only(name, list.iter())?.map(f64::from),
            Some(bytes @ Feature::Bytes(_)) => return Err(FeatureProblem::kind(name, "a number", bytes)),
            Some(Feature::Empty) | None => None,
        };
        let Some(value) = value else { return Ok(Label::Unknown) };
        self.codes.label(value).ok_or_else(|| FeatureProblem::value(name, value))
    }

    fn split(&self, example: &Example<'_>) -> Result<Option<Split>, FeatureProblem> {
        let (Some(name), Some(value)) = (&self.split, text(&self.split, example)?) else { return Ok(None) };
        split_name(&value).map(Some).ok_or_else(|| FeatureProblem::value(name, value))
    }
}

/// The one value of a list; of several, none is believed: `[1, 0]` may be one-hot, its first value the absence.
fn only<T>(name: &str, mut values: impl Iterator<Item = T>) -> Result<Option<T>, FeatureProblem> {
    let first = values.next();
    match first.is_some() && values.next().is_some() {
        true => Err(FeatureProblem::Several { name: name.to_owned(), values: 2 + values.count() }),
        false => Ok(first),
    }
}

/// The value as text: names and numbers are written as bytes, `int64` or even `float`. Nothing when the
/// feature is not named, absent or empty.
fn text(name: &Option<String>, example: &Example<'_>) -> Result<Option<String>, FeatureProblem> {
    let Some(name) = name else { return Ok(None) };
    let text = match example.get(name) {
        Some(Feature::Bytes(list)) => {
            let text = only(name, list.iter())?.map(str::from_utf8).transpose();
            text.map_err(|_| FeatureProblem::Text { name: name.clone() })?.map(|text| text.trim().to_owned())
        }
        Some(Feature::Int64(list)) => only(name, list.iter())?.map(|number| number.to_string()),
        // Rust prints the shortest decimal, without an exponent: 64740.0 becomes "64740".
        Some(Feature::Float(list)) => {
            only(name, list.iter())?.filter(|f| f.is_finite()).map(|f| f.to_string())
        }
        Some(Feature::Empty) | None => None,
    };
    Ok(text.filter(|text| !text.is_empty()))
}

/// What follows the last slash of either kind.
fn file_name(path: String) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::inventory::Features;
    use super::*;
    use crate::example::ExampleBuilder;

    fn names() -> FeatureNames {
        FeatureNames::xray(&["Mass".to_owned(), "Nodule".to_owned()])
    }

    fn builder() -> ExampleBuilder<'static> {
        ExampleBuilder::new().bytes("image", b"\x89PNG")
    }

    /// What `names` reads of a record, which has to be good.
    fn read(names: &FeatureNames, record: ExampleBuilder<'_>) -> Sample<'static> {
        let bytes = record.encode();
        let sample = names.read(&Example::parse(&bytes).expect("an example")).expect("a sample");
        Sample { image: &[], ..sample }
    }

    fn refused(names: &FeatureNames, record: ExampleBuilder<'_>) -> String {
        let bytes = record.encode();
        let example = Example::parse(&bytes).expect("an example");
        names.read(&example).expect_err("should be refused").to_string()
    }

    #[test]
    fn labels_are_read_by_name_from_integers_and_floats() {
        let check = |record: ExampleBuilder<'_>, expected: [Label; 2]| {
            assert_eq!(read(&names(), record).labels, expected);
        };
        use Label::{Negative, Positive, Uncertain, Unknown};
        check(builder().int64("Nodule", 1).int64("Mass", 0), [Negative, Positive]);
        check(builder().float("Nodule", 0.0).float("Mass", 1.0), [Positive, Negative]);
        check(builder().int64("Nodule", -1).float("Mass", -1.0), [Uncertain, Uncertain]);
        check(builder().int64("Nodule", -2), [Unknown, Unknown]);
        check(builder().float("Nodule", f32::NAN), [Unknown, Unknown]);
    }

    #[test]
    fn what_cannot_be_a_label_is_refused() {
        let check = |record, expected| assert_eq!(refused(&names(), record), expected);
        check(builder().int64("Mass", 2), "feature `Mass` has the value 2, which is not configured");
        check(builder().bytes("Mass", b"1"), "feature `Mass` holds bytes, expected a number");
        check(ExampleBuilder::new().int64("image", 1), "feature `image` holds int64, expected bytes");
        check(ExampleBuilder::new(), "there is no feature `image`");
        check(builder().bytes("patient_id", b"\xff"), "feature `patient_id` is not text");
    }

    /// In MIMIC's coding 1 is negative: read as everywhere else, every label would be upside down.
    #[test]
    fn label_codes_are_configuration() {
        let preset = Preset::JpgBytes.feature_names();
        let record = ExampleBuilder::new().bytes("jpg_bytes", b"").int64("patient", 17);
        let record =
            record.int64("edema", 1).int64("pneumonia", 3).int64("fracture", 2).int64("airspace_opacity", 0);
        let sample = read(&preset, record);
        let label =
            |name| sample.labels[preset.label_names().iter().position(|n| n == name).expect("listed")];
        assert_eq!(label("Edema"), Label::Negative);
        assert_eq!(label("Pneumonia"), Label::Positive);
        assert_eq!(label("Fracture"), Label::Uncertain);
        assert_eq!(label("Lung Opacity"), Label::Unknown);
        assert_eq!(sample.patient_id.as_deref(), Some("17"));
    }

    #[test]
    fn names_and_ages_come_in_several_forms() {
        let id = |path: &'static [u8]| read(&names(), builder().bytes("image_id", path)).image_id;
        assert_eq!(id(b"images_001/images/00000001_000.png"), "00000001_000.png");
        assert_eq!(id(b"C:\\xray\\a.png"), "a.png");
        let patient = |record: ExampleBuilder<'_>| read(&names(), record).patient_id;
        assert_eq!(patient(builder().float("patient_id", 64740.0)).as_deref(), Some("64740"));
        assert_eq!(patient(builder().bytes("patient_id", b"")), None);
        let age = |text: &'static [u8]| read(&names(), builder().bytes("patient_age", text)).age;
        assert_eq!((age(b"058Y"), age(b"58"), age(b"414"), age(b"")), (Some(58), Some(58), None, None));
    }

    /// What one-hot lists and lists of names would be read as: their first value.
    #[test]
    fn a_list_of_several_values_is_refused() {
        // features { feature { key: "Mass" value { int64_list { value: [1, 0] } } } }
        let mass = b"\x0a\x10\x0a\x0e\x0a\x04Mass\x12\x06\x1a\x04\x0a\x02\x01\x00";
        let record = [builder().encode(), mass.to_vec()].concat();
        let problem = names().read(&Example::parse(&record).expect("an example")).expect_err("two values");
        assert_eq!(problem.to_string(), "feature `Mass` holds 2 values, expected one");
        // features { feature { key: "patient_id" value { bytes_list { value: ["a", "b", "c"] } } } }
        let patient = b"\x0a\x1b\x0a\x19\x0a\x0apatient_id\x12\x0b\x0a\x09\x0a\x01a\x0a\x01b\x0a\x01c";
        let record = [builder().encode(), patient.to_vec()].concat();
        let problem = names().read(&Example::parse(&record).expect("an example")).expect_err("three values");
        assert_eq!(problem.to_string(), "feature `patient_id` holds 3 values, expected one");
    }

    #[test]
    fn a_misspelt_name_is_told_from_an_absent_value() {
        let record = builder().bytes("image_id", b"a").bytes("patient_id", b"1").int64("Mass", 0).encode();
        let mut inventory = Inventory::default();
        inventory.add(&Features::of(&Example::parse(&record).expect("an example")));
        let refused = |names| resolve(&inventory, Basis::Given(Box::new(names)), &[]).expect_err("absent");
        let problem = refused(names());
        assert_eq!(problem.to_string(), "there is no feature `Nodule`");
        assert!(problem.hint().is_some_and(|hint| hint.starts_with("the record has `")), "{problem:?}");
        let hint = refused(FeatureNames { image: "imag".to_owned(), ..names() }).hint();
        assert!(hint.as_deref().is_some_and(|hint| hint.starts_with("the record has `image`")), "{hint:?}");
    }

    #[test]
    fn every_preset_recognises_its_own_records() {
        for preset in Preset::ALL {
            let names = preset.feature_names();
            let optional = [&names.image_id, &names.patient_id].into_iter().flatten();
            let record =
                optional.fold(ExampleBuilder::new().bytes(&names.image, b""), |r, n| r.bytes(n, b"1"));
            let record = names.labels.iter().fold(record, |record, (_, name)| record.int64(name, 1));
            let record = names.age.iter().fold(record, |record, name| record.int64(name, 50)).encode();
            let mut inventory = Inventory::default();
            inventory.add(&Features::of(&Example::parse(&record).expect("an example")));
            assert_eq!(Preset::detect(&inventory), Some(preset));
            assert_eq!(Preset::from_name(preset.name()), Some(preset));
        }
    }

    #[test]
    fn feature_names_are_configuration() {
        let names = Preset::ChexpertLower.feature_names();
        let text = toml::to_string(&names).expect("plain values");
        assert_eq!(toml::from_str::<FeatureNames>(&text).expect("just written"), names);
        let error =
            toml::from_str::<FeatureNames>("image = 'image'\nlabels = []\nlable = 1").expect_err("a typo");
        assert!(error.message().contains("unknown field `lable`"), "{error}");
    }
}
