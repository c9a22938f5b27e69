//! Which cells a `run` or `retry` is about.

use crate::cell::Cell;
use crate::state::{CellReport, CellState};
use xray_artifacts::{Exit, Failure};

/// What was asked for, besides the cells that are missing.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Cells that failed, too.
    pub failed: bool,
    /// Cells whose folder holds a result of other data or code, too.
    pub stale: bool,
    /// Only these, by the first characters of their ids, whatever became of them unless they are done.
    pub only: Vec<String>,
}

impl Selection {
    /// The cells to start, in the sweep's order. What is done or at work is left alone.
    pub fn choose<'a>(&self, reports: &'a [CellReport]) -> Result<Vec<&'a CellReport>, Failure> {
        let mut named = Vec::new();
        for prefix in &self.only {
            named.push(find(reports.iter().map(|report| &report.cell), prefix)?.id.clone());
        }
        let wanted = |report: &&CellReport| match report.state {
            CellState::Done | CellState::Running | CellState::Queued | CellState::Held => false,
            _ if !named.is_empty() => named.contains(&report.cell.id),
            CellState::Missing | CellState::Lost => true,
            CellState::Failed => self.failed,
            CellState::Stale => self.stale,
        };
        Ok(reports.iter().filter(wanted).collect())
    }
}

/// The one cell whose id begins with `prefix`.
pub fn find<'a>(cells: impl Iterator<Item = &'a Cell>, prefix: &str) -> Result<&'a Cell, Failure> {
    let matches: Vec<_> = cells.filter(|cell| cell.id.starts_with(prefix)).collect();
    match matches[..] {
        [cell] => Ok(cell),
        [] => Err(Failure::new(Exit::NothingMatches, format!("there is no cell `{prefix}` in this sweep"))
            .hint("`xray-sweep status --format json` lists them")),
        [a, b, ..] => Err(Failure::new(Exit::Usage, format!("`{prefix}` is the beginning of several cells"))
            .hint(format!("say more of it: {}, {}, ...", a.name(), b.name()))),
    }
}
