//! Where the figures come from, and how to make them again.

use crate::report::document::{Block, Section, Table, Value};
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use std::collections::BTreeSet;
use std::fs;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("provenance", "Where this comes from");
    section.table("provenance", table(sweep));
    if let Some(command) = command(sweep) {
        section.text("Planned and run again by:");
        section.blocks.push(Block::Code(command));
    }
    if let Ok(spec) = fs::read_to_string(sweep.dir.spec()) {
        section.text("The plan, sweep.toml:");
        section.blocks.push(Block::Code(spec.trim_end().to_owned()));
    }
    section
}

fn table(sweep: &Sweep) -> Table {
    let mut table = Table::new("Software, data and machines", &[("what", "what"), ("value", "value")]);
    let distinct = |of: &dyn Fn(&Run) -> Option<String>| {
        let values: BTreeSet<String> =
            sweep.runs.iter().filter_map(of).filter(|value| !value.is_empty()).collect();
        values.into_iter().collect::<Vec<_>>().join("; ")
    };
    let mut row = |what: &str, value: String| {
        if !value.is_empty() {
            table.row(vec![Value::text(what), Value::text(value)]);
        }
    };
    row("trainer", distinct(&|run| Some(run.code.clone())));
    row("report", format!("xray-sweep {}", env!("CARGO_PKG_VERSION")));
    row("data set (blake3)", distinct(&|run| Some(run.dataset.clone())));
    row("machines", distinct(&|run| run.done().then(|| run.machine())));
    row("devices", distinct(&|run| run.device.clone()));
    row("hosts", distinct(&|run| run.host.clone()));
    if let Some(plan) = &sweep.plan {
        for binary in &plan.binaries {
            row("program", format!("{} ({} bytes, blake3 {})", binary.file, binary.bytes, binary.blake3));
        }
    }
    if let Some(chosen) = &sweep.chosen {
        row("chosen run", format!("cell {}", chosen.run.cell));
    }
    table
}

fn command(sweep: &Sweep) -> Option<String> {
    let plan = sweep.plan.as_ref()?;
    let program = plan
        .binaries
        .first()
        .map_or(String::new(), |binary| format!(" --binary {}/{}", sweep.name, binary.file));
    Some(format!(
        "xray-sweep plan again --from {name}/sweep.toml --data DATA{program}\nxray-sweep run again --launcher local\n\
         xray-sweep collect again && xray-sweep report again",
        name = sweep.name
    ))
}
