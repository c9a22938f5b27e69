//! From records to batches: decoding, preparing and augmenting on a pool of threads, in an order that depends
//! on the seed and the epoch alone.
//!
//! Every batch is a pure function of (data, settings, seed, epoch, number of the batch): the number of threads
//! changes nothing, and an epoch can be entered at any batch without reading what comes before.

mod ahead;
mod batch;
mod cache;
mod config;
mod epoch;
mod order;

pub use ahead::{Ahead, pool};
pub use batch::{About, Batch, Images};
pub use cache::Cache;
pub use config::{LoaderConfig, LoaderProblem};
pub use epoch::Epoch;

use crate::dataset::{Dataset, RecordId};
use crate::error::{Error, Result};
use batch::Assembler;
use cache::PreparedCache;
use rayon::ThreadPool;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use xray_artifacts::Preprocessing;

/// Makes batches of some records of a data set.
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
}

/// A record that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Which one.
    pub record: RecordId,
    /// The error, in one line, with the place.
    pub problem: String,
}

/// What a loader and its epochs share.
#[derive(Debug)]
struct Shared {
    assembler: Arc<Assembler>,
    config: LoaderConfig,
    pool: Arc<ThreadPool>,
    waited_nanoseconds: AtomicU64,
    /// What was left out, each record once, in the order in which the consumer met them.
    bad: Mutex<BTreeMap<RecordId, String>>,
}

impl Loader {
    /// A loader of `records`, in this order unless the configuration shuffles.
    ///
    /// # Errors
    /// [`Error::Loader`] and [`Error::Augmentation`] for settings that cannot be, [`Error::Io`] when threads
    /// cannot be started or the cache cannot be opened.
    pub fn new(
        dataset: Arc<Dataset>,
        records: Vec<RecordId>,
        preprocessing: Preprocessing,
        config: LoaderConfig,
    ) -> Result<Self> {
        config.check(records.len(), &preprocessing)?;
        let cache = PreparedCache::open(&config.cache, &dataset, &preprocessing, records.len())?;
        let pool = pool(config.threads).map_err(Error::io(dataset.path(), "start threads to read"))?;
        let pool = Arc::new(pool);
        let assembler = Arc::new(Assembler {
            dataset,
            records,
            preprocessing,
            augmentation: config.augmentation,
            seed: config.seed,
            uncertain: config.uncertain,
            cache,
            as_levels: config.as_levels,
        });
        let (waited_nanoseconds, bad) = Default::default();
        Ok(Loader { shared: Arc::new(Shared { assembler, config, pool, waited_nanoseconds, bad }) })
    }

    /// How many batches an epoch has, the last one perhaps smaller.
    pub fn batches_per_epoch(&self) -> usize {
        self.shared.batches_per_epoch()
    }

    /// How many records an epoch goes through.
    pub fn len(&self) -> usize {
        self.shared.assembler.records.len()
    }

    /// Never: a loader without records cannot be made.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of an epoch from number `first_batch` on. Work ahead begins at the first call of `next` and
    /// stops when the iterator is dropped.
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> Epoch {
        Epoch::new(self.shared.clone(), epoch, first_batch)
    }

    /// How long consumers were blocked because the next batch was not ready: near zero when reading keeps up.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.shared.waited_nanoseconds.load(Ordering::Relaxed))
    }

    /// The records that were left out so far.
    pub fn bad(&self) -> Vec<BadRecord> {
        self.shared.bad()
    }

    /// What a person should know, such as a cache that could not be written.
    pub fn warnings(&self) -> Vec<String> {
        self.shared.assembler.cache.warnings()
    }
}

impl Shared {
    fn batches_per_epoch(&self) -> usize {
        let (records, size) = (self.assembler.records.len(), self.config.batch_size);
        if self.config.drop_last { records / size } else { records.div_ceil(size) }
    }

    /// Remembers what a batch left out. Called in the order of the batches, so that the limit is reached at
    /// the same one whatever the number of threads.
    fn note_bad(&self, found: Vec<BadRecord>) -> Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        bad.extend(found.into_iter().map(|bad| (bad.record, bad.problem)));
        let limit = self.config.skip_bad;
        if bad.len() as u64 <= limit {
            return Ok(());
        }
        drop(bad);
        Err(Error::TooManyBad { limit, bad: self.bad() })
    }

    fn bad(&self) -> Vec<BadRecord> {
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        bad.iter().map(|(&record, problem)| BadRecord { record, problem: problem.clone() }).collect()
    }
}
