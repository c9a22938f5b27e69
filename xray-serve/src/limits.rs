//! How much a client may ask for, and how long anything may take.

use std::time::Duration;
use xray_artifacts::{Exit, Failure};

/// Everything that bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body, as it is sent and as it is when its compression is undone.
    pub body: usize,
    /// Megapixels of an image, known from its header before anything is decoded.
    pub megapixels: f64,
    /// Images in a request.
    pub images: usize,
    /// Bytes of all bodies that are being read or wait.
    pub bodies: usize,
    /// Bytes in which images are decoded, of all workers together. One image may take them all.
    pub memory: u64,
    /// How long decoding an image may take.
    pub decode: Duration,
    /// How long a request may wait for a worker: one that would wait longer is turned away. So long it also waits at the
    /// door for a place, and a body that takes longer to arrive has none.
    pub patience: Duration,
    /// How long a body may take to arrive.
    pub upload: Duration,
    /// How long an answer may take to be taken.
    pub send: Duration,
    /// How long the head of a request may take to arrive, and a connection may lie idle.
    pub head: Duration,
    /// Open connections.
    pub connections: usize,
    /// Requests of one client in a second, on average; 0 for no limit.
    pub rate: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 16 << 20,
            megapixels: 40.0,
            images: 16,
            bodies: 96 << 20,
            memory: 160 << 20,
            decode: Duration::from_millis(1500),
            patience: Duration::from_secs(1),
            upload: Duration::from_secs(30),
            send: Duration::from_secs(30),
            head: Duration::from_secs(60),
            connections: 12_000,
            rate: 0.0,
        }
    }
}

/// Longer than anybody waits.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Limits {
    /// Refuses limits with which nothing would ever be answered, or that bound nothing.
    ///
    /// # Errors
    /// The first of them, by the name of its flag.
    pub fn check(&self) -> Result<(), Failure> {
        let room = self.bodies >> 20;
        let checks = [
            (
                self.body > 0,
                "--max-body is 0",
                "give the megabytes of the largest request, such as 16".to_owned(),
            ),
            (
                self.body <= self.bodies,
                "--max-body is more than all bodies together may have",
                format!("use {room} at most"),
            ),
            (
                self.megapixels > 0.0 && self.megapixels.is_finite(),
                "--max-megapixels is not a number above 0",
                "give the megapixels of the largest image, such as 40".to_owned(),
            ),
            (
                self.memory >= 1 << 20,
                "--max-memory is 0",
                "give the megabytes in which images are decoded, such as 160".to_owned(),
            ),
            (
                (Duration::from_millis(1)..=DAY).contains(&self.decode),
                "--max-decode is 0 or more than a day",
                "give the milliseconds that decoding an image may take, such as 1500".to_owned(),
            ),
            (
                (Duration::from_millis(1)..=DAY).contains(&self.patience),
                "--patience is 0 or more than a day",
                "give the milliseconds that a request may wait, such as 1000".to_owned(),
            ),
            (
                self.connections > 0,
                "--max-connections is 0",
                "give the most connections that may be open, such as 12000".to_owned(),
            ),
            (
                self.rate >= 0.0 && self.rate.is_finite() && (self.rate == 0.0 || self.rate >= 1e-6),
                "--rate is not a number of requests",
                "give the requests of one client in a second, such as 5, or 0 for no limit".to_owned(),
            ),
        ];
        match checks.into_iter().find(|(is_good, ..)| !is_good) {
            Some((_, message, hint)) => Err(Failure::new(Exit::Usage, message).hint(hint)),
            None => Ok(()),
        }
    }
}
