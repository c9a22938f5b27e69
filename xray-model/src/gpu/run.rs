//! One way through a network: forward, and if it is to learn, a tape of what leads back.

use super::fold::Folds;
use super::store::{Gradients, Store};
use burn::module::ParamId;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use xray_gpu::{Error, Gpu, Map, PendingGradients, Source};
use xray_kernels::ConvSpec;

/// What the way back is given.
pub(super) struct Back<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) store: &'a Store,
    pub(super) gradients: Gradients<'a>,
    /// Sums in pieces that one launch adds up for many layers.
    pending: RefCell<PendingGradients>,
}

/// Bytes of pieces that wait at most.
const PENDING: usize = 64 << 20;

impl Back<'_> {
    /// The gradient of a convolution's kernel, in its place when the way back has ended.
    pub(super) fn weight_gradient(
        &self,
        spec: &ConvSpec,
        input: Source<'_>,
        grad_output: Map<'_>,
        kernel: ParamId,
    ) -> Result<(), Error> {
        let target = self.gradients.part(kernel);
        self.pending.borrow_mut().weight_gradient(self.gpu, spec, input, grad_output, target)
    }
}

/// A layer's way back: it takes the gradient of what the layer made, and leaves those of what it read and learned.
type Step = Box<dyn FnOnce(&Back<'_>) -> Result<(), Error> + Send>;

/// What the maps of one pass share.
pub(crate) struct Run {
    pub(super) gpu: Arc<Gpu>,
    pub(super) store: Store,
    mode: Mode,
}

enum Mode {
    /// Batch norm by the batch; the steps that lead back, in the order of the way there.
    Training(Mutex<Vec<Step>>),
    /// Batch norm by running statistics, as part of the weights: folded once for all passes.
    Inference(Folds),
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("learns", &self.learns()).finish_non_exhaustive()
    }
}

impl Run {
    pub(super) fn training(gpu: Arc<Gpu>, store: Store) -> Self {
        Run { gpu, store, mode: Mode::Training(Mutex::default()) }
    }

    pub(super) fn inference(gpu: Arc<Gpu>, store: Store) -> Self {
        Run { gpu, store, mode: Mode::Inference(Folds::default()) }
    }

    /// Whether gradients are wanted.
    pub(super) fn learns(&self) -> bool {
        matches!(self.mode, Mode::Training(_))
    }

    /// What is folded for inference.
    pub(super) fn folds(&self) -> &Folds {
        match &self.mode {
            Mode::Inference(folds) => folds,
            Mode::Training(_) => unreachable!("training normalises by the batch"),
        }
    }

    /// Keeps a layer's way back.
    pub(super) fn record(&self, step: impl FnOnce(&Back<'_>) -> Result<(), Error> + Send + 'static) {
        if let Mode::Training(tape) = &self.mode {
            tape.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(step));
        }
    }

    /// For the way back, which leaves gradients there.
    pub(super) fn way_back<'a>(&'a self, gradients: Gradients<'a>) -> Back<'a> {
        let pending = RefCell::new(PendingGradients::new(PENDING));
        Back { gpu: &self.gpu, store: &self.store, gradients, pending }
    }

    /// Goes back, the last layer first; what a layer kept is free as soon as it is done.
    pub(super) fn go_back(&self, back: &Back<'_>) -> Result<(), Error> {
        let Mode::Training(tape) = &self.mode else { return Ok(()) };
        let mut steps = std::mem::take(&mut *tape.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(step) = steps.pop() {
            step(back)?;
        }
        back.pending.borrow_mut().flush(back.gpu)
    }
}
