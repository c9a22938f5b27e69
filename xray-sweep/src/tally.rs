//! How many cells are in each state: counted once, and said in the same words by tables, texts and charts.

use crate::state::CellState;
use std::collections::BTreeMap;
use xray_display::counted;

/// Cells by state; states without any are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<CellState, usize>);

impl Tally {
    /// Counts.
    pub fn of(states: impl IntoIterator<Item = CellState>) -> Tally {
        let mut counts = BTreeMap::new();
        for state in states {
            *counts.entry(state).or_default() += 1;
        }
        Tally(counts)
    }

    /// All cells.
    pub fn planned(&self) -> usize {
        self.0.values().sum()
    }

    /// Cells with their complete result.
    pub fn done(&self) -> usize {
        self.count(CellState::Done)
    }

    /// Whether nothing more is to come of any cell.
    pub fn is_final(&self) -> bool {
        self.0.keys().all(|state| state.is_final())
    }

    /// Cells in a state.
    pub fn count(&self, state: CellState) -> usize {
        self.0.get(&state).copied().unwrap_or(0)
    }

    /// State by state, in the order in which they are listed.
    pub fn iter(&self) -> impl Iterator<Item = (CellState, usize)> {
        self.0.iter().map(|(state, count)| (*state, *count))
    }

    /// `23 of 30 cells done (4 failed, 2 held, 1 lost)`
    pub fn text(&self) -> String {
        let not_done = match self.not_done() {
            states if states.is_empty() => states,
            states => format!(" ({states})"),
        };
        format!("{} of {} done{not_done}", self.done(), counted(self.planned(), "cell"))
    }

    /// `4 failed, 2 held, 1 lost`; empty where all are done.
    pub fn not_done(&self) -> String {
        let others = self.iter().filter(|(state, _)| *state != CellState::Done);
        others.map(|(state, count)| format!("{count} {}", state.name())).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_and_what_is_not_is_said_once() {
        use CellState::{Done, Failed, Held, Missing};
        let check = |states: &[CellState], expected: &str| {
            assert_eq!(Tally::of(states.iter().copied()).text(), expected);
        };
        check(&[], "0 of 0 cells done");
        check(&[Done], "1 of 1 cell done");
        check(&[Missing, Failed, Done, Held, Failed], "1 of 5 cells done (1 held, 2 failed, 1 missing)");
    }
}
