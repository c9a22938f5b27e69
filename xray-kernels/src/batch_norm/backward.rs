//! Backward: the gradients of gamma and beta, and with them that of the input, image by image.
#![expect(unsafe_code, reason = "threads write disjoint planes of one buffer")]

use super::apply::check_sizes;
use super::gradient::{GradientRows, propagate_form, reduce_form};
use super::{Activation, Normalisation, Sums};
use crate::context::Context;
use crate::convolution::MapGradient;
use crate::isa::Isa;
use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each_plane;
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

/// `dgamma`, `dbeta`, and what `dz` needs of them.
pub(crate) struct Reduced {
    pub(crate) grad_gamma: Vec<f32>,
    pub(crate) grad_beta: Vec<f32>,
    /// `[blocks][2][16]`: the factor of `z - mean` and the constant.
    factors: Vec<f32>,
}

impl NormGradient<'_> {
    fn check(&self) {
        self.shape.check(self.input, "the input");
        self.grad_shape.check(self.grad_output, "the output gradient");
        self.normalisation.check(&self.shape);
        check_sizes(&self.shape, self.activation, &self.grad_shape);
    }

    fn rows(&self, image: usize, block: usize, row: usize, rows: usize) -> GradientRows {
        let lanes = block * LANES;
        let step = if self.activation.pool { 2 } else { 1 };
        // The last odd row of a pooled map has no gradient, and none is read.
        let gradient_row = (row / step).min(self.grad_shape.height - 1);
        GradientRows {
            input: self.input[self.shape.offset(image, block, row, 0)..].as_ptr(),
            input_row: self.shape.row(),
            gradient: self.grad_output[self.grad_shape.offset(image, block, gradient_row, 0)..].as_ptr(),
            gradient_row: self.grad_shape.row(),
            output: ptr::null_mut(),
            output_row: 0,
            rows,
            columns: self.shape.width,
            scale: self.normalisation.scale[lanes..].as_ptr(),
            shift: self.normalisation.shift[lanes..].as_ptr(),
            mean: self.normalisation.lane_mean[lanes..].as_ptr(),
            factors: ptr::null(),
            accumulate: false,
            sums: ptr::null_mut(),
        }
    }

    /// Sums over the batch, in single precision along rows and in double across them.
    pub(crate) fn reduce(&self, isa: Isa) -> Reduced {
        self.check();
        let mut sums = Sums::new(&self.shape);
        let shared = Shared::new(sums.start());
        let form = reduce_form(isa, self.activation);
        let step = if self.activation.pool { 2 } else { 1 };
        for_each_plane(&self.shape, |image, block| {
            // SAFETY: each plane's sums are added by one call.
            let total = unsafe { shared.part(Sums::offset(&self.shape, image, block), 2 * LANES) };
            for row in 0..self.grad_shape.height {
                let mut sums = [0.0_f32; 2 * LANES];
                let rows = self.rows(image, block, row * step, step);
                // SAFETY: lengths were checked against shapes.
                unsafe { form(&GradientRows { sums: sums.as_mut_ptr(), ..rows }) };
                for (total, sum) in total.iter_mut().zip(sums) {
                    *total += f64::from(sum);
                }
            }
        });
        self.reduced(&sums)
    }

    // dz = scale * (g - mean(g) - (z - mean) * inverse^2 * mean(g * (z - mean))), with g the gradient that
    // reaches a pixel and means over the batch.
    fn reduced(&self, sums: &Sums) -> Reduced {
        let count = self.shape.pixels() as f64;
        let mut factors = vec![0.0; self.shape.blocks() * 2 * LANES];
        let (mut grad_gamma, mut grad_beta) = (Vec::new(), Vec::new());
        for (channel, [sum, product]) in sums.totals().into_iter().enumerate() {
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

    /// Writes or adds `dz` of a plane, whose first pixel is at `to`.
    ///
    /// # Safety
    /// `to` is good for the plane in rows of `to_row` floats, and nobody else uses it meanwhile.
    unsafe fn propagate(
        &self,
        isa: Isa,
        reduced: &Reduced,
        [image, block]: [usize; 2],
        (output, output_row): (*mut f32, usize),
        accumulate: bool,
    ) {
        let factors = reduced.factors[block * 2 * LANES..].as_ptr();
        let rows = self.rows(image, block, 0, self.shape.height);
        let rows = GradientRows { output, output_row, factors, accumulate, ..rows };
        // SAFETY: lengths were checked in `reduce`; the output is the caller's.
        unsafe { propagate_form(isa, self.activation)(&rows) };
    }
}

/// `dz` on its way into a convolution's backward pass.
pub(crate) struct Propagated<'a> {
    pub(crate) isa: Isa,
    pub(crate) gradient: NormGradient<'a>,
    pub(crate) reduced: &'a Reduced,
}

impl MapGradient for Propagated<'_> {
    fn write(&self, image: usize, shape: &MapShape, to: &mut [f32]) {
        assert_eq!(to.len(), shape.len(), "an image of {shape:?}");
        let to = Shared::new(to);
        for block in 0..shape.blocks() {
            let output = (to.at(shape.offset(0, block, 0, 0)), shape.row());
            // SAFETY: the image is this call's alone and has the size of the normalised one.
            unsafe {
                crate::halo::clear_halo(to, shape, 0, block..block + 1);
                self.gradient.propagate(self.isa, self.reduced, [image, block], output, false);
            }
        }
    }
}

/// The gradients of gamma and beta, `[channels]` each; that of the input is written to `grad_input`, or added to
/// what it holds where `accumulate` says so. Its halo is not touched.
///
/// # Panics
/// If shapes or lengths do not fit each other.
pub fn normalise_backward(
    context: &Context,
    gradient: &NormGradient,
    (grad_input, shape): (&mut [f32], MapShape),
    accumulate: bool,
) -> (Vec<f32>, Vec<f32>) {
    shape.check(grad_input, "the input gradient");
    let same = |shape: &MapShape| [shape.images, shape.channels, shape.height, shape.width];
    assert_eq!(same(&shape), same(&gradient.shape), "the input gradient's size and the input's");
    let reduced = gradient.reduce(context.isa);
    let to = Shared::new(grad_input);
    for_each_plane(&shape, |image, block| {
        let output = (to.at(shape.offset(image, block, 0, 0)), shape.row());
        // SAFETY: lengths were checked against shapes; each plane is written by one call.
        unsafe { gradient.propagate(context.isa, &reduced, [image, block], output, accumulate) };
    });
    (reduced.grad_gamma, reduced.grad_beta)
}
