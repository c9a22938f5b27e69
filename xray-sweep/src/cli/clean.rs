//! `xray-sweep clean`.

use super::run::warn;
use super::{OutputFormat, Sweep};
use crate::clean::{Freed, clean};
use crate::launchers::queues;
use crate::lock::Lock;
use crate::plan::read_plan;
use crate::state::look;
use crate::tally::Tally;
use clap::Args;
use serde_json::json;
use xray_artifacts::{Exit, Failure, Keep};
use xray_cli::print;
use xray_display::{Align, Column, TextTable, counted};

/// Free disk space of finished cells, and of cells that halving stopped: optimizer states, copies of weights, prepared images
///
/// Lists what would be removed; --yes removes it. Models, scores, predictions, curves and logs stay. So does everything of
/// unfinished cells, which continue from it.
#[derive(Debug, Args)]
pub(super) struct CleanArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// What stays of a finished run: `result`, or `resumable`, which also keeps what continues training
    #[arg(long, value_name = "WHAT", default_value = "result")]
    keep: Keep,
    /// Remove it
    #[arg(long)]
    yes: bool,
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

pub(super) fn run(arguments: &CleanArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    read_plan(&dir)?;
    let CleanArguments { keep, yes, .. } = *arguments;
    // What only looks disturbs nobody.
    let _lock = yes.then(|| Lock::take(&dir, "clean")).transpose()?;
    let survey = look(&dir, &queues::ask(&dir))?;
    warn(&survey);
    let freed = clean(&dir, &survey.cells, keep, yes)?;
    let tally = Tally::of(survey.cells.iter().map(|report| report.state));
    match arguments.format {
        OutputFormat::Text => print(&text(&freed, &tally, keep, yes))?,
        OutputFormat::Json => print(&format!(
            "{:#}\n",
            json!({
                "format": 1,
                "keep": keep,
                "removed": yes,
                "bytes": freed.iter().map(|cell| cell.bytes).sum::<u64>(),
                "cells": freed.iter().map(|cell| json!({ "cell": cell.cell, "bytes": cell.bytes })).collect::<Vec<_>>(),
            })
        ))?,
    }
    Ok(Exit::Ok)
}

fn text(freed: &[Freed], tally: &Tally, keep: Keep, removed: bool) -> String {
    let mut table = TextTable::of([Column::new("cell", Align::Left), Column::new("MB", Align::Right)]);
    for Freed { cell, bytes } in freed {
        table.row(vec![cell.clone(), megabytes(*bytes)]);
    }
    let mut text = if freed.is_empty() { String::new() } else { table.text() };
    if !tally.is_final() {
        text += &format!("{}; the others keep everything\n", tally.text());
    }
    let all = megabytes(freed.iter().map(|cell| cell.bytes).sum());
    let of = counted(freed.len(), "cell");
    text += &match (freed.len(), removed) {
        (0, _) => format!("nothing to free: finished cells hold only what `{}` keeps\n", keep.name()),
        (_, true) => format!("freed {all} MB of {of}\n"),
        (_, false) => format!("{all} MB of {of} would be freed; --yes removes them\n"),
    };
    text
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
