//! Where one cell stands between the rungs: what was decided of it, and how far its own result says that it is.

use super::Decision;
use crate::cell::Cell;
use crate::cell_result::CellResult;
use xray_artifacts::{Length, Stop};

/// A cell between the rungs; of a sweep without rungs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Climb {
    /// Its highest macro-AUC on validation until each rung that it came to.
    pub scores: Vec<Option<f64>>,
    /// The length of training that it goes to next; none where that is the end.
    pub stop_at: Option<Length>,
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
        /// Number of points that were ranked.
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
        climb.stop_at = cell.rungs.get(climb.scores.len()).copied();
        if let (CellResult::Stopped(outcome), Some(at)) = (result, climb.stop_at)
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
            None => format!("continues from rung {} ({})", self.scores.len(), score(self.scores.len())),
        })
    }
}

/// However it is spelt.
fn is_at(stop: &Stop, at: Length) -> bool {
    stop.at.parse() == Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Request;
    use crate::cell_result::Outcome;
    use crate::rungs::Ranked;
    use std::collections::BTreeMap;
    use xray_artifacts::{State, TrainingSummary};

    fn cell() -> Cell {
        Cell {
            format: 1,
            id: "a".to_owned(),
            fraction: 1.0,
            fraction_offset: 0.0,
            trial: 1,
            seed: 0,
            axes: BTreeMap::new(),
            train_images: 100,
            rungs: vec![Length::Epochs(1.0), Length::Epochs(3.0)],
            folds: 0,
            files: BTreeMap::new(),
            dataset: "d".to_owned(),
            code: "1".to_owned(),
            request: Request { cpus: 1, memory_mib: 500, disk_mib: 100, gpus: 0, minutes: None },
        }
    }

    fn stopped(at: &str, score: f64) -> CellResult {
        let stop = Some(Stop { at: at.to_owned(), val_macro_auc: Some(score) });
        let training = TrainingSummary { stop, ..TrainingSummary::default() };
        CellResult::Stopped(Box::new(Outcome {
            state: State::Stopped,
            training,
            ..Outcome::begin(Some("a".into()), "1", 1.0, 0)
        }))
    }

    fn decided(rung: usize, score: f64, goes_on: bool) -> Decision {
        let cells = BTreeMap::from([("a".to_owned(), Some(score))]);
        let point = Ranked { axes: BTreeMap::new(), score: Some(score), cells, goes_on };
        Decision { rung, at: cell().rungs[0], keep: 0.5, points: vec![point] }
    }

    fn check(decisions: &[Decision], result: &CellResult, stop_at: Option<&str>, text: Option<&str>) {
        let climb = Climb::of(&cell(), decisions, result);
        let found = climb.stop_at.map(|at| at.to_string());
        assert_eq!((found.as_deref(), climb.text().as_deref()), (stop_at, text));
    }

    #[test]
    fn decisions_and_the_own_result_say_where_a_cell_stands() {
        let [first, second] = [decided(1, 0.6, true), decided(2, 0.7, true)];
        check(&[], &CellResult::Absent, Some("1 epoch"), None);
        // However it is spelt.
        check(&[], &stopped("1 epoch", 0.6), Some("1 epoch"), Some("waits at rung 1 (0.600)"));
        // Stopped by hand elsewhere, it has not come to the rung.
        check(&[], &stopped("2 epochs", 0.6), Some("1 epoch"), None);
        let one = std::slice::from_ref(&first);
        check(one, &stopped("1 epochs", 0.6), Some("3 epochs"), Some("continues from rung 1 (0.600)"));
        check(one, &stopped("3 epochs", 0.7), Some("3 epochs"), Some("waits at rung 2 (0.700)"));
        check(&[first, second], &stopped("3 epochs", 0.7), None, Some("continues from rung 2 (0.700)"));
        let left = [decided(1, 0.6, false)];
        check(&left, &stopped("1 epochs", 0.6), None, Some("stopped at rung 1 (0.600, 1 of 1)"));
        assert!(Climb::of(&cell(), &left, &stopped("1 epochs", 0.6)).is_left());
        let none = Cell { rungs: Vec::new(), ..cell() };
        assert_eq!(Climb::of(&none, &left, &CellResult::Absent), Climb::default());
    }
}
