//! Loss and gradient norm of steps, which stay on the device until someone asks: reading each would make the device wait
//! for the host at each step.

use crate::{Error, Result};
use burn::tensor::{Tensor, Transaction};

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRecord {
    /// The batch's mean loss before the step.
    pub loss: f32,
    /// Global norm of the gradients before clipping.
    pub gradient_norm: f32,
    /// The factor of the scaled loss by which the gradients overflowed, if that is why this step, and no other, changed
    /// nothing. The factor is half as large from then on.
    pub skipped_at: Option<f32>,
}

/// Steps that nobody asked about yet, oldest first.
#[derive(Default)]
pub(crate) struct Unread(Vec<[Tensor<1>; 2]>);

impl Unread {
    pub(crate) fn push(&mut self, loss: Tensor<1>, gradient_norm: Tensor<1>) {
        self.0.push([loss, gradient_norm]);
    }

    /// Reads all of them at once.
    pub(crate) fn read(&mut self) -> Result<Vec<StepRecord>> {
        let tensors = std::mem::take(&mut self.0);
        if tensors.is_empty() {
            return Ok(Vec::new());
        }
        let reading = tensors.into_iter().flatten().fold(Transaction::default(), Transaction::register);
        let values = reading.try_execute().map_err(|error| Error::of_read(&error))?;
        let values: Vec<f32> = values.iter().flat_map(|data| data.iter::<f32>()).collect();
        let record = |pair: &[f32]| StepRecord { loss: pair[0], gradient_norm: pair[1], skipped_at: None };
        Ok(values.chunks(2).map(record).collect())
    }
}

/// Whether a single value is, which is read.
pub(crate) fn is_finite(value: Tensor<1>) -> bool {
    value.into_scalar::<f32>().is_finite()
}
