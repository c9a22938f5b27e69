//! Which cells a `run` or `retry` is about.

use crate::cell::Cell;
use crate::state::{CellReport, CellState};
use xray_artifacts::{Exit, Failure, likeness};

/// What was asked for, besides the cells that are missing.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Cells that failed, too.
    pub failed: bool,
    /// Cells whose folder holds a result of other data or code, too.
    pub stale: bool,
    /// Only these, by the first characters of their ids, whatever became of them unless they are done.
    pub only: Vec<String>,
    /// Whether somebody else starts the cells that go on from a rung.
    pub is_led: bool,
}

impl Selection {
    /// The cells to start, in the sweep's order. What is done or at work is left alone.
    pub fn choose<'a>(&self, reports: &'a [CellReport]) -> Result<Vec<&'a CellReport>, Failure> {
        let mut named = Vec::new();
        for prefix in &self.only {
            named.push(find(reports, prefix)?.cell.id.clone());
        }
        let wanted = |report: &&CellReport| match report.state {
            // What others left behind at a rung does not go on, whatever is asked.
            _ if report.climb.is_left() || report.climb.waits() => false,
            CellState::Done | CellState::Stopped => false,
            CellState::Running | CellState::Queued | CellState::Held => false,
            _ if !named.is_empty() => named.contains(&report.cell.id),
            CellState::Waiting => !self.is_led,
            CellState::Missing | CellState::Lost => true,
            CellState::Failed => self.failed,
            CellState::Stale => self.stale,
        };
        Ok(reports.iter().filter(wanted).collect())
    }
}

/// The one cell whose id begins with `prefix`.
pub(crate) fn find<'a>(reports: &'a [CellReport], prefix: &str) -> Result<&'a CellReport, Failure> {
    let found: Vec<&CellReport> =
        reports.iter().filter(|report| report.cell.id.starts_with(prefix)).collect();
    match found.as_slice() {
        [report] => Ok(report),
        [] => Err(Failure::new(Exit::NothingMatches, format!("no cell's id begins with {prefix:?}"))
            .hint(format!("the nearest: {}", names(&nearest(reports, prefix))))),
        several => {
            let message = format!("{} cells' ids begin with {prefix:?}", several.len());
            let cells: Vec<&Cell> = several.iter().map(|report| &report.cell).collect();
            Err(Failure::new(Exit::Usage, message).hint(format!("name one of {}", names(&cells))))
        }
    }
}

fn nearest<'a>(reports: &'a [CellReport], prefix: &str) -> Vec<&'a Cell> {
    let mut cells: Vec<&Cell> = reports.iter().map(|report| &report.cell).collect();
    let alike = |cell: &Cell| likeness(cell.id.get(..prefix.len()).unwrap_or(&cell.id), prefix);
    cells.sort_by(|a, b| alike(b).total_cmp(&alike(a)));
    cells.truncate(3);
    cells
}

/// Up to five cells by their names.
fn names(cells: &[&Cell]) -> String {
    let named: Vec<String> = cells.iter().take(5).map(|cell| cell.name()).collect();
    match cells.len() {
        0 => "none is planned".to_owned(),
        few if few <= 5 => named.join("; "),
        many => format!("{}; and {} more", named.join("; "), many - 5),
    }
}
