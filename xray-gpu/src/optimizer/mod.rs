//! The optimizer: [`Watch`] judges a gradient, [`Update`] applies it.

mod update;
mod watch;

pub use update::{MARKED, Mark, Parameters, Rule, Update, update_pass};
pub use watch::{LossScale, StepRecord, Watch, judge_passes, scale_pass};
