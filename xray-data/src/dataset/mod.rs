//! A folder of records ready to draw from: this project's shards with their `dataset.json`, or TFRecords
//! that someone else wrote.

mod draw;
mod fold;
mod foreign;
mod shard;
mod shards;

pub use draw::Draw;
pub use fold::Fold;
pub use foreign::OpenOptions;
pub use shard::ShardProblem;
pub(crate) use shard::compare_content;

use crate::build::refuse_unfinished;
use crate::error::{Error, Place, Result};
use crate::example::{Example, IMAGE_HEAD};
use crate::schema::{FeatureNames, Label, Sample};
use crate::sources::ImageRow;
use shard::Shard;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xray_artifacts::{DatasetManifest, ImageFormat, Split};

/// One record of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId {
    /// The file, in the data set's order.
    pub shard: u32,
    /// The record's number in the file, from 0.
    pub record: u32,
}

impl RecordId {
    /// A number that no other record of the data set has; the same in every process that sees the same files.
    pub fn key(self) -> u64 {
        u64::from(self.shard) << 32 | u64::from(self.record)
    }
}

/// How many records of a selection show a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// They show it.
    pub positives: u64,
    /// They do not.
    pub negatives: u64,
    /// Nobody said.
    pub unknown: u64,
}

/// An open data set. Files are mapped when they are first needed; threads may share it.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    names: FeatureNames,
    labels: Vec<String>,
    shards: Vec<Shard>,
    /// The records of each split in reading order.
    splits: BTreeMap<Split, Vec<RecordId>>,
    /// What a foreign source says of each record, by its place in the data set; none for our own shards,
    /// whose records say everything themselves.
    rows: Vec<ImageRow>,
    warnings: Vec<String>,
    id: String,
    image: Option<ImageFormat>,
}

impl Dataset {
    /// Opens a folder with `dataset.json`, or a folder of `*.tfrec` and `*.tfrecord[.gz]` files.
    ///
    /// # Errors
    /// A build that is not finished; a shard of another size or content than listed; records of a foreign file that cannot be read; a
    /// feature that is named and absent; more folds than patients.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        refuse_unfinished(path)?;
        let dataset = if path.join(DatasetManifest::FILE_NAME).exists() {
            shards::open(path, options)?
        } else {
            foreign::open(path, options)?
        };
        match options.fold {
            Some(fold) => dataset.with_fold(fold),
            None => Ok(dataset),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The findings, in the order of a model's outputs.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The names by which records are read.
    pub fn feature_names(&self) -> &FeatureNames {
        &self.names
    }

    /// How the images were stored; none where no build of ours stored them.
    pub fn image_format(&self) -> Option<&ImageFormat> {
        self.image.as_ref()
    }

    /// What a person should know before trusting numbers from these data.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A hash over the content and the labels, in hexadecimal: equal for equal data.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many records there are in all splits.
    pub fn len(&self) -> u64 {
        self.shards.last().map_or(0, |shard| shard.first + shard.records)
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place of a record among all records, from 0.
    pub fn ordinal(&self, id: RecordId) -> u64 {
        self.shards[id.shard as usize].first + u64::from(id.record)
    }

    /// What a record holds; both checksums were compared.
    ///
    /// # Errors
    /// A damaged record; see [`Error::is_bad_record`]. A shard that is absent.
    ///
    /// # Panics
    /// When `id` is of another data set.
    pub fn sample(&self, id: RecordId) -> Result<Sample<'_>> {
        let payload = self.shard(id).read(id.record)?;
        let example =
            Example::parse(payload).map_err(|problem| Error::Example { place: self.at(id), problem })?;
        self.described(id, &example)
    }

    /// What a record holds, its image not compared with its checksum beyond its first bytes, which say how large it
    /// is: reads only the pages that are looked at. For labels, names and patients; an image for a network comes
    /// from [`sample`](Self::sample).
    ///
    /// # Errors
    /// See [`sample`](Self::sample).
    pub fn peek(&self, id: RecordId) -> Result<Sample<'_>> {
        let shard = self.shard(id);
        let (file, entry) = shard.record(id.record)?;
        let (payload, _) = file.peek(id.record.into(), entry)?;
        // Whatever is wrong, all of the record tells it best.
        let Ok(example) = Example::parse(payload) else { return self.sample(id) };
        match shard.sums(id.record) {
            Some(sums) if sums.without_image != example.crc_without_image(payload) => self.sample(id),
            _ => self.described(id, &example),
        }
    }

    /// The part of a peeked image that is known to be as it was written.
    pub(crate) fn known_part<'a>(&self, id: RecordId, image: &'a [u8]) -> &'a [u8] {
        match self.shard(id).sums(id.record) {
            Some(_) => &image[..image.len().min(IMAGE_HEAD)],
            None => image, // all of the file was compared when it was opened
        }
    }

    /// Hands the memory of a record back to the system. Slices of it stay valid: they are read again.
    pub fn release(&self, id: RecordId) {
        if let Ok((file, entry)) = self.shard(id).record(id.record) {
            file.release(entry);
        }
    }

    /// Positives, negatives and unknowns per label among these records; no image is decoded.
    ///
    /// # Errors
    /// See [`sample`](Self::sample).
    pub fn label_counts(&self, records: &[RecordId]) -> Result<Vec<LabelCounts>> {
        let mut counts = vec![LabelCounts::default(); self.labels.len()];
        for &id in records {
            match self.row(id) {
                Some(row) => count(&mut counts, &row.labels),
                None => count(&mut counts, &self.peek(id)?.labels),
            }
            self.release(id);
        }
        Ok(counts)
    }

    /// `FILE: record N at byte M`, for messages.
    pub fn place(&self, id: RecordId) -> String {
        match self.shard(id).record(id.record) {
            Ok((file, entry)) => file.place(id.record.into(), entry.offset).to_string(),
            Err(_) => format!("{}: record {}", self.shard(id).path.display(), id.record),
        }
    }

    fn shard(&self, id: RecordId) -> &Shard {
        &self.shards[id.shard as usize]
    }

    fn row(&self, id: RecordId) -> Option<&ImageRow> {
        self.rows.get(self.ordinal(id) as usize)
    }

    /// Where a record of an open shard lies.
    fn at(&self, id: RecordId) -> Place {
        let shard = self.shard(id);
        let offset = shard.record(id.record).map_or(0, |(_, entry)| entry.offset);
        Place { path: shard.path.clone(), record: id.record.into(), offset }
    }

    fn described<'a>(&'a self, id: RecordId, example: &Example<'a>) -> Result<Sample<'a>> {
        let sample =
            self.names.read(example).map_err(|problem| Error::Feature { place: self.at(id), problem })?;
        Ok(match self.row(id) {
            Some(row) => joined(sample, row),
            None => sample,
        })
    }
}

/// A table beside foreign records knows more than the records.
fn joined<'a>(sample: Sample<'a>, row: &ImageRow) -> Sample<'a> {
    let ImageRow { image_id, patient_id, view, sex, age, split, labels, no_finding, source } = row.clone();
    Sample { image_id, patient_id, view, sex, age, split, labels, no_finding, source, ..sample }
}

fn count(counts: &mut [LabelCounts], labels: &[Label]) {
    for (count, label) in counts.iter_mut().zip(labels) {
        match label {
            Label::Positive => count.positives += 1,
            Label::Negative => count.negatives += 1,
            Label::Uncertain | Label::Unknown => count.unknown += 1,
        }
    }
}
