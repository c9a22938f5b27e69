//! What the training loop tells the world. The loop knows nothing of terminals, files or schedulers: it
//! emits events, and observers turn them into progress bars, logs and heartbeats.

use xray_artifacts::{FileError, Seconds, Split};
use xray_metrics::Evaluation;

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something worth knowing, in one line.
    Note(&'a str),
    /// Something that may spoil the numbers, in one line.
    Warning(&'a str),
    /// Training starts, or goes on after `step` steps.
    Begin {
        /// Steps done before.
        step: u64,
        /// Steps planned.
        total_steps: u64,
    },
    /// An optimizer step was taken. From a device that runs behind several come at once, in order.
    Step(StepReport),
    /// Scoring a split starts; `batches` are to come.
    EvaluationBegins {
        /// Which.
        split: Split,
        /// How many batches it has.
        batches: u64,
    },
    /// A batch of it was scored.
    EvaluationAdvances,
    /// A split was scored.
    Evaluated {
        /// Which.
        split: Split,
        /// After how many steps.
        step: u64,
        /// The figures.
        evaluation: &'a Evaluation,
        /// Whether they are the best so far.
        is_best: bool,
    },
    /// A checkpoint is on the disk.
    Saved {
        /// After how many steps.
        step: u64,
        /// Time spent so far.
        seconds: Seconds,
    },
    /// The loop ended.
    End {
        /// After how many steps.
        step: u64,
    },
}

/// One optimizer step.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Epochs done, as a decimal number.
    pub epoch: f64,
    /// Mean loss of the batch.
    pub loss: f32,
    /// The rate that was used.
    pub learning_rate: f64,
    /// Global norm of the gradients before clipping.
    pub gradient_norm: f32,
    /// Images in the batch.
    pub images: usize,
    /// Time spent when the step was read.
    pub seconds: Seconds,
}

/// Listens to a run.
pub trait Observer {
    /// Takes note of an event. An error ends the run: what cannot be written must not be lost silently.
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError>;
}

/// Several observers as one.
pub struct Observers<'a>(pub Vec<Box<dyn Observer + 'a>>);

impl Observer for Observers<'_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError> {
        self.0.iter_mut().try_for_each(|observer| observer.observe(event))
    }
}
