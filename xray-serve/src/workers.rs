//! The threads that examine files, one per core, and the queue before them.
//!
//! A job is turned away when it comes if the jobs before it would take longer than a client is patient. A place is kept for
//! one whose file is on its way, so that no file is read to be turned away. And when the turn of a job comes after all too
//! late, or its client has gone, it is dropped. So under any load the workers do only what someone still waits for.

use crate::answer::{ImageAnswer, Milliseconds};
use crate::examine::{Wanted, examine};
use crate::limits::Limits;
use crate::problem::Problem;
use axum::http::StatusCode;
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use xray_bundle::Bundle;

struct Job {
    file: Bytes,
    wanted: Wanted,
    came: Instant,
    answer: oneshot::Sender<Result<ImageAnswer, Problem>>,
}

/// Threads and their queue. Dropped, it ends what is being done and no more.
pub struct Workers {
    shared: Arc<Shared>,
    patience: Duration,
    count: usize,
}

/// A place in the queue for a file that is still on its way; dropped, it is free for another.
pub struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.0.queue).coming -= 1;
    }
}

/// A file whose turn will come; dropped, it is not examined.
pub struct Pending(oneshot::Receiver<Result<ImageAnswer, Problem>>);

impl Pending {
    /// The answer about it.
    ///
    /// # Errors
    /// What is wrong with the file, or that its turn came too late.
    pub async fn answer(self) -> Result<ImageAnswer, Problem> {
        self.0.await.unwrap_or_else(|_| Err(Problem::busy(1)))
    }
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    abandoned: Counter,
}

struct Queue {
    jobs: VecDeque<Job>,
    /// Places that are kept for more.
    coming: usize,
    closed: bool,
    /// Seconds that a job takes, averaged over the latest.
    seconds: f64,
}

/// Before anything was measured.
const FIRST_GUESS: f64 = 0.02;
/// Weight of a new measurement.
const NEW: f64 = 0.05;

/// A panic in a job is caught; the queue is whole at every unlock.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workers {
    /// Starts `count` threads that answer with `bundle`, and count what nobody waits for any more.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(
        bundle: &Arc<Bundle>,
        limits: Limits,
        count: usize,
        abandoned: Counter,
    ) -> std::io::Result<Self> {
        let queue = Queue { jobs: VecDeque::new(), coming: 0, closed: false, seconds: FIRST_GUESS };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), arrived: Condvar::new(), abandoned });
        for number in 0..count {
            let (shared, bundle) = (Arc::clone(&shared), Arc::clone(bundle));
            let name = format!("worker-{number}");
            thread::Builder::new().name(name).spawn(move || shared.work(&bundle, &limits))?;
        }
        Ok(Workers { shared, patience: limits.patience, count })
    }

    /// Puts an image file into the queue, at its `place` if one was kept for it.
    ///
    /// # Errors
    /// Without a place, if the server has too much to do.
    pub fn submit(&self, file: Bytes, wanted: Wanted, place: Option<Place>) -> Result<Pending, Problem> {
        let (answer, answered) = oneshot::channel();
        let mut queue = lock(&self.shared.queue);
        if place.is_none() {
            queue.admits(self.patience, self.count)?;
        }
        queue.jobs.push_back(Job { file, wanted, came: Instant::now(), answer });
        drop(queue);
        self.shared.arrived.notify_one();
        Ok(Pending(answered))
    }

    /// Keeps a place for a file that will come, so that no other is read for nothing meanwhile.
    ///
    /// # Errors
    /// If the server has too much to do.
    pub fn keep_a_place(&self) -> Result<Place, Problem> {
        let mut queue = lock(&self.shared.queue);
        queue.admits(self.patience, self.count)?;
        queue.coming += 1;
        Ok(Place(Arc::clone(&self.shared)))
    }

    /// Files that would find a place now.
    pub fn free(&self) -> usize {
        lock(&self.shared.queue).free(self.patience, self.count)
    }

    /// What is said when there are none.
    pub fn busy(&self) -> Problem {
        lock(&self.shared.queue).busy(self.count)
    }

    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        lock(&self.shared.queue).jobs.len()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.arrived.notify_all();
    }
}

impl Queue {
    fn waiting(&self) -> usize {
        self.jobs.len() + self.coming
    }

    /// As many as may wait together, and one whose turn is next.
    fn free(&self, patience: Duration, workers: usize) -> usize {
        let together = (patience.as_secs_f64() * workers as f64 / self.seconds) as usize;
        (together + 1).saturating_sub(self.waiting())
    }

    fn busy(&self, workers: usize) -> Problem {
        let wait = self.waiting() as f64 * self.seconds / workers as f64;
        Problem::busy(wait.ceil().clamp(1.0, 60.0) as u64)
    }

    fn admits(&self, patience: Duration, workers: usize) -> Result<(), Problem> {
        if self.free(patience, workers) == 0 { Err(self.busy(workers)) } else { Ok(()) }
    }
}

impl Shared {
    fn take(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.closed {
                return None;
            }
            match queue.jobs.pop_front() {
                Some(job) => return Some(job),
                None => queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// The life of a thread. The kernels run on it alone: under load, one image per core is the fastest for all.
    fn work(&self, bundle: &Bundle, limits: &Limits) {
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        while let Some(Job { file, wanted, came, answer }) = self.take() {
            if answer.is_closed() {
                self.abandoned.inc();
                continue;
            }
            let waited = came.elapsed();
            // Twice as patient as at the door, where the wait was an estimate.
            if waited > 2 * limits.patience {
                let _ = answer.send(Err(Problem::busy(1)));
                continue;
            }
            let clock = Instant::now();
            let answered = catch_unwind(AssertUnwindSafe(|| examine(bundle, limits, &file, wanted)));
            let seconds = clock.elapsed().as_secs_f64();
            let answered = answered.unwrap_or_else(|_| {
                let message = "the server failed at this image";
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message))
            });
            {
                let mut queue = lock(&self.queue);
                queue.seconds += NEW * (seconds - queue.seconds);
            }
            let queue = waited.as_secs_f64() * 1e3;
            let answered = answered.map(|answered| ImageAnswer {
                milliseconds: Milliseconds { queue, ..answered.milliseconds },
                ..answered
            });
            // Whoever asked may have gone.
            let _ = answer.send(answered);
        }
        drop(alone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(waiting: usize, seconds: f64) -> Queue {
        let job = |_| {
            let (answer, _) = oneshot::channel();
            Job { file: Bytes::new(), wanted: Wanted::default(), came: Instant::now(), answer }
        };
        Queue { jobs: (0..waiting).map(job).collect(), coming: 0, closed: false, seconds }
    }

    #[test]
    fn a_job_is_turned_away_when_those_before_it_take_longer_than_a_client_waits() {
        let second = Duration::from_secs(1);
        let admits = |waiting, seconds, workers| queue(waiting, seconds).admits(second, workers);
        assert_eq!(admits(0, 30.0, 1), Ok(()), "nobody is before it");
        assert_eq!(admits(100, 0.01, 1), Ok(()));
        assert_eq!(admits(101, 0.02, 2), Err(Problem::busy(2)), "1.01 seconds");
        assert_eq!(admits(100, 0.05, 1).map_err(|problem| problem.retry_after), Err(Some(5)));
        assert_eq!(admits(1000, 10.0, 1).map_err(|problem| problem.retry_after), Err(Some(60)), "at most");
    }
}
