//! What the steps of a long command cost: time on the clock, and time of processors.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};
use xray_workspace::steps::duration;

/// Steps in the order they were taken.
#[derive(Debug)]
pub(crate) struct Ledger {
    begun: Instant,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    clock: Duration,
    processors: Option<Duration>,
}

impl Ledger {
    /// Without any steps.
    pub(crate) fn begin() -> Self {
        Ledger { begun: Instant::now(), steps: Vec::new() }
    }

    /// Takes a step and notes what it cost, whether it succeeds or not.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        eprintln!("\n== {name}");
        let (began, before) = (Instant::now(), processors_of_children());
        let done = work();
        let processors = processors_of_children().zip(before).map(|(after, before)| after - before);
        self.steps.push(Step { name: name.to_owned(), clock: began.elapsed(), processors });
        done
    }

    /// As a table in markdown: minutes and seconds, and the sum.
    pub(crate) fn table(&self) -> String {
        let mut text = "| step | clock | processors |\n|---|---:|---:|\n".to_owned();
        let mut row = |name: &str, clock: Duration, processors: Option<Duration>| {
            let processors = processors.map_or("-".to_owned(), duration);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {name} | {} | {processors} |", duration(clock));
        };
        for Step { name, clock, processors } in &self.steps {
            row(name, *clock, *processors);
        }
        let all = self.steps.iter().map(|step| step.processors).sum();
        row("**all**", self.begun.elapsed(), all);
        text
    }
}

/// Processor time of all child processes that ended, and of their children; Linux only.
fn processors_of_children() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    children_in(&stat)
}

/// The fields `cutime` and `cstime` (proc_pid_stat(5)), in hundredths of a second on every Linux.
fn children_in(stat: &str) -> Option<Duration> {
    // The second field is a name in brackets, which may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(13);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 900 20 0 0 11 12 345 67 20 0 1 0 100 2097152";
        assert_eq!(children_in(stat), Some(Duration::from_millis(4_120)));
        assert_eq!(children_in("7 (a) S 1"), None);
    }

    #[test]
    fn a_step_is_noted_whether_it_succeeds_or_not() {
        let mut ledger = Ledger::begin();
        assert_eq!(ledger.step("count", || 3), 3);
        assert_eq!(ledger.step("fail", || Err::<(), _>("no")), Err("no"));
        let table = ledger.table();
        let names: Vec<_> = table.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
        assert_eq!(names, ["step", "---", "count", "fail", "**all**"]);
    }
}
