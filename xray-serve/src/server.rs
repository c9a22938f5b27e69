//! Sockets: connections up to a number, heads that must arrive in time, and an orderly end.

use crate::door::{self, Door};
use crate::limits::Limits;
use crate::linger::{Lingering, Watched};
use crate::log::event;
use crate::service::{Client, Service};
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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service as _;

/// How long open requests may take when the server is asked to end.
const FAREWELL: Duration = Duration::from_secs(30);

/// Bytes of a connection's buffer. The default grows to 400 kB, which ten thousand connections do not have.
const BUFFER: usize = 16 * 1024;

/// Connections that the system holds until they are taken. With fewer, a rush of clients is cut off before it is refused.
const BACKLOG: u32 = 4096;

/// A socket on which nobody is answered yet.
///
/// # Errors
/// If the system gives none there.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // What was here a moment ago does not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers on `listener` until `end` is over, then lets open requests finish.
///
/// # Errors
/// If no connections can be taken any more, or the system gives no thread.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    service: Arc<Service>,
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    let door = Arc::new(Door::new()?);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(service.limits.connections));
    tokio::pin!(end);
    loop {
        // Whoever comes when all places are taken waits in the system's queue.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.expect("it is never closed"),
            () = &mut end => break,
        };
        let (stream, from) = tokio::select! {
            taken = listener.accept() => match taken {
                Ok(taken) => taken,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    // Out of descriptors, say: others will end.
                    event("accept_failed", json!({ "error": error.to_string() }));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut end => break,
        };
        let connection = Connection { stream, from, place };
        let (router, service, watcher) = (router.clone(), Arc::clone(&service), graceful.watcher());
        if service.busy().is_some() {
            tokio::spawn(connection.refuse_or_run(router, service, watcher, Arc::clone(&door)));
        } else {
            tokio::spawn(connection.run(router, service, watcher));
        }
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        event("farewell_over", json!({ "seconds": FAREWELL.as_secs() }));
    }
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Connection {
    stream: TcpStream,
    from: SocketAddr,
    place: OwnedSemaphorePermit,
}

impl Connection {
    /// For one that came when there was too much to do: refused at the door, or served.
    async fn refuse_or_run(self, router: Router, service: Arc<Service>, watcher: Watcher, door: Arc<Door>) {
        let asks = door::asks_for_findings(&self.stream).await;
        match service.busy().filter(|_| asks) {
            Some(problem) => {
                service.turn_away(door::ROUTE, &problem);
                let Connection { stream, place, .. } = self;
                door.spawn(async move {
                    door::refuse(stream, &problem).await;
                    drop((place, watcher));
                });
            }
            // In a box of its own, because it is large and most that come here are refused.
            None => Box::pin(self.run(router, service, watcher)).await,
        }
    }

    async fn run(self, router: Router, service: Arc<Service>, watcher: Watcher) {
        let Connection { stream, from, place } = self;
        let _ = stream.set_nodelay(true);
        service.metrics.connections.inc();
        let client = Client(from.ip().to_string());
        let unread = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&unread);
        let answer = service_fn(move |request: Request<Incoming>| {
            let tell = Arc::clone(&tell);
            let (head, body) = request.into_parts();
            let (body, ended) = Watched::new(body);
            let mut request = Request::from_parts(head, Body::new(body));
            request.extensions_mut().insert(client.clone());
            // A router is always ready.
            let answer = router.clone().call(request);
            async move {
                let mut answer = answer.await?;
                if !ended.load(Ordering::Relaxed) {
                    tell.store(true, Ordering::Relaxed);
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let Limits { head, .. } = service.limits;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .max_buf_size(BUFFER)
            .serve_connection(Lingering::new(stream, unread), answer);
        // A client that went away is no event.
        let _ = watcher.watch(connection).await;
        service.metrics.connections.dec();
        drop(place);
    }
}

/// Lets this process have as many open files as the system allows.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

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
