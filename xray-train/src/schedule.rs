//! The learning rate as a function of the step. Only the plateau rule also looks at how validation went, as
//! a count of reductions that the loop keeps.

use serde::{Deserialize, Serialize};
use xray_artifacts::{Keep, Length};

/// How the learning rate changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The shape after the warm-up.
    pub shape: Shape,
    /// The rate after the warm-up.
    pub learning_rate: f64,
    /// Rises linearly from near 0 over this part of training, in steps; 0 leaves it out.
    pub warmup_steps: u64,
    /// Cosine: where it ends, as a part of `learning_rate`.
    pub final_fraction: f64,
    /// Plateau: the rate is multiplied by this ...
    pub plateau_factor: f64,
    /// ... after this many evaluations in a row without a better score.
    pub plateau_patience: u32,
}

/// The shape of the curve after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Flat.
    Constant,
    /// Half a cosine down (Loshchilov & Hutter 2017), without restarts.
    Cosine,
    /// Flat, reduced whenever validation stops improving.
    Plateau,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            shape: Shape::Constant,
            learning_rate: 1e-3,
            warmup_steps: 0,
            final_fraction: 0.0,
            plateau_factor: 0.1,
            plateau_patience: 1,
        }
    }
}

impl Schedule {
    /// The rate of the step after `step` steps of `total`, after `reductions` reductions.
    pub fn rate(&self, step: u64, total: u64, reductions: u32) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.shape {
            Shape::Constant => self.learning_rate,
            Shape::Cosine => {
                let length = total.saturating_sub(self.warmup_steps).max(1);
                let done = (step - self.warmup_steps) as f64 / length as f64;
                let height = 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos());
                self.learning_rate * (self.final_fraction + (1.0 - self.final_fraction) * height)
            }
            Shape::Plateau => {
                self.learning_rate * self.plateau_factor.powi(i32::try_from(reductions).unwrap_or(i32::MAX))
            }
        }
    }
}

/// How long training lasts, and what happens on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// How long.
    pub duration: Length,
    /// Images per step.
    pub batch_size: usize,
    /// At most so many of them at once, for less memory: their gradients are added up. Batch norm then looks at so many.
    /// 0 takes all.
    pub micro_batch: usize,
    /// Training ends after this much time, such as `2h`, with the best weights so far; empty for no limit.
    pub max_time: String,
    /// How often validation is scored; also at the end.
    pub evaluate_every: Length,
    /// How often a checkpoint is written; also at the end and when stopped.
    pub checkpoint_every: Length,
    /// And at the latest after this much time.
    pub checkpoint_time: String,
    /// Training ends after this many evaluations in a row without a better score; 0 never.
    pub early_stopping: u32,
    /// Decay of the moving average of the weights, such as 0.999, which is then what is scored and kept;
    /// 0 keeps the weights themselves.
    pub average_decay: f32,
    /// How far training labels are pulled towards even odds, 0 to below 1; 0 leaves them.
    pub label_smoothing: f32,
    /// Steps between lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Whether the run's course is written for TensorBoard too.
    pub tensorboard: bool,
    /// What of a finished run is kept: `all`, `resumable` or `result`.
    pub keep: Keep,
    /// The number of the first epoch, by which order and augmentation are drawn: in a run that continues another, as many
    /// as that one had.
    pub first_epoch: u64,
    /// 0 leaves the intervals of the final scores out. Any other number asks for them and changes nothing: they were of
    /// so many resamples once and come from a formula now, and the ids of cells hold the number.
    pub bootstrap_resamples: u32,
}

impl TrainingConfig {
    /// Images that go through the network at once.
    pub fn images_at_once(&self) -> usize {
        if self.micro_batch == 0 { self.batch_size } else { self.micro_batch.min(self.batch_size) }
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        TrainingConfig {
            duration: Length::Epochs(5.0),
            batch_size: 32,
            micro_batch: 0,
            max_time: String::new(),
            evaluate_every: Length::Epochs(1.0),
            checkpoint_every: Length::Epochs(1.0),
            checkpoint_time: "10m".into(),
            early_stopping: 0,
            average_decay: 0.0,
            label_smoothing: 0.0,
            log_every: 10,
            tensorboard: true,
            keep: Keep::default(),
            first_epoch: 0,
            bootstrap_resamples: 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &Schedule, step: u64, reductions: u32, expected: f64) {
        let rate = schedule.rate(step, 100, reductions);
        assert!((rate - expected).abs() < 1e-12, "{:?} at {step}: {rate}", schedule.shape);
    }

    #[test]
    fn rates_follow_their_formulas() {
        let base = Schedule { learning_rate: 1.0, warmup_steps: 10, ..Schedule::default() };
        check(&base, 0, 0, 0.1);
        check(&base, 9, 0, 1.0);
        check(&base, 99, 0, 1.0);
        let cosine = Schedule { shape: Shape::Cosine, final_fraction: 0.2, ..base.clone() };
        check(&cosine, 10, 0, 1.0);
        check(&cosine, 55, 0, 0.6);
        check(&cosine, 100, 0, 0.2);
        check(&cosine, 1000, 0, 0.2);
        let plateau = Schedule { shape: Shape::Plateau, ..base };
        check(&plateau, 50, 0, 1.0);
        check(&plateau, 50, 2, 0.01);
    }
}
