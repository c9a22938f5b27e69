//! A load, and what a server made of it.

use super::client::{Client, Target};
use hdrhistogram::Histogram;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout_at};

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Load {
    /// From so many clients, each of which waits for its answer.
    Closed {
        /// How many.
        clients: usize,
    },
    /// So many in a second, whether answered or not.
    Open {
        /// How many.
        rate: f64,
    },
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    /// Of this load.
    pub(super) load: Load,
    /// In so many seconds.
    pub(super) seconds: f64,
    /// Answers with findings.
    pub(super) ok: u64,
    /// 503.
    pub(super) busy: u64,
    /// Other statuses.
    pub(super) refused: u64,
    /// Connections that broke or were not made.
    pub(super) broken: u64,
    /// Processors that making the load kept busy, on average; none where the system does not say.
    pub(super) processors: Option<f64>,
    /// Microseconds of the answers with findings.
    latencies: Histogram<u64>,
}

const WARM_UP: Duration = Duration::from_secs(1);

/// Connections of an open loop: more requests than these cannot be on their way.
const MOST_CONNECTIONS: usize = 2000;

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("bounds that are in order")
}

impl Measurement {
    fn new(load: Load) -> Self {
        Measurement {
            load,
            seconds: 0.0,
            ok: 0,
            busy: 0,
            refused: 0,
            broken: 0,
            processors: None,
            latencies: histogram(),
        }
    }

    fn note(&mut self, status: Option<u16>, latency: Duration) {
        match status {
            Some(200) => {
                self.ok += 1;
                let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(microseconds.max(1));
            }
            Some(503) => self.busy += 1,
            Some(_) => self.refused += 1,
            None => self.broken += 1,
        }
    }

    fn add(&mut self, other: &Measurement) {
        self.ok += other.ok;
        self.busy += other.busy;
        self.refused += other.refused;
        self.broken += other.broken;
        self.latencies.add(&other.latencies).expect("the same bounds");
    }

    /// Answers with findings in a second.
    pub(super) fn per_second(&self) -> f64 {
        self.ok as f64 / self.seconds.max(1e-9)
    }

    /// The latency that so many of the answers with findings stayed within; 0 without any.
    pub(super) fn milliseconds(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }
}

impl Load {
    /// Loads the server for that long, after a second that does not count.
    pub(super) async fn measure(self, target: &Target, time: Duration) -> Measurement {
        let (begin, before) = (Instant::now() + WARM_UP, processor_seconds());
        let end = begin + time;
        let mut tasks = JoinSet::new();
        match self {
            Load::Closed { clients } => {
                for _ in 0..clients {
                    tasks.spawn(closed(target.clone(), self, begin, end));
                }
            }
            Load::Open { rate } => {
                let next = Arc::new(AtomicU64::new(0));
                // As many as come in two seconds: a server of ours is not more patient.
                let connections = ((2.0 * rate) as usize).clamp(8, MOST_CONNECTIONS);
                for _ in 0..connections {
                    tasks.spawn(open(target.clone(), self, rate, Arc::clone(&next), begin, end));
                }
            }
        }
        let mut measured = Measurement { seconds: time.as_secs_f64(), ..Measurement::new(self) };
        while let Some(part) = tasks.join_next().await {
            measured.add(&part.expect("a client does not panic"));
        }
        let taken = processor_seconds().zip(before).map(|(after, before)| after - before);
        measured.processors = taken.map(|seconds| seconds / (time + WARM_UP).as_secs_f64());
        measured
    }
}

/// What this process has taken, as Linux counts it in hundredths (proc_pid_stat(5)).
fn processor_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything, in parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let hundredths = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((hundredths(11)? + hundredths(12)?) / 100.0)
}

/// One after the other; what is answered in the measured time counts.
async fn closed(target: Target, load: Load, begin: Instant, end: Instant) -> Measurement {
    let (mut client, mut measured) = (Client::default(), Measurement::new(load));
    loop {
        let sent = Instant::now();
        if sent >= end {
            return measured;
        }
        let Ok(status) = timeout_at(end.into(), client.ask(&target)).await else { return measured };
        if Instant::now() >= begin {
            measured.note(status, sent.elapsed());
        }
        // Who was turned away or never let in does not ask again at once.
        if status != Some(200) {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The requests that no other client took, each when it is due; what is answered in the measured time counts.
async fn open(
    target: Target,
    load: Load,
    rate: f64,
    next: Arc<AtomicU64>,
    begin: Instant,
    end: Instant,
) -> Measurement {
    let (mut client, mut measured) = (Client::default(), Measurement::new(load));
    let first = begin - WARM_UP;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = first + Duration::from_secs_f64(number as f64 / rate);
        if due >= end {
            return measured;
        }
        sleep_until(due.into()).await;
        let Ok(status) = timeout_at(end.into(), client.ask(&target)).await else { return measured };
        if Instant::now() >= begin {
            measured.note(status, due.elapsed());
        }
    }
}
