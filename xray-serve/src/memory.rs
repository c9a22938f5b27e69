//! Memory in which images are decoded, shared by all workers: who finds too little left waits for others.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Bytes that may be used, and those that are free.
#[derive(Debug)]
pub struct Memory {
    all: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// A part of it, given back when this is dropped.
#[derive(Debug)]
pub struct Reserved<'a> {
    memory: &'a Memory,
    bytes: u64,
}

impl Memory {
    /// So many bytes.
    pub fn new(bytes: u64) -> Self {
        Memory { all: bytes, free: Mutex::new(bytes), freed: Condvar::new() }
    }

    /// So many of them as soon as they are free; none if there will never be so many, or not in time.
    pub fn reserve(&self, bytes: u64, until: Instant) -> Option<Reserved<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free < bytes {
            let left = until.saturating_duration_since(Instant::now());
            if bytes > self.all || left.is_zero() {
                return None;
            }
            free = self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= bytes;
        Some(Reserved { memory: self, bytes })
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        *self.memory.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.memory.freed.notify_all();
    }
}

/// Bytes of this process that lie in memory; none where the system does not say it.
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn who_finds_too_little_waits_for_it_and_not_for_ever() {
        let memory = Memory::new(100);
        let soon = || Instant::now() + Duration::from_millis(20);
        let late = || Instant::now() + Duration::from_secs(60);
        assert!(memory.reserve(101, late()).is_none(), "there is never so much");
        let most = memory.reserve(80, soon()).expect("it is free");
        assert!(memory.reserve(30, soon()).is_none());
        thread::scope(|scope| {
            let waits = scope.spawn(|| memory.reserve(30, late()).is_some());
            thread::sleep(Duration::from_millis(20));
            drop(most);
            assert!(waits.join().expect("no panic"));
        });
        assert_eq!(*memory.free.lock().expect("no panic"), 100);
    }
}
