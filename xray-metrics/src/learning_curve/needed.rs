//! How many images a score takes, or that it cannot be told.

use super::FittedCurve;
use serde::Serialize;

/// A curve is not read farther than this many times the largest size that was measured.
pub const REACH: f64 = 10.0;

/// How many images a score takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum ImagesNeeded {
    /// Surely not more than the fewest that were measured.
    AtMost {
        /// The fewest.
        images: f64,
    },
    /// So many, with an interval of level [`crate::units::LEVEL`].
    About {
        /// The best guess; it may lie below the fewest that were measured.
        images: f64,
        /// Low end.
        low: f64,
        /// High end; null where the trainings allow more than [`REACH`] times what was measured.
        high: Option<f64>,
    },
    /// More than can be told from these trainings: the score may not be reachable at all. Some form that fits as well as
    /// the best ([`FittedCurve::as_good`]) takes more than [`REACH`] times what was measured.
    CannotTell {
        /// Low end; null where even that is more than [`REACH`] times what was measured.
        low: Option<f64>,
        /// The highest ceiling that the trainings allow; null where they allow 1 or set none.
        highest_ceiling: Option<f64>,
    },
}

impl FittedCurve {
    /// How many images a score takes.
    pub fn images_for(&self, score: f64) -> ImagesNeeded {
        let limit = REACH * self.measured[1];
        let images = self.curve().images_for(score);
        // What a form says alone, that fits no better than one which says otherwise, is not known.
        let within_reach = self.as_good().all(|form| form.curve.images_for(score) <= limit);
        let [low, high] = self.possible.images(score);
        if high <= self.measured[0] {
            ImagesNeeded::AtMost { images: self.measured[0] }
        } else if within_reach {
            // The best of a form with fewer numbers may lie a little outside.
            let (low, high) = (low.min(images), high.max(images));
            ImagesNeeded::About { images, low, high: (high <= limit).then_some(high) }
        } else {
            let highest_ceiling = self.ceiling_identified().then(|| self.ceiling[1]);
            ImagesNeeded::CannotTell { low: (low <= limit).then_some(low), highest_ceiling }
        }
    }
}
