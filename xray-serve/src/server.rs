//! Sockets: connections up to a number, heads that must arrive in time, and an orderly end.

use crate::client::Client;
use crate::connections::{Connections, Slot};
use crate::door::{self, Door, Guest};
use crate::hangup::Hangup;
use crate::limits::Limits;
use crate::linger::Watched;
use crate::log::event;
use crate::service::Service;
use crate::stream::{Stream, Talk};
use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use serde_json::json;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tower_service::Service as _;
use xray_artifacts::{Exit, Failure};

/// How long open requests may take when the server is asked to end.
const FAREWELL: Duration = Duration::from_secs(30);

/// Bytes of a connection's buffer. The default grows to 400 kB, which ten thousand connections do not have.
const BUFFER: usize = 16 * 1024;

/// Connections that the system holds until they are taken. With fewer, a rush of clients is cut off before it is refused.
const BACKLOG: u32 = 4096;

/// Bytes that the system takes of a connection before anybody reads: most images as a whole, so that they come in one piece
/// and a refused one is forgotten in one. As many as Linux grants by default.
const RECEIVE: u32 = 212_992;

/// A socket on which nobody is answered yet.
///
/// # Errors
/// If the system gives none there.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // What was here a moment ago does not keep the port.
    socket.set_reuseaddr(true)?;
    // Where it is not granted, they come in pieces.
    let _ = socket.set_recv_buffer_size(RECEIVE);
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers on `listener` until `end` is over, then lets open requests finish.
///
/// # Errors
/// If no connections can be taken any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    service: Arc<Service>,
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    let inside = Arc::new(Inside { router, service, graceful: GracefulShutdown::new() });
    take_connections(listener, &inside, end).await?;
    // Connections have watchers of their own.
    if let Some(Inside { graceful, .. }) = Arc::into_inner(inside)
        && timeout(FAREWELL, graceful.shutdown()).await.is_err()
    {
        event("farewell_over", json!({ "seconds": FAREWELL.as_secs() }));
    }
    Ok(())
}

async fn take_connections(
    mut listener: TcpListener,
    inside: &Arc<Inside>,
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    let service = &inside.service;
    let connections = Arc::new(Connections::new(service.settings.limits.connections, &service.metrics));
    tokio::pin!(end);
    loop {
        if inside.service.free() == 0 {
            match at_the_door(listener, inside, &connections, end.as_mut()).await? {
                Some(back) => listener = back,
                None => return Ok(()),
            }
        }
        tokio::select! {
            taken = listener.accept() => match taken {
                // Whoever comes when all places are taken, and after it, waits until others have made way.
                Ok((stream, from)) => tokio::select! {
                    place = connections.place() => {
                        let client = Client::from(from.ip());
                        inside.spawn(stream, client, connections.open(client, place));
                    }
                    () = &mut end => return Ok(()),
                },
                Err(error) if door::is_of_one_connection(&error) => {}
                Err(error) => {
                    door::failed(&error);
                    // Out of descriptors, say: others will end.
                    sleep(door::FAILED).await;
                }
            },
            () = &mut end => return Ok(()),
        }
    }
}

/// While there is too much to do, another thread takes connections. None if `end` came first.
async fn at_the_door(
    listener: TcpListener,
    inside: &Arc<Inside>,
    connections: &Arc<Connections>,
    end: Pin<&mut impl Future<Output = ()>>,
) -> io::Result<Option<TcpListener>> {
    let over = Arc::new(AtomicBool::new(false));
    let let_in = {
        let inside = Arc::clone(inside);
        move |Guest { stream, client, slot, .. }: Guest| match TcpStream::from_std(stream) {
            Ok(stream) => inside.spawn(stream, client, slot),
            Err(error) => door::failed(&error),
        }
    };
    let door = Door {
        service: Arc::clone(&inside.service),
        connections: Arc::clone(connections),
        let_in,
        over: Arc::clone(&over),
    };
    let listener = listener.into_std()?;
    let mut standing = spawn_blocking(move || door.stand(listener));
    let back = tokio::select! {
        back = &mut standing => back,
        () = end => {
            over.store(true, Ordering::Relaxed);
            standing.await
        }
    };
    back.expect("it does not panic").map(TcpListener::from_std).transpose()
}

/// What connections find inside.
struct Inside {
    router: Router,
    service: Arc<Service>,
    graceful: GracefulShutdown,
}

impl Inside {
    fn spawn(&self, stream: TcpStream, client: Client, slot: Slot) {
        let connection = Connection { stream: Arc::new(stream), client, slot };
        tokio::spawn(connection.run(self.router.clone(), Arc::clone(&self.service), self.graceful.watcher()));
    }
}

struct Connection {
    stream: Arc<TcpStream>,
    client: Client,
    slot: Slot,
}

impl Connection {
    async fn run(self, router: Router, service: Arc<Service>, watcher: Watcher) {
        let Connection { stream, client, slot } = self;
        let _ = stream.set_nodelay(true);
        let talk = Talk::new(Arc::clone(&slot.seat));
        let (socket, told) = (Arc::clone(&stream), Arc::clone(&talk));
        let answer = service_fn(move |request: Request<Incoming>| {
            let talk = Arc::clone(&told);
            let refused = talk.asked();
            let is_refused = refused.is_some();
            let (head, body) = request.into_parts();
            let (body, ended) = Watched::new(body, Arc::clone(&talk.seat));
            let mut request = Request::from_parts(head, Body::new(body));
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(Hangup(Arc::clone(&socket)));
            if let Some(refused) = refused {
                request.extensions_mut().insert(refused);
            }
            // A router is always ready.
            let answer = router.clone().call(request);
            async move {
                let mut answer = answer.await?;
                let ended = ended.load(Ordering::Relaxed) && !is_refused;
                talk.answered(ended);
                if !ended {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let Limits { head, send, .. } = service.settings.limits;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .half_close(true)
            .max_buf_size(BUFFER)
            .serve_connection(Stream::new(stream, talk, send), answer);
        tokio::select! {
            // A client that went away is no event.
            _ = watcher.watch(connection) => {}
            () = slot.seat.asked_to_end() => {}
        }
    }
}

/// That the clock stands at a time that an answer can bear: hyper writes one into each, and panics instead before 1970.
///
/// # Errors
/// If it does not.
pub fn check_clock(now: SystemTime) -> Result<(), Failure> {
    match now.duration_since(UNIX_EPOCH) {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::new(Exit::Unexpected, "the clock of this machine stands before 1970")
            .hint("set it: every answer bears the time")),
    }
}

/// Lets this process have as many open files as the system allows, and says how many connections that leaves.
pub fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(usize::MAX, |files| files.saturating_sub(OTHER_FILES).max(1))
}

/// Files beside connections: the log, the listener, what the runtime waits with.
const OTHER_FILES: usize = 24;

/// Gives way a little to threads that look at images: reading requests that will wait goes after serving those that did.
pub fn step_back() {
    // Linux counts by threads. Where a system refuses, everyone is served all the same.
    let _ = rustix::process::setpriority_process(None, 3);
}

/// Ends at SIGTERM or SIGINT.
pub async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
