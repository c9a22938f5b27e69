//! Deciding rungs, and what the nodes of a DAG ask of one cell.

use super::{Decision, Ranked, decisions};
use crate::cell::Cell;
use crate::cell_result::CellResult;
use crate::plan::read_cells;
use crate::rungs::Climb;
use crate::spec::Spec;
use crate::state::{CellReport, CellState};
use crate::sweep_dir::SweepDir;
use std::collections::BTreeMap;
use std::fs::{self, File};
use xray_artifacts::{Exit, Failure, FileError, Length, write_json};
use xray_display::counted;

/// What became of a sweep's open rung.
#[derive(Clone, Debug, PartialEq)]
pub enum Advance {
    /// There is none: no rungs, or all are decided.
    NoRung,
    /// Cells are still on their way to it.
    Open {
        /// From 1.
        rung: usize,
        /// Cells that run, wait for a machine or are held.
        busy: usize,
        /// Cells of which nothing goes on, and that have not failed: a person has to start them.
        idle: Vec<String>,
    },
    /// It was decided just now.
    Decided(Decision),
}

/// Decides the open rung, if all cells that were to come to it have, or have failed.
///
/// # Errors
/// When no cell came to it with a score, or a file cannot be read or written.
pub fn advance(dir: &SweepDir, reports: &[CellReport]) -> Result<Advance, Failure> {
    let Some(stops) = reports.first().map(|report| &report.cell.rungs).filter(|stops| !stops.is_empty())
    else {
        return Ok(Advance::NoRung);
    };
    let spec = Spec::read(&dir.spec())?;
    let folder = dir.rungs();
    fs::create_dir_all(&folder).map_err(|source| FileError::Io {
        path: folder.clone(),
        action: "create",
        source,
    })?;
    // Whoever decides at the same time finds it decided.
    let path = folder.join(".lock");
    let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
    let _lock = locked.map_err(|source| FileError::Io { path, action: "lock", source })?;
    let decided = decisions(dir)?;
    let rung = decided.len() + 1;
    if rung > stops.len() {
        return Ok(Advance::NoRung);
    }
    let came = |report: &&CellReport| decided.last().is_none_or(|last| goes_on(last, &report.cell));
    let coming: Vec<&CellReport> = reports.iter().filter(came).collect();
    let is_there = |report: &&&CellReport| {
        report.climb.waits() || matches!(report.state, CellState::Done | CellState::Failed)
    };
    let (there, missing): (Vec<&CellReport>, Vec<_>) = coming.iter().partition(|report| is_there(report));
    if !missing.is_empty() {
        let is_busy = |report: &&&CellReport| {
            matches!(report.state, CellState::Running | CellState::Queued | CellState::Held)
        };
        let busy = missing.iter().filter(is_busy).count();
        let idle =
            missing.iter().filter(|report| !is_busy(report)).map(|report| report.cell.name()).collect();
        return Ok(Advance::Open { rung, busy, idle });
    }
    let at = spec.rungs.get(rung - 1).copied().unwrap_or(stops[rung - 1]);
    let decision = Decision::of(rung, at, spec.keep, points(&there, rung));
    if !decision.points.iter().any(|point| point.goes_on) {
        return Err(nobody(rung, at, &there));
    }
    write_json(&dir.rung(rung), &decision)?;
    Ok(Advance::Decided(decision))
}

fn goes_on(decision: &Decision, cell: &Cell) -> bool {
    decision.of_cell(&cell.id).is_some_and(|(_, point)| point.goes_on)
}

/// The axis that only tells the folds of a cross-validation apart.
const FOLD: &str = "data.fold";

/// Cells that differ only in trial and fold together, in the order of the cells.
fn points(reports: &[&CellReport], rung: usize) -> Vec<Ranked> {
    let mut points: Vec<Ranked> = Vec::new();
    for report in reports {
        let mut axes = report.cell.axes.clone();
        axes.remove(FOLD);
        let score = match report.state {
            CellState::Failed => None,
            // It ended of itself before the rung, and keeps what it found.
            CellState::Done => {
                report.outcome.as_ref().and_then(|outcome| outcome.training.best_val_macro_auc)
            }
            _ => report.climb.scores.get(rung - 1).copied().flatten(),
        };
        let cell = (report.cell.id.clone(), score);
        match points.iter_mut().find(|point| point.axes == axes) {
            Some(point) => _ = point.cells.insert(cell.0, cell.1),
            None => points.push(Ranked { axes, score: None, cells: BTreeMap::from([cell]), goes_on: false }),
        }
    }
    points
}

/// A rung to which nobody came with a score: nothing is decided, and nothing is lost.
fn nobody(rung: usize, at: Length, there: &[&CellReport]) -> Failure {
    let failed: Vec<_> = there.iter().filter(|report| report.state == CellState::Failed).collect();
    let cells = counted(there.len(), "cell");
    let message = match failed.first() {
        Some(first) => {
            let why = first.reason.as_deref().map_or(String::new(), |why| format!("; the first: {why}"));
            format!(
                "no cell reached rung {rung} ({at}) with a score: {} of {cells} failed{why}",
                failed.len()
            )
        }
        None => format!("no cell reached rung {rung} ({at}) with a score: validation defines no AUC"),
    };
    Failure::new(Exit::SweepIncomplete, message)
        .hint("nothing was decided, and all checkpoints stay; `xray-sweep run --failed` starts the failed cells again")
}

/// What a folder alone says of a cell.
fn climb_of(dir: &SweepDir, id: &str) -> Result<(CellResult, Climb), Failure> {
    let Some(cell) = read_cells(dir)?.into_iter().find(|cell| cell.id == id) else {
        return Err(Failure::new(Exit::NothingMatches, format!("there is no cell {id}")));
    };
    let result = CellResult::read(&cell, &dir.cell(id))?;
    let climb = Climb::of(&cell, &decisions(dir)?, &result);
    Ok((result, climb))
}

/// Whether a cell has to train to come to a rung; the rung behind the last is the end.
///
/// # Errors
/// When there is no such cell, or a file cannot be read.
pub(crate) fn has_work(dir: &SweepDir, rung: usize, id: &str) -> Result<bool, Failure> {
    let (result, climb) = climb_of(dir, id)?;
    let has_ended = matches!(result, CellResult::Done(_) | CellResult::Failed(_));
    Ok(!has_ended && climb.rest.is_none() && climb.scores.len() < rung)
}

/// Whether a cell is at a rung or beyond it, or will never be, so that the rung need not wait for it.
///
/// # Errors
/// Errors as of [`has_work`].
pub(crate) fn comes_through(dir: &SweepDir, rung: usize, id: &str) -> Result<bool, Failure> {
    let (result, climb) = climb_of(dir, id)?;
    let has_ended = matches!(result, CellResult::Done(_) | CellResult::Failed(_));
    Ok(has_ended || climb.is_left() || climb.scores.len() >= rung)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Request;
    use crate::cell_result::Outcome;
    use serde_json::json;
    use xray_artifacts::{Split, TrainingSummary};
    use xray_metrics::Evaluation;

    fn report(id: &str, rate: f64, fold: u64, state: CellState) -> CellReport {
        let axes = [("data.fold", fold.into()), ("schedule.learning_rate", rate.into())];
        let cell = Cell {
            format: 1,
            id: id.to_owned(),
            fraction: 1.0,
            fraction_offset: 0.0,
            trial: 1,
            seed: 0,
            axes: axes.map(|(key, value)| (key.to_owned(), value)).into(),
            train_images: 100,
            rungs: vec![Length::Epochs(1.0), Length::Epochs(3.0)],
            folds: 5,
            files: BTreeMap::new(),
            dataset: "d".to_owned(),
            code: "1".to_owned(),
            request: Request { cpus: 1, memory_mib: 500, disk_mib: 100, gpus: 0, minutes: None },
        };
        CellReport {
            cell,
            state,
            reason: None,
            outcome: None,
            environment: None,
            status: None,
            attempts: Vec::new(),
            lacks_starts: false,
            climb: Climb::default(),
        }
    }

    /// Better on test than anything is on validation, which must not count.
    fn outcome(best: f64) -> Box<Outcome> {
        let test = json!({
            "records": 9, "macro_auc": 0.99, "undefined_labels": 0, "collapsed_labels": [], "labels": [],
        });
        let test: Evaluation = serde_json::from_value(test).expect("an evaluation");
        let training = TrainingSummary { best_val_macro_auc: Some(best), ..TrainingSummary::default() };
        let scores = [(Split::Test, test)].into();
        Box::new(Outcome { training, scores, ..Outcome::begin(None, "1", 1.0, 0) })
    }

    #[test]
    fn cells_are_ranked_by_validation_and_folds_together() {
        let waiting = |id: &str, rate, fold, scores: &[f64]| {
            let scores = scores.iter().copied().map(Some).collect();
            CellReport {
                climb: Climb { scores, ..Climb::default() },
                outcome: Some(outcome(0.98)),
                ..report(id, rate, fold, CellState::Waiting)
            }
        };
        // It stopped by itself before the rung.
        let early = CellReport { outcome: Some(outcome(0.6)), ..report("c", 0.1, 0, CellState::Done) };
        let failed = CellReport { outcome: Some(outcome(0.97)), ..report("d", 0.1, 1, CellState::Failed) };
        let all = [waiting("a", 0.01, 0, &[0.7, 0.75]), waiting("b", 0.01, 1, &[0.5]), early, failed];
        let ranked = points(&all.iter().collect::<Vec<_>>(), 1);
        let cells: Vec<_> = ranked.into_iter().map(|point| point.cells).collect();
        let of =
            |cells: [(&str, Option<f64>); 2]| BTreeMap::from(cells.map(|(id, score)| (id.to_owned(), score)));
        assert_eq!(cells, [of([("a", Some(0.7)), ("b", Some(0.5))]), of([("c", Some(0.6)), ("d", None)])]);
    }
}
