//! `xray-sweep status` and `logs`.

use super::{OutputFormat, Sweep};
use crate::launchers::queues::QueueWatch;
use crate::logs::{self, Which};
use crate::plan::read_plan;
use crate::state::{CellReport, CellState, look};
use crate::status;
use clap::Args;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;
use xray_artifacts::{Exit, Failure};
use xray_cli::{print, say, shell};

/// Show the state of every cell
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// Refresh every few seconds until nothing is left to wait for
    #[arg(long)]
    watch: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

pub(super) fn status(arguments: &StatusArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    read_plan(&dir)?;
    let is_terminal = std::io::stdout().is_terminal();
    let color = is_terminal && std::env::var_os("NO_COLOR").is_none();
    let mut watch = QueueWatch::new(&dir);
    let mut told = BTreeSet::new();
    loop {
        let survey = look(&dir, watch.queues())?;
        let reports = &survey.cells;
        let text = match arguments.format {
            OutputFormat::Text => status::text(reports, width(), color),
            OutputFormat::Json => format!("{:#}\n", status::json(reports)),
        };
        if arguments.watch && is_terminal {
            print("\x1b[2J\x1b[H")?;
        }
        print(&text)?;
        for note in survey.notes.iter().filter(|note| told.insert((*note).clone())) {
            say(format_args!("warning: {note}"));
        }
        if !survey.surplus.is_empty() && told.insert(String::new()) {
            let jobs = survey.surplus.join(" ");
            say(format_args!("warning: in the queue although their cells are done: jobs {jobs}"));
            say(format_args!(" hint: `xray-sweep run {}` removes them", shell::path(dir.path())));
        }
        if !arguments.watch || !is_busy(reports) {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Whether anything may still change by itself.
fn is_busy(reports: &[CellReport]) -> bool {
    reports.iter().any(|report| matches!(report.state, CellState::Running | CellState::Queued))
}

fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

/// Show one cell's starts and the end of its output
#[derive(Debug, Args)]
pub(super) struct LogsArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// The beginning of the cell's id
    id: String,
    /// What to show
    #[arg(long, value_enum, default_value = "story")]
    which: Which,
}

pub(super) fn logs(arguments: &LogsArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    read_plan(&dir)?;
    print(&logs::logs(&dir, &arguments.id, arguments.which)?)?;
    Ok(Exit::Ok)
}
