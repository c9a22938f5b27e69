//! One pass over the records.

use super::ahead::Ahead;
use super::batch::Batch;
use super::{BadRecord, Shared, order};
use crate::error::Result;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The batches of an epoch in order. `prefetch` of them are in the making at any time, each as one job on the
/// loader's pool whose records are spread over its threads, so that the end of one batch and the start of the
/// next overlap. After an error there is nothing more. Dropped, it leaves its unfinished jobs to end at their
/// next record.
pub struct Epoch {
    shared: Arc<Shared>,
    epoch: u64,
    batches: usize,
    ahead: Ahead<(Batch, Vec<BadRecord>)>,
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}, batch {} of {}", self.epoch, self.ahead.number(), self.batches)
    }
}

impl Epoch {
    pub(super) fn new(shared: Arc<Shared>, epoch: u64, first_batch: usize) -> Self {
        let config = &shared.config;
        let records = shared.assembler.records.len();
        // Positions in the loader's records; in their own order when there is none.
        let order = config.shuffle.then(|| order::shuffled(records, config.seed, epoch));
        let (batches, batch_size) = (shared.batches_per_epoch(), config.batch_size);
        let assembler = shared.assembler.clone();
        let work = move |index: usize, cancelled: &_| {
            let first = index * batch_size;
            let last = (first + batch_size).min(records);
            let positions: Vec<u32> = match order.as_deref() {
                Some(order) => order[first..last].to_vec(),
                None => (first as u32..last as u32).collect(),
            };
            assembler.batch(epoch, index, &positions, cancelled)
        };
        let ahead = Ahead::new(shared.pool.clone(), config.prefetch, first_batch..batches, work);
        Epoch { shared, epoch, batches, ahead }
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let made = self.ahead.next()?;
        let waited = start.elapsed().as_nanos() as u64;
        self.shared.waited_nanoseconds.fetch_add(waited, Ordering::Relaxed);
        let batch = made.and_then(|(batch, bad)| self.shared.note_bad(bad).map(|()| batch));
        if batch.is_err() {
            self.ahead.stop();
        }
        Some(batch)
    }
}
