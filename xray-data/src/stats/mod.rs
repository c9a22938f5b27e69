//! What a data set holds: images, patients, findings per split, findings that occur together, image sizes.

mod source_alone;
mod table;

use crate::dataset::{Dataset, Draw, RecordId};
use crate::error::{Error, Result};
use crate::schema::Label;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use xray_artifacts::Split;
use xray_image::read_header;

/// Counts over a whole data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// The findings, in order.
    pub labels: Vec<String>,
    /// In the order train, val, test; empty splits are left out.
    pub splits: Vec<SplitStats>,
    /// Width and height of the stored images and how many have it, the most frequent first.
    pub sizes: Vec<SizeCount>,
    /// Where the data set is of several sources: what of it is from which, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceStats>,
    /// AUC that telling the sources apart earns, per label, ignoring what the images show: each image is said to
    /// show it as often as its source does. Null where fewer than two sources know the label, or all say the same of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_alone: Vec<Option<f64>>,
    /// `together[a][b]`: images that show both `a` and `b`; the diagonal counts each finding.
    pub together: Vec<Vec<u64>>,
    /// What a person should know before trusting the set.
    pub warnings: Vec<String>,
}

/// Counts over one split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitStats {
    /// Which one.
    pub split: Split,
    /// Records.
    pub images: u64,
    /// Distinct patients; none where a record names no patient.
    pub patients: Option<u64>,
    /// Images that show nothing, as the source says, or else where all labels are known to be negative.
    pub no_finding: u64,
    /// Per label, in order.
    pub labels: Vec<LabelStats>,
}

/// Counts of one finding in one split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelStats {
    /// The finding.
    pub label: String,
    /// Images that show it.
    pub positives: u64,
    /// Images of which it is not known.
    pub unknown: u64,
    /// Positives among the known; none where none is known.
    pub prevalence: Option<f64>,
}

/// Counts over the images of one source, whatever their split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceStats {
    /// Its name.
    pub source: String,
    /// Its images.
    pub images: u64,
    /// Those that show a finding, per label.
    pub positives: Vec<u64>,
    /// Those of which it is known, per label.
    pub known: Vec<u64>,
}

/// How many images have one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SizeCount {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Images.
    pub images: u64,
}

impl Stats {
    /// Reads the labels of every record and the header of every image; nothing is decoded. Uses the current
    /// rayon pool.
    ///
    /// # Errors
    /// A record that cannot be read, or an image that is neither JPEG nor PNG.
    pub fn read(dataset: &Dataset) -> Result<Stats> {
        let labels = dataset.labels();
        let mut whole = Tally::new(labels.len());
        let mut splits = Vec::new();
        for split in Split::ALL {
            let records = match dataset.select(split, &Draw::default()) {
                Err(Error::EmptySplit { .. }) => continue,
                records => records?,
            };
            let tally = tally(dataset, &records)?;
            splits.push(tally.summary(split, labels));
            whole = whole.plus(tally);
        }
        let warnings = dataset.warnings().to_vec();
        let sources = whole.sources();
        Ok(Stats {
            labels: labels.to_vec(),
            splits,
            sizes: whole.sizes(),
            source_alone: if sources.is_empty() {
                Vec::new()
            } else {
                source_alone::per_label(&sources, labels.len())
            },
            sources,
            together: whole.together,
            warnings,
        })
    }
}

/// Aligned text for people.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&table::text(self))
    }
}

/// Running counts over any records.
struct Tally {
    images: u64,
    /// None once a record names no patient.
    patients: Option<HashSet<String>>,
    no_finding: u64,
    unknown: Vec<u64>,
    together: Vec<Vec<u64>>,
    sizes: BTreeMap<(u32, u32), u64>,
    /// Images, positives and known of each source that is named.
    sources: BTreeMap<String, (u64, Vec<u64>, Vec<u64>)>,
}

fn tally(dataset: &Dataset, records: &[RecordId]) -> Result<Tally> {
    let labels = dataset.labels().len();
    let read = |mut tally: Tally, &id: &RecordId| {
        tally.add(dataset, id)?;
        Ok(tally)
    };
    let empty = || Tally::new(labels);
    records.par_iter().try_fold(empty, read).try_reduce(empty, |a, b| Ok(a.plus(b)))
}

impl Tally {
    fn new(labels: usize) -> Tally {
        Tally {
            images: 0,
            patients: Some(HashSet::new()),
            no_finding: 0,
            unknown: vec![0; labels],
            together: vec![vec![0; labels]; labels],
            sizes: BTreeMap::new(),
            sources: BTreeMap::new(),
        }
    }

    fn add(&mut self, dataset: &Dataset, id: RecordId) -> Result<()> {
        let sample = dataset.peek(id)?;
        let header = match read_header(dataset.known_part(id, sample.image)) {
            Ok(header) => header,
            // It is further behind.
            Err(_) => read_header(dataset.sample(id)?.image)
                .map_err(|problem| Error::Image { place: dataset.place(id), problem })?,
        };
        self.images += 1;
        *self.sizes.entry((header.width, header.height)).or_default() += 1;
        match (sample.patient_id, &mut self.patients) {
            (Some(patient), Some(seen)) => {
                seen.insert(patient);
            }
            _ => self.patients = None,
        }
        self.add_labels(&sample.labels, sample.no_finding);
        if let Some(source) = sample.source {
            self.add_source(source, &sample.labels);
        }
        dataset.release(id);
        Ok(())
    }

    fn add_labels(&mut self, labels: &[Label], no_finding: Option<Label>) {
        let nothing = || labels.iter().all(|label| *label == Label::Negative);
        self.no_finding += u64::from(no_finding.map_or_else(nothing, |said| said == Label::Positive));
        let positive = |label: usize| u64::from(labels[label] == Label::Positive);
        for a in 0..labels.len() {
            self.unknown[a] += u64::from(!labels[a].is_known());
            for b in 0..labels.len() {
                self.together[a][b] += positive(a) & positive(b);
            }
        }
    }

    fn add_source(&mut self, source: String, labels: &[Label]) {
        let none = || (0, vec![0; labels.len()], vec![0; labels.len()]);
        let (images, positives, known) = self.sources.entry(source).or_insert_with(none);
        *images += 1;
        for (place, label) in labels.iter().enumerate() {
            positives[place] += u64::from(*label == Label::Positive);
            known[place] += u64::from(label.is_known());
        }
    }

    fn sources(&self) -> Vec<SourceStats> {
        let counts = self.sources.iter().map(|(source, (images, positives, known))| SourceStats {
            source: source.clone(),
            images: *images,
            positives: positives.clone(),
            known: known.clone(),
        });
        counts.collect()
    }

    fn plus(mut self, other: Tally) -> Tally {
        self.images += other.images;
        self.no_finding += other.no_finding;
        self.patients = self.patients.zip(other.patients).map(|(mut mine, others)| {
            mine.extend(others);
            mine
        });
        self.unknown.iter_mut().zip(&other.unknown).for_each(|(mine, count)| *mine += count);
        for (row, others) in self.together.iter_mut().zip(&other.together) {
            row.iter_mut().zip(others).for_each(|(mine, count)| *mine += count);
        }
        let add = |mine: &mut Vec<u64>, more: Vec<u64>| mine.iter_mut().zip(more).for_each(|(m, n)| *m += n);
        for (source, (images, positives, known)) in other.sources {
            let none = || (0, vec![0; positives.len()], vec![0; known.len()]);
            let mine = self.sources.entry(source).or_insert_with(none);
            mine.0 += images;
            add(&mut mine.1, positives);
            add(&mut mine.2, known);
        }
        for (size, count) in other.sizes {
            *self.sizes.entry(size).or_default() += count;
        }
        self
    }

    fn summary(&self, split: Split, labels: &[String]) -> SplitStats {
        let label = |(place, label): (usize, &String)| {
            let (positives, unknown) = (self.together[place][place], self.unknown[place]);
            let known = self.images - unknown;
            let prevalence = (known > 0).then(|| positives as f64 / known as f64);
            LabelStats { label: label.clone(), positives, unknown, prevalence }
        };
        SplitStats {
            split,
            images: self.images,
            patients: self.patients.as_ref().map(|seen| seen.len() as u64),
            no_finding: self.no_finding,
            labels: labels.iter().enumerate().map(label).collect(),
        }
    }

    fn sizes(&self) -> Vec<SizeCount> {
        let count = |(&(width, height), &images)| SizeCount { width, height, images };
        let mut sizes: Vec<SizeCount> = self.sizes.iter().map(count).collect();
        sizes.sort_by_key(|size| std::cmp::Reverse(size.images));
        sizes
    }
}
