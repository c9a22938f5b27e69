//! One line of JSON on stderr for each thing that happens. Nothing of an image is in it, nor what was found.

use serde_json::{Map, Value};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Writes a line with the time and an event's name before `fields`.
pub fn event(name: &str, fields: Value) {
    let mut line = Map::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    line.insert("time".into(), Value::from((now.as_secs_f64() * 1e3).round() / 1e3));
    line.insert("event".into(), name.into());
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    // In one piece: stderr has no buffer, and each piece would be a call of the system. Nobody to tell is no reason to
    // stop serving.
    let line = Value::Object(line).to_string() + "\n";
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Counts what would flood the log.
#[derive(Debug, Default)]
pub(crate) struct Sparse(Mutex<(u64, Option<Instant>)>);

impl Sparse {
    /// It happened so many `times` more. How often since this last said so, which is at most once in a second.
    pub(crate) fn happened(&self, times: u64, now: Instant) -> Option<u64> {
        let (count, said) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count += times;
        if said.is_some_and(|said| now.duration_since(said) < Duration::from_secs(1)) {
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_said_once_in_a_second() {
        let (sparse, begin) = (Sparse::default(), Instant::now());
        let at = |milliseconds, times| sparse.happened(times, begin + Duration::from_millis(milliseconds));
        assert_eq!(
            [at(0, 1), at(400, 1), at(999, 7), at(1000, 1), at(1500, 1), at(2100, 1)],
            [Some(1), None, None, Some(9), None, Some(2)]
        );
    }
}
