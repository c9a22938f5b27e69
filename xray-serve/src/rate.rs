//! How often a client may ask: a bucket of requests for each, which fills at a steady rate.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Buckets by client.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Requests in a second; 0 for no limit.
    rate: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    seen: Instant,
}

/// Seconds of requests that may come at once.
const BURST: f64 = 5.0;
/// Full buckets say nothing; so many are kept before they are thrown away.
const MOST_BUCKETS: usize = 10_000;

impl RateLimit {
    pub(crate) fn new(rate: f64) -> Self {
        RateLimit { rate, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes a request from a client's bucket; if there is none, says after how many seconds there is.
    pub(crate) fn take(&self, client: &str, now: Instant) -> Result<(), u64> {
        if self.rate <= 0.0 {
            return Ok(());
        }
        let most = (self.rate * BURST).max(1.0);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_BUCKETS {
            let filled =
                |bucket: &Bucket| bucket.left + self.rate * now.duration_since(bucket.seen).as_secs_f64();
            buckets.retain(|_, bucket| filled(bucket) < most);
        }
        let bucket = buckets.entry(client.to_owned()).or_insert(Bucket { left: most, seen: now });
        let since = now.saturating_duration_since(bucket.seen).as_secs_f64();
        bucket.left = (bucket.left + self.rate * since).min(most);
        bucket.seen = now;
        if bucket.left < 1.0 {
            return Err(((1.0 - bucket.left) / self.rate).ceil() as u64);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_client_waits_until_its_bucket_has_a_request_again() {
        let limit = RateLimit::new(2.0);
        let start = Instant::now();
        assert_eq!((0..11).filter(|_| limit.take("a", start).is_ok()).count(), 10);
        assert_eq!(limit.take("a", start), Err(1));
        assert!(limit.take("b", start).is_ok(), "another client has a bucket of its own");
        assert!(limit.take("a", start + Duration::from_millis(600)).is_ok());
        assert!(RateLimit::new(0.0).take("a", start).is_ok());
    }

    #[test]
    fn full_buckets_are_thrown_away() {
        let limit = RateLimit::new(1.0);
        let start = Instant::now();
        for client in 0..MOST_BUCKETS {
            limit.take(&client.to_string(), start).expect("a full bucket");
        }
        limit.take("late", start + Duration::from_secs(60)).expect("a full bucket");
        assert!(limit.buckets.lock().expect("no panic").len() < 10);
    }
}
