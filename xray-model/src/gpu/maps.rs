//! What the layers of a network hand on: maps on the device, with the pass that they belong to.

use super::run::Run;
use super::view::{GradientCell, View};
use crate::layers::Maps;
use std::sync::Arc;
use xray_gpu::{Error, Gpu, GradientMap};

/// Feature maps on a GPU, or the first error on the way: layers after it pass it on.
#[derive(Clone, Debug)]
pub(crate) struct GpuMaps(Result<Made, Error>);

/// Maps that a layer made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) run: Arc<Run>,
    pub(super) read: Read,
}

/// What a layer keeps of maps that it reads. Not their pass, which keeps the layer.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) view: View,
    /// Where their gradient goes: nothing learns from that of an image.
    gradient: Option<GradientCell>,
}

impl GpuMaps {
    /// Images, without a gradient.
    pub(super) fn images(run: Arc<Run>, view: View) -> Self {
        GpuMaps(Ok(Made { run, read: Read { view, gradient: None } }))
    }

    /// What a layer makes of them.
    pub(super) fn then(self, layer: impl FnOnce(Made) -> Result<Made, Error>) -> Maps {
        Maps::Gpu(GpuMaps(self.0.and_then(layer)))
    }

    pub(super) fn made(self) -> Result<Made, Error> {
        self.0
    }
}

impl Made {
    /// Maps of the same pass, and the cell that their gradient comes back in.
    pub(super) fn by(run: Arc<Run>, view: View) -> (Self, GradientCell) {
        let cell = GradientCell::default();
        (Made { run, read: Read { view, gradient: Some(cell.clone()) } }, cell)
    }
}

impl Read {
    /// Lets a layer write or add its part of the gradient, if it is wanted.
    pub(super) fn write_gradient(
        &self,
        gpu: &Gpu,
        write: impl FnOnce(GradientMap<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match &self.gradient {
            Some(cell) => cell.write(gpu, self.view.shape(), write),
            None => Ok(()),
        }
    }

    /// Hands over the whole gradient.
    pub(super) fn give_gradient(&self, view: View) {
        if let Some(cell) = &self.gradient {
            cell.give(view);
        }
    }
}
