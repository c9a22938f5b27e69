//! A connection whose end waits for the other side.
//!
//! Who is answered before the end of what it sends, because that is too large or the server too busy, goes on sending for
//! a while. A socket that is closed with bytes unread makes the system reset the connection, and the answer is lost on
//! its way (RFC 9112, section 9.6). So this one says that nothing more will come, then reads and forgets, within bounds.
//! And an answer that comes before the end of its request says itself that it is the last.

use crate::connections::Seat;
use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use socket2::SockRef;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long it waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How much it forgets.
pub(crate) const MOST: usize = 256 << 20;

/// What may be forgotten by one call.
const PIECE: usize = 256 << 10;

/// Linux forgets without copying (tcp(7), `MSG_TRUNC`); others copy.
const FLAGS: i32 = if cfg!(target_os = "linux") { 0x20 } else { 0 };

/// How many bytes came and are gone.
pub(crate) fn forget(stream: &impl AsFd) -> io::Result<usize> {
    let mut nowhere = Vec::with_capacity(PIECE);
    SockRef::from(stream).recv_with_flags(nowhere.spare_capacity_mut(), FLAGS)
}

/// A request's body, of which somebody else knows whether it was read to its end.
pub(crate) struct Watched {
    body: Incoming,
    seat: Arc<Seat>,
    ended: Arc<AtomicBool>,
}

impl Watched {
    /// The body, and whether it was read to its end, from when on it is the server's turn.
    pub(crate) fn new(body: Incoming, seat: Arc<Seat>) -> (Self, Arc<AtomicBool>) {
        let ended = Arc::new(AtomicBool::new(false));
        let watched = Watched { body, seat, ended: Arc::clone(&ended) };
        if watched.is_end_stream() {
            watched.end();
        }
        (watched, ended)
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.seat.serve();
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
