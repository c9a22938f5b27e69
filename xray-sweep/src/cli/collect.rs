//! `xray-sweep collect` and `report`.

use super::{OutputFormat, Sweep, print};
use crate::collect::Collected;
use crate::plan::read_plan;
use crate::state::survey;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use xray_artifacts::{Exit, Failure};

/// Write what every cell found, and what became of those that found nothing, to collected/*.parquet
#[derive(Debug, Args)]
pub(super) struct CollectArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

pub(super) fn collect(arguments: &CollectArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    read_plan(&dir)?;
    let reports = survey(&dir)?;
    let collected = crate::collect::collect(&dir, &reports)?;
    match arguments.format {
        OutputFormat::Text => print(&text(&collected)),
        OutputFormat::Json => print(&format!("{:#}\n", to_json(&collected))),
    }
    Ok(if collected.done() == collected.planned() { Exit::Ok } else { Exit::SweepIncomplete })
}

fn text(collected: &Collected) -> String {
    let counts: Vec<_> =
        collected.counts.iter().map(|(state, count)| format!("{count} {}", state.name())).collect();
    let mut text = format!("{} of {} cells done", collected.done(), collected.planned());
    if collected.done() < collected.planned() {
        text += &format!(" ({})", counts.join(" · "));
    }
    text.push('\n');
    for file in &collected.files {
        text += &format!("  {}\n", file.display());
    }
    if collected.skipped_lines > 0 {
        text += &format!("{} lines of metrics were cut off and left out\n", collected.skipped_lines);
    }
    text
}

fn to_json(collected: &Collected) -> serde_json::Value {
    json!({
        "format": 1,
        "planned": collected.planned(),
        "done": collected.done(),
        "counts": collected.counts.iter().map(|(state, count)| (state.name(), count)).collect::<BTreeMap<_, _>>(),
        "files": collected.files,
        "skipped_lines": collected.skipped_lines,
    })
}

/// Draw the collected tables: report.md with charts
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    sweep: Sweep,
}

pub(super) fn report(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let path = crate::report::report(&arguments.sweep.dir())?;
    print(&format!("{}\n", path.display()));
    Ok(Exit::Ok)
}
