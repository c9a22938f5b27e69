//! Who goes on from a rung. It is decided once, written down, and never asked again.

use crate::cell::axis_text;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use xray_artifacts::{Length, Versioned};
use xray_display::counted;
use xray_metrics::mean;

/// `rungs/1.json`: what was decided at a rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Number of the rung, from 1.
    pub rung: usize,
    /// The length of training there.
    pub at: Length,
    /// The share of points that goes on.
    pub keep: f64,
    /// All points that came there, the best first.
    pub points: Vec<Ranked>,
}

/// A point at a rung. Its trials, and the folds of a cross-validation, go on together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Values of the axes that tell points apart.
    pub axes: BTreeMap<String, Json>,
    /// Mean of its cells' scores; null where no cell has one.
    pub score: Option<f64>,
    /// Its cells, each with its highest macro-AUC on validation until there; null of one that failed or has none.
    pub cells: BTreeMap<String, Option<f64>>,
    /// Whether it goes on.
    pub goes_on: bool,
}

impl Versioned for Decision {
    const FORMAT: u32 = 1;
    const KIND: &'static str = "decision of a rung";
}

impl Decision {
    /// Ranks points, given in the order of the cells, and lets the best `keep` of them go on: at least one, and none
    /// without a score. Points with a cell without a score come behind those without such a cell; of equals the first of
    /// the list is the better.
    pub(super) fn of(rung: usize, at: Length, keep: f64, mut points: Vec<Ranked>) -> Decision {
        let most = ((points.len() as f64 * keep).round() as usize).max(1);
        for point in &mut points {
            point.score = mean(point.cells.values().flatten().copied());
        }
        let is_whole = |point: &Ranked| point.cells.values().all(Option::is_some);
        // Stable, so that equals stay in their order.
        points.sort_by(|a, b| {
            let scores = [a, b].map(|point| point.score.unwrap_or(f64::NEG_INFINITY));
            is_whole(b).cmp(&is_whole(a)).then(scores[1].total_cmp(&scores[0]))
        });
        for (place, point) in points.iter_mut().enumerate() {
            point.goes_on = place < most && point.score.is_some();
        }
        Decision { rung, at, keep, points }
    }

    /// In a sentence, who goes on.
    pub fn text(&self) -> String {
        const SHOWN: usize = 5;
        let going: Vec<String> = self.points.iter().filter(|point| point.goes_on).map(Ranked::text).collect();
        let more = if going.len() > SHOWN { "; ..." } else { "" };
        let (rung, at, of) = (self.rung, self.at, counted(self.points.len(), "point"));
        let shown = going.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        format!(
            "rung {rung} ({at}): {} of {of} {}: {shown}{more}",
            going.len(),
            if going.len() == 1 { "goes on" } else { "go on" }
        )
    }

    /// Where a cell's point stands, from 1, and the point; none of one that did not come so far.
    pub fn of_cell(&self, id: &str) -> Option<(usize, &Ranked)> {
        (1..).zip(&self.points).find(|(_, point)| point.cells.contains_key(id))
    }
}

impl Ranked {
    fn text(&self) -> String {
        let score = self.score.map_or("no score".to_owned(), |score| format!("{score:.3}"));
        match self.axes_text() {
            axes if axes.is_empty() => score,
            axes => format!("{axes} ({score})"),
        }
    }

    /// Its axes' values as tables have them.
    pub(crate) fn axes_text(&self) -> String {
        self.axes
            .iter()
            .map(|(key, value)| format!("{key}={}", axis_text(value)))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keep: f64, scores: &[&[Option<f64>]], ranks: &[usize], going: usize) {
        let point = |(number, scores): (usize, &&[Option<f64>])| Ranked {
            axes: BTreeMap::from([("number".to_owned(), number.into())]),
            score: None,
            cells: scores
                .iter()
                .enumerate()
                .map(|(trial, score)| (format!("{number}-{trial}"), *score))
                .collect(),
            goes_on: false,
        };
        let decision =
            Decision::of(1, Length::Epochs(1.0), keep, scores.iter().enumerate().map(point).collect());
        let found: Vec<_> =
            decision.points.iter().filter_map(|point| point.axes["number"].as_u64()).collect();
        assert_eq!(found, ranks.iter().map(|rank| *rank as u64).collect::<Vec<_>>());
        let goes_on: Vec<_> = decision.points.iter().map(|point| point.goes_on).collect();
        assert_eq!(goes_on, (0..scores.len()).map(|place| place < going).collect::<Vec<_>>());
    }

    #[test]
    fn the_better_part_goes_on_and_equals_stay_in_their_order() {
        let of = |score: f64| [Some(score)];
        check(0.5, &[&of(0.6), &of(0.9), &of(0.6), &of(0.7)], &[1, 3, 0, 2], 2);
        check(0.33, &[&of(0.6), &of(0.6), &of(0.6)], &[0, 1, 2], 1);
        // A share of nothing is one.
        check(0.01, &[&of(0.6), &of(0.7)], &[1, 0], 1);
        check(0.99, &[&of(0.6), &of(0.7)], &[1, 0], 2);
        // The mean over trials counts.
        check(0.5, &[&[Some(0.9), Some(0.5)], &[Some(0.71), Some(0.72)]], &[1, 0], 1);
    }

    #[test]
    fn what_failed_comes_last_and_does_not_go_on_without_a_score() {
        check(
            0.5,
            &[&[Some(0.9), None], &[None, None], &[Some(0.6), Some(0.6)], &[None, None]],
            &[2, 0, 1, 3],
            2,
        );
        check(0.9, &[&[None], &[Some(0.6)], &[None]], &[1, 0, 2], 1);
    }
}
