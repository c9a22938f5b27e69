//! The tasks of a step, written down on one thread as they would be cut for many.
//!
//! A processor with few cores cannot show how a step runs on sixty-four, but it can say how long each task takes. While
//! a [`Recorder`] lives, the passes of this process are cut for as many workers as it was told and run task by task on
//! the thread that calls for them. `cargo xtask bench scaling` makes schedules of what was recorded.

use crate::tasks;
use std::mem;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// For how many workers passes are cut, while they are recorded; 0 while nothing is.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

static NOTES: Mutex<Option<Notes>> = Mutex::new(None);

/// One pass: tasks that may run at the same time, each of which waits for all of the pass before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPass {
    /// What it does.
    pub name: &'static str,
    /// Floats that it goes over, which tells one layer's from another's.
    pub floats: usize,
    /// From the end of the pass before: what one thread did alone.
    pub alone_nanoseconds: u64,
    /// How long each task took.
    pub task_nanoseconds: Vec<u64>,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// In their order.
    pub passes: Vec<RecordedPass>,
    /// After the last.
    pub alone_nanoseconds: u64,
}

struct Notes {
    passes: Vec<RecordedPass>,
    last_end: Instant,
    /// Whether a pass is under way: one that begins inside of it is a part of a task.
    is_inside: bool,
}

/// Records from its start to its end. One at a time in a process, whose other threads compute nothing meanwhile.
#[derive(Debug)]
pub struct Recorder(());

impl Recorder {
    /// Begins, with passes cut as for so many threads.
    ///
    /// # Panics
    /// If another one records.
    pub fn start(workers: NonZero<usize>) -> Self {
        let mut notes = notes();
        assert!(notes.is_none(), "one recorder at a time");
        *notes = Some(Notes { passes: Vec::new(), last_end: Instant::now(), is_inside: false });
        WORKERS.store(workers.get(), Ordering::Relaxed);
        Self(())
    }

    /// What was recorded.
    pub fn finish(self) -> Recording {
        let Notes { passes, last_end, .. } = notes().take().expect("taken once, by the only recorder");
        Recording { passes, alone_nanoseconds: nanoseconds(last_end, Instant::now()) }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        WORKERS.store(0, Ordering::Relaxed);
        notes().take();
    }
}

/// What threads cost by themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskCosts {
    /// A pass of one task for each thread, each of which does nothing.
    pub pass_nanoseconds: f64,
    /// Each further task, on one thread.
    pub task_nanoseconds: f64,
}

impl TaskCosts {
    /// Measures them in the current pool: the medians of many passes, each after a pause in which threads fall asleep.
    pub fn measure() -> Self {
        const PASSES: usize = 301;
        const MANY: usize = 4096;
        let threads = tasks::threads();
        let median = |count: usize| {
            let mut times: Vec<u64> = (0..PASSES)
                .map(|_| {
                    let begun = Instant::now();
                    while nanoseconds(begun, Instant::now()) < 200_000 {
                        std::hint::spin_loop();
                    }
                    let begun = Instant::now();
                    tasks::for_each("nothing", 0, count, |number| {
                        std::hint::black_box(number);
                    });
                    nanoseconds(begun, Instant::now())
                })
                .collect();
            times.sort_unstable();
            times[PASSES / 2] as f64
        };
        let (few, many) = (median(threads), median(MANY));
        let task_nanoseconds = ((many - few) * threads as f64 / (MANY - threads) as f64).max(0.0);
        Self { pass_nanoseconds: few, task_nanoseconds }
    }
}

/// For how many workers passes are cut; none while nothing is recorded.
#[inline]
pub(crate) fn workers() -> Option<NonZero<usize>> {
    NonZero::new(WORKERS.load(Ordering::Relaxed))
}

/// Runs all tasks of a pass in their order and writes down how long each took.
pub(crate) fn record(name: &'static str, floats: usize, count: usize, task: impl Fn(usize)) {
    let begun = Instant::now();
    let alone_nanoseconds = {
        let mut notes = notes();
        let Some(notes) = notes.as_mut().filter(|notes| !notes.is_inside) else {
            drop(notes);
            return (0..count).for_each(task);
        };
        notes.is_inside = true;
        nanoseconds(notes.last_end, begun)
    };
    let mut task_nanoseconds = Vec::with_capacity(count);
    let mut start = Instant::now();
    for number in 0..count {
        task(number);
        let end = Instant::now();
        task_nanoseconds.push(nanoseconds(mem::replace(&mut start, end), end));
    }
    if let Some(notes) = notes().as_mut() {
        notes.passes.push(RecordedPass { name, floats, alone_nanoseconds, task_nanoseconds });
        notes.is_inside = false;
        notes.last_end = Instant::now();
    }
}

fn nanoseconds(start: Instant, end: Instant) -> u64 {
    u64::try_from(end.duration_since(start).as_nanos()).unwrap_or(u64::MAX)
}

// A panic elsewhere leaves whole notes, so its poison means nothing.
fn notes() -> MutexGuard<'static, Option<Notes>> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}
