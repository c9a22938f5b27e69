//! One line of JSON on stderr for each thing that happens. Nothing of an image is in it, nor what was found.

use serde_json::{Map, Value};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

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
