//! The schedules as tables to read and as JSON.

use super::Scaling;
use super::schedule::{Costs, Schedule};
use crate::machine::Machine;
use crate::spread::Spread;
use serde_json::{Value, json};

const METHOD: &str = "\
A step is forward, binary cross-entropy, backward and Adam on one batch in memory. It is recorded on one thread, with
every pass cut as for the workers of the column; times are those of the processor, and each is the shortest of the
recorded steps. Then its passes are put
one after the other, and the tasks of each go to the worker that is free first. What one thread does between two passes
is done by one worker while the others wait. Efficiency is the speed-up divided by the workers; a worker is idle where it
runs no task. Work that is cut finer may grow, so that efficiency and idle time do not always add up to 100 %.

What a pass costs is measured on two threads, 20 µs after the pass before: from its call until both have begun a task and
ended it. Each further worker costs a quarter as much: of two each sees twice what the other wrote, and of the others one more is
looked at. A task costs what one costs that does nothing.

The schedules leave out what recorded tasks cannot show: workers that share memory bandwidth and the last cache,
processors that slow their clocks when many cores work, two threads on one core, and memory that is farther away. Real
figures of many cores are lower, most of all where passes move memory rather than compute. What burn's own operations do
on several threads counts as done alone.";

/// What must hold one day: workers and efficiency.
const FLOORS: [(usize, f64); 2] = [(16, 0.85), (64, 0.65)];

/// Passes that are named.
const NAMED: usize = 6;

pub(super) fn markdown(machine: &Machine, costs: Costs, all: &[Scaling]) -> String {
    let Machine { date, commit, .. } = machine;
    let mut lines = vec![
        "# Scaling".to_owned(),
        String::new(),
        format!("`cargo xtask bench scaling`, {date}, commit {commit}."),
        String::new(),
        format!(
            "Machine: {}. Schedules of recorded tasks, not measurements of many cores.",
            machine.sentence()
        ),
        format!("A pass costs {:.1} µs on two threads, a task {:.0} ns.", costs.pass / 1e3, costs.task),
        String::new(),
    ];
    let workers = all.first().map_or(Vec::new(), Scaling::workers);
    let names: Vec<_> = workers.iter().map(|workers| format!("{workers} workers")).collect();
    lines.push(format!("| training step | | 1 worker | {} |", names.join(" | ")));
    lines.push(format!("|---|---|---|{}", "---|".repeat(names.len())));
    lines.extend(all.iter().flat_map(rows));
    let floors = FLOORS.map(|(workers, floor)| format!("{} for {workers} workers", percent(floor, 0)));
    lines.extend([String::new(), format!("Floors of the efficiency: {}.", floors.join(", ")), String::new()]);
    lines.push("## Predicted and measured".to_owned());
    lines.push(String::new());
    lines.push("| training step | threads | predicted speed-up | measured |".to_owned());
    lines.push("|---|---|---|---|".to_owned());
    for scaling in all {
        for &(threads, measured) in &scaling.measured {
            let predicted = scaling.schedules.iter().find(|schedule| schedule.workers == threads);
            let predicted = predicted.map_or(f64::NAN, |schedule| schedule.speed_up(scaling.alone));
            lines.push(format!("| {} | {threads} | {predicted:.2} | {measured} |", scaling.task()));
        }
    }
    lines.extend([String::new(), "## What workers wait for".to_owned(), String::new()]);
    lines.push("Passes, and the part of all workers' time that is lost in them.".to_owned());
    lines.extend([String::new(), "| training step | workers | |".to_owned(), "|---|---|---|".to_owned()]);
    for scaling in all {
        for schedule in scaling.schedules.iter().filter(|schedule| is_judged(schedule.workers)) {
            lines.push(format!("| {} | {} | {} |", scaling.task(), schedule.workers, losses(schedule)));
        }
    }
    lines.extend([String::new(), METHOD.to_owned()]);
    lines.join("\n") + "\n"
}

fn percent(share: f64, digits: usize) -> String {
    format!("{:.digits$} %", 100.0 * share)
}

fn is_judged(workers: usize) -> bool {
    FLOORS.iter().any(|&(judged, _)| judged == workers)
}

fn rows(scaling: &Scaling) -> [String; 4] {
    let Scaling { alone, schedules, .. } = scaling;
    let row = |first: &str, what: &str, one: String, of: &dyn Fn(&Schedule) -> String| {
        let cells: Vec<_> = schedules.iter().map(of).collect();
        format!("| {first} | {what} | {one} | {} |", cells.join(" | "))
    };
    let share = |share: f64| percent(share, 0);
    [
        row(&scaling.task(), "ms", format!("{:.0}", *alone as f64 / 1e6), &|schedule| {
            format!("{:.1}", schedule.span as f64 / 1e6)
        }),
        row("", "speed-up", "1".to_owned(), &|schedule| format!("{:.1}", schedule.speed_up(*alone))),
        row("", "efficiency", share(1.0), &|schedule| share(schedule.efficiency(*alone))),
        row("", "idle", share(0.0), &|schedule| share(schedule.idle())),
    ]
}

fn losses(schedule: &Schedule) -> String {
    let most = schedule.lost.iter().take(NAMED);
    let most = most.map(|(name, time)| format!("{name} {}", percent(schedule.share(*time), 1)));
    most.collect::<Vec<_>>().join(", ")
}

pub(super) fn json(machine: &Machine, costs: Costs, all: &[Scaling]) -> Value {
    let schedule = |schedule: &Schedule, alone: u64| {
        let lost = schedule.lost.iter();
        let lost = lost.map(|(name, time)| json!({ "pass": name, "share": schedule.share(*time) }));
        json!({
            "workers": schedule.workers,
            "milliseconds": schedule.span as f64 / 1e6,
            "speed_up": schedule.speed_up(alone),
            "efficiency": schedule.efficiency(alone),
            "idle": schedule.idle(),
            "lost": lost.collect::<Vec<_>>(),
        })
    };
    let scaling = |scaling: &Scaling| {
        let alone = scaling.alone;
        json!({
            "network": scaling.network,
            "size": scaling.size,
            "batch": scaling.batch,
            "milliseconds_alone": alone as f64 / 1e6,
            "passes": scaling.passes,
            "schedules": scaling.schedules.iter().map(|one| schedule(one, alone)).collect::<Vec<_>>(),
            "measured": scaling.measured.iter().map(|&(threads, speed_up): &(usize, Spread)| {
                json!({ "threads": threads, "speed_up": speed_up.json() })
            }).collect::<Vec<_>>(),
        })
    };
    json!({
        "format": 1,
        "machine": machine.json(),
        "costs": { "pass_nanoseconds": costs.pass, "task_nanoseconds": costs.task },
        "floors": FLOORS.map(|(workers, efficiency)| json!({ "workers": workers, "efficiency": efficiency })),
        "steps": all.iter().map(scaling).collect::<Vec<_>>(),
    })
}
