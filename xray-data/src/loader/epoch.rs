//! One pass over the records.

use super::batch::Batch;
use super::{BadRecord, LoaderProblem, Shared, order};
use crate::error::{Error, Result};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// What a job on the pool sends back; nothing when it was cancelled.
type Made = Result<Option<(Batch, Vec<BadRecord>)>>;

/// The batches of an epoch in order. `prefetch` of them are in the making at any time, each as one job on the
/// loader's pool whose records are spread over its threads, so that the end of one batch and the start of the
/// next overlap. After an error there is nothing more. Dropped, it leaves its unfinished jobs to end at their
/// next record.
pub struct Epoch {
    shared: Arc<Shared>,
    epoch: u64,
    /// Positions in the loader's records; in their own order when there is none.
    order: Arc<Option<Vec<u32>>>,
    /// The next batch to start.
    next: usize,
    batches: usize,
    jobs: VecDeque<Receiver<Made>>,
    cancelled: Arc<AtomicBool>,
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}, batch {} of {}", self.epoch, self.next - self.jobs.len(), self.batches)
    }
}

impl Epoch {
    pub(super) fn new(shared: Arc<Shared>, epoch: u64, first_batch: usize) -> Self {
        let config = &shared.config;
        let records = shared.assembler.records.len();
        let order = config.shuffle.then(|| order::shuffled(records, config.seed, epoch));
        let batches = shared.batches_per_epoch();
        Epoch {
            shared,
            epoch,
            order: Arc::new(order),
            next: first_batch.min(batches),
            batches,
            jobs: VecDeque::new(),
            cancelled: Arc::default(),
        }
    }

    fn start_jobs(&mut self) {
        while self.next < self.batches && self.jobs.len() < self.shared.config.prefetch {
            let job = self.start(self.next);
            self.jobs.push_back(job);
            self.next += 1;
        }
    }

    fn start(&self, index: usize) -> Receiver<Made> {
        let (sender, receiver) = sync_channel(1);
        let (assembler, order, cancelled) =
            (self.shared.assembler.clone(), self.order.clone(), self.cancelled.clone());
        let (epoch, batch_size) = (self.epoch, self.shared.config.batch_size);
        self.shared.pool.spawn(move || {
            let first = index * batch_size;
            let last = (first + batch_size).min(assembler.records.len());
            let positions: Vec<u32> = match order.as_deref() {
                Some(order) => order[first..last].to_vec(),
                None => (first as u32..last as u32).collect(),
            };
            // A panic that left a job would end the process.
            let made =
                catch_unwind(AssertUnwindSafe(|| assembler.batch(epoch, index, &positions, &cancelled)));
            // Nobody listens to the jobs of an epoch that was dropped.
            let _ = sender.send(made.unwrap_or_else(|panic| Err(panicked(&*panic))));
        });
        receiver
    }

    fn receive(&mut self) -> Option<Made> {
        let job = self.jobs.pop_front()?;
        let start = Instant::now();
        let made = job.recv().expect("a job sends, its panics are caught, and the pool outlives it");
        let waited = start.elapsed().as_nanos() as u64;
        self.shared.waited_nanoseconds.fetch_add(waited, Ordering::Relaxed);
        Some(made)
    }

    fn stop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.next = self.batches;
        self.jobs.clear();
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.start_jobs();
        let made = self.receive()?;
        self.start_jobs();
        let batch = made.and_then(|made| match made {
            Some((batch, bad)) => self.shared.note_bad(bad).map(|()| Some(batch)),
            None => Ok(None),
        });
        if batch.is_err() {
            self.stop();
        }
        batch.transpose()
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        self.stop();
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    LoaderProblem::Panic { message }.into()
}
