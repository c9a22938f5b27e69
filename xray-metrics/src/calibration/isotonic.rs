//! The rising curve of least squares, by pooling neighbours that fall (Barlow et al., 1972), read between its steps
//! as scikit-learn does.

use super::{Calibrator, Uncalibrated};
use crate::Column;

/// Records with neighbouring scores that share one value.
#[derive(Clone, Copy)]
struct Block {
    first: f64,
    last: f64,
    positives: f64,
    records: f64,
}

impl Block {
    fn value(&self) -> f64 {
        self.positives / self.records
    }
}

pub(super) fn fit(column: &Column) -> Result<Calibrator, Uncalibrated> {
    let blocks = pooled(column);
    if blocks.len() < 2 {
        return Err(Uncalibrated::Falling);
    }
    let (mut logits, mut probabilities) = (Vec::new(), Vec::new());
    for block in &blocks {
        logits.push(block.first);
        probabilities.push(block.value());
        if block.last > block.first {
            logits.push(block.last);
            probabilities.push(block.value());
        }
    }
    Ok(Calibrator::Isotonic { logits, probabilities })
}

fn pooled(column: &Column) -> Vec<Block> {
    let mut rows: Vec<_> = column.iter().collect();
    rows.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut blocks: Vec<Block> = Vec::new();
    for tied in rows.chunk_by(|(a, _), (b, _)| a == b) {
        let positives = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let mut block = Block { first: tied[0].0, last: tied[0].0, positives, records: tied.len() as f64 };
        // Equal neighbours are pooled too: one step, not two.
        while let Some(before) = blocks.pop_if(|before| before.value() >= block.value()) {
            block = Block {
                first: before.first,
                positives: before.positives + block.positives,
                records: before.records + block.records,
                ..block
            };
        }
        blocks.push(block);
    }
    blocks
}

/// The height of the line through the knots at `logit`; the outer knots' beyond them.
pub(super) fn interpolate(logits: &[f64], probabilities: &[f64], logit: f64) -> f64 {
    let above = logits.partition_point(|&knot| knot <= logit);
    match (above.checked_sub(1), logits.get(above)) {
        (Some(below), Some(&next)) => {
            let share = (logit - logits[below]) / (next - logits[below]);
            probabilities[below] + share * (probabilities[above] - probabilities[below])
        }
        (Some(last), None) => probabilities[last],
        (None, _) => probabilities.first().copied().unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_that_fall_share_their_mean() {
        let rows = [(1.0, false), (2.0, true), (3.0, false), (4.0, true), (5.0, true)];
        let Ok(Calibrator::Isotonic { logits, probabilities }) = fit(&Column::of_rows(&rows)) else {
            panic!("fits")
        };
        assert_eq!(logits, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(probabilities, [0.0, 0.5, 0.5, 1.0, 1.0]);
        let at = |logit| interpolate(&logits, &probabilities, logit);
        assert_eq!([at(-9.0), at(1.5), at(2.2), at(3.5), at(9.0)], [0.0, 0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn scores_that_only_fall_are_refused() {
        assert_eq!(fit(&Column::of_rows(&[(1.0, true), (2.0, false)])), Err(Uncalibrated::Falling));
    }

    proptest! {
        /// Each value is the largest mean of records up to its place over the smallest of those after it: the
        /// max-min formula of isotonic regression, by brute force.
        #[test]
        fn values_follow_the_max_min_formula(
            rows in prop::collection::vec(((-5_i32..5).prop_map(f64::from), any::<bool>()), 1..25)
        ) {
            let mut sorted = rows.clone();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut places: Vec<f64> = sorted.iter().map(|row| row.0).collect();
            places.dedup();
            let mean = |low: f64, high: f64| {
                let within: Vec<_> = sorted.iter().filter(|row| row.0 >= low && row.0 <= high).collect();
                within.iter().filter(|row| row.1).count() as f64 / within.len() as f64
            };
            let blocks = pooled(&Column::of_rows(&rows));
            for (at, &place) in places.iter().enumerate() {
                let lowest = |&low: &f64| places[at..].iter().map(|&high| mean(low, high)).fold(f64::MAX, f64::min);
                let expected = places[..=at].iter().map(lowest).fold(f64::MIN, f64::max);
                let found = blocks.iter().find(|block| block.last >= place).expect("a block").value();
                prop_assert!((found - expected).abs() < 1e-12, "{place}: {found} is not {expected}");
            }
        }
    }
}
