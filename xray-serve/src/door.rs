//! Refusing before a connection costs anything.
//!
//! When there is more to do than can be done in time, most requests are refused, and what a refusal costs is taken from
//! those that are served. So a new connection whose first request is for findings is refused from its first bytes: without
//! buffers, routes or a body, by a thread that gives way to those that serve.

use crate::linger::Lingering;
use crate::problem::Problem;
use hyper::rt::Write;
use serde_json::json;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// What may be refused here. The page is for people, who are refused by a page.
pub(crate) const ROUTE: &str = "/v1/predict";
const BEGIN: &[u8] = b"POST /v1/predict";

/// How long it waits for the first bytes.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread.
pub(crate) struct Door(Option<Runtime>);

/// Of the processor's shares that one who serves has 1024 of, it has 36: what is left when there is too much to do.
const NICE: i32 = 15;

impl Door {
    /// Starts it.
    pub(crate) fn new() -> io::Result<Self> {
        // Linux counts niceness by threads. Where a system refuses, everyone is served all the same.
        let step_back = || {
            let _ = rustix::process::setpriority_process(None, NICE);
        };
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(1).thread_name("door").on_thread_start(step_back).enable_time();
        Ok(Door(Some(runtime.build()?)))
    }

    /// Does it there.
    pub(crate) fn spawn(&self, refusal: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(refusal);
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether what comes first on a connection asks for findings; nothing of it is taken away.
pub(crate) async fn asks_for_findings(stream: &TcpStream) -> bool {
    let mut begin = [0; BEGIN.len()];
    let peeked = timeout(PATIENCE, stream.peek(&mut begin)).await;
    matches!(peeked, Ok(Ok(length)) if begin[..length] == *BEGIN)
}

/// All of an answer.
fn answer(problem: &Problem) -> Vec<u8> {
    let body = json!({ "format": crate::verdict::FORMAT, "error": problem }).to_string();
    let status = problem.status();
    let after = problem.retry_after.map_or(String::new(), |seconds| format!("retry-after: {seconds}\r\n"));
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n{after}connection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Answers, and ends the connection.
pub(crate) async fn refuse(stream: TcpStream, problem: &Problem) {
    let answer = answer(problem);
    // A socket that was just opened takes so little at once; one that does not has gone.
    if stream.try_write(&answer).is_ok_and(|length| length == answer.len()) {
        let mut stream = Lingering::new(stream, Arc::new(true.into()));
        let _ = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
    }
}
