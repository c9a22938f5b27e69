//! A socket as hyper reads, writes and ends it.
//!
//! Heads are passed on as a whole when [`heads::check`] has looked at them, a body is as long as its head says, an answer
//! must be taken in time, and the end waits for the other side ([`crate::linger`]).

use crate::connections::Seat;
use crate::heads::{self, Following};
use crate::linger::{self, forget};
use crate::problem::Problem;
use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// What a socket and the service behind it tell each other.
pub(crate) struct Talk {
    pub(crate) seat: Arc<Seat>,
    /// Why the head that came last is refused.
    refused: Mutex<Option<Problem>>,
    /// Whether the head that came last was passed to the service.
    asked: AtomicBool,
    /// Whether the other side may still send something that nobody reads.
    unread: AtomicBool,
}

impl Talk {
    pub(crate) fn new(seat: Arc<Seat>) -> Arc<Self> {
        Arc::new(Talk { seat, refused: Mutex::default(), asked: false.into(), unread: false.into() })
    }

    /// A request has come; if it must be refused, why.
    pub(crate) fn asked(&self) -> Option<Problem> {
        self.asked.store(true, Ordering::Relaxed);
        self.seat.wait_for_client();
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// It is answered, perhaps before it was read to its end.
    pub(crate) fn answered(&self, ended: bool) {
        self.unread.store(!ended, Ordering::Relaxed);
        self.seat.wait_for_client();
    }
}

/// Bytes that are read at once.
const PIECE: usize = 16 << 10;

/// What hyper reads instead of a head that is refused.
const REFUSED: &[u8] = b"GET /refused HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

pub(crate) struct Stream {
    socket: Arc<TcpStream>,
    talk: Arc<Talk>,
    /// What came and was not passed on.
    buffer: BytesMut,
    /// Bytes that may be passed on before the next head.
    pass: u64,
    /// Bytes of the buffer in which no head ends.
    seen: usize,
    /// Whether nothing more is read.
    deaf: bool,
    /// How long an answer may take to be taken.
    send: Duration,
    /// Set while the other side does not take it.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Set when nothing more will be sent.
    over: Option<Pin<Box<Sleep>>>,
    forgotten: usize,
}

impl Stream {
    pub(crate) fn new(socket: Arc<TcpStream>, talk: Arc<Talk>, send: Duration) -> Self {
        Stream {
            socket,
            talk,
            buffer: BytesMut::new(),
            pass: 0,
            seen: 0,
            deaf: false,
            send,
            stuck: None,
            over: None,
            forgotten: 0,
        }
    }

    /// Looks for a head at the front of the buffer.
    fn look_for_head(&mut self) {
        let Some(end) = heads::end(&self.buffer, self.seen) else {
            self.seen = self.buffer.len();
            if self.seen > heads::MOST {
                self.refuse(heads::too_large(format!("more than {} bytes", heads::MOST)));
            } else if heads::is_none(&self.buffer) {
                self.refuse(heads::bad("it begins with no method"));
            }
            return;
        };
        self.seen = 0;
        self.talk.asked.store(false, Ordering::Relaxed);
        match heads::check(&self.buffer[..end]) {
            _ if end > heads::MOST => {
                self.refuse(heads::too_large(format!("more than {} bytes", heads::MOST)))
            }
            Ok(Following::Bytes(bytes)) => self.pass = bytes.saturating_add(end as u64),
            // Only hyper knows where it ends, and what it reads behind that.
            Ok(Following::Chunks) => self.pass = u64::MAX,
            Err(problem) => self.refuse(problem),
        }
    }

    fn refuse(&mut self, problem: Problem) {
        *self.talk.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
        self.buffer = BytesMut::from(REFUSED);
        self.pass = u64::MAX;
        self.deaf = true;
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if !self.talk.asked.load(Ordering::Relaxed) {
            // hyper's own answer, to a head that it could not read.
            self.talk.unread.store(true, Ordering::Relaxed);
        }
        loop {
            match send(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
            if self.socket.poll_write_ready(context)?.is_pending() {
                let patience = self.send;
                let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(stuck.as_mut().poll(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.pass == 0 && !this.buffer.is_empty() {
                this.look_for_head();
            }
            let ready =
                this.buffer.len().min(to.remaining()).min(usize::try_from(this.pass).unwrap_or(usize::MAX));
            if ready > 0 {
                to.put_slice(&this.buffer[..ready]);
                this.buffer.advance(ready);
                this.pass -= ready as u64;
                if this.buffer.is_empty() && this.pass == 0 {
                    // Thousands of connections are idle.
                    this.buffer = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.deaf {
                return Poll::Ready(Ok(()));
            }
            ready!(this.socket.poll_read_ready(context))?;
            this.buffer.reserve(PIECE);
            match this.socket.try_read_buf(&mut this.buffer) {
                Ok(0) if this.pass == 0 && !this.buffer.is_empty() => {
                    // A head without an end: hyper says so.
                    this.pass = u64::MAX;
                    this.deaf = true;
                }
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if this.buffer.is_empty() {
                        this.buffer = BytesMut::new();
                    }
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |socket| socket.try_write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper has nothing left to send.
        self.stuck = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stream { socket, talk, over, forgotten, .. } = &mut *self;
        if over.is_none() {
            SockRef::from(&**socket).shutdown(Shutdown::Write)?;
            if !talk.unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let over = over.get_or_insert_with(|| Box::pin(sleep(linger::PATIENCE)));
        loop {
            if *forgotten > linger::MOST || over.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            match socket.try_io(Interest::READABLE, || forget(&**socket)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(bytes) => *forgotten += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(socket.poll_read_ready(context))?;
                }
                // The other side is gone.
                Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |socket| socket.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
