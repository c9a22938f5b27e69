//! Weight gradients of many layers in pieces that one launch adds up: a launch for each layer would cost more than its
//! few additions.
#![expect(unsafe_code, reason = "a launch without bounds checks; lengths are checked before")]

use super::add_pieces::{SEGMENT, add_lanes, add_segments};
use super::products::Products;
use super::weight_gradient::WeightGradient;
use crate::buffer::{Buffer, Part, upload};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{Map, MapShape};
use crate::pass::{ELEMENT_UNITS, Pass, bytes};
use crate::source::Source;
use cubecl::prelude::*;
use xray_kernels::ConvSpec;

/// Weight gradients whose pieces wait in one buffer to be added up, those of many layers in one launch. They are
/// complete after [`PendingGradients::flush`], and have the bits that [`weight_gradient`](crate::weight_gradient) gives
/// them.
#[derive(Debug)]
#[must_use = "gradients are complete after flush"]
pub struct PendingGradients {
    waiting: Waiting,
    /// Where pieces lie, once any did, and the buffer of the gradients that they are of.
    scratch: Option<Buffer>,
    target: Option<Buffer>,
}

impl PendingGradients {
    /// Pieces of up to `limit` bytes wait: 64 MiB hold those of ten to twenty of DenseNet-121's convolutions.
    pub fn new(limit: usize) -> Self {
        Self { waiting: Waiting::new(limit), scratch: None, target: None }
    }

    /// As [`weight_gradient`](crate::weight_gradient), but what is in pieces is complete after a flush only. Flushes
    /// before, where no room is left.
    ///
    /// # Errors
    /// If the device makes no buffer for the pieces.
    ///
    /// # Panics
    /// If a shape does not fit.
    pub fn weight_gradient<'a>(
        &mut self,
        gpu: &Gpu,
        spec: &ConvSpec,
        input: impl Into<Source<'a>>,
        grad_output: Map<'_>,
        grad_weights: Part<'_>,
    ) -> Result<(), Error> {
        let input = input.into();
        let fours = input.map().in_fours() && grad_output.in_fours();
        let product = WeightGradient::new(gpu.products(), spec, input.map().shape(), fours);
        let (pieces, length) = (product.pieces(), product.length());
        if self.waiting.is_immediate(&product) {
            return product.launch(gpu, input, grad_output, grad_weights);
        }
        grad_weights.expect(length, "the weights' gradient");
        let elsewhere = self.target.as_ref().is_some_and(|target| !grad_weights.lies_in(target));
        if elsewhere || !self.waiting.fits(&product) {
            self.flush(gpu)?;
        }
        let scratch = match self.scratch.take() {
            Some(scratch) => scratch,
            None => Buffer::empty(gpu, self.waiting.limit)?,
        };
        let at = self.waiting.push(&product, grad_weights.start());
        product.first(gpu, input, grad_output, scratch.part(at, pieces * length));
        self.scratch = Some(scratch);
        self.target = Some(grad_weights.buffer().clone());
        Ok(())
    }

    /// Adds up what waits, in one launch, or none if nothing does.
    ///
    /// # Errors
    /// If the device makes no buffer.
    pub fn flush(&mut self, gpu: &Gpu) -> Result<(), Error> {
        let (Some(pass), Some(target), Some(scratch)) =
            (self.waiting.pass(), self.target.take(), self.scratch.as_ref())
        else {
            return Ok(());
        };
        let table = upload(gpu, u32::as_bytes(&self.waiting.table))?;
        // SAFETY: pieces lie in the scratch buffer and gradients in the target, as was checked when they were pushed;
        // the table has five numbers a segment.
        unsafe {
            add_segments::launch_unchecked(
                gpu.launch(&pass),
                gpu.grid(&pass),
                pass.dim(),
                scratch.argument(),
                target.argument(),
                BufferArg::from_raw_parts(table, self.waiting.table.len()),
                self.waiting.table.len() / SEGMENT,
                pass.groups[0],
            );
        }
        self.waiting.clear();
        Ok(())
    }
}

/// What waits, as numbers: also without a device.
#[derive(Debug)]
struct Waiting {
    /// Floats.
    limit: usize,
    used: usize,
    groups: usize,
    /// Weights of all segments.
    length: usize,
    /// As [`add_segments()`] reads it.
    table: Vec<u32>,
}

impl Waiting {
    fn new(limit: usize) -> Self {
        Self { limit: limit / 4, used: 0, groups: 0, length: 0, table: Vec::new() }
    }

    /// Whether its pieces never wait: there is one, or there is no room for them at all.
    fn is_immediate(&self, product: &WeightGradient) -> bool {
        product.pieces() == 1 || product.pieces() * product.length() > self.limit
    }

    fn fits(&self, product: &WeightGradient) -> bool {
        self.used + product.pieces() * product.length() <= self.limit
    }

    /// Where the pieces go.
    fn push(&mut self, product: &WeightGradient, target_at: usize) -> usize {
        let (at, pieces, length) = (self.used, product.pieces(), product.length());
        let number = |n: usize| u32::try_from(n).expect("a device's buffers are shorter");
        self.table.extend([self.groups, at, target_at, length, pieces].map(number));
        self.used += pieces * length;
        self.groups += length.div_ceil(add_lanes(pieces));
        self.length += length;
        at
    }

    /// The launch that adds them up.
    fn pass(&self) -> Option<Pass> {
        let bytes = bytes(self.used + self.length);
        let groups = [self.groups, 1];
        let pass = Pass { name: "add segments", groups, units: ELEMENT_UNITS, multiply_adds: 0, bytes };
        (!self.table.is_empty()).then_some(pass)
    }

    fn clear(&mut self) {
        (self.used, self.groups, self.length) = (0, 0, 0);
        self.table.clear();
    }
}

/// The launches of weight gradients that are pushed in this order to a [`PendingGradients`] of that limit, and of the
/// flush at the end, in float32; those of a device are its [`Products`]'.
pub fn pending_gradients_passes(
    limit: usize,
    layers: impl IntoIterator<Item = (ConvSpec, MapShape)>,
) -> Vec<Pass> {
    Products::default().pending_gradients_passes(limit, layers)
}

/// The same of planned products.
pub(super) fn pending_passes(limit: usize, products: impl Iterator<Item = WeightGradient>) -> Vec<Pass> {
    let mut waiting = Waiting::new(limit);
    let mut all = Vec::new();
    for product in products {
        if waiting.is_immediate(&product) {
            all.extend(product.passes());
            continue;
        }
        if !waiting.fits(&product) {
            all.extend(waiting.pass());
            waiting.clear();
        }
        waiting.push(&product, 0);
        all.push(product.passes()[0]);
    }
    all.extend(waiting.pass());
    all
}
