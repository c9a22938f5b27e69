//! How much a client may ask for, and how long anything may take.

use std::time::Duration;

/// Everything that bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Megapixels of an image, known from its header before anything is decoded.
    pub megapixels: f64,
    /// Images in a request.
    pub images: usize,
    /// Bytes of all bodies that are being read or wait.
    pub bodies: usize,
    /// How long a request may wait for a worker: one that would wait longer is turned away. So long it also waits at the
    /// door for a place, and a body that takes longer to arrive has none.
    pub patience: Duration,
    /// How long a body may take to arrive.
    pub upload: Duration,
    /// How long the head of a request may take to arrive, and a connection may lie idle.
    pub head: Duration,
    /// Open connections.
    pub connections: usize,
    /// Requests of one client in a second, on average; 0 for no limit.
    pub rate: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 16 << 20,
            megapixels: 40.0,
            images: 16,
            bodies: 128 << 20,
            patience: Duration::from_secs(1),
            upload: Duration::from_secs(30),
            head: Duration::from_secs(60),
            connections: 12_000,
            rate: 0.0,
        }
    }
}
