//! How far the work is: a bar on a terminal, one plain line every few seconds elsewhere.

use crate::say;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use xray_display::thousands;

const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Counts finished items, from any thread.
pub struct Progress {
    what: &'static str,
    total: Option<u64>,
    done: AtomicU64,
    start: Instant,
    display: Display,
}

enum Display {
    Bar(ProgressBar),
    /// When the last line was printed.
    Lines(Mutex<Instant>),
}

impl Progress {
    /// Begins. `what` are the items, such as `images`; `total` where it is known.
    pub fn new(what: &'static str, total: Option<u64>) -> Progress {
        let start = Instant::now();
        let display = if io::stderr().is_terminal() {
            Display::Bar(bar(what, total))
        } else {
            Display::Lines(start.into())
        };
        Progress { what, total, done: AtomicU64::new(0), start, display }
    }

    /// One more is done.
    pub fn advance(&self) {
        self.advance_by(1);
    }

    /// So many more are done.
    pub fn advance_by(&self, more: u64) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        match &self.display {
            Display::Bar(bar) => bar.inc(more),
            Display::Lines(last) => {
                // Who does not get the lock has nothing to add: another thread is printing.
                let Ok(mut last) = last.try_lock() else { return };
                if last.elapsed() >= PLAIN_EVERY {
                    *last = Instant::now();
                    say(line(self.what, done, self.total, self.start.elapsed()));
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => format!("{{bar:40}} {{human_pos}} of {{human_len}} {what}, {{per_sec}}, {{eta}} left"),
        None => format!("{{spinner}} {{human_pos}} {what}, {{per_sec}}"),
    };
    let style = ProgressStyle::with_template(&template).expect("the template is written above");
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(style)
}

/// `1,200 of 112,120 images, 340/s, 5 min left`
fn line(what: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-3);
    let done_text = thousands(done);
    match total {
        Some(total) => {
            let left = left(total.saturating_sub(done) as f64 / rate.max(1e-3));
            format!("{done_text} of {} {what}, {rate:.0}/s, {left} left", thousands(total))
        }
        None => format!("{done_text} {what}, {rate:.0}/s"),
    }
}

fn left(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_says_how_far_and_how_long() {
        let check = |done, total, seconds, expected| {
            assert_eq!(line("images", done, total, Duration::from_secs(seconds)), expected);
        };
        check(1_200, Some(112_120), 10, "1,200 of 112,120 images, 120/s, 15 min left");
        check(100, Some(110), 10, "100 of 110 images, 10/s, 1 s left");
        check(10, Some(100_000), 10, "10 of 100,000 images, 1/s, 27.8 h left");
        check(70, None, 10, "70 images, 7/s");
    }
}
