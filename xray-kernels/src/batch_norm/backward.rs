//! Backward: the gradients of gamma and beta, and with them that of the input, image by image.
#![expect(unsafe_code, reason = "threads write disjoint planes of one buffer")]

use super::apply::check_sizes;
use super::gradient::{GradientRows, propagate_form, reduce_form};
use super::input::{NormInput, Rows, Stored};
use super::{Activation, Normalisation, Sums};
use crate::arena::Arena;
use crate::context::Context;
use crate::convolution::{MapGradient, MapRows};
use crate::isa::Isa;
use crate::lanes::LANES;
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::for_each_of;
use std::ops::Range;
use std::ptr;

/// A normalisation's input, and the gradient of what was made of it.
#[derive(Clone, Copy, Debug)]
pub struct NormGradient<'a> {
    /// The map that was normalised.
    pub input: &'a [f32],
    /// Its shape.
    pub shape: MapShape,
    /// With the statistics of this very batch.
    pub normalisation: &'a Normalisation,
    /// What followed.
    pub activation: Activation,
    /// The gradient after the activation; its halo is not read.
    pub grad_output: &'a [f32],
    /// Its shape.
    pub grad_shape: MapShape,
}

/// The gradients of gamma and beta, `[channels]` each; that of the input goes to its map.
///
/// # Panics
/// If shapes or lengths do not fit each other.
pub fn normalise_backward(
    context: &Context,
    gradient: &NormGradient,
    grad_input: GradientMap,
) -> (Vec<f32>, Vec<f32>) {
    let NormGradient { input, shape: input_shape, normalisation, activation, .. } = *gradient;
    grad_input.check(input_shape.size());
    let GradientMap { buffer, shape, accumulate } = grad_input;
    let stored = Stored::new(input, input_shape);
    let output = (gradient.grad_output, gradient.grad_shape);
    let backward = NormBackward::new(context.isa, &stored, normalisation, activation, output);
    let reduced = backward.reduce(&context.arena);
    let to = Shared::new(buffer);
    for_each_of("batch norm, backward", &shape, stored.tiles(), |image, tile| {
        // SAFETY: lengths were checked against shapes; each plane is written by one call.
        unsafe {
            let place = MapRows { to, shape: &shape, image, first_block: 0, first: shape.halo };
            backward.propagate(&reduced, [image, tile], 0..shape.height, place, accumulate);
        };
    });
    (reduced.grad_gamma, reduced.grad_beta)
}

/// The backward pass over any kind of input.
pub(crate) struct NormBackward<'a, I> {
    isa: Isa,
    input: &'a I,
    normalisation: &'a Normalisation,
    activation: Activation,
    grad_output: &'a [f32],
    grad_shape: MapShape,
}

/// `dgamma`, `dbeta`, and what `dz` needs of them.
pub(crate) struct Reduced {
    pub(crate) grad_gamma: Vec<f32>,
    pub(crate) grad_beta: Vec<f32>,
    /// `[blocks][2][16]`: the factor of `z - mean` and the constant.
    factors: Vec<f32>,
}

impl<'a, I: NormInput> NormBackward<'a, I> {
    pub(crate) fn new(
        isa: Isa,
        input: &'a I,
        normalisation: &'a Normalisation,
        activation: Activation,
        (grad_output, grad_shape): (&'a [f32], MapShape),
    ) -> Self {
        grad_shape.check(grad_output, "the output gradient");
        normalisation.check(&input.shape());
        check_sizes(&input.shape(), activation, &grad_shape);
        Self { isa, input, normalisation, activation, grad_output, grad_shape }
    }

    /// Sums over the batch, in single precision along rows and in double across them.
    pub(crate) fn reduce(&self, arena: &Arena) -> Reduced {
        let shape = self.input.shape();
        let mut sums = Sums::new(arena, &shape);
        let shared = Shared::new(sums.values());
        let form = reduce_form(self.isa, self.activation);
        let step = if self.activation.pool { 2 } else { 1 };
        for_each_of("batch norm, sums backward", &shape, self.input.tiles(), |image, tile| {
            self.input.visit(image, tile, 0..shape.height, |band| {
                // SAFETY: each plane's sums are added by one call.
                let total = unsafe { shared.part(Sums::offset(&shape, image, band.block), 2 * LANES) };
                if band.rows.start == 0 {
                    total.fill(0.0);
                }
                for row in (0..band.rows.len() / step).map(|row| row * step) {
                    let mut sums = [0.0_f32; 2 * LANES];
                    let rows = self.rows(image, &band, row, step);
                    // SAFETY: lengths were checked against shapes.
                    unsafe { form(&GradientRows { sums: sums.as_mut_ptr(), ..rows }) };
                    for (total, sum) in total.iter_mut().zip(sums) {
                        *total += f64::from(sum);
                    }
                }
            });
        });
        self.reduced(&sums)
    }

    fn rows(&self, image: usize, band: &Rows, row: usize, rows: usize) -> GradientRows {
        let lanes = band.block * LANES;
        let step = if self.activation.pool { 2 } else { 1 };
        // The last odd row of a pooled map has no gradient, and none is read.
        let gradient_row = ((band.rows.start + row) / step).min(self.grad_shape.height - 1);
        let gradient = self.grad_shape.offset(image, band.block, gradient_row, 0);
        GradientRows {
            input: band.pixels[row * band.row..].as_ptr(),
            input_row: band.row,
            gradient: self.grad_output[gradient..].as_ptr(),
            gradient_row: self.grad_shape.row(),
            output: ptr::null_mut(),
            output_row: 0,
            rows,
            columns: self.input.shape().width,
            scale: self.normalisation.scale[lanes..].as_ptr(),
            shift: self.normalisation.shift[lanes..].as_ptr(),
            mean: self.normalisation.lane_mean[lanes..].as_ptr(),
            factors: ptr::null(),
            accumulate: false,
            sums: ptr::null_mut(),
        }
    }

    // dz = scale * (g - mean(g) - (z - mean) * inverse^2 * mean(g * (z - mean))), with g the gradient that
    // reaches a pixel and means over the batch.
    fn reduced(&self, sums: &Sums) -> Reduced {
        let shape = self.input.shape();
        let count = shape.pixels() as f64;
        let mut factors = vec![0.0; shape.blocks() * 2 * LANES];
        let (mut grad_gamma, mut grad_beta) = (Vec::new(), Vec::new());
        for (channel, &[sum, product]) in sums.totals().of_channels().iter().enumerate() {
            let inverse = f64::from(self.normalisation.inverse_deviation[channel]);
            let scale = f64::from(self.normalisation.scale[channel]);
            grad_gamma.push((product * inverse) as f32);
            grad_beta.push(sum as f32);
            let lane = channel / LANES * 2 * LANES + channel % LANES;
            factors[lane] = (-scale * inverse * inverse * product / count) as f32;
            factors[lane + LANES] = (-scale * sum / count) as f32;
        }
        Reduced { grad_gamma, grad_beta, factors }
    }

    /// Writes or adds `dz` of some rows of a tile of blocks to rows of a map.
    ///
    /// # Safety
    /// The buffer has the shape's length, and nobody else uses these planes meanwhile.
    unsafe fn propagate(
        &self,
        reduced: &Reduced,
        [image, tile]: [usize; 2],
        rows: Range<usize>,
        place: MapRows,
        accumulate: bool,
    ) {
        let form = propagate_form(self.isa, self.activation);
        let start = rows.start;
        self.input.visit(image, tile, rows, |band| {
            let rows = GradientRows {
                output: place.at(band.block, band.rows.start - start),
                output_row: place.shape.row(),
                factors: reduced.factors[band.block * 2 * LANES..].as_ptr(),
                accumulate,
                ..self.rows(image, &band, 0, band.rows.len())
            };
            // SAFETY: lengths were checked in `new`; the output is the caller's.
            unsafe { form(&rows) };
        });
    }
}

/// `dz` on its way into a convolution's backward pass.
pub(crate) struct Propagated<'a, I> {
    pub(crate) backward: &'a NormBackward<'a, I>,
    pub(crate) reduced: &'a Reduced,
}

impl<I: NormInput> MapGradient for Propagated<'_, I> {
    fn tiles(&self) -> usize {
        self.backward.input.tiles()
    }

    fn step(&self) -> usize {
        if self.backward.activation.pool { 2 } else { 1 }
    }

    unsafe fn write(&self, [image, tile]: [usize; 2], rows: Range<usize>, place: MapRows) {
        // SAFETY: the rows are the caller's.
        unsafe { self.backward.propagate(self.reduced, [image, tile], rows, place, false) };
    }
}
