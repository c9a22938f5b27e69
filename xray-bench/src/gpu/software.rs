//! What a machine without a GPU can tell: ours against burn's own operations on the same Vulkan in software, and what a
//! step asks of a device.

use super::GpuArguments;
use crate::competitor::{Competitor, Work};
use crate::contest::{Contest, Outcome};
use crate::machine::Machine;
use crate::report::{Report, Table};
use anyhow::{Result, bail};
use serde_json::json;
use xray_display::{DASH, thousands};
use xray_workspace::{Programs, steps};

/// A network, and how many times as fast as burn's own operations a training step must be.
struct Case {
    model: &'static str,
    size: &'static str,
    batch: &'static str,
    least: f64,
}

const CASES: [Case; 3] = [
    Case { model: "small-cnn", size: "128", batch: "8", least: 3.5 },
    Case { model: "resnet-18", size: "64", batch: "8", least: 3.0 },
    Case { model: "densenet-121", size: "64", batch: "8", least: 3.0 },
];

const METHOD: &str = "\
A training step: forward, binary cross-entropy, backward and Adam, in float32, on one batch in memory. Ours are the kernels
of xray-gpu, theirs burn's operations as they come; both are compiled to the same shader language and run by the same
renderer on the processor. A round is one process of each, one after the other, which makes one step, then measures another.
This says how much work each gives to the device; how fast a GPU does it is another question.

Launches, work groups, operations (two a multiply-add) and bytes (each map and parameter once) are those of a step of ours.";

/// Measures, prints, writes; an error where ours is too slow.
#[expect(clippy::print_stdout, reason = "the result")]
pub(super) fn run(arguments: &GpuArguments, programs: &Programs, machine: Machine) -> Result<()> {
    let program = programs.path("examples/steps")?;
    let side = |case: &Case, name: &str, backend: &str| {
        let task = ["--pass", "train", "--model", case.model, "--size", case.size, "--batch", case.batch];
        let how = ["--backend", backend, "--repeats", "1", "--warmup", "1"];
        let words = task.into_iter().chain(how).map(Into::into);
        Competitor {
            name: name.to_owned(),
            command: std::iter::once(program.clone().into_os_string()).chain(words).collect(),
            environment: &[],
            rate: "/images_per_second",
            peaks: &["/peak_memory_mib"],
        }
    };
    let mut held: Vec<(Case, Outcome)> = Vec::new();
    for case in CASES.into_iter().filter(|case| arguments.wants(case.model)) {
        let contest = Contest {
            task: format!("train {} {} px, batch {}", case.model, case.size, case.batch),
            unit: "images/s",
            threads: machine.cores,
            ours: side(&case, "xray-gpu", &arguments.backend),
            theirs: Some(side(&case, "burn's own operations", &arguments.reference)),
        };
        held.push((case, contest.hold(arguments.rounds())?));
    }
    let table = Table { name: "steps", head: HEAD.to_vec(), rows: held.iter().map(row).collect() };
    let slow: Vec<_> =
        held.iter().filter(|(case, outcome)| !is_fast(case, outcome)).map(|(case, _)| case.model).collect();
    let devices =
        held.iter().flat_map(|(_, outcome)| &outcome.rounds).filter_map(|round| round.ours.device.clone());
    let report = Report {
        title: "On a Vulkan in software",
        command: "cargo xtask bench gpu --software",
        machine,
        notes: devices.take(1).map(|device| format!("Device: {device}")).collect(),
        outcomes: held.into_iter().map(|(_, outcome)| outcome).collect(),
        method: METHOD,
        table: Some(table),
    };
    print!("{}", report.markdown());
    if arguments.only.is_none() {
        report.write(&steps::root().join(&arguments.out), "gpu-software")?;
    }
    if !slow.is_empty() {
        bail!("not as many times as fast as burn's own operations as it must be: {}", slow.join(", "));
    }
    Ok(())
}

const HEAD: [&str; 7] = ["task", "launches", "work groups", "GFLOP", "MB", "times as fast, at least", "seen"];

fn is_fast(case: &Case, outcome: &Outcome) -> bool {
    outcome.ratio().is_some_and(|ratio| ratio.median >= case.least)
}

fn row((case, outcome): &(Case, Outcome)) -> (Vec<String>, serde_json::Value) {
    let work = outcome.rounds.iter().find_map(|round| round.ours.work);
    let said = |figure: fn(&Work) -> String| work.as_ref().map_or(DASH.to_owned(), figure);
    let seen = outcome.ratio().map_or(DASH.to_owned(), |ratio| {
        format!("{:.2}{}", ratio.median, if is_fast(case, outcome) { "" } else { ": too slow" })
    });
    let cells = vec![
        outcome.contest.task.clone(),
        said(|work| thousands(work.launches)),
        said(|work| thousands(work.work_groups)),
        said(|work| format!("{:.2}", 2e-9 * work.multiply_adds as f64)),
        said(|work| format!("{:.1}", 1e-6 * work.bytes as f64)),
        format!("{:.1}", case.least),
        seen,
    ];
    (cells, json!({ "task": outcome.contest.task, "least": case.least, "work": work.map(Work::json) }))
}
