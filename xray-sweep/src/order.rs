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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Request;
    use std::collections::BTreeMap;

    fn cell(width: u32, fraction: f64, trial: u32) -> Cell {
        Cell {
            format: 1,
            id: "a".into(),
            fraction,
            fraction_offset: 0.0,
            trial,
            seed: 0,
            axes: BTreeMap::from([("model.width".to_owned(), width.into())]),
            train_images: 1,
            rungs: Vec::new(),
            folds: 0,
            files: BTreeMap::new(),
            dataset: "d".into(),
            code: "1".into(),
            request: Request { cpus: 1, memory_mib: 1, disk_mib: 1, gpus: 0, minutes: None },
        }
    }

    #[test]
    fn each_order_begins_with_what_it_is_named_for() {
        let check = |order: Order, expected: [(u32, f64, u32); 8]| {
            let mut cells: Vec<Cell> = [8, 16]
                .into_iter()
                .flat_map(|width| [1.0, 0.5].map(|fraction| [2, 1].map(|trial| cell(width, fraction, trial))))
                .flatten()
                .collect();
            cells.sort_by(|a, b| order.of(a, b));
            let place = |cell: &Cell| {
                let width = cell.axes["model.width"].as_u64().expect("a number");
                (width as u32, cell.fraction, cell.trial)
            };
            assert_eq!(cells.iter().map(place).collect::<Vec<_>>(), expected, "{order:?}");
        };
        let [a, b, c, d] = [(8, 0.5, 1), (8, 0.5, 2), (8, 1.0, 1), (8, 1.0, 2)];
        let [e, f, g, h] = [(16, 0.5, 1), (16, 0.5, 2), (16, 1.0, 1), (16, 1.0, 2)];
        check(Order::Axes, [a, b, c, d, e, f, g, h]);
        check(Order::Fraction, [a, b, e, f, c, d, g, h]);
        check(Order::Trial, [a, c, e, g, b, d, f, h]);
    }
}
