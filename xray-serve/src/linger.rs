//! A connection whose end waits for the other side.
//!
//! Who is answered before the end of what it sends, because that is too large or the server too busy, goes on sending for
//! a while. A socket that is closed with bytes unread makes the system reset the connection, and the answer is lost on
//! its way (RFC 9112, section 9.6). So this one says that nothing more will come, then reads and forgets, within bounds.
//! And an answer that comes before the end of its request says itself that it is the last.

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long it waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How much it forgets.
pub(crate) const MOST: usize = 256 << 20;

/// A socket that hyper reads, writes and ends.
pub(crate) struct Lingering {
    stream: TokioIo<TcpStream>,
    /// Whether the other side may still send something that nobody reads.
    unread: Arc<AtomicBool>,
    /// Set when nothing more will be sent.
    over: Option<Pin<Box<Sleep>>>,
    forgotten: usize,
}

impl Lingering {
    /// `unread` says, when the connection ends, whether there is anything to wait for.
    pub(crate) fn new(stream: TcpStream, unread: Arc<AtomicBool>) -> Self {
        Lingering { stream: TokioIo::new(stream), unread, over: None, forgotten: 0 }
    }
}

impl Read for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Lingering { stream, unread, over, forgotten } = &mut *self;
        if over.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            if !unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let over = over.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        loop {
            if *forgotten > MOST || over.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let forgetting = stream.inner().try_io(Interest::READABLE, || forget(stream.inner()));
            match forgetting {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(bytes) => *forgotten += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.inner().poll_read_ready(context))?;
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
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

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
    ended: Arc<AtomicBool>,
}

impl Watched {
    /// The body, and whether it was read to its end.
    pub(crate) fn new(body: Incoming) -> (Self, Arc<AtomicBool>) {
        let ended = Arc::new(AtomicBool::new(body.is_end_stream()));
        (Watched { body, ended: Arc::clone(&ended) }, ended)
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
            self.ended.store(true, Ordering::Relaxed);
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
