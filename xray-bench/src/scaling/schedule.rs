//! What a step would take on many workers: its passes one after the other, the tasks of each given out greedily.

use super::recording::{Pass, Step};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// What threads cost, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Costs {
    /// A pass on two threads, from its call until both have begun a task and ended it.
    pub(crate) pass: f64,
    /// Each task.
    pub(crate) task: f64,
}

impl Costs {
    /// Of a pass: of two workers each sees twice what the other said, and whoever began the pass looks at each further
    /// worker once.
    fn of_pass(self, workers: usize) -> u64 {
        (self.pass * (workers + 2) as f64 / 4.0).round() as u64
    }
}

/// A step on some number of workers. Times in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) workers: usize,
    pub(crate) span: u64,
    /// Time of workers in which no task ran, by what they waited for, the longest first.
    pub(crate) lost: Vec<(String, u64)>,
}

impl Schedule {
    /// Of a step that was cut for its workers.
    pub(crate) fn of(step: &Step, costs: Costs) -> Schedule {
        let workers = step.workers;
        let others = workers as u64 - 1;
        let mut lost = BTreeMap::<String, u64>::new();
        let mut span = step.alone;
        *lost.entry("alone at the end".to_owned()).or_default() += others * step.alone;
        for pass in &step.passes {
            *lost.entry(format!("alone before {}", pass.name)).or_default() += others * pass.alone;
            let time = pass_span(pass, workers, costs);
            let busy: u64 = pass.tasks.iter().sum();
            *lost.entry(pass.name.clone()).or_default() += workers as u64 * time - busy;
            span += pass.alone + time;
        }
        let mut lost: Vec<_> = lost.into_iter().filter(|&(_, time)| time > 0).collect();
        lost.sort_by_key(|&(_, time)| Reverse(time));
        Schedule { workers, span, lost }
    }

    /// How many times as fast as one worker, which takes so long.
    pub(crate) fn speed_up(&self, alone: u64) -> f64 {
        alone as f64 / self.span as f64
    }

    /// The same for each worker: 1 where none is ever idle and no work is done twice.
    pub(crate) fn efficiency(&self, alone: u64) -> f64 {
        self.speed_up(alone) / self.workers as f64
    }

    /// The part of all workers' time in which no task runs.
    pub(crate) fn idle(&self) -> f64 {
        self.lost.iter().map(|&(_, time)| self.share(time)).sum()
    }

    /// A time of workers as a part of all of it.
    pub(crate) fn share(&self, time: u64) -> f64 {
        time as f64 / (self.span as f64 * self.workers as f64)
    }
}

/// Each task goes to the worker that is free first (Graham, 1966).
fn pass_span(pass: &Pass, workers: usize, costs: Costs) -> u64 {
    if workers == 1 || pass.tasks.is_empty() {
        return pass.tasks.iter().sum();
    }
    let mut free: BinaryHeap<_> = (0..workers).map(|_| Reverse(0_u64)).collect();
    let task_cost = costs.task.round() as u64;
    let mut end = 0;
    for task in &pass.tasks {
        let Reverse(start) = free.pop().expect("as many as workers");
        let until = start + task + task_cost;
        end = end.max(until);
        free.push(Reverse(until));
    }
    end + costs.of_pass(workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Costs = Costs { pass: 0.0, task: 0.0 };

    fn step(workers: usize, passes: &[(&str, u64, &[u64])]) -> Step {
        let passes = passes.iter().map(|&(name, alone, tasks)| Pass {
            name: name.to_owned(),
            floats: 0,
            alone,
            tasks: tasks.to_vec(),
        });
        Step { workers, passes: passes.collect(), alone: 0 }
    }

    #[test]
    fn a_task_goes_to_the_worker_that_is_free_first() {
        let check = |workers, tasks: &[u64], span| {
            assert_eq!(Schedule::of(&step(workers, &[("a", 0, tasks)]), FREE).span, span, "{tasks:?}");
        };
        check(1, &[3, 4, 5], 12);
        check(2, &[3, 3, 4], 7);
        check(2, &[2, 3, 4, 6], 9);
        check(4, &[5, 1, 1, 1, 1], 5);
        check(64, &[5, 7], 7);
        check(2, &[], 0);
    }

    #[test]
    fn nothing_of_a_pass_begins_before_the_pass_before_has_ended() {
        let schedule = Schedule::of(&step(2, &[("a", 10, &[6, 4]), ("b", 0, &[8, 8])]), FREE);
        assert_eq!(schedule.span, 10 + 6 + 8);
        assert_eq!(schedule.lost, [("alone before a".to_owned(), 10), ("a".to_owned(), 2)]);
        assert_eq!(schedule.idle(), 12.0 / 48.0);
        assert_eq!(schedule.speed_up(36), 1.5);
        assert_eq!(schedule.efficiency(36), 0.75);
    }

    #[test]
    fn threads_cost_by_task_and_by_their_number() {
        let costs = Costs { pass: 100.0, task: 1.0 };
        let span = |workers| Schedule::of(&step(workers, &[("a", 0, &[10; 64])]), costs).span;
        assert_eq!(span(1), 640);
        assert_eq!(span(2), 32 * 11 + 100);
        assert_eq!(span(16), 4 * 11 + 450);
        assert_eq!(span(64), 11 + 1650);
    }
}
