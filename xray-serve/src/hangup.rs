//! Whether a client has said its last word.
//!
//! A client that closed its side of a connection may still read (`nc -N`, shell tools), or may have gone: both look the
//! same from here. So whoever is being answered is answered, and what still waits need not be examined.

use std::sync::Arc;
use tokio::net::TcpStream;

/// The socket that a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Hangup(pub(crate) Arc<TcpStream>);

impl Hangup {
    /// Ends when the other side has closed or broken the connection; never, if more requests follow.
    pub(crate) async fn happened(self) {
        if let Ok(1..) = self.0.peek(&mut [0]).await {
            std::future::pending().await
        }
    }
}
