//! The requests before the workers, and who may join them.
//!
//! The queue is bounded by time. A request is turned away when those before it would take longer than a client is patient.
//! A place is kept for one whose images are on their way, so that none are read to be turned away. What is left of requests
//! with many images has every other turn at most: they do not keep others waiting for all of them. And when there is no
//! place left, a client with few requests here takes one from the client with the most ([`Shares`]).

use crate::answer::ImageAnswer;
use crate::client::Client;
use crate::problem::Problem;
use crate::share::Shares;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Where the answer about an image goes.
pub(crate) type Answer = oneshot::Sender<Result<ImageAnswer, Problem>>;

/// Images that were sent together, and what is to be done with each.
pub(crate) struct Request<Task> {
    pub(crate) client: Client,
    pub(crate) images: VecDeque<(Bytes, Answer)>,
    pub(crate) task: Task,
    pub(crate) came: Instant,
}

/// One image, whose turn it is.
pub(crate) struct Job<Task> {
    pub(crate) file: Bytes,
    pub(crate) answer: Answer,
    pub(crate) task: Task,
    pub(crate) came: Instant,
}

/// Number of a request, in the order in which they came.
pub(crate) type Ticket = u64;

pub(crate) struct Queue<Task> {
    /// Those that had no turn yet, in the order in which they came.
    waiting: VecDeque<(Ticket, Request<Task>)>,
    /// Those with images left, which take turns.
    begun: VecDeque<Request<Task>>,
    /// Whether the last turn was one of the begun.
    begun_had_turn: bool,
    /// Places that are kept for requests on their way.
    coming: BTreeMap<Ticket, Client>,
    places: Shares,
    issued: Ticket,
    /// Seconds that an image takes, averaged over the latest.
    seconds: f64,
    /// Images in a second, patience times workers.
    patience: f64,
    workers: f64,
    pub(crate) closed: bool,
}

/// Before anything was measured.
const FIRST_GUESS: f64 = 0.02;
/// Weight of a new measurement.
const NEW: f64 = 0.05;
/// Part of a client's patience up to which requests are admitted. How long those before them take is an estimate, and who
/// waits to the end of its patience waits for nothing.
const ADMITTED: f64 = 0.9;

impl<Task: Clone> Queue<Task> {
    pub(crate) fn new(patience: Duration, workers: usize) -> Self {
        Queue {
            waiting: VecDeque::new(),
            begun: VecDeque::new(),
            begun_had_turn: false,
            coming: BTreeMap::new(),
            places: Shares::default(),
            issued: 0,
            seconds: FIRST_GUESS,
            patience: patience.as_secs_f64(),
            workers: workers as f64,
            closed: false,
        }
    }

    /// Requests that would find a place now: as many as may wait together, and one whose turn is next.
    pub(crate) fn free(&self) -> usize {
        let together = (ADMITTED * self.patience * self.workers / self.seconds) as usize;
        (together + 1).saturating_sub(self.len())
    }

    /// Turns before that of a request that came now.
    fn len(&self) -> usize {
        let waiting = self.waiting.len() + self.coming.len();
        let begun = self.begun.iter().map(|request| request.images.len()).sum::<usize>();
        waiting + begun.min(waiting + 1)
    }

    /// Images that wait.
    pub(crate) fn images(&self) -> usize {
        let waiting = self.waiting.iter().map(|(_, request)| request);
        waiting.chain(&self.begun).map(|request| request.images.len()).sum()
    }

    /// What is said to those without a place.
    pub(crate) fn busy(&self) -> Problem {
        let wait = self.len() as f64 * self.seconds / self.workers;
        Problem::busy(wait.ceil().clamp(1.0, 60.0) as u64)
    }

    /// Whether a client finds a place, or may take another's.
    pub(crate) fn admits(&self, client: Client) -> bool {
        self.free() > 0 || self.places.richer(client, 1).is_some()
    }

    fn make_a_place(&mut self, client: Client) -> Result<(), Problem> {
        if self.free() > 0 {
            return Ok(());
        }
        let richer = self.places.richer(client, 1).ok_or_else(|| self.busy())?;
        let newest = self.waiting.iter().rposition(|(_, request)| request.client == richer);
        let coming =
            self.coming.iter().rev().find(|(_, client)| **client == richer).map(|(ticket, _)| *ticket);
        match (coming, newest) {
            (Some(ticket), _) => self.leave(ticket),
            // Its answers are dropped unsent, which says that the server is busy.
            (None, Some(at)) => drop(self.remove(at)),
            (None, None) => return Err(self.busy()),
        }
        Ok(())
    }

    /// Keeps a place for a request that is on its way.
    pub(crate) fn keep_a_place(&mut self, client: Client) -> Result<Ticket, Problem> {
        self.make_a_place(client)?;
        self.issued += 1;
        self.coming.insert(self.issued, client);
        self.places.add(client, 1);
        Ok(self.issued)
    }

    /// Gives a kept place back, if it is still there.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if let Some(client) = self.coming.remove(&ticket) {
            self.places.take(client, 1);
        }
    }

    /// Takes a request as a whole, at its place if one is still kept for it.
    pub(crate) fn join(&mut self, place: Option<Ticket>, request: Request<Task>) -> Result<Ticket, Problem> {
        let kept = place.filter(|ticket| self.coming.contains_key(ticket));
        let ticket = match kept {
            Some(ticket) => ticket,
            None => self.keep_a_place(request.client)?,
        };
        self.coming.remove(&ticket);
        self.waiting.push_back((ticket, request));
        Ok(ticket)
    }

    /// The next image.
    pub(crate) fn next(&mut self) -> Option<Job<Task>> {
        let is_begun = !self.begun.is_empty() && (!self.begun_had_turn || self.waiting.is_empty());
        self.begun_had_turn = is_begun;
        let mut request = if is_begun {
            self.begun.pop_front()?
        } else {
            self.waiting.pop_front().map(|(_, request)| request)?
        };
        let (file, answer) = request.images.pop_front()?;
        let (task, came, client) = (request.task.clone(), request.came, request.client);
        if request.images.is_empty() {
            self.places.take(client, 1);
        } else {
            self.begun.push_back(request);
        }
        Some(Job { file, answer, task, came })
    }

    /// Takes a request out that had no turn yet.
    pub(crate) fn give_up(&mut self, ticket: Ticket) -> Option<Request<Task>> {
        let at = self.waiting.iter().position(|(number, _)| *number == ticket)?;
        self.remove(at)
    }

    fn remove(&mut self, at: usize) -> Option<Request<Task>> {
        let (_, removed) = self.waiting.remove(at)?;
        self.places.take(removed.client, 1);
        Some(removed)
    }

    /// Learns how long an image took.
    pub(crate) fn took(&mut self, seconds: f64) {
        self.seconds += NEW * (seconds - self.seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Client = Client::V4(1);
    const B: Client = Client::V4(2);

    type Answers = Vec<oneshot::Receiver<Result<ImageAnswer, Problem>>>;

    fn request(client: Client, images: usize) -> (Request<()>, Answers) {
        let (images, answers) = (0..images)
            .map(|number| {
                let (answer, answered) = oneshot::channel();
                ((Bytes::from(vec![number as u8]), answer), answered)
            })
            .unzip();
        (Request { client, images, task: (), came: Instant::now() }, answers)
    }

    fn queue(waiting: usize, seconds: f64, workers: usize) -> Queue<()> {
        let mut queue = Queue::new(Duration::from_secs(1), workers);
        for _ in 0..waiting {
            queue.seconds = 1e-9;
            queue.join(None, request(A, 1).0).expect("there is time");
        }
        queue.seconds = seconds;
        queue
    }

    #[test]
    fn a_request_is_turned_away_when_those_before_it_take_longer_than_a_client_waits() {
        let admits = |waiting, seconds, workers| {
            let mut queue = queue(waiting, seconds, workers);
            queue.keep_a_place(A).map(|_| ()).map_err(|problem| problem.retry_after)
        };
        assert_eq!(admits(0, 30.0, 1), Ok(()), "nobody is before it");
        assert_eq!(admits(90, 0.01, 1), Ok(()));
        assert_eq!(admits(91, 0.02, 2), Err(Some(1)), "0.91 seconds");
        assert_eq!(admits(100, 0.05, 1), Err(Some(5)));
        assert_eq!(admits(1000, 10.0, 1), Err(Some(60)), "at most");
    }

    #[test]
    fn a_request_of_many_images_is_taken_as_a_whole_and_takes_turns() {
        let mut queue = queue(0, 10.0, 1);
        let (many, _answers) = request(A, 3);
        queue.join(None, many).expect("nobody is before it, however long it takes");
        assert_eq!(queue.join(None, request(A, 1).0).map_err(|problem| problem.code), Err("busy".to_owned()));
        queue.seconds = 0.01;
        let (one, _answer) = request(A, 1);
        let ticket = queue.join(None, one).expect("there is time");
        assert_eq!(queue.images(), 4);
        let order: Vec<u8> = std::iter::from_fn(|| queue.next()).map(|job| job.file[0]).collect();
        assert_eq!(order, [0, 1, 0, 2], "the one does not wait for the many");
        assert!(queue.give_up(ticket).is_none());
        assert_eq!((queue.len(), queue.places.of(A)), (0, 0));
    }

    #[test]
    fn who_has_little_takes_a_place_from_who_has_the_most() {
        let mut queue = queue(0, 1.0 / 9.0, 1);
        let (mut answers, mut tickets) = (Vec::new(), Vec::new());
        while let Ok(ticket) = {
            let (one, answer) = request(A, 1);
            answers.push(answer);
            queue.join(None, one)
        } {
            tickets.push(ticket);
        }
        let full = queue.len();
        assert!(full >= 8 && queue.free() == 0 && !queue.admits(A) && queue.admits(B));
        queue.join(None, request(B, 1).0).expect("A has more");
        assert_eq!((queue.len(), queue.places.of(A)), (full, full - 1));
        // A's newest was turned away: nothing will be sent to it.
        let newest = answers.len() - 2;
        assert!(matches!(answers[newest][0].try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(matches!(answers[0][0].try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        while queue.keep_a_place(B).is_ok() {}
        assert!(queue.places.of(A).abs_diff(queue.places.of(B)) <= 1, "until nobody has more");
        assert!(queue.give_up(tickets[0]).is_some() && queue.free() == 1);
    }

    #[test]
    fn a_place_is_kept_until_it_is_left() {
        let mut queue = queue(0, 30.0, 1);
        let place = queue.keep_a_place(A).expect("nobody is before it");
        assert!(queue.keep_a_place(A).is_err());
        assert_eq!(queue.join(Some(place), request(A, 1).0), Ok(place));
        queue.leave(place);
        assert_eq!(queue.places.of(A), 1, "it became a request");
        queue.next().expect("it waits");
        let place = queue.keep_a_place(A).expect("nobody is before it");
        queue.leave(place);
        queue.leave(place);
        assert_eq!(queue.len(), 0);
        // Without its place it joins as any other.
        assert!(queue.join(Some(place), request(A, 1).0).is_ok());
    }
}
