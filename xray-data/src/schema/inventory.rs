//! Which features records offer, over all of them: what is read, what could be a label, and what nobody
//! would miss in silence.

use super::FeatureProblem;
use super::problem::listed;
use crate::error::Place;
use crate::example::{Example, Feature, MAX_FEATURES};
use crate::labels::{NO_FINDING, plain};
use crate::tfrecord::RecordFile;
use std::collections::{BTreeMap, BTreeSet};
use xray_display::counted;

/// Numbers of 0 or 1 that describe the picture, not the patient.
const TECHNICAL: [&str; 9] =
    ["channels", "depth", "height", "width", "size", "index", "fold", "frames", "numframes"];

/// All features of some records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    /// Records that could be read.
    pub(crate) records: u64,
    features: BTreeMap<String, Offered>,
    /// The first feature that a record has twice, with different values, and where.
    twice: Option<(Place, String)>,
    overflow: bool,
}

/// One feature.
#[derive(Clone, Debug, Default)]
struct Offered {
    /// Records in which it has a value.
    filled: u64,
    kinds: BTreeSet<&'static str>,
    /// Records in which it has several values.
    several: u64,
    /// Records in which its one value is 1, and in which it is not a label value.
    ones: u64,
    others: u64,
    zeros: u64,
}

impl Inventory {
    /// Looks at the features of every record, up to the first header that is damaged; images are not read. A record that
    /// says what none before it said is believed if its checksum holds: one flipped bit must not make a feature.
    pub(crate) fn of(file: &RecordFile) -> Inventory {
        let mut inventory = Inventory::default();
        for (number, (entry, payload)) in (0..).zip(file.peek_all()) {
            // A record that is not an example, or is damaged, is an error where it is read.
            let Ok(example) = Example::parse(payload) else { continue };
            let record = Features::of(&example);
            if !inventory.knows(&record) && file.read(number, entry).is_err() {
                continue;
            }
            inventory.add(&record);
            if let (Some(name), None) = (record.twice, &inventory.twice) {
                inventory.twice = Some((file.place(number, entry.offset), name.to_owned()));
            }
        }
        inventory
    }

    /// Both together.
    pub(crate) fn plus(mut self, other: Inventory) -> Inventory {
        self.records += other.records;
        self.overflow |= other.overflow;
        self.twice = self.twice.or(other.twice);
        for (name, offered) in other.features {
            if let Some(mine) = self.feature(&name) {
                mine.filled += offered.filled;
                mine.kinds.extend(offered.kinds);
                mine.several += offered.several;
                mine.ones += offered.ones;
                mine.zeros += offered.zeros;
                mine.others += offered.others;
            }
        }
        self
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.features.keys().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.features.contains_key(name)
    }

    /// Whether the feature holds bytes in any record.
    pub(super) fn is_bytes(&self, name: &str) -> bool {
        self.features.get(name).is_some_and(|offered| offered.kinds.contains("bytes"))
    }

    /// Records in which the feature has a value.
    pub(super) fn filled(&self, name: &str) -> u64 {
        self.features.get(name).map_or(0, |offered| offered.filled)
    }

    /// Features of one number that is 0 or 1, or unknown, in every record.
    pub(super) fn label_like(&self) -> impl Iterator<Item = &str> {
        let like = |(name, offered): &(&String, &Offered)| {
            let last = plain(name.rsplit('/').next().unwrap_or(name));
            offered.zeros + offered.ones > 0
                && offered.others + offered.several == 0
                && last != plain(NO_FINDING)
                && !TECHNICAL.contains(&last.as_str())
        };
        self.features.iter().filter(like).map(|(name, _)| name.as_str())
    }

    /// Refuses records that no schema could read.
    pub(super) fn check(&self) -> Result<(), FeatureProblem> {
        match self.overflow {
            true => Err(FeatureProblem::TooMany { most: MAX_FEATURES }),
            false => Ok(()),
        }
    }

    /// Where a record has a feature twice, with different values: protocol buffers take the last, and nobody
    /// knows what was meant.
    pub(crate) fn contradiction(&self) -> Option<(Place, FeatureProblem)> {
        let (place, name) = self.twice.clone()?;
        Some((place, FeatureProblem::Twice { name }))
    }

    /// `image/height` (int64) and the like, for all features that `leave_out` does not name; those that look
    /// like labels first, with their counts.
    pub(super) fn describe(&self, leave_out: &BTreeSet<&str>) -> Option<String> {
        let like: BTreeSet<&str> = self.label_like().collect();
        let rest = self.names().filter(|name| !leave_out.contains(name));
        let (labels, others): (Vec<&str>, Vec<&str>) = rest.partition(|name| like.contains(name));
        let described = labels.iter().chain(&others).map(|name| self.describe_one(name, like.contains(name)));
        let described: Vec<String> = described.collect();
        (!described.is_empty()).then(|| listed(&described).replace('`', ""))
    }

    fn describe_one(&self, name: &str, is_label: bool) -> String {
        let offered = &self.features[name];
        let kinds: Vec<_> = offered.kinds.iter().copied().collect();
        let kinds = kinds.join(" or ");
        match offered {
            Offered { ones, filled, .. } if is_label => {
                format!("{name} (1 in {ones} of {})", counted(*filled, "record"))
            }
            Offered { several: 1.., .. } => format!("{name} (lists of {kinds})"),
            Offered { filled, .. } if *filled < self.records => {
                format!("{name} ({kinds} in {})", counted(*filled, "record"))
            }
            _ => format!("{name} ({kinds})"),
        }
    }

    /// Whether records before had all features of this one, with such values.
    fn knows(&self, record: &Features<'_>) -> bool {
        let knows = |offered: &Offered, said: &Option<Said>| said.is_none_or(|said| offered.knows(said));
        let mut features = record.said.iter();
        record.twice.is_none()
            && features
                .all(|(name, said)| self.features.get(*name).is_some_and(|offered| knows(offered, said)))
    }

    /// Counts the features of a record.
    pub(super) fn add(&mut self, record: &Features<'_>) {
        self.records += 1;
        for (name, said) in &record.said {
            if let (Some(offered), Some(said)) = (self.feature(name), said) {
                offered.add(*said);
            }
        }
    }

    fn feature(&mut self, name: &str) -> Option<&mut Offered> {
        if !self.features.contains_key(name) {
            if self.features.len() == MAX_FEATURES {
                self.overflow = true;
                return None;
            }
            self.features.insert(name.to_owned(), Offered::default());
        }
        self.features.get_mut(name)
    }
}

/// What one record says of its features.
#[derive(Debug)]
pub(super) struct Features<'a> {
    said: BTreeMap<&'a str, Option<Said>>,
    /// One that it has twice, with different values.
    pub(super) twice: Option<&'a str>,
}

/// What a record says of a feature that has a value.
#[derive(Clone, Copy, Debug)]
struct Said {
    kind: &'static str,
    several: bool,
    value: Value,
}

/// The first value, seen as that of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    One,
    Zero,
    Unknown,
    Other,
}

impl<'a> Features<'a> {
    pub(super) fn of(example: &Example<'a>) -> Features<'a> {
        let mut first = BTreeMap::new();
        let mut features = Features { said: BTreeMap::new(), twice: None };
        for (name, feature) in example.features() {
            match first.insert(name, feature) {
                Some(before) if before != feature => features.twice = features.twice.or(Some(name)),
                Some(_) => {}
                None => {
                    features.said.insert(name, Said::of(feature));
                }
            }
        }
        features
    }
}

impl Said {
    /// Describes a value; a list only as a list. None for a feature without a value.
    fn of(feature: Feature<'_>) -> Option<Said> {
        let (value, several) = match feature {
            Feature::Int64(list) => first(list.iter().map(|value| value as f64)),
            Feature::Float(list) => first(list.iter().map(f64::from)),
            Feature::Bytes(list) => first(list.iter().map(|_| f64::INFINITY)), // no number, so no label
            Feature::Empty => (None, false),
        };
        let value = match value? {
            1.0 => Value::One,
            0.0 => Value::Zero,
            -1.0 | -2.0 => Value::Unknown,
            value if value.is_nan() => Value::Unknown,
            _ => Value::Other,
        };
        Some(Said { kind: feature.kind(), several, value })
    }
}

impl Offered {
    fn knows(&self, said: Said) -> bool {
        self.kinds.contains(said.kind)
            && (self.several > 0 || !said.several)
            && (self.others > 0 || said.value != Value::Other)
    }

    fn add(&mut self, said: Said) {
        self.kinds.insert(said.kind);
        self.filled += 1;
        self.several += u64::from(said.several);
        match said.value {
            Value::One => self.ones += 1,
            Value::Zero => self.zeros += 1,
            Value::Unknown => {}
            Value::Other => self.others += 1,
        }
    }
}

/// The first value, and whether there are more.
fn first(mut values: impl Iterator<Item = f64>) -> (Option<f64>, bool) {
    let first = values.next();
    (first, values.next().is_some())
}
