//! The order in which cells are listed, and so started: half of a sweep that is run in the order of its trials is a whole
//! curve with half the trials.

use crate::cell::Cell;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The axes' values, then fractions, then trials.
    #[default]
    Axes,
    /// Fractions, then the axes' values, then trials.
    Fraction,
    /// Trials: the first of everything, then the second.
    Trial,
}

impl Order {
    /// Compares two cells.
    pub fn of(self, a: &Cell, b: &Cell) -> Ordering {
        match self {
            Order::Axes => a.order(b),
            Order::Fraction => a.fraction.total_cmp(&b.fraction).then_with(|| a.order(b)),
            Order::Trial => a.trial.cmp(&b.trial).then_with(|| a.order(b)),
        }
    }
}
