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
    /// `[n, 1, size, size]`.
    pub images: Images,
    /// `[n, labels]`: 0, 1, or NaN where nobody said.
    pub labels: Vec<f32>,
    /// `[n]` names of the images.
    pub ids: Vec<String>,
    /// `[n]` what is known of the patients, the views and the sources.
    pub about: Vec<About>,
    /// `[n]` records.
    pub records: Vec<RecordId>,
    /// Width and height of the images.
    pub size: u32,
}

/// Pixels of a batch, as [`LoaderConfig::as_levels`](super::LoaderConfig::as_levels) says.
#[derive(Clone, Debug, PartialEq)]
pub enum Images {
    /// Normalised.
    Normalised(Vec<f32>),
    /// Levels of gray, whose values are [`xray_image::normalised_levels`].
    Levels(Vec<u8>),
}

impl Images {
    /// Pixels.
    pub fn len(&self) -> usize {
        match self {
            Images::Normalised(pixels) => pixels.len(),
            Images::Levels(pixels) => pixels.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a record says of its patient, its view and its source, as in [`Sample`].
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
    /// Which of several sources it is of.
    pub source: Option<String>,
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
    pub(super) as_levels: bool,
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
        let (described, images) = if self.as_levels {
            let (described, levels) = self.records(epoch, positions, cancelled, |pixels, out: &mut [u8]| {
                out.copy_from_slice(pixels);
            });
            (described, Images::Levels(levels))
        } else {
            let (described, normalised) = self.records(epoch, positions, cancelled, |pixels, out| {
                normalise(pixels, &self.preprocessing, out);
            });
            (described, Images::Normalised(normalised))
        };
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
        batch.end();
        Ok(Some((batch, bad)))
    }

    /// Each record, or nothing when `cancelled` was set, and what `write` makes of its pixels.
    fn records<T: Clone + Default + Send>(
        &self,
        epoch: u64,
        positions: &[u32],
        cancelled: &AtomicBool,
        write: impl Fn(&[u8], &mut [T]) + Sync,
    ) -> (Vec<Option<Result<Described>>>, Vec<T>) {
        let pixels = self.preprocessing.size as usize * self.preprocessing.size as usize;
        let mut images = vec![T::default(); positions.len() * pixels];
        let described = images
            .par_chunks_exact_mut(pixels)
            .zip(positions)
            .map_init(Scratch::default, |scratch, (out, &position)| {
                if cancelled.load(Ordering::Relaxed) {
                    return None;
                }
                let described = self.record(position as usize, scratch);
                if described.is_ok() {
                    let id = self.records[position as usize];
                    write(self.augmented(epoch, id, scratch), out);
                }
                Some(described)
            })
            .collect();
        (described, images)
    }

    /// Reads a record, and leaves its prepared image in `scratch`.
    fn record(&self, position: usize, scratch: &mut Scratch) -> Result<Described> {
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
                source: sample.source,
            },
        });
        self.dataset.release(id);
        described
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
            let from = place * pixels..(place + 1) * pixels;
            match &mut self.images {
                Images::Normalised(images) => images.copy_within(from, kept * pixels),
                Images::Levels(images) => images.copy_within(from, kept * pixels),
            }
        }
        self.labels.extend(described.labels);
        self.ids.push(described.image_id);
        self.about.push(described.about);
        self.records.push(record);
    }

    /// Cuts off what bad records left behind the others.
    fn end(&mut self) {
        let pixels = self.records.len() * self.size as usize * self.size as usize;
        match &mut self.images {
            Images::Normalised(images) => images.truncate(pixels),
            Images::Levels(images) => images.truncate(pixels),
        }
    }
}
