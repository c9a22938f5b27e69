//! Where the figures come from, and how to make them again.

use crate::plan::Binary;
use crate::report::document::{Block, Section, Table, Value};
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use crate::spec::Spec;
use std::collections::BTreeSet;
use xray_cli::shell;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("provenance", "Where this comes from");
    section.table("provenance", table(sweep));
    if let Some(command) = command(sweep) {
        section.text("Planned and run again by:");
        section.blocks.push(Block::Code(command));
    }
    if let Some(spec) = &sweep.spec {
        section.text("The plan, sweep.toml; values of environment variables are left out:");
        section.blocks.push(Block::Code(without_secrets(spec)));
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
    row("trainer", distinct(&|run| Some(run.row.code.clone())));
    row("report", format!("xray-sweep {}", env!("CARGO_PKG_VERSION")));
    row("data set (blake3)", distinct(&|run| Some(run.row.dataset.clone())));
    row("machines", distinct(&|run| run.done().then(|| run.machine())));
    row("devices", distinct(&|run| run.row.device.clone()));
    row("hosts", distinct(&|run| run.row.host.clone()));
    if let Some(plan) = &sweep.plan {
        for binary in &plan.binaries {
            row("program", format!("{} ({} bytes, blake3 {})", binary.file, binary.bytes, binary.blake3));
        }
    }
    if let Some(chosen) = &sweep.chosen {
        row("chosen run", format!("cell {}", chosen.run.row.cell));
    }
    table
}

/// The text of `sweep.toml` without values of environment variables, which may hold tokens: reports are handed around.
fn without_secrets(spec: &Spec) -> String {
    let mut spec = spec.clone();
    spec.condor.environment.values_mut().for_each(|value| *value = "…".to_owned());
    toml::to_string(&spec).expect("a sweep is plain values").trim_end().to_owned()
}

fn command(sweep: &Sweep) -> Option<String> {
    let plan = sweep.plan.as_ref()?;
    let name = shell::word(&sweep.name);
    let file = |name: &str| shell::word(&format!("{}/{name}", sweep.name));
    let flag = |binary: &Binary| if binary.gpu { "--gpu-binary" } else { "--binary" };
    let programs: String =
        plan.binaries.iter().map(|binary| format!(" {} {}", flag(binary), file(&binary.file))).collect();
    Some(format!(
        "# in the folder that holds {name}; DATA is a folder with the data set above\n\
         xray-sweep plan again --from {spec} --data DATA{programs}\nxray-sweep run again --launcher local\n\
         xray-sweep collect again && xray-sweep report again",
        spec = file("sweep.toml"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_out_of_reports() {
        let mut spec = Spec::default();
        spec.condor.environment.insert("API_TOKEN".into(), "hunter2".into());
        let text = without_secrets(&spec);
        assert!(text.contains("API_TOKEN") && !text.contains("hunter2"), "{text}");
    }
}
