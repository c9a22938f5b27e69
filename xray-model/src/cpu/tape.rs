//! The way back through a network in training: a step for each layer that has an operation of its own. burn's graph has
//! the whole of it as one operation, so that a layer needs no node for each parameter and may have any number of them.

use burn::backend::autodiff::grads::Gradients;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A layer's way back: it takes the gradient of what the layer made, and leaves those of what it read and learned.
type Step = Box<dyn FnOnce(&mut Gradients) + Send>;

/// Steps in the order of the way there.
#[derive(Clone, Default)]
pub(super) struct Tape(Arc<Mutex<Vec<Step>>>);

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("steps", &self.steps().len()).finish()
    }
}

impl Tape {
    fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the way back of a layer that learns, or that comes after one that does.
    pub(super) fn record(&self, learns: bool, step: impl FnOnce(&mut Gradients) + Send + 'static) {
        if learns || self.learns() {
            self.steps().push(Box::new(step));
        }
    }

    /// Whether any layer does until now.
    pub(super) fn learns(&self) -> bool {
        !self.steps().is_empty()
    }

    /// Goes back, the last layer first; what a layer kept is free as soon as it is done.
    pub(super) fn go_back(&self, gradients: &mut Gradients) {
        let mut steps = std::mem::take(&mut *self.steps());
        while let Some(step) = steps.pop() {
            step(gradients);
        }
    }
}
