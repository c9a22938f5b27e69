//! What a loader can be told.

use super::Cache;
use crate::error::Result;
use crate::schema::Uncertain;
use xray_artifacts::{Exit, Preprocessing};
use xray_image::Augmentation;

/// How batches are made.
#[derive(Clone, Debug)]
pub struct LoaderConfig {
    /// Records in a batch.
    pub batch_size: usize,
    /// Orders the records and draws the augmentation.
    pub seed: u64,
    /// A new order in each epoch; otherwise the given one.
    pub shuffle: bool,
    /// Leave out the last batch of an epoch when it is not full.
    pub drop_last: bool,
    /// Threads that decode; 0 for one per processor.
    pub threads: usize,
    /// Batches made ahead of the consumer, which bounds the memory used.
    pub prefetch: usize,
    /// Where prepared images are kept between epochs.
    pub cache: Cache,
    /// How many bad records may be left out, over all epochs of this loader. With 0, the first one is an error.
    pub skip_bad: u64,
    /// Random changes to each image; none for validation and tests.
    pub augmentation: Option<Augmentation>,
    /// What becomes of uncertain labels.
    pub uncertain: Uncertain,
    /// Leave normalising to whoever takes the batches: images are levels of gray.
    pub as_levels: bool,
}

impl Default for LoaderConfig {
    /// Batches of 32 in the given order, four ahead, nothing cached, no bad record allowed.
    fn default() -> Self {
        LoaderConfig {
            batch_size: 32,
            seed: 0,
            shuffle: false,
            drop_last: false,
            threads: 0,
            prefetch: 4,
            cache: Cache::None,
            skip_bad: 0,
            augmentation: None,
            uncertain: Uncertain::Ignore,
            as_levels: false,
        }
    }
}

/// Settings that cannot be, or a loader that broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoaderProblem {
    /// Batches of nothing.
    #[error("a batch size of 0")]
    BatchSize,
    /// Nothing ahead means nothing at all.
    #[error("prefetching 0 batches")]
    Prefetch,
    /// Images of nothing.
    #[error("images of 0 pixels")]
    ImageSize,
    /// No records to load.
    #[error("no records to load")]
    NoRecords,
    /// No batch is full and only full ones are wanted.
    #[error("{records} records do not fill a batch of {batch_size}")]
    NoFullBatch {
        /// Records given.
        records: usize,
        /// Records wanted.
        batch_size: usize,
    },
    /// A thread of the loader panicked: a mistake in this program.
    #[error("the loader panicked: {message}")]
    Panic {
        /// What it said.
        message: String,
    },
}

impl LoaderProblem {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            LoaderProblem::BatchSize | LoaderProblem::Prefetch | LoaderProblem::ImageSize => "use 1 or more",
            LoaderProblem::NoRecords => "use a larger fraction of the data",
            LoaderProblem::NoFullBatch { .. } => "use a smaller batch size or a larger fraction of the data",
            LoaderProblem::Panic { .. } => "this is a mistake in this program: please report it",
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            LoaderProblem::Panic { .. } => Exit::Unexpected,
            LoaderProblem::NoRecords => Exit::NothingMatches,
            _ => Exit::Usage,
        }
    }
}

impl LoaderConfig {
    pub(super) fn check(&self, records: usize, preprocessing: &Preprocessing) -> Result<()> {
        let batch_size = self.batch_size;
        if let Some(augmentation) = &self.augmentation {
            augmentation.validate()?;
        }
        Err(match () {
            () if batch_size == 0 => LoaderProblem::BatchSize,
            () if self.prefetch == 0 => LoaderProblem::Prefetch,
            () if preprocessing.size == 0 => LoaderProblem::ImageSize,
            () if records == 0 => LoaderProblem::NoRecords,
            () if self.drop_last && records < batch_size => {
                LoaderProblem::NoFullBatch { records, batch_size }
            }
            () => return Ok(()),
        }
        .into())
    }
}
