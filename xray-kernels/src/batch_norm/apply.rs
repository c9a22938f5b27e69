//! Forward: scale, shift, activation and pooling in one pass over the map.
#![expect(unsafe_code, reason = "vector instructions; threads write disjoint planes of one buffer")]

use super::{Activation, ByActivation, Normalisation, chosen};
use crate::context::Context;
use crate::halo::clear_halo;
use crate::isa::{Form, Isa};
use crate::lanes::{Kernel, LANES, Lanes};
use crate::nonlinearity::Curve;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each_plane;
use std::marker::PhantomData;

/// Rows of a block.
pub(crate) struct ApplyRows {
    /// The first input pixel, and the floats to the next row.
    pub(crate) input: *const f32,
    pub(crate) input_row: usize,
    pub(crate) output: *mut f32,
    pub(crate) output_row: usize,
    /// Rows and columns of output.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// `[16]` each.
    pub(crate) scale: *const f32,
    pub(crate) shift: *const f32,
}

struct Apply<C, const POOL: bool>(PhantomData<C>);

impl<C: Curve, const POOL: bool> Kernel for Apply<C, POOL> {
    type Arguments = ApplyRows;

    #[inline(always)]
    unsafe fn run<L: Lanes>(rows: &ApplyRows) {
        // SAFETY: the caller's pointers are good for the rows; with pooling, for twice as many of input.
        unsafe {
            let (scale, shift) = (L::load(rows.scale), L::load(rows.shift));
            let stride = if POOL { 2 } else { 1 };
            for y in 0..rows.rows {
                let mut input = rows.input.add(y * stride * rows.input_row);
                let mut output = rows.output.add(y * rows.output_row);
                for _ in 0..rows.columns {
                    let mut value = L::load(input).mul_add(scale, shift);
                    if POOL {
                        let below = input.add(rows.input_row);
                        let right = L::load(input.add(LANES)).mul_add(scale, shift);
                        let left_below = L::load(below).mul_add(scale, shift);
                        let right_below = L::load(below.add(LANES)).mul_add(scale, shift);
                        value = value.max(right).max(left_below.max(right_below));
                    }
                    C::value(value).store(output);
                    input = input.add(stride * LANES);
                    output = output.add(LANES);
                }
            }
        }
    }
}

/// The form of the pass for an activation.
pub(crate) fn apply_form(isa: Isa, activation: Activation) -> Form<ApplyRows> {
    struct Choice;
    impl ByActivation for Choice {
        type Arguments = ApplyRows;

        fn form<C: Curve, const POOL: bool>(isa: Isa) -> Form<ApplyRows> {
            isa.form::<Apply<C, POOL>>()
        }
    }
    chosen::<Choice>(isa, activation)
}

/// Writes `activation(scale * z + shift)`, with a zero halo.
///
/// # Panics
/// If the output is not the input's shape after the activation, or a buffer not its shape's length.
pub fn normalise(
    context: &Context,
    normalisation: &Normalisation,
    activation: Activation,
    (input, shape): (&[f32], MapShape),
    (output, output_shape): (&mut [f32], MapShape),
) {
    shape.check(input, "the input");
    output_shape.check(output, "the output");
    normalisation.check(&shape);
    check_sizes(&shape, activation, &output_shape);
    let form = apply_form(context.isa, activation);
    let output = Shared::new(output);
    for_each_plane("batch norm", &shape, |image, block| {
        let rows = ApplyRows {
            input: input[shape.offset(image, block, 0, 0)..].as_ptr(),
            input_row: shape.row(),
            output: output.at(output_shape.offset(image, block, 0, 0)),
            output_row: output_shape.row(),
            rows: output_shape.height,
            columns: output_shape.width,
            scale: normalisation.scale[block * LANES..].as_ptr(),
            shift: normalisation.shift[block * LANES..].as_ptr(),
        };
        // SAFETY: lengths were checked against shapes; each plane is written by one call.
        unsafe {
            clear_halo(output, &output_shape, image, block..block + 1);
            form(&rows);
        }
    });
}

/// Panics unless the output is what the activation leaves of a map.
pub(crate) fn check_sizes(shape: &MapShape, activation: Activation, output: &MapShape) {
    let [height, width] = [shape.height, shape.width].map(|size| activation.output_size(size));
    let expected = [shape.images, shape.channels, height, width];
    assert_eq!(output.size(), expected, "after {activation:?}");
}
