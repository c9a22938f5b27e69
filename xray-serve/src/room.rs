//! Room for bodies that are read or wait. A body takes it as it comes, whatever was announced.
//!
//! When room runs short, a body on its way is given up for another: the largest of those that have been coming for half as
//! long as a client is patient, or of a client that has more than the other would have.

use crate::client::Client;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::share::Shares;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// With less than this left, hardly a body finds room.
const LITTLE: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct Room {
    bytes: usize,
    patience: Duration,
    bodies: Arc<Mutex<Bodies>>,
}

#[derive(Default)]
struct Bodies {
    taken: usize,
    clients: Shares,
    bodies: BTreeMap<u64, Body>,
    issued: u64,
}

struct Body {
    client: Client,
    bytes: usize,
    since: Instant,
    /// Tells a body on its way, by being dropped, that it is given up; none when it has come.
    coming: Option<oneshot::Sender<()>>,
}

/// What a body has taken, given back when this is dropped.
pub(crate) struct Taken {
    room: Room,
    number: u64,
    given_up: oneshot::Receiver<()>,
}

impl Room {
    pub(crate) fn new(limits: &Limits) -> Self {
        Room { bytes: limits.bodies, patience: limits.patience, bodies: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether hardly a body finds room, and none that is slow can give it some.
    pub(crate) fn is_taken(&self) -> bool {
        let bodies = self.lock();
        self.bytes - bodies.taken < LITTLE && bodies.may_give_up(0, None, self.patience).is_none()
    }

    /// Whether a client's body finds room, be it that of another.
    pub(crate) fn admits(&self, client: Client) -> bool {
        let bodies = self.lock();
        self.bytes - bodies.taken >= LITTLE || {
            let richer = bodies.clients.richer(client, LITTLE);
            bodies.may_give_up(0, richer, self.patience).is_some()
        }
    }

    /// Room of a client's body of which nothing has come.
    pub(crate) fn enter(&self, client: Client) -> Taken {
        let (coming, given_up) = oneshot::channel();
        let mut bodies = self.lock();
        bodies.issued += 1;
        let number = bodies.issued;
        let body = Body { client, bytes: 0, since: Instant::now(), coming: Some(coming) };
        bodies.bodies.insert(number, body);
        drop(bodies);
        Taken { room: self.clone(), number, given_up }
    }
}

impl Taken {
    /// Takes what is missing for so many bytes.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), Problem> {
        self.room.lock().grow(self.number, bytes, &self.room)
    }

    /// Ends when the body is given up for another.
    pub(crate) async fn given_up(&mut self) {
        let _ = (&mut self.given_up).await;
    }

    /// The body has come, and is no longer given up.
    pub(crate) fn settle(&self) {
        if let Some(body) = self.room.lock().bodies.get_mut(&self.number) {
            body.coming = None;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.lock().remove(self.number);
    }
}

impl Bodies {
    fn grow(&mut self, number: u64, bytes: usize, room: &Room) -> Result<(), Problem> {
        // One that was given up finds nothing here.
        let body = self.bodies.get(&number).ok_or_else(|| Problem::busy(1))?;
        let (client, missing) = (body.client, bytes.saturating_sub(body.bytes));
        while room.bytes - self.taken < missing {
            let richer = self.clients.richer(client, missing);
            let other = self.may_give_up(number, richer, room.patience);
            self.remove(other.ok_or_else(|| Problem::busy(1))?);
        }
        self.taken += missing;
        self.clients.add(client, missing);
        if let Some(body) = self.bodies.get_mut(&number) {
            body.bytes += missing;
        }
        Ok(())
    }

    /// The largest body on its way that is slow or of a `richer` client.
    fn may_give_up(&self, but: u64, richer: Option<Client>, patience: Duration) -> Option<u64> {
        let may = |body: &Body| {
            body.coming.is_some()
                && body.bytes > 0
                && (body.since.elapsed() > patience / 2 || Some(body.client) == richer)
        };
        let others = self.bodies.iter().filter(|(number, body)| **number != but && may(body));
        others.max_by_key(|(_, body)| body.bytes).map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) {
        if let Some(body) = self.bodies.remove(&number) {
            self.taken -= body.bytes;
            self.clients.take(body.client, body.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Client = Client::V4(1);
    const B: Client = Client::V4(2);

    fn room(patience: Duration) -> Room {
        Room::new(&Limits { bodies: 100, patience, ..Limits::default() })
    }

    fn is_given_up(taken: &mut Taken) -> bool {
        taken.given_up.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn bodies_take_room_as_they_come_and_give_it_back() {
        let room = room(Duration::from_secs(60));
        let (one, two) = (room.enter(A), room.enter(A));
        assert!(one.grow(60).is_ok() && one.grow(60).is_ok() && two.grow(40).is_ok());
        assert_eq!(two.grow(41).map_err(|problem| problem.code), Err("busy".to_owned()));
        drop(one);
        assert!(two.grow(100).is_ok());
        drop(two);
        assert_eq!(room.lock().taken, 0);
    }

    #[test]
    fn a_client_with_little_takes_room_from_one_with_much() {
        let room = room(Duration::from_secs(60));
        let (mut large, mut small, whole) = (room.enter(A), room.enter(A), room.enter(A));
        assert!(whole.grow(20).is_ok() && large.grow(50).is_ok() && small.grow(30).is_ok());
        whole.settle();
        let other = room.enter(B);
        assert!(other.grow(20).is_ok() && is_given_up(&mut large) && !is_given_up(&mut small));
        assert!(large.grow(51).is_err(), "it comes no more");
        drop(large);
        assert_eq!(room.lock().taken, 70);
        assert!(other.grow(90).is_err(), "nobody takes more than the other has left");
    }

    #[test]
    fn a_slow_body_gives_its_room_to_any() {
        let room = room(Duration::ZERO);
        let mut slow = room.enter(A);
        slow.grow(90).expect("there is room");
        std::thread::sleep(Duration::from_millis(2));
        let quick = room.enter(A);
        assert!(quick.grow(20).is_ok() && is_given_up(&mut slow));
        quick.settle();
        let third = room.enter(A);
        assert!(third.grow(90).is_err(), "what has come is kept");
    }
}
