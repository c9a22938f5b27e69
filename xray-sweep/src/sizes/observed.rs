//! What the cells of a sweep that has run used, read from its folder.

use super::kind::Kind;
use crate::plan::{read_plan, read_spec};
use crate::present;
use crate::state::{CellReport, survey};
use crate::sweep_dir::SweepDir;
use rayon::prelude::*;
use serde_json::Value as Json;
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure, FileError};
use xray_cli::{say, shell};

/// A sweep that has run.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) folder: PathBuf,
    /// Whether its jobs were sent their shards, or fetched them, so that the shards lay on the machine's disk.
    pub(super) has_shards_on_disk: bool,
    pub(super) cells: Vec<Used>,
}

/// What one cell used, as far as anybody measured it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Used {
    pub(super) kind: Kind,
    pub(super) train_images: u64,
    /// Bytes of files that its settings name.
    pub(super) file_bytes: u64,
    /// The most, or what was asked for in vain by a start that died of memory.
    pub(super) memory_mib: Option<u64>,
    pub(super) disk_mib: Option<u64>,
    pub(super) time: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    /// Training images seen, repeats counted.
    pub(super) examples: u64,
    pub(super) seconds: f64,
}

impl Observed {
    /// Looks at a sweep. What a person should know of its files is said on stderr.
    ///
    /// # Errors
    /// When there is no sweep, or no cell of it tells what it used.
    pub(super) fn read(dir: &SweepDir) -> Result<Observed, Failure> {
        let plan = read_plan(dir).map_err(|failure| Failure {
            message: format!("--sizes-from: {}", failure.message),
            hint: Some("name the folder of a sweep that has run".to_owned()),
            ..failure
        })?;
        let spec = read_spec(dir, Some(&plan))?;
        let reports = survey(dir)?;
        let found: Vec<_> = reports.par_iter().map(|report| used(dir, report)).collect::<Result<_, _>>()?;
        let mut cells = Vec::new();
        for found in found {
            match found {
                Ok(used) => cells.extend(used),
                Err(damaged) => say(format_args!("warning: {damaged}, so its cell is left out")),
            }
        }
        if cells.is_empty() {
            let message = format!("--sizes-from: no cell of {} reported what it used", dir.path().display());
            let hint = format!(
                "run some of it first, or leave --sizes-from out; see `xray-sweep status {}`",
                shell::path(dir.path())
            );
            return Err(Failure::new(Exit::NothingMatches, message).hint(hint));
        }
        let folder = dir.path().to_owned();
        Ok(Observed { folder, has_shards_on_disk: spec.condor.transfer_data, cells })
    }
}

/// None of a cell that was never at work; the inner error names a configuration that is damaged.
fn used(dir: &SweepDir, report: &CellReport) -> Result<Result<Option<Used>, String>, FileError> {
    let (memory_mib, disk_mib) = (memory(report), report.used_disk_mib());
    let outcome = report.outcome.as_ref();
    let time = outcome.map(|o| Time { examples: o.training.examples, seconds: o.seconds.total });
    let time = time.filter(|time| time.examples > 0 && time.seconds > 0.0 && time.seconds.is_finite());
    if memory_mib.is_none() && disk_mib.is_none() && time.is_none() {
        return Ok(Ok(None));
    }
    let path = dir.cell(&report.cell.id).config();
    let Some(bytes) = present::bytes(&path)? else {
        return Ok(Err(format!("{} is not there", path.display())));
    };
    let config: Json = match toml::from_str(&String::from_utf8_lossy(&bytes)) {
        Ok(config) => config,
        Err(error) => {
            let why = error.message().replace('\n', " ");
            return Ok(Err(format!("{} is damaged: {why}", path.display())));
        }
    };
    let threads = report.environment.as_ref().map_or(report.cell.request.cpus as usize, |e| e.threads);
    Ok(Ok(Some(Used {
        kind: Kind::of(&config, threads as u64),
        train_images: report.cell.train_images,
        file_bytes: report.cell.file_bytes(),
        memory_mib,
        disk_mib,
        time,
    })))
}

/// What it used, and no less than what a start asked for that died of it.
fn memory(report: &CellReport) -> Option<u64> {
    let in_vain = report.attempts.iter().filter(|attempt| attempt.died_of_memory());
    let in_vain = in_vain.filter_map(|attempt| attempt.requested_memory_mib).max();
    report.used_memory_mib().max(in_vain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Attempt, Ending};
    use crate::cell::{Cell, Request};
    use crate::rungs::Climb;
    use crate::state::CellState;
    use std::collections::BTreeMap;

    fn report(attempts: Vec<Attempt>) -> CellReport {
        let cell = Cell {
            format: 1,
            id: "a".into(),
            fraction: 1.0,
            fraction_offset: 0.0,
            trial: 1,
            seed: 0,
            axes: BTreeMap::new(),
            train_images: 100,
            rungs: Vec::new(),
            folds: 0,
            files: BTreeMap::new(),
            dataset: "d".into(),
            code: "1".into(),
            request: Request { cpus: 1, memory_mib: 500, disk_mib: 100, gpus: 0, minutes: None },
        };
        CellReport {
            cell,
            state: CellState::Lost,
            reason: None,
            outcome: None,
            environment: None,
            status: None,
            attempts,
            lacks_starts: false,
            climb: Climb::default(),
        }
    }

    #[test]
    fn who_died_of_memory_needed_more_than_was_asked_for() {
        let start = Attempt {
            requested_memory_mib: Some(500),
            used_memory_mib: Some(200),
            ending: Some(Ending::Failed),
            ..Attempt::default()
        };
        let check = |start: Attempt, expected| assert_eq!(memory(&report(vec![start])), expected);
        check(start.clone(), Some(200));
        check(Attempt { signal: Some(9), ..start.clone() }, Some(500));
        check(Attempt { exit: Some(137), used_memory_mib: None, ..start.clone() }, Some(500));
        check(Attempt { out_of_memory: true, ..start.clone() }, Some(500));
        check(Attempt { out_of_memory: true, used_memory_mib: Some(700), ..start.clone() }, Some(700));
        check(Attempt { signal: Some(11), ..start }, Some(200));
        assert_eq!(memory(&report(Vec::new())), None);
    }
}
