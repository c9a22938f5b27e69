//! The values of a network's tensors on a device.

use super::layout::{Layout, NormSpans, Span};
use crate::StateDict;
use crate::architectures::Network;
use burn::module::ParamId;
use std::sync::Arc;
use xray_gpu::{Affine, Buffer, Error, Gpu, Part, Running};

/// Share of a new batch in the running statistics, as PyTorch has it.
const MOMENTUM: f32 = 0.1;

/// All tensors of a network.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) layout: Arc<Layout>,
    /// What is learned.
    pub(super) learned: Buffer,
    /// Running statistics.
    pub(super) running: Buffer,
}

impl Store {
    /// Of weights that fit the network.
    pub(super) fn new(gpu: &Gpu, layout: Arc<Layout>, weights: &StateDict) -> Result<Self, Error> {
        let [learned, running] = layout.pack(weights);
        Ok(Store { learned: Buffer::of(gpu, &learned)?, running: Buffer::of(gpu, &running)?, layout })
    }

    /// The same for a network with its own weights.
    pub(super) fn of(gpu: &Gpu, network: &Network) -> Result<Self, Error> {
        Store::new(gpu, Arc::new(Layout::of(network)), &crate::weights::weights_of(network))
    }

    /// What is there now; waits for the device.
    pub(super) fn read(&self, gpu: &Gpu) -> Result<StateDict, Error> {
        Ok(self.layout.unpack(&self.learned.read(gpu)?, &self.running.read(gpu)?))
    }

    /// A learned tensor.
    pub(super) fn part(&self, id: ParamId) -> Part<'_> {
        of(&self.learned, self.layout.span(id))
    }

    /// What a batch norm learns, known by its gamma.
    pub(super) fn affine(&self, gamma: ParamId) -> Affine<'_> {
        affine(&self.learned, &self.layout.norm(gamma))
    }

    /// Its running statistics.
    pub(super) fn running(&self, gamma: ParamId) -> Running<'_> {
        let NormSpans { mean, variance, .. } = self.layout.norm(gamma);
        Running { mean: of(&self.running, mean), variance: of(&self.running, variance), momentum: MOMENTUM }
    }
}

/// Where the way back leaves gradients of what is learned: as [`Store::learned`], and behind it the loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gradients<'a> {
    pub(super) layout: &'a Layout,
    pub(super) buffer: &'a Buffer,
}

impl<'a> Gradients<'a> {
    pub(super) fn part(&self, id: ParamId) -> Part<'a> {
        of(self.buffer, self.layout.span(id))
    }

    pub(super) fn affine(&self, gamma: ParamId) -> Affine<'a> {
        affine(self.buffer, &self.layout.norm(gamma))
    }
}

fn affine<'a>(buffer: &'a Buffer, spans: &NormSpans) -> Affine<'a> {
    Affine { gamma: of(buffer, spans.gamma), beta: of(buffer, spans.beta) }
}

fn of(buffer: &Buffer, Span { start, length }: Span) -> Part<'_> {
    buffer.part(start, length)
}
