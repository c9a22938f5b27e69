//! Where one cell stands between the rungs: what was decided of it, and how far its own result says that it is.

use super::Decision;
use crate::cell::Cell;
use crate::cell_result::CellResult;
use crate::length::Length;
use xray_artifacts::Stop;

/// A cell between the rungs; of a sweep without rungs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Climb {
    /// Its highest macro-AUC on validation until each rung that it came to.
    pub scores: Vec<Option<f64>>,
    /// The length of training that it goes to next; none where that is the end.
    pub stop_at: Option<String>,
    /// Where it rests, if it does.
    pub rest: Option<Rest>,
}

/// Why a cell does not train although it is not done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rest {
    /// It has come to a rung and waits for the others, or for the decision.
    Waits {
        /// From 1.
        rung: usize,
    },
    /// Others were better at a rung: it does not go on.
    Left {
        /// From 1.
        rung: usize,
        /// The place of its point, from 1.
        place: usize,
        /// Of so many.
        of: usize,
    },
}

impl Climb {
    /// Where a cell stands after these decisions, with this result.
    pub(crate) fn of(cell: &Cell, decisions: &[Decision], result: &CellResult) -> Climb {
        let mut climb = Climb::default();
        if cell.rungs.is_empty() {
            return climb;
        }
        for decision in decisions {
            let Some((place, point)) = decision.of_cell(&cell.id) else { break };
            climb.scores.push(point.cells[&cell.id]);
            if !point.goes_on {
                let (rung, of) = (decision.rung, decision.points.len());
                climb.rest = Some(Rest::Left { rung, place, of });
                return climb;
            }
        }
        climb.stop_at = cell.rungs.get(climb.scores.len()).cloned();
        if let (CellResult::Stopped(outcome), Some(at)) = (result, &climb.stop_at)
            && let Some(stop) = outcome.training.stop.as_ref().filter(|stop| is_at(stop, at))
        {
            climb.scores.push(stop.val_macro_auc);
            climb.rest = Some(Rest::Waits { rung: climb.scores.len() });
        }
        climb
    }

    /// Whether it waits at a rung.
    pub fn waits(&self) -> bool {
        matches!(self.rest, Some(Rest::Waits { .. }))
    }

    /// Whether it was left behind.
    pub fn is_left(&self) -> bool {
        matches!(self.rest, Some(Rest::Left { .. }))
    }

    /// In a sentence, where it stands; none before its first rung.
    pub(crate) fn text(&self) -> Option<String> {
        let score = |rung: usize| {
            let score = self.scores.get(rung - 1).copied().flatten();
            score.map_or("no score".to_owned(), |score| format!("{score:.3}"))
        };
        Some(match self.rest {
            Some(Rest::Waits { rung }) => format!("waits at rung {rung} ({})", score(rung)),
            Some(Rest::Left { rung, place, of }) => {
                format!("stopped at rung {rung} ({}, {place} of {of})", score(rung))
            }
            None if self.scores.is_empty() => return None,
            None => format!("goes on from rung {} ({})", self.scores.len(), score(self.scores.len())),
        })
    }
}

/// However it is spelt.
fn is_at(stop: &Stop, at: &str) -> bool {
    let length = |text: &str| text.parse::<Length>().ok();
    length(&stop.at).is_some() && length(&stop.at) == length(at)
}
