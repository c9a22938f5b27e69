//! Threads that take up a pass within a microsecond.
//!
//! A training step is some hundred passes with little between them, and one image through a network as many short ones.
//! rayon's threads sleep after a few microseconds without work, and whoever begins a pass outside of them sleeps too:
//! on two threads that cost 14 µs a pass. A team's threads go on looking for the next pass before they sleep, the thread
//! that began the team is one of them, and a pass never waits for one that sleeps: it ends when those that took a part
//! are done.
#![expect(unsafe_code, reason = "a task that lives as long as its pass, lent to other threads")]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::hint;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};

/// How often a thread looks for a pass before it sleeps: some tens of microseconds, which is more than what lies between
/// two passes and little beside what a loader takes for a batch.
const LOOKS: u32 = 2000;
/// How often the thread that began a pass looks whether the others are done before it lets other programs run.
const WAITS: u32 = 200;
/// Parts of a pass for each thread, so that a slow one leaves its rest to others.
const PARTS: usize = 8;

/// In the state of a team: nobody else may begin.
const CLOSED: u64 = 1;
/// The number of the pass stands above that.
const PASS: u64 = 2;

/// The threads of this process, started once.
static TEAM: OnceLock<Team> = OnceLock::new();

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Outside) };
}

/// What a thread is to the team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    /// The thread that started it, and may begin passes.
    Owner,
    /// Within a pass, whose tasks have no threads to share out to.
    Inside,
}

/// Has passes that this thread begins run on so many threads, of which it is one; 0 for one per processor. Other threads go
/// on using their rayon pool. Only the first call of a process has an effect.
pub fn use_threads(threads: usize) {
    let mut is_first = false;
    TEAM.get_or_init(|| {
        is_first = true;
        Team::of(counted(threads))
    });
    if is_first {
        PLACE.set(Place::Owner);
    }
}

fn counted(threads: usize) -> usize {
    match threads {
        0 => processors(),
        threads => threads,
    }
}

/// Those that this process may use.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Threads that a pass of this thread would have; none where it has nothing to do with the team.
pub(crate) fn threads_here() -> Option<usize> {
    match PLACE.get() {
        Place::Outside => None,
        Place::Owner => TEAM.get().map(|team| team.helpers.len() + 1),
        Place::Inside => Some(1),
    }
}

/// Calls with each number below `count` on the threads of the team that this thread owns, and waits for all.
pub(crate) fn run(count: usize, task: &(dyn Fn(usize) + Sync)) {
    let team = TEAM.get().expect("its owner started it");
    PLACE.set(Place::Inside);
    let ended = team.run(count, task);
    PLACE.set(Place::Owner);
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

type Panic = Box<dyn Any + Send>;

struct Team {
    shared: &'static Shared,
    helpers: Vec<Thread>,
}

/// What the owner and its helpers know.
struct Shared {
    /// The number of the pass, and whether it is closed.
    state: AtomicU64,
    /// Written by the owner while nobody works.
    pass: UnsafeCell<Option<Pass>>,
    /// The first number that nobody took.
    next: AtomicUsize,
    panic: Mutex<Option<Panic>>,
    helpers: Vec<Helper>,
    threads: OnceLock<Vec<Thread>>,
    /// How helpers wait for a pass, and who wakes them.
    waiting: Waiting,
}

/// How helpers wait.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// How often one looks for a pass before it sleeps.
    looks: u32,
    /// How many the owner wakes for a pass.
    woken: usize,
    /// How many each of those wakes, so that the owner need not wake all.
    passed_on: usize,
}

impl Waiting {
    fn of(threads: usize, processors: usize) -> Self {
        if threads > processors {
            // Looking would take time from those at work, and so would waking more than can work.
            Self { looks: 0, woken: processors, passed_on: 0 }
        } else {
            Self { looks: LOOKS, woken: 2, passed_on: 2 }
        }
    }
}

/// What one helper says of itself, in lines of memory that no other helper writes: counting themselves at one place, many
/// would wait for each other.
#[derive(Default)]
#[repr(align(128))]
struct Helper {
    /// Whether it may be at work on the pass.
    is_inside: AtomicBool,
    is_asleep: AtomicBool,
}

/// A task that the owner keeps until the pass is over.
#[derive(Clone, Copy)]
struct Pass {
    task: *const (dyn Fn(usize) + Sync),
    count: usize,
    /// Numbers that a thread takes at a time.
    part: usize,
}

// SAFETY: `pass` is written only while no helper works, which `state` tells, and the task may be called by any thread.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Team {
    fn of(threads: usize) -> Self {
        let helpers = threads.saturating_sub(1);
        // For as long as the process lives, as its threads do.
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            state: AtomicU64::new(CLOSED),
            pass: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            helpers: (0..helpers).map(|_| Helper::default()).collect(),
            threads: OnceLock::new(),
            waiting: Waiting::of(threads, processors()),
        }));
        let helper = |number: usize| {
            let thread = thread::Builder::new().name(format!("kernels-{number}"));
            let started = thread.spawn(move || shared.help(number));
            started.map(|handle| handle.thread().clone())
        };
        // Where the system has no more threads, there are fewer: results do not depend on how many.
        let helpers: Vec<_> = (0..helpers).map_while(|number| helper(number).ok()).collect();
        shared.threads.get_or_init(|| helpers.clone());
        Self { shared, helpers }
    }

    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync)) -> Result<(), Panic> {
        let shared = self.shared;
        let part = (count / (PARTS * (self.helpers.len() + 1))).max(1);
        // SAFETY: the lifetime only: nobody calls the task after this function, which waits for all who might.
        let task = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(
                task,
            )
        };
        let pass = Pass { task, count, part };
        // SAFETY: the pass before is closed and nobody works on it, so nobody reads.
        unsafe { *shared.pass.get() = Some(pass) };
        shared.next.store(0, Ordering::Relaxed);
        let number = shared.state.load(Ordering::Relaxed) / PASS + 1;
        shared.state.store(number * PASS, Ordering::SeqCst);
        shared.wake(shared.waiting.woken);
        let own = catch_unwind(AssertUnwindSafe(|| shared.work(pass)));
        if own.is_err() {
            shared.give_up();
        }
        shared.state.store((number * PASS) | CLOSED, Ordering::SeqCst);
        for helper in &shared.helpers {
            let mut looks = 0;
            while helper.is_inside.load(Ordering::SeqCst) {
                looks += 1;
                if looks < WAITS { hint::spin_loop() } else { thread::yield_now() }
            }
        }
        own?;
        shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

impl Shared {
    /// Takes parts of the pass until none is left.
    fn work(&self, Pass { task, count, part }: Pass) {
        loop {
            let first = self.next.fetch_add(part, Ordering::Relaxed);
            if first >= count {
                return;
            }
            for number in first..(first + part).min(count) {
                // SAFETY: the owner keeps the task while anybody works on its pass.
                unsafe { (*task)(number) };
            }
        }
    }

    /// Leaves nothing to be taken, far from where the number would wrap around.
    fn give_up(&self) {
        self.next.store(usize::MAX / 2, Ordering::Relaxed);
    }

    /// The life of a helper.
    fn help(&self, number: usize) {
        PLACE.set(Place::Inside);
        let mut seen = 0;
        loop {
            let state = self.next_pass(number, seen);
            seen = state / PASS;
            if state & CLOSED != 0 {
                continue;
            }
            // Said before it looks whether the pass is still open: either this thread sees that it is closed, or the
            // owner, who closes it and then looks here, sees that this thread works.
            let is_inside = &self.helpers[number].is_inside;
            is_inside.store(true, Ordering::SeqCst);
            if self.state.load(Ordering::SeqCst) != state {
                is_inside.store(false, Ordering::SeqCst);
                continue;
            }
            // SAFETY: the owner does not write while this thread works, as it just said.
            let pass = unsafe { *self.pass.get() }.expect("an open pass has a task");
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work(pass))) {
                self.give_up();
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            }
            is_inside.store(false, Ordering::SeqCst);
        }
    }

    /// The state once it tells of another pass than the one that was seen last.
    fn next_pass(&self, number: usize, seen: u64) -> u64 {
        let mut looks = 0;
        loop {
            let state = self.state.load(Ordering::SeqCst);
            if state / PASS != seen {
                return state;
            }
            looks += 1;
            if looks < self.waiting.looks {
                hint::spin_loop();
                continue;
            }
            // Said before it looks once more, so that a pass that begins meanwhile is seen here or wakes this thread.
            self.helpers[number].is_asleep.store(true, Ordering::SeqCst);
            if self.state.load(Ordering::SeqCst) / PASS == seen {
                thread::park();
            }
            if !self.helpers[number].is_asleep.swap(false, Ordering::SeqCst) {
                self.wake(self.waiting.passed_on);
            }
            looks = 0;
        }
    }

    /// Wakes so many of those that sleep.
    fn wake(&self, most: usize) {
        let Some(threads) = self.threads.get() else { return };
        let asleep = self.helpers.iter().map(|helper| &helper.is_asleep).zip(threads);
        let woken = asleep
            .filter(|(asleep, _)| asleep.load(Ordering::SeqCst) && asleep.swap(false, Ordering::SeqCst));
        woken.take(most).for_each(|(_, helper)| helper.unpark());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(team: &Team, count: usize) -> Vec<usize> {
        let found: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        let ended = team.run(count, &|number| {
            found[number].fetch_add(number + 1, Ordering::Relaxed);
        });
        assert!(ended.is_ok());
        found.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_runs_once_in_every_pass() {
        for threads in [1, 2, 5, 40] {
            let team = Team::of(threads);
            for round in 0..300 {
                let count = round * 7 % 101;
                assert_eq!(sums(&team, count), (1..=count).collect::<Vec<_>>(), "{threads} threads");
            }
        }
    }

    #[test]
    fn no_number_of_threads_is_one_per_processor() {
        assert_eq!((counted(0), counted(1), counted(40)), (processors(), 1, 40));
    }

    #[test]
    fn threads_that_fell_asleep_work_again() {
        let team = Team::of(3);
        let all = 3.min(1 + processors());
        for _ in 0..20 {
            thread::sleep(std::time::Duration::from_millis(2));
            // Each waits until all have a part.
            let (here, begun) = (AtomicUsize::new(0), std::time::Instant::now());
            let ended = team.run(all, &|_| {
                here.fetch_add(1, Ordering::SeqCst);
                while here.load(Ordering::SeqCst) < all {
                    assert!(begun.elapsed().as_secs() < 20, "a thread never woke up");
                    thread::yield_now();
                }
            });
            assert!(ended.is_ok());
        }
    }

    #[test]
    fn no_more_threads_are_woken_than_can_work() {
        let team = Team::of(processors() + 30);
        let threads_of_a_pass = || {
            // Long enough for all to fall asleep, unless other programs are at work: hence the fewest of many passes.
            thread::sleep(std::time::Duration::from_millis(5));
            let here = Mutex::new(std::collections::HashSet::new());
            let ended = team.run(1000, &|_| {
                here.lock().expect("no panic").insert(thread::current().id());
                thread::yield_now();
            });
            assert!(ended.is_ok());
            here.into_inner().expect("no panic").len()
        };
        let fewest = (0..20).map(|_| threads_of_a_pass()).min().expect("some passes");
        assert!(fewest <= 1 + processors(), "{fewest} threads took a part");
    }

    #[test]
    fn a_panic_reaches_the_owner_after_all_have_left() {
        let team = Team::of(4);
        for wrong in [0, 50, 99] {
            let inside = AtomicUsize::new(0);
            let ended = team.run(100, &|number| {
                inside.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
                assert!(number != wrong, "task {wrong}");
            });
            let panic = ended.expect_err("must reach the owner");
            assert_eq!(panic.downcast_ref::<String>(), Some(&format!("task {wrong}")));
            assert_eq!(inside.load(Ordering::SeqCst), 0);
            assert_eq!(sums(&team, 10).len(), 10, "and the team goes on");
        }
    }

    #[test]
    fn passes_within_a_pass_run_where_they_begin() {
        // In a thread of its own, because it becomes the owner of this process's team.
        let owner = thread::spawn(|| {
            use_threads(3);
            use_threads(7);
            assert_eq!(threads_here(), Some(3), "the first call counts");
            let done = AtomicUsize::new(0);
            run(10, &|_| {
                assert_eq!(threads_here(), Some(1));
                crate::tasks::for_each("inner", 0, 5, |_| _ = done.fetch_add(1, Ordering::Relaxed));
            });
            assert_eq!((done.into_inner(), threads_here()), (50, Some(3)));
        });
        owner.join().expect("no panic");
        assert_eq!(threads_here(), None);
    }
}
