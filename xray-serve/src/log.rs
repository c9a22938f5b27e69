//! One line of JSON on stderr for each thing that happens. Nothing of an image is in it, nor what was found.
//!
//! A server hands its lines to a thread that writes them ([`write_behind`]): when nobody reads them, or a disk is full,
//! lines are lost and counted, and requests are answered as before.

use serde_json::{Map, Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

static WRITER: OnceLock<Writer> = OnceLock::new();

/// Lines that wait to be written, at most.
const MOST: usize = 1024;

/// How long the last lines are waited for.
const FAREWELL: Duration = Duration::from_secs(1);

struct Writer {
    lines: SyncSender<Message>,
    /// Lines that were not written, and those of them that the log does not know of.
    lost: AtomicU64,
    unsaid: AtomicU64,
}

enum Message {
    Line(String),
    /// All lines before this were written, or lost.
    Written(SyncSender<()>),
}

/// Writes a line with the time and an event's name before `fields`.
pub fn event(name: &str, fields: Value) {
    let line = line(name, fields);
    match WRITER.get() {
        Some(writer) => writer.take(line),
        // Nobody to tell is not a reason to stop.
        None => {
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

/// From now on a thread of its own writes the lines, and whoever says something never waits for it.
///
/// # Errors
/// If the system gives no thread.
pub fn write_behind() -> std::io::Result<()> {
    let (lines, taken) = sync_channel(MOST);
    let writer = Writer { lines, lost: 0.into(), unsaid: 0.into() };
    if WRITER.set(writer).is_ok() {
        thread::Builder::new().name("log".to_owned()).spawn(move || write(&taken, &mut std::io::stderr()))?;
    }
    Ok(())
}

/// Waits for the lines that were said, for a second at most.
pub fn finish() {
    let Some(writer) = WRITER.get() else { return };
    let (written, told) = sync_channel(1);
    let begin = Instant::now();
    while writer.lines.try_send(Message::Written(written.clone())).is_err() {
        if begin.elapsed() > FAREWELL {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = told.recv_timeout(FAREWELL.saturating_sub(begin.elapsed()));
}

/// Lines that were lost so far.
pub fn lost() -> u64 {
    WRITER.get().map_or(0, |writer| writer.lost.load(Ordering::Relaxed))
}

fn line(name: &str, fields: Value) -> String {
    let mut line = Map::new();
    line.insert("time".into(), iso_8601(SystemTime::now()).into());
    line.insert("event".into(), name.into());
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    // In one piece: stderr has no buffer, and each piece would be a call of the system.
    Value::Object(line).to_string() + "\n"
}

/// `2026-12-01T02:08:11.042Z`, in UTC. A clock before 1970 is one at its beginning.
pub(crate) fn iso_8601(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

impl Writer {
    fn take(&self, line: String) {
        if self.lines.try_send(Message::Line(line)).is_err() {
            self.lose();
        }
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.unsaid.fetch_add(1, Ordering::Relaxed);
    }
}

fn write(taken: &Receiver<Message>, to: &mut dyn Write) {
    for message in taken {
        let line = match message {
            Message::Line(line) => line,
            Message::Written(tell) => {
                let _ = tell.try_send(());
                continue;
            }
        };
        let unsaid = WRITER.get().map_or(0, |writer| writer.unsaid.swap(0, Ordering::Relaxed));
        let before =
            if unsaid > 0 { self::line("log_lost", json!({ "lines": unsaid })) } else { String::new() };
        let written = to.write_all((before + &line).as_bytes());
        if let (Err(_), Some(writer)) = (written, WRITER.get()) {
            writer.unsaid.fetch_add(unsaid, Ordering::Relaxed);
            writer.lose();
        }
    }
}

/// Keeps events that come in floods from flooding the log: a few in a second have a line each, the others are counted.
#[derive(Debug, Default)]
pub(crate) struct Sparse(Mutex<Second>);

/// A second, and what happened in it.
#[derive(Debug, Default)]
struct Second {
    begin: Option<Instant>,
    with_line: u32,
    without: u64,
}

/// Events of a second that have a line each.
const EACH: u32 = 10;

impl Sparse {
    /// It happened once more: whether this event has a line, and how many before it had none and were not counted yet.
    pub(crate) fn happened(&self, now: Instant) -> (bool, u64) {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = second.begin.is_none_or(|begin| now.duration_since(begin) >= Duration::from_secs(1));
        let before = if is_over {
            std::mem::replace(&mut *second, Second { begin: Some(now), ..Second::default() }).without
        } else {
            0
        };
        let has_line = second.with_line < EACH;
        if has_line {
            second.with_line += 1;
        } else {
            second.without += 1;
        }
        (has_line, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        // `date -u -d @1796090891`
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_796_090_891_042);
        assert_eq!(iso_8601(time), "2026-12-01T02:08:11.042Z");
        assert_eq!(iso_8601(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_happens_often_has_a_few_lines_in_a_second_and_the_rest_is_counted() {
        let (sparse, begin) = (Sparse::default(), Instant::now());
        let at = |milliseconds| sparse.happened(begin + Duration::from_millis(milliseconds));
        for event in 0..EACH {
            assert_eq!(at(u64::from(event)), (true, 0));
        }
        assert_eq!([at(400), at(999)], [(false, 0); 2]);
        assert_eq!([at(1000), at(1500), at(2100)], [(true, 2), (true, 0), (true, 0)]);
    }
}
