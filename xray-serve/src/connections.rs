//! The connections that are open, and which of them makes way when there are as many as may be.
//!
//! While a connection waits for its client (for a head, for a body, for an answer to be taken), it can be ended; while the
//! server is at work for it, it is not. When all places are taken and someone comes, the client with the most
//! connections loses some of those that have waited longest. So whoever holds connections holds them from nobody.

use crate::client::Client;
use crate::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a connection may wait for its client before it can be ended for another.
const GRACE: Duration = Duration::from_secs(1);

/// One in so many of a client's connections is ended at a time: who looks at all of them does so seldom.
const PART: usize = 64;

/// All that are open.
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<Seat>>>,
    begin: Instant,
    count: Gauge,
    made_way: Counter,
}

/// A connection as others see it.
pub(crate) struct Seat {
    client: Client,
    begin: Instant,
    /// Milliseconds from the beginning until this began to wait for its client.
    since: AtomicU64,
    /// Whether the server is at work for it.
    served: AtomicBool,
    asked_to_end: Notify,
}

impl Seat {
    /// The client's turn: to send or to read.
    pub(crate) fn wait_for_client(&self) {
        self.since.store(milliseconds(self.begin), Ordering::Relaxed);
        self.served.store(false, Ordering::Relaxed);
    }

    /// The server's turn.
    pub(crate) fn serve(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// Ends when this makes way for another.
    pub(crate) async fn asked_to_end(&self) {
        self.asked_to_end.notified().await;
    }
}

fn milliseconds(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Connections {
    /// Room for `most` connections, counted in `metrics`.
    pub(crate) fn new(most: usize, metrics: &Metrics) -> Self {
        Connections {
            places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            open: Mutex::default(),
            begin: Instant::now(),
            count: metrics.connections.clone(),
            made_way: metrics.made_way.clone(),
        }
    }

    /// A place, if one is free.
    pub(crate) fn try_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A place as soon as one is free. Others make way if they can.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        loop {
            if let Some(place) = self.try_place() {
                return place;
            }
            self.make_way();
            let place = Arc::clone(&self.places).acquire_owned();
            if let Ok(place) = tokio::time::timeout(GRACE / 10, place).await {
                return place.expect("it is never closed");
            }
        }
    }

    /// Asks connections that wait for their clients to end; whether there were any.
    pub(crate) fn make_way(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = milliseconds(self.begin);
        let grace = GRACE.as_millis() as u64;
        let waits = |seat: &Seat| {
            !seat.served.load(Ordering::Relaxed)
                && now.saturating_sub(seat.since.load(Ordering::Relaxed)) >= grace
        };
        let mut clients: HashMap<Client, Vec<&Seat>> = HashMap::new();
        for seat in open.values().filter(|seat| waits(seat)) {
            clients.entry(seat.client).or_default().push(seat);
        }
        let Some(mut seats) = clients.into_values().max_by_key(Vec::len) else { return false };
        let count = seats.len() / PART + 1;
        seats.sort_by_key(|seat| seat.since.load(Ordering::Relaxed));
        for seat in &seats[..count] {
            // Not found again while it ends.
            seat.serve();
            seat.asked_to_end.notify_one();
        }
        self.made_way.inc_by(count as u64);
        true
    }

    /// Opens a connection on its place.
    pub(crate) fn open(self: &Arc<Self>, client: Client, place: OwnedSemaphorePermit) -> Slot {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let seat = Seat {
            client,
            begin: self.begin,
            since: milliseconds(self.begin).into(),
            served: false.into(),
            asked_to_end: Notify::new(),
        };
        let seat = Arc::new(seat);
        self.count.inc();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&seat));
        Slot { seat, number, connections: Arc::clone(self), _place: place }
    }
}

/// A place among the connections that may be open, until this is dropped.
pub(crate) struct Slot {
    pub(crate) seat: Arc<Seat>,
    number: u64,
    connections: Arc<Connections>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.count.dec();
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    fn open(connections: &Arc<Connections>, client: u32) -> Slot {
        let place = connections.try_place().expect("a free place");
        connections.open(Client::V4(client), place)
    }

    async fn has_to_end(slot: &Slot) -> bool {
        tokio::time::timeout(Duration::ZERO, slot.seat.asked_to_end()).await.is_ok()
    }

    #[tokio::test]
    async fn the_client_with_the_most_makes_way_with_what_waits_longest() {
        let connections = Arc::new(Connections::new(5, &Metrics::default()));
        let other = open(&connections, 1);
        sleep(Duration::from_millis(5));
        let served = open(&connections, 2);
        served.seat.serve();
        let later = || {
            sleep(Duration::from_millis(5));
            open(&connections, 2)
        };
        let many = [later(), later(), later()];
        assert!(connections.try_place().is_none() && !connections.make_way(), "all have just come");
        sleep(GRACE);
        many[0].seat.wait_for_client();
        assert!(connections.make_way());
        assert!(has_to_end(&many[1]).await && !has_to_end(&many[0]).await && !has_to_end(&many[2]).await);
        assert!(!has_to_end(&other).await && !has_to_end(&served).await);
        let [_first, second, _third] = many;
        drop(second);
        assert!(connections.try_place().is_some());
        assert_eq!(connections.open.lock().expect("no panic").len(), 4);
    }
}
