//! The threads that examine images, one image each, behind a `Queue`.
//!
//! Nobody waits longer than a client is patient: a request whose turn has not come by then is turned away by a clock, not
//! by a thread that may be long at other images. One whose client has gone is dropped. So under any load the workers do
//! only what someone still waits for.

use crate::answer::{ImageAnswer, Milliseconds};
use crate::client::Client;
use crate::examine::{Task, examine};
use crate::hangup::Hangup;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::problem::Problem;
use crate::queue::{Job, Queue, Request, Ticket};
use axum::http::StatusCode;
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout_at};

/// Threads and their queue. Dropped, it ends what is being done and no more.
pub struct Workers<T: Clone = Task> {
    shared: Arc<Shared<T>>,
    patience: Duration,
}

/// A place in the queue for a request that is still on its way; dropped, it is free for another.
pub(crate) struct Place<T: Clone = Task> {
    shared: Arc<Shared<T>>,
    ticket: Ticket,
}

impl<T: Clone> Drop for Place<T> {
    fn drop(&mut self) {
        self.shared.queue().leave(self.ticket);
    }
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    arrived: Condvar,
    abandoned: Counter,
    memory: Memory,
}

impl<T> Shared<T> {
    /// A panic in a job is caught; the queue is whole at every unlock.
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose turn will come; dropped, it is not examined.
pub(crate) struct Pending<T: Clone = Task> {
    shared: Arc<Shared<T>>,
    ticket: Ticket,
    /// None when it is over.
    until: Option<Instant>,
    answers: Vec<oneshot::Receiver<Result<ImageAnswer, Problem>>>,
}

/// How long a request waits before it is asked whether its client is still there.
const GRACE: Duration = Duration::from_millis(100);

impl<T: Clone> Pending<T> {
    /// The answer about each image.
    ///
    /// # Errors
    /// That their turn did not come in time.
    pub(crate) async fn answers(
        mut self,
        hangup: Option<Hangup>,
    ) -> Result<Vec<Result<ImageAnswer, Problem>>, Problem> {
        let mut said = Vec::with_capacity(self.answers.len());
        let first = self.first(hangup).await?;
        said.push(first);
        for answer in self.answers.drain(1..) {
            said.push(answer.await.map_err(|_| Problem::busy(1))?);
        }
        self.until = None;
        Ok(said)
    }

    /// The first one's, or that it had no turn while its client was patient and there.
    async fn first(&mut self, hangup: Option<Hangup>) -> Result<Result<ImageAnswer, Problem>, Problem> {
        let turned_away = |_| Problem::busy(1);
        let answer = self.answers.first_mut().expect("a request has an image");
        let until = self.until.expect("it is not over");
        let grace = until.min(Instant::now() + GRACE);
        if let Ok(answer) = timeout_at(grace.into(), &mut *answer).await {
            return answer.map_err(turned_away);
        }
        let gone = async {
            match hangup {
                Some(hangup) => hangup.happened().await,
                None => std::future::pending().await,
            }
        };
        let out_of_patience = tokio::select! {
            answer = &mut *answer => return answer.map_err(turned_away),
            () = sleep_until(until.into()) => true,
            () = gone => false,
        };
        let given_up = {
            let mut queue = self.shared.queue();
            queue.give_up(self.ticket).map(|request| (request.images.len(), queue.busy()))
        };
        match given_up {
            // Its turn has come: it is worth waiting for.
            None => answer.await.map_err(turned_away),
            Some((images, busy)) => {
                if !out_of_patience {
                    self.shared.abandoned.inc_by(images as u64);
                }
                self.until = None;
                Err(busy)
            }
        }
    }
}

impl<T: Clone> Drop for Pending<T> {
    fn drop(&mut self) {
        if self.until.is_some()
            && let Some(request) = self.shared.queue().give_up(self.ticket)
        {
            self.shared.abandoned.inc_by(request.images.len() as u64);
        }
    }
}

impl Workers {
    /// Starts `count` threads, which count what nobody waits for any more.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(limits: Limits, count: usize, abandoned: Counter) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue::new(limits.patience, count));
        let memory = Memory::new(limits.memory);
        let shared = Arc::new(Shared { queue, arrived: Condvar::new(), abandoned, memory });
        let workers = Workers { shared, patience: limits.patience };
        for number in 0..count {
            let shared = Arc::clone(&workers.shared);
            let name = format!("worker-{number}");
            thread::Builder::new().name(name).spawn(move || shared.work(&limits))?;
        }
        Ok(workers)
    }
}

impl<T: Clone> Workers<T> {
    /// Puts a client's image files into the queue together, at their `place` if one was kept.
    ///
    /// # Errors
    /// Without a place, if the server has too much to do.
    pub(crate) fn submit(
        &self,
        client: Client,
        files: impl IntoIterator<Item = Bytes>,
        task: T,
        place: Option<Place<T>>,
    ) -> Result<Pending<T>, Problem> {
        let (images, answers): (_, Vec<_>) = files
            .into_iter()
            .map(|file| {
                let (answer, answered) = oneshot::channel();
                ((file, answer), answered)
            })
            .unzip();
        let (came, count) = (Instant::now(), answers.len());
        let request = Request { client, images, task, came };
        let ticket = self.shared.queue().join(place.as_ref().map(|place| place.ticket), request)?;
        match count {
            1 => self.shared.arrived.notify_one(),
            _ => self.shared.arrived.notify_all(),
        }
        Ok(Pending { shared: Arc::clone(&self.shared), ticket, until: Some(came + self.patience), answers })
    }

    /// Keeps a place for a request that will come, so that no other is read for nothing meanwhile.
    ///
    /// # Errors
    /// If the server has too much to do.
    pub(crate) fn keep_a_place(&self, client: Client) -> Result<Place<T>, Problem> {
        let ticket = self.shared.queue().keep_a_place(client)?;
        Ok(Place { shared: Arc::clone(&self.shared), ticket })
    }

    /// Requests that would find a place now.
    pub(crate) fn free(&self) -> usize {
        self.shared.queue().free()
    }

    /// Whether a client's request would find a place now, or take another's.
    pub(crate) fn admits(&self, client: Client) -> bool {
        self.shared.queue().admits(client)
    }

    /// What is said to others.
    pub(crate) fn busy(&self) -> Problem {
        self.shared.queue().busy()
    }

    /// Images that wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue().images()
    }
}

impl<T: Clone> Drop for Workers<T> {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.arrived.notify_all();
    }
}

impl<T: Clone> Shared<T> {
    fn take(&self) -> Option<Job<T>> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            match queue.next() {
                Some(job) => return Some(job),
                None => queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Shared<Task> {
    /// The life of a thread. The kernels run on it alone: under load, one image per core is the fastest for all.
    fn work(&self, limits: &Limits) {
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        while let Some(Job { file, task, came, answer }) = self.take() {
            if answer.is_closed() {
                self.abandoned.inc();
                continue;
            }
            let waited = came.elapsed();
            let clock = Instant::now();
            let examined = catch_unwind(AssertUnwindSafe(|| examine(&task, limits, &self.memory, &file)));
            let seconds = clock.elapsed().as_secs_f64();
            let answered = examined.unwrap_or_else(|_| {
                let message = "the server failed at this image";
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message))
            });
            self.queue().took(seconds);
            let queue = waited.as_secs_f64() * 1e3;
            let answered = answered.map(|answered| ImageAnswer {
                milliseconds: Milliseconds { queue, ..answered.milliseconds },
                ..answered
            });
            // The last one that used a model frees it before it is said to be done.
            drop(task);
            // Whoever asked may have gone.
            let _ = answer.send(answered);
        }
        drop(alone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_too_long_is_told_so_though_no_worker_is_there() {
        let patience = Duration::from_millis(150);
        let queue = Mutex::new(Queue::new(patience, 1));
        let (arrived, abandoned, memory) = (Condvar::new(), Counter::default(), Memory::new(0));
        let shared = Arc::new(Shared { queue, arrived, abandoned, memory });
        let workers: Workers<()> = Workers { shared, patience };
        let submit = || workers.submit(Client::Anyone, [Bytes::new()], (), None);
        let (begin, pending) = (Instant::now(), submit().expect("there is a place"));
        let said = tokio::time::timeout(Duration::from_secs(20), pending.answers(None)).await;
        let said = said.expect("a clock").map(|_| ()).map_err(|problem| problem.code);
        assert_eq!(said, Err("busy".to_owned()));
        assert!(begin.elapsed() >= patience);
        assert_eq!((workers.waiting(), workers.shared.abandoned.get()), (0, 0));
        drop(submit());
        assert_eq!((workers.waiting(), workers.shared.abandoned.get()), (0, 1), "nobody waits for it");
    }
}
