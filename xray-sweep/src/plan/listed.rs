//! `cells.jsonl` and the plan that vouches for it. `plan.json` holds how many cells there are and the hash of their
//! list, and it is written last: until then the sweep is what it was before, or is none.
//!
//! The list is written beside the old one first, under [`SweepDir::next_cells`]. Whichever of the two has the hash of
//! `plan.json` is the list, so that a kill between any two steps leaves a whole sweep.

use super::{Plan, plan_of};
use crate::cell::{Cell, cell_lines, no_cells, parse_cells};
use crate::present::bytes;
use crate::sweep_dir::SweepDir;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs;
use std::sync::Once;
use xray_artifacts::{Exit, Failure, FileError, write_bytes, write_json};
use xray_cli::say;
use xray_display::counted;

/// What a plan says of its list of cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellList {
    /// How many there are.
    pub count: usize,
    /// Hash of the whole file.
    pub blake3: String,
}

impl CellList {
    fn of(cells: &[Cell], text: &[u8]) -> CellList {
        CellList { count: cells.len(), blake3: hash(text) }
    }
}

fn hash(text: &[u8]) -> String {
    blake3::hash(text).to_hex().to_string()
}

/// The sweep's cells. A list of an earlier version, of which the plan says nothing, is taken as it is, with a warning.
///
/// # Errors
/// When there is none, when it is not the one that was planned, and when a line is not a cell.
pub fn read_cells(dir: &SweepDir) -> Result<Vec<Cell>, Failure> {
    let list = plan_of(dir)?.map(|plan| plan.cells);
    let Some(Some(list)) = list else {
        if list.is_some() {
            warn_once(dir);
        }
        return parse_cells(&dir.cells(), &bytes(&dir.cells())?.ok_or_else(|| no_cells(&dir.cells()))?);
    };
    let found = bytes(&dir.cells())?;
    for (path, text) in [(dir.cells(), &found), (dir.next_cells(), &bytes(&dir.next_cells())?)] {
        if let Some(text) = text.as_ref().filter(|text| hash(text) == list.blake3) {
            return parse_cells(&path, text);
        }
    }
    Err(other_list(dir, &list, &found.ok_or_else(|| no_cells(&dir.cells()))?))
}

fn warn_once(dir: &SweepDir) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let cells = dir.cells();
        say(format_args!(
            "warning: {} was planned by an earlier version and is not checked; planning again adds its hash",
            cells.display()
        ));
    });
}

/// Names the lines that differ, as far as the rows of `cells.csv` tell.
fn other_list(dir: &SweepDir, list: &CellList, text: &[u8]) -> Failure {
    // Without them less can be said of what is an error anyway.
    let rows = bytes(&dir.cells_csv()).ok().flatten().unwrap_or_default();
    let rows = String::from_utf8_lossy(&rows);
    let planned: Vec<(&str, &str)> =
        rows.lines().filter_map(|row| Some((row.split(',').next()?, row))).collect();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let ids: HashMap<String, usize> = (1..)
        .zip(&lines)
        .filter_map(|(number, line)| {
            let value: serde_json::Value = serde_json::from_slice(line).ok()?;
            Some((value["id"].as_str()?.to_owned(), number))
        })
        .collect();
    let gone: Vec<&str> = planned.iter().map(|(id, _)| *id).filter(|id| !ids.contains_key(*id)).collect();
    let what = match (gone.as_slice(), lines.len()) {
        ([first, more @ ..], _) => {
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            format!("the line of cell {first}{more} is gone or damaged")
        }
        ([], count) if count > list.count => {
            format!("it has {}, the plan {}", counted(count, "line"), list.count)
        }
        ([], _) => "a line was edited".to_owned(),
    };
    let path = dir.cells();
    Failure::new(Exit::BadData, format!("{} is not the list that was planned: {what}", path.display()))
        .hint("restore the file; or delete it and plan again as before: cells keep their folders and results")
}

/// Brings the list that `plan.json` vouches for to its place, before another is written beside it.
pub(super) fn settle(dir: &SweepDir, plan: &Plan) -> Result<(), Failure> {
    let (Some(list), Some(next)) = (&plan.cells, bytes(&dir.next_cells())?) else { return Ok(()) };
    if hash(&next) == list.blake3 { into_place(dir) } else { Ok(()) }
}

/// Makes `plan` and `cells` the sweep's.
pub(super) fn publish(dir: &SweepDir, plan: &mut Plan, cells: &[Cell]) -> Result<(), Failure> {
    let text = cell_lines(cells);
    write_bytes(&dir.next_cells(), text.as_bytes())?;
    plan.cells = Some(CellList::of(cells, text.as_bytes()));
    write_json(&dir.plan(), plan)?;
    into_place(dir)
}

fn into_place(dir: &SweepDir) -> Result<(), Failure> {
    let path = dir.cells();
    let moved = fs::rename(dir.next_cells(), &path);
    Ok(moved.map_err(|source| FileError::Io { path, action: "write", source })?)
}
