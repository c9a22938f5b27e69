//! `xray-sweep collect` and `report`.

use super::{OutputFormat, Sweep, print};
use crate::plan::read_plan;
use crate::state::survey;
use clap::Args;
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
        OutputFormat::Text => print(&collected.text()),
        OutputFormat::Json => print(&format!("{:#}\n", collected.json())),
    }
    Ok(if collected.is_complete() { Exit::Ok } else { Exit::SweepIncomplete })
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
