//! Sockets: connections up to a number, heads that must arrive in time, and an orderly end.

use crate::client::Client;
use crate::connections::{Connections, Slot};
use crate::door::{self, Door, Guest};
use crate::hangup::Hangup;
use crate::limits::Limits;
use crate::linger::Watched;
use crate::log::event;
use crate::proxies::Asker;
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
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
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

/// Sockets on all addresses that a name has, IPv4 first. `localhost` is 127.0.0.1 and ::1, whatever else is said of it (RFC
/// 6761, section 6.3). Addresses that this machine does not have are passed over, if it has one.
///
/// # Errors
/// If it has none, or the system gives no socket on one.
pub fn listen_at(place: &str) -> io::Result<Vec<TcpListener>> {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let local_port = place.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let mut addresses: Vec<SocketAddr> = match local_port {
        Some(port) => loopback.map(|address| (address, port).into()).to_vec(),
        None => place.to_socket_addrs()?.collect(),
    };
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut absent = None;
    for mut address in addresses {
        if let (0, Some(first)) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port());
        }
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_absent(&error) => absent = Some(error),
            Err(error) if place == address.to_string() => return Err(error),
            Err(error) => return Err(io::Error::new(error.kind(), format!("{address}: {error}"))),
        }
    }
    if listeners.is_empty() {
        return Err(
            absent.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
        );
    }
    Ok(listeners)
}

/// Whether this machine has no such address, or none of its kind.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Answers on the `listeners` until `end` is over, then lets open requests finish.
///
/// # Errors
/// If no connections can be taken any more.
pub async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    service: Arc<Service>,
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    let connections = Connections::new(service.settings.limits.connections, &service.metrics);
    let inside = Arc::new(Inside {
        router,
        service,
        connections: Arc::new(connections),
        graceful: GracefulShutdown::new(),
    });
    let (over, is_over) = watch::channel(false);
    let mut taking = JoinSet::new();
    for listener in listeners {
        let (inside, mut is_over) = (Arc::clone(&inside), is_over.clone());
        taking.spawn(async move {
            let end = async move {
                // Nobody left to say it is an end too.
                let _ = is_over.wait_for(|over| *over).await;
            };
            take_connections(listener, &inside, end).await
        });
    }
    let first = tokio::select! {
        () = end => None,
        ended = taking.join_next() => ended,
    };
    let _ = over.send(true);
    let mut next = match first {
        None => taking.join_next().await,
        ended => ended,
    };
    while let Some(ended) = next {
        ended.expect("it does not panic")?;
        next = taking.join_next().await;
    }
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
    let connections = &inside.connections;
    tokio::pin!(end);
    loop {
        if inside.service.free() == 0 {
            match at_the_door(listener, inside, end.as_mut()).await? {
                Some(back) => listener = back,
                None => return Ok(()),
            }
        }
        tokio::select! {
            taken = listener.accept() => match taken {
                // Whoever comes when all places are taken, and after it, waits until others have made way.
                Ok((stream, from)) => tokio::select! {
                    place = connections.place() => {
                        let slot = connections.open(Client::from(from.ip()), place);
                        inside.spawn(stream, from.ip(), slot);
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
    end: Pin<&mut impl Future<Output = ()>>,
) -> io::Result<Option<TcpListener>> {
    let over = Arc::new(AtomicBool::new(false));
    let let_in = {
        let inside = Arc::clone(inside);
        move |Guest { stream, peer, slot, .. }: Guest| match TcpStream::from_std(stream) {
            Ok(stream) => inside.spawn(stream, peer, slot),
            Err(error) => door::failed(&error),
        }
    };
    let door = Door {
        service: Arc::clone(&inside.service),
        connections: Arc::clone(&inside.connections),
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
    connections: Arc<Connections>,
    graceful: GracefulShutdown,
}

impl Inside {
    fn spawn(&self, stream: TcpStream, peer: IpAddr, slot: Slot) {
        let connection = Connection { stream: Arc::new(stream), peer, slot };
        tokio::spawn(connection.run(self.router.clone(), Arc::clone(&self.service), self.graceful.watcher()));
    }
}

struct Connection {
    stream: Arc<TcpStream>,
    peer: IpAddr,
    slot: Slot,
}

impl Connection {
    async fn run(self, router: Router, service: Arc<Service>, watcher: Watcher) {
        let Connection { stream, peer, slot } = self;
        let _ = stream.set_nodelay(true);
        let talk = Talk::new(Arc::clone(&slot.seat));
        let (socket, told, inside) = (Arc::clone(&stream), Arc::clone(&talk), Arc::clone(&service));
        let answer = service_fn(move |request: Request<Incoming>| {
            let talk = Arc::clone(&told);
            let refused = talk.asked();
            let is_refused = refused.is_some();
            let (head, body) = request.into_parts();
            let (body, ended) = Watched::new(body, Arc::clone(&talk.seat));
            let mut request = Request::from_parts(head, Body::new(body));
            let Asker { client, base } = inside.settings.proxies.asker(peer, request.headers());
            request.extensions_mut().insert(client);
            if let Some(base) = base {
                request.extensions_mut().insert(base);
            }
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
            // A client that went away is not an event.
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
            .hint("set it: every answer carries the time")),
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
