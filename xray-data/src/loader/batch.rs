//! One batch: its records read, decoded, prepared, augmented and laid side by side.

use super::BadRecord;
use super::cache::PreparedCache;
use crate::dataset::{Dataset, RecordId};
use crate::error::{Error, Result};
use crate::schema::{Label, Sample, Uncertain};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xray_artifacts::{Preprocessing, one_line};
use xray_image::{Augmentation, Budget, augment, decode_gray_within, normalise, prepare};

/// Records ready for a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its number in the epoch, from 0. Bad records make a batch smaller, even empty, and never move others.
    pub index: usize,
    /// `[n, 1, size, size]`, normalised.
    pub images: Vec<f32>,
    /// `[n, labels]`: 0, 1, or NaN where nobody said.
    pub labels: Vec<f32>,
    /// `[n]` names of the images.
    pub ids: Vec<String>,
    /// `[n]` what is known of the patients and the views.
    pub about: Vec<About>,
    /// `[n]` records.
    pub records: Vec<RecordId>,
    /// Width and height of the images.
    pub size: u32,
}

/// What a record says of its patient and its view, as in [`Sample`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Whose image it is.
    pub patient_id: Option<String>,
    /// `PA` or `AP`.
    pub view: Option<String>,
    /// `M` or `F`.
    pub sex: Option<String>,
    /// In years.
    pub age: Option<u16>,
}

impl Batch {
    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether all its records were bad.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// Makes batches; shared by all threads.
#[derive(Debug)]
pub(super) struct Assembler {
    pub(super) dataset: Arc<Dataset>,
    pub(super) records: Vec<RecordId>,
    pub(super) preprocessing: Preprocessing,
    pub(super) augmentation: Option<Augmentation>,
    pub(super) seed: u64,
    pub(super) uncertain: Uncertain,
    pub(super) cache: PreparedCache,
}

/// What a record gives beside its pixels.
struct Described {
    image_id: String,
    labels: Vec<f32>,
    about: About,
}

/// Buffers of one thread.
#[derive(Default)]
struct Scratch {
    prepared: Vec<u8>,
    augmented: Vec<u8>,
}

impl Assembler {
    /// The batch of the records at `positions`, and those that were left out of it. Nothing when `cancelled`
    /// was set meanwhile. To be called on the loader's pool.
    ///
    /// # Errors
    /// What is not the fault of a single record.
    pub(super) fn batch(
        &self,
        epoch: u64,
        index: usize,
        positions: &[u32],
        cancelled: &AtomicBool,
    ) -> Result<Option<(Batch, Vec<BadRecord>)>> {
        let size = self.preprocessing.size;
        let pixels = size as usize * size as usize;
        let mut images = vec![0.0; positions.len() * pixels];
        let described: Vec<_> = images
            .par_chunks_exact_mut(pixels)
            .zip(positions)
            .map_init(Scratch::default, |scratch, (out, &position)| {
                if cancelled.load(Ordering::Relaxed) {
                    return None;
                }
                Some(self.record(epoch, position as usize, scratch, out))
            })
            .collect();
        let mut batch = Batch {
            index,
            images,
            labels: Vec::with_capacity(positions.len() * self.dataset.labels().len()),
            ids: Vec::with_capacity(positions.len()),
            about: Vec::with_capacity(positions.len()),
            records: Vec::with_capacity(positions.len()),
            size,
        };
        let mut bad = Vec::new();
        for (place, described) in described.into_iter().enumerate() {
            let record = self.records[positions[place] as usize];
            match described {
                None => return Ok(None),
                Some(Ok(described)) => batch.keep(place, record, described),
                Some(Err(error)) if error.is_bad_record() => {
                    bad.push(BadRecord { record, problem: one_line(&error) });
                }
                Some(Err(error)) => return Err(error),
            }
        }
        batch.images.truncate(batch.records.len() * pixels);
        Ok(Some((batch, bad)))
    }

    fn record(
        &self,
        epoch: u64,
        position: usize,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<Described> {
        let id = self.records[position];
        let ordinal = self.dataset.ordinal(id);
        // The checksum of a record was compared when its image was made, so its labels are peeked at later.
        let sample = if self.cache.load(position, ordinal, &mut scratch.prepared) {
            self.dataset.peek(id)
        } else {
            self.decode(id, &mut scratch.prepared)
                .inspect(|_| self.cache.store(position, ordinal, &scratch.prepared))
        };
        let value = |label: Label| label.as_f32(self.uncertain);
        let described = sample.map(|sample| Described {
            image_id: sample.image_id,
            labels: sample.labels.into_iter().map(value).collect(),
            about: About {
                patient_id: sample.patient_id,
                view: sample.view,
                sex: sample.sex,
                age: sample.age,
            },
        });
        self.dataset.release(id);
        let described = described?;
        normalise(self.augmented(epoch, id, scratch), &self.preprocessing, out);
        Ok(described)
    }

    /// Reads a record, and its image as far as it does not change from epoch to epoch.
    fn decode(&self, id: RecordId, prepared: &mut Vec<u8>) -> Result<Sample<'_>> {
        let sample = self.dataset.sample(id)?;
        let white_level = self.preprocessing.white_level;
        let image = decode_gray_within(sample.image, white_level, &Budget::default())
            .and_then(|image| prepare(&image, &self.preprocessing));
        let image = image.map_err(|problem| Error::Image {
            place: format!("{} ({})", self.dataset.place(id), sample.image_id),
            problem,
        })?;
        *prepared = image.pixels;
        Ok(sample)
    }

    fn augmented<'a>(&self, epoch: u64, id: RecordId, scratch: &'a mut Scratch) -> &'a [u8] {
        let Some(augmentation) = &self.augmentation else { return &scratch.prepared };
        let Scratch { prepared, augmented } = scratch;
        augmented.resize(prepared.len(), 0);
        augment(prepared, self.preprocessing.size, augmentation, self.seed, epoch, id.key(), augmented);
        augmented
    }
}

impl Batch {
    /// Takes the record whose image was made at `place`, closing the gap that bad ones before it left.
    fn keep(&mut self, place: usize, record: RecordId, described: Described) {
        let pixels = self.size as usize * self.size as usize;
        let kept = self.records.len();
        if kept != place {
            self.images.copy_within(place * pixels..(place + 1) * pixels, kept * pixels);
        }
        self.labels.extend(described.labels);
        self.ids.push(described.image_id);
        self.about.push(described.about);
        self.records.push(record);
    }
}
