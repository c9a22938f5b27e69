//! Work ahead of whoever takes it, in order.

use super::LoaderProblem;
use crate::error::Error;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

/// What is done for a number; none when the flag was set meanwhile.
type Work<T> = dyn Fn(usize, &AtomicBool) -> Result<Option<T>, Error> + Send + Sync;

/// What a job on the pool sends back.
type Made<T> = Result<Option<T>, Error>;

/// The results of some work for the numbers `first..end`, in their order. `prefetch` of them are in the making at any
/// time, each as one job on the pool, over whose threads it may spread, so that the end of one and the start of the next
/// overlap. After an error there is nothing more. Dropped, it leaves its unfinished jobs to end when they look at their
/// flag.
pub struct Ahead<T> {
    pool: Arc<ThreadPool>,
    work: Arc<Work<T>>,
    prefetch: usize,
    /// The next number to start.
    next: usize,
    end: usize,
    jobs: VecDeque<Receiver<Made<T>>>,
    cancelled: Arc<AtomicBool>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Nothing is begun before the first call of `next`.
    pub fn new(
        pool: Arc<ThreadPool>,
        prefetch: usize,
        numbers: std::ops::Range<usize>,
        work: impl Fn(usize, &AtomicBool) -> Result<Option<T>, Error> + Send + Sync + 'static,
    ) -> Self {
        Ahead {
            pool,
            work: Arc::new(work),
            prefetch,
            next: numbers.start.min(numbers.end),
            end: numbers.end,
            jobs: VecDeque::new(),
            cancelled: Arc::default(),
        }
    }

    /// The number of the next result.
    pub(super) fn number(&self) -> usize {
        self.next - self.jobs.len()
    }

    /// Begins no more, and ends what is under way.
    pub(super) fn stop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.next = self.end;
        self.jobs.clear();
    }

    fn start_jobs(&mut self) {
        while self.next < self.end && self.jobs.len() < self.prefetch {
            let job = self.start(self.next);
            self.jobs.push_back(job);
            self.next += 1;
        }
    }

    fn start(&self, number: usize) -> Receiver<Made<T>> {
        let (sender, receiver) = sync_channel(1);
        let (work, cancelled) = (self.work.clone(), self.cancelled.clone());
        self.pool.spawn(move || {
            // A panic that left a job would end the process.
            let made = catch_unwind(AssertUnwindSafe(|| work(number, &cancelled)));
            // Nobody listens to the jobs of what was dropped.
            let _ = sender.send(made.unwrap_or_else(|panic| Err(panicked(&*panic))));
        });
        receiver
    }
}

impl<T: Send + 'static> Iterator for Ahead<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.start_jobs();
        let job = self.jobs.pop_front()?;
        let made = job.recv().expect("a job sends, its panics are caught, and the pool outlives it");
        self.start_jobs();
        if made.is_err() {
            self.stop();
        }
        made.transpose()
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Threads to work on; 0 is one for each processor.
///
/// # Errors
/// If the system gives none.
pub fn pool(threads: usize) -> io::Result<ThreadPool> {
    let threads =
        if threads == 0 { std::thread::available_parallelism().map_or(1, NonZero::get) } else { threads };
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("loader-{i}"))
        .build()
        .map_err(io::Error::other)
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    LoaderProblem::Panic { message }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ahead(
        threads: usize,
        work: impl Fn(usize, &AtomicBool) -> Made<usize> + Send + Sync + 'static,
    ) -> Ahead<usize> {
        Ahead::new(Arc::new(pool(threads).expect("threads")), 4, 2..20, work)
    }

    #[test]
    fn results_come_in_order_whatever_takes_longer() {
        let slow_first = |number: usize, _: &AtomicBool| {
            std::thread::sleep(Duration::from_millis(20 / (number as u64 + 1)));
            Ok(Some(number))
        };
        for threads in [1, 3] {
            let found: Vec<_> = ahead(threads, slow_first).map(|found| found.expect("good")).collect();
            assert_eq!(found, (2..20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_is_an_error_and_the_end() {
        let mut found = ahead(2, |number, _| if number == 5 { panic!("five") } else { Ok(Some(number)) });
        assert_eq!(found.by_ref().take(3).map(|found| found.expect("good")).collect::<Vec<_>>(), [2, 3, 4]);
        let error = found.next().expect("one more").expect_err("a panic");
        assert!(error.to_string().contains("five"), "{error}");
        assert!(found.next().is_none());
    }
}
