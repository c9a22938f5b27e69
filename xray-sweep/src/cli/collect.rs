//! `xray-sweep collect` and `report`.

use super::run::warn;
use super::{OutputFormat, Sweep};
use crate::collect::Collected;
use crate::launchers::queues;
use crate::plan::read_plan;
use crate::report::ReportOptions;
use crate::state::look;
use crate::sweep_dir::SweepDir;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure};
use xray_cli::print;
use xray_display::counted;
use xray_metrics::Rule;

/// Collect results and failures of all cells into collected/*.parquet
#[derive(Debug, Args)]
pub(super) struct CollectArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// Folder for the tables [default: collected/ in the sweep directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

pub(super) fn collect(arguments: &CollectArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    read_plan(&dir)?;
    let survey = look(&dir, &queues::ask(&dir))?;
    warn(&survey);
    let folder = arguments.out.clone().unwrap_or_else(|| dir.collected());
    let collected = crate::collect::collect(&dir, &survey.cells, &folder)?;
    match arguments.format {
        OutputFormat::Text => print(&text(&collected))?,
        OutputFormat::Json => print(&format!("{:#}\n", to_json(&collected)))?,
    }
    Ok(if collected.tally.is_final() { Exit::Ok } else { Exit::SweepIncomplete })
}

fn text(collected: &Collected) -> String {
    let mut text = format!("{}\n", collected.tally.text());
    for file in &collected.files {
        text += &format!("  {}\n", file.display());
    }
    if collected.skipped_lines > 0 {
        text +=
            &format!("left out because cut off: {} of metrics\n", counted(collected.skipped_lines, "line"));
    }
    text
}

fn to_json(collected: &Collected) -> serde_json::Value {
    let tally = &collected.tally;
    json!({
        "format": 1,
        "planned": tally.planned(),
        "done": tally.done(),
        "counts": tally.iter().map(|(state, count)| (state.name(), count)).collect::<BTreeMap<_, _>>(),
        "files": collected.files,
        "skipped_lines": collected.skipped_lines,
    })
}

/// Write a report of the collected tables: report.html, report.md with charts, report.json
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// Report on one finding instead of the mean of all
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// Another sweep to compare with
    #[arg(long, value_name = "SWEEP")]
    compare: Option<PathBuf>,
    /// Folder of the collected tables [default: collected/ in the sweep directory]
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
    /// Folder of the other sweep's collected tables
    #[arg(long, value_name = "DIR", requires = "compare")]
    compare_tables: Option<PathBuf>,
    /// Folder for the report [default: report/ in the sweep directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How operating points are chosen on validation: youden, max-f1, sensitivity>=S, specificity>=S, ppv>=P or
    /// lowest-positive
    #[arg(long, value_name = "RULE", default_value = "youden")]
    rule: Rule,
    /// How the files' names are printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

pub(super) fn report(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let options = ReportOptions {
        label: arguments.label.clone(),
        tables: arguments.tables.clone(),
        compare: arguments.compare.as_ref().map(SweepDir::new),
        compare_tables: arguments.compare_tables.clone(),
        out: arguments.out.clone(),
        rule: arguments.rule,
    };
    let files = crate::report::report(&arguments.sweep.dir(), &options)?;
    match arguments.format {
        OutputFormat::Text => {
            print(&files.iter().map(|file| format!("{}\n", file.display())).collect::<String>())?;
        }
        OutputFormat::Json => print(&format!("{:#}\n", json!({ "format": 1, "files": files })))?,
    }
    Ok(Exit::Ok)
}
