//! How often a client may ask: a bucket of requests for each, which fills at a steady rate.
//!
//! A bucket that nobody touched for as long as it takes to fill is full, and a full one need not be kept. So there are
//! two maps: after that time the younger becomes the older, and the older is thrown away as a whole. No request pays for
//! a sweep through all buckets.

use crate::client::Client;
use std::collections::HashMap;
use std::mem::{replace, take};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Buckets by client.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Requests in a second; 0 for no limit.
    rate: f64,
    /// Requests that may come at once.
    most: f64,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    young: HashMap<Client, Bucket>,
    old: HashMap<Client, Bucket>,
    turned: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    seen: Instant,
}

/// Seconds of requests that may come at once.
pub(crate) const BURST: f64 = 5.0;
/// So many young buckets are kept before they count as old, however young they are: 2 MB at most, in both maps.
const MOST_BUCKETS: usize = 20_000;

impl RateLimit {
    /// `rate` requests in a second and `most` at once; a `rate` of 0 means no limit.
    pub(crate) fn new(rate: f64, most: f64) -> Self {
        let buckets = Buckets { young: HashMap::new(), old: HashMap::new(), turned: Instant::now() };
        RateLimit { rate, most: most.max(1.0), buckets: Mutex::new(buckets) }
    }

    /// Takes a request from a client's bucket; if there is none, says after how many seconds there is.
    pub(crate) fn take(&self, client: Client, now: Instant) -> Result<(), u64> {
        if self.rate <= 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        // Freed behind the lock.
        let _forgotten = buckets.turn(Duration::from_secs_f64(self.most / self.rate), now);
        let Buckets { young, old, .. } = &mut *buckets;
        let full = Bucket { left: self.most, seen: now };
        let bucket = young.entry(client).or_insert_with(|| old.get(&client).copied().unwrap_or(full));
        let since = now.saturating_duration_since(bucket.seen).as_secs_f64();
        bucket.left = (bucket.left + self.rate * since).min(self.most);
        bucket.seen = now;
        let taken = if bucket.left < 1.0 {
            Err(((1.0 - bucket.left) / self.rate).ceil() as u64)
        } else {
            bucket.left -= 1.0;
            Ok(())
        };
        drop(buckets);
        taken
    }

    /// Puts back what was taken and shall not count.
    pub(crate) fn give_back(&self, client: Client) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.young.get_mut(&client) {
            bucket.left = (bucket.left + 1.0).min(self.most);
        }
    }
}

impl Buckets {
    fn turn(&mut self, period: Duration, now: Instant) -> HashMap<Client, Bucket> {
        if now.saturating_duration_since(self.turned) < period && self.young.len() < MOST_BUCKETS {
            return HashMap::new();
        }
        self.turned = now;
        replace(&mut self.old, take(&mut self.young))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rate: f64) -> RateLimit {
        RateLimit::new(rate, rate * BURST)
    }

    #[test]
    fn a_client_waits_until_its_bucket_has_a_request_again() {
        let limit = limit(2.0);
        let (a, b) = (Client::V4(1), Client::V4(2));
        let start = Instant::now();
        assert_eq!((0..11).filter(|_| limit.take(a, start).is_ok()).count(), 10);
        assert_eq!(limit.take(a, start), Err(1));
        assert!(limit.take(b, start).is_ok(), "another client has a bucket of its own");
        assert!(limit.take(a, start + Duration::from_millis(600)).is_ok());
        limit.give_back(a);
        assert!(limit.take(a, start + Duration::from_millis(600)).is_ok());
        assert!(RateLimit::new(0.0, 0.0).take(a, start).is_ok());
    }

    #[test]
    fn a_bucket_is_remembered_until_it_is_full() {
        let limit = limit(1.0);
        let (client, start) = (Client::V6(1), Instant::now());
        let at = |seconds| limit.take(client, start + Duration::from_secs_f64(seconds)).is_ok();
        assert_eq!((0..9).filter(|_| at(0.0)).count(), 5);
        // The maps turn at 5 s, and 2 requests were taken a moment before.
        assert!(at(4.9) && at(4.95));
        assert_eq!((0..9).filter(|_| at(5.05)).count(), 3);
    }

    #[test]
    fn buckets_do_not_grow_without_end() {
        let limit = limit(1.0);
        let start = Instant::now();
        for client in 0..3 * MOST_BUCKETS as u64 {
            limit.take(Client::V6(client), start).expect("a full bucket");
        }
        let kept = |limit: &RateLimit| {
            let buckets = limit.buckets.lock().expect("no panic");
            buckets.young.len() + buckets.old.len()
        };
        assert!(kept(&limit) <= 2 * MOST_BUCKETS, "{}", kept(&limit));
        for seconds in [60, 120] {
            limit.take(Client::V4(1), start + Duration::from_secs(seconds)).expect("a full bucket");
        }
        assert!(kept(&limit) < 3, "{}", kept(&limit));
    }
}
