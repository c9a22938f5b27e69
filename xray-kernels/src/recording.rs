//! The tasks of a step, written down on one thread as they would be cut for many.
//!
//! A processor with few cores cannot show how a step runs on sixty-four, but it can say how long each task takes. While
//! a [`Recorder`] lives, the passes of this process are cut for as many workers as it was told and run task by task on
//! the thread that calls for them. `cargo xtask bench scaling` makes schedules of what was recorded.
//!
//! On Linux times are those of the processor, so that another program's turns do not count.
#![expect(
    unsafe_code,
    reason = "the C library's clock of a thread's processor time, which std does not offer"
)]

use crate::tasks;
use std::mem;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
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
    /// When the last pass ended, and by which thread's clock.
    last_end: u64,
    thread: ThreadId,
    /// Whether a pass is under way: one that begins inside of it is a part of a task.
    is_inside: bool,
}

/// Records from its start to its end what the thread that started it calls for. One at a time in a process, whose other
/// threads compute nothing meanwhile.
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
        *notes = Some(Notes {
            passes: Vec::new(),
            last_end: now(),
            thread: thread::current().id(),
            is_inside: false,
        });
        WORKERS.store(workers.get(), Ordering::Relaxed);
        Self(())
    }

    /// What was recorded.
    pub fn finish(self) -> Recording {
        let Notes { passes, last_end, .. } = notes().take().expect("taken once, by the only recorder");
        Recording { passes, alone_nanoseconds: now().saturating_sub(last_end) }
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
    /// A pass of one task for each thread, from its call until all have begun one.
    pub pass_nanoseconds: f64,
    /// Each further task, on one thread.
    pub task_nanoseconds: f64,
}

impl TaskCosts {
    /// Measures them on the threads that this thread has: the medians of many passes, each some time after the one before,
    /// as in a step.
    pub fn measure() -> Self {
        const PASSES: usize = 301;
        const PAUSE: u128 = 20;
        const MANY: usize = 4096;
        let threads = tasks::threads();
        let median = |count: usize, task: &(dyn Fn(&AtomicUsize) + Sync)| {
            let mut times: Vec<u64> = (0..PASSES)
                .map(|_| {
                    let begun = Instant::now();
                    while begun.elapsed().as_micros() < PAUSE {
                        std::hint::spin_loop();
                    }
                    let (begun, here) = (Instant::now(), AtomicUsize::new(0));
                    tasks::for_each("nothing", 0, count, |_| task(&here));
                    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
                })
                .collect();
            times.sort_unstable();
            times[PASSES / 2] as f64
        };
        let pass_nanoseconds = median(threads, &|here| {
            here.fetch_add(1, Ordering::SeqCst);
            // A processor that other programs use may not run all of them.
            let begun = Instant::now();
            while here.load(Ordering::SeqCst) < threads && begun.elapsed().as_millis() < 1 {
                std::hint::spin_loop();
            }
        });
        let nothing = |here: &AtomicUsize| _ = std::hint::black_box(here);
        let (few, many) = (median(threads, &nothing), median(MANY, &nothing));
        let task_nanoseconds = ((many - few) * threads as f64 / (MANY - threads) as f64).max(0.0);
        Self { pass_nanoseconds, task_nanoseconds }
    }
}

/// For how many workers passes are cut; none while nothing is recorded.
#[inline]
pub(crate) fn workers() -> Option<NonZero<usize>> {
    NonZero::new(WORKERS.load(Ordering::Relaxed))
}

/// Runs all tasks of a pass in their order and writes down how long each took.
pub(crate) fn record(name: &'static str, floats: usize, count: usize, task: impl Fn(usize)) {
    let begun = now();
    let alone_nanoseconds = {
        let mut notes = notes();
        let here = thread::current().id();
        let Some(notes) = notes.as_mut().filter(|notes| !notes.is_inside && notes.thread == here) else {
            drop(notes);
            return (0..count).for_each(task);
        };
        notes.is_inside = true;
        begun.saturating_sub(notes.last_end)
    };
    // What it takes to look at the clock is not part of a task.
    let look = (0..8).map(|_| now()).scan(now(), |last, time| Some(time - mem::replace(last, time)));
    let look = look.min().unwrap_or(0);
    let mut task_nanoseconds = Vec::with_capacity(count);
    let mut start = now();
    for number in 0..count {
        task(number);
        let end = now();
        task_nanoseconds.push((end - mem::replace(&mut start, end)).saturating_sub(look).max(1));
    }
    if let Some(notes) = notes().as_mut() {
        notes.passes.push(RecordedPass { name, floats, alone_nanoseconds, task_nanoseconds });
        notes.is_inside = false;
        notes.last_end = now();
    }
}

/// Nanoseconds of processor time of this thread.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn now() -> u64 {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    const THREAD_CPU_TIME: i32 = 3;
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: a `timespec` of 64-bit Linux, which the call fills.
    let failed = unsafe { clock_gettime(THREAD_CPU_TIME, &raw mut time) };
    assert_eq!(failed, 0, "Linux has a clock of each thread's processor time");
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

/// Nanoseconds since the first call.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn now() -> u64 {
    static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

// A panic elsewhere leaves whole notes, so its poison means nothing.
fn notes() -> MutexGuard<'static, Option<Notes>> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}
