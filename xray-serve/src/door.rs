//! Refusing before a connection costs anything.
//!
//! When there is more to do than can be done in time, most requests are refused, and what a refusal costs is taken from
//! those that are served. So while that lasts, a thread stands at the door: it takes connections many at a time, looks at
//! their first bytes, lets in as many as there are places for in the queue, and refuses the others that ask for findings
//! without buffers, routes or a body.
//!
//! They are refused when they have waited for a place as long as others wait in the queue: who is refused at once may come
//! again at once, and a thousand such clients would keep a server busy with refusals. Places go to those who came last,
//! so that nobody who is served has waited twice.

use crate::client::Client;
use crate::connections::{Connections, Slot};
use crate::linger;
use crate::log::event;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::request_line::RequestLine;
use crate::service::Service;
use serde_json::json;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What may be refused here. The page is for people, who are refused by a page.
const ROUTE: &str = "/v1/predict";

/// How long connections gather before they are taken.
const GATHER: Duration = Duration::from_millis(10);

/// How many are taken at a time, at most.
const MANY: usize = 512;

/// How long one may say nothing before it is let in: there it costs no more.
const SILENCE: Duration = Duration::from_secs(1);

/// Somebody who came.
pub(crate) struct Guest {
    pub(crate) stream: TcpStream,
    pub(crate) peer: IpAddr,
    pub(crate) slot: Slot,
    state: State,
    /// When this came, or was refused.
    since: Instant,
    forgotten: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Has said nothing.
    Silent,
    /// Asks for findings.
    Waits,
    /// May still be sending.
    Refused,
}

/// What there is for those that are there.
struct Round {
    now: Instant,
    /// Places in the queue.
    free: usize,
    /// For others.
    problem: Problem,
}

/// What stands between those outside and the service.
pub(crate) struct Door<LetIn> {
    pub(crate) service: Arc<Service>,
    pub(crate) connections: Arc<Connections>,
    /// What happens inside.
    pub(crate) let_in: LetIn,
    /// Whether nobody new shall be taken.
    pub(crate) over: Arc<AtomicBool>,
}

impl<LetIn: Fn(Guest)> Door<LetIn> {
    /// Stands there until there is time for all and refused clients have gone. Gives the listener back, which does not
    /// block, unless it is over.
    pub(crate) fn stand(&self, listener: TcpListener) -> Option<TcpListener> {
        let mut listener = Some(listener);
        // Those who came last are first.
        let mut here: Vec<Guest> = Vec::new();
        // Somebody for whom there is no place yet.
        let mut outside = None;
        loop {
            let over = self.over.load(Ordering::Relaxed);
            let arrivals =
                listener.as_ref().map_or_else(Vec::new, |listener| self.arrivals(listener, &mut outside));
            if over {
                listener = None;
            }
            let (now, free) = (Instant::now(), self.service.free());
            let mut round = Round { now, free, problem: self.service.busy() };
            let guests = arrivals.into_iter().rev().chain(here);
            here = guests.filter_map(|guest| self.attend(guest, &mut round)).collect();
            if here.is_empty() && (listener.is_none() || (round.free > 0 && outside.is_none())) {
                return listener;
            }
            sleep(GATHER);
        }
    }

    fn arrivals(&self, listener: &TcpListener, outside: &mut Option<(TcpStream, SocketAddr)>) -> Vec<Guest> {
        let mut arrivals = Vec::new();
        while arrivals.len() < MANY {
            let (stream, from) = match outside.take().map_or_else(|| accept(listener), Ok) {
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    failed(&error);
                    // Out of descriptors, say: others will end.
                    sleep(FAILED);
                    break;
                }
            };
            let Some(place) = self.connections.try_place() else {
                self.connections.make_way();
                *outside = Some((stream, from));
                break;
            };
            let (since, peer) = (Instant::now(), from.ip());
            let slot = self.connections.open(Client::from(peer), place);
            arrivals.push(Guest { stream, peer, slot, state: State::Silent, since, forgotten: 0 });
        }
        arrivals
    }

    /// Refuses a guest, lets it in or waits for it: only who is waited for comes back.
    fn attend(&self, mut guest: Guest, round: &mut Round) -> Option<Guest> {
        if guest.state == State::Refused {
            return guest.is_here(round.now).then_some(guest);
        }
        let waited = round.now.duration_since(guest.since);
        if guest.state == State::Silent {
            match guest.asks_for_findings(self.service.findings()) {
                Some(true) => guest.state = State::Waits,
                None if waited < SILENCE => return Some(guest),
                _ => {
                    (self.let_in)(guest);
                    return None;
                }
            }
        }
        if round.free > 0 || self.service.admits(Client::from(guest.peer)) {
            round.free = round.free.saturating_sub(1);
            (self.let_in)(guest);
            return None;
        }
        if waited < self.service.settings.limits.patience {
            return Some(guest);
        }
        let id = RequestId::new();
        self.service.answered(&RequestLine {
            id: &id,
            client: Client::from(guest.peer),
            key: None,
            method: "POST",
            route: ROUTE,
            status: round.problem.status,
            took: waited,
        });
        guest.refuse(&answer(&round.problem, &id), round.now).ok().map(|()| guest)
    }
}

fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, from) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, from))
}

impl Guest {
    /// Whether the first bytes do; nothing of them is taken away. None where nothing has come.
    fn asks_for_findings(&self, begins: &[Vec<u8>]) -> Option<bool> {
        let mut begin = [0; 256];
        match self.stream.peek(&mut begin) {
            Ok(length) => Some(begins.iter().any(|findings| begin[..length].starts_with(findings))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // It will be found out inside.
            Err(_) => Some(false),
        }
    }

    /// Answers, and says that nothing more will come.
    fn refuse(&mut self, answer: &[u8], now: Instant) -> io::Result<()> {
        // A socket that was just opened takes so little at once; one that does not has gone.
        let sent = SockRef::from(&self.stream).send_with_flags(answer, MORE)?;
        self.state = State::Refused;
        self.since = now;
        if sent < answer.len() {
            Err(io::ErrorKind::WriteZero.into())
        } else {
            self.stream.shutdown(Shutdown::Write)
        }
    }

    /// Forgets what came; whether more may come.
    fn is_here(&mut self, now: Instant) -> bool {
        while self.forgotten < linger::MOST {
            match linger::forget(&self.stream) {
                Ok(0) => return false,
                Ok(bytes) => self.forgotten += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return now.duration_since(self.since) < linger::PATIENCE;
                }
                Err(_) => return false,
            }
        }
        false
    }
}

/// Linux sends an answer and the end that follows together (send(2), `MSG_MORE`).
const MORE: i32 = if cfg!(target_os = "linux") { 0x8000 } else { 0 };

/// All of an answer.
fn answer(problem: &Problem, id: &RequestId) -> Vec<u8> {
    let problem = Problem { request_id: Some(id.as_str().to_owned()), ..problem.clone() };
    let body = json!({ "format": crate::answer::FORMAT, "error": problem }).to_string();
    let id = id.as_str();
    let status = problem.status();
    let after = problem.retry_after.map_or(String::new(), |seconds| format!("retry-after: {seconds}\r\n"));
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\nx-request-id: {id}\r\n\
         {after}connection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// How long nobody is taken after the system would not give a connection.
pub(crate) const FAILED: Duration = Duration::from_millis(100);

pub(crate) fn failed(error: &io::Error) {
    event("accept_failed", json!({ "error": error.to_string() }));
}

pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
