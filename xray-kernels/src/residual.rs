//! The sum where a skip connection joins, with ReLU.
#![expect(unsafe_code, reason = "vector instructions; threads write disjoint planes of one buffer")]

use crate::batch_norm::Normalisation;
use crate::context::Context;
use crate::halo::clear_halo;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::nonlinearity::{Curve, Identity, Relu};
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each_plane;
use std::marker::PhantomData;

/// A row of vectors.
struct Row {
    first: *const f32,
    second: *const f32,
    output: *mut f32,
    vectors: usize,
}

struct Add<const RELU: bool>;

impl<const RELU: bool> Kernel for Add<RELU> {
    type Arguments = Row;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &Row) {
        for vector in 0..row.vectors {
            let at = vector * LANES;
            // SAFETY: the caller's pointers are good for the vectors.
            unsafe {
                let mut sum = L::load(row.first.add(at)).add(L::load(row.second.add(at)));
                if RELU {
                    sum = L::zero().max(sum);
                }
                sum.store(row.output.add(at));
            }
        }
    }
}

/// Keeps the gradient (`second`) where the output (`first`) is above zero.
struct Gate;

impl Kernel for Gate {
    type Arguments = Row;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &Row) {
        for vector in 0..row.vectors {
            let at = vector * LANES;
            // SAFETY: the caller's pointers are good for the vectors.
            unsafe {
                let open = L::load(row.first.add(at)).greater(L::zero());
                L::load(row.second.add(at)).keep(open).store(row.output.add(at));
            }
        }
    }
}

/// The same with the first summand scaled and shifted.
struct NormalisedRow {
    row: Row,
    /// `[16]` each.
    scale: *const f32,
    shift: *const f32,
}

struct NormaliseAdd<C>(PhantomData<C>);

impl<C: Curve> Kernel for NormaliseAdd<C> {
    type Arguments = NormalisedRow;

    #[inline(always)]
    unsafe fn run<L: Lanes>(NormalisedRow { row, scale, shift }: &NormalisedRow) {
        // SAFETY: the caller's pointers are good for the vectors.
        unsafe {
            let (scale, shift) = (L::load(*scale), L::load(*shift));
            for vector in 0..row.vectors {
                let at = vector * LANES;
                let value = L::load(row.first.add(at)).mul_add(scale, shift);
                C::value(value.add(L::load(row.second.add(at)))).store(row.output.add(at));
            }
        }
    }
}

/// Writes `relu(scale * z + shift + skip)`, or without the ReLU, with a zero halo: the end of a residual block in one
/// pass.
///
/// # Panics
/// If the maps differ in size, or a buffer does not have its length.
pub fn normalise_add(
    context: &Context,
    normalisation: &Normalisation,
    (input, input_shape): (&[f32], MapShape),
    (skip, skip_shape): (&[f32], MapShape),
    relu: bool,
    (output, shape): (&mut [f32], MapShape),
) {
    input_shape.check(input, "the input");
    skip_shape.check(skip, "the skip connection");
    shape.check(output, "the output");
    normalisation.check(&shape);
    assert_eq!(input_shape.size(), shape.size(), "the input and the output");
    assert_eq!(skip_shape.size(), shape.size(), "the skip connection and the output");
    let isa = context.isa;
    let form = if relu { isa.form::<NormaliseAdd<Relu>>() } else { isa.form::<NormaliseAdd<Identity>>() };
    let ([scale, shift], output) = (normalisation.lanes(), Shared::new(output));
    for_each_plane("batch norm and skip", &shape, |image, block| {
        // SAFETY: lengths were checked against shapes; each plane is written by one call.
        unsafe {
            clear_halo(output, &shape, image, block..block + 1);
            for y in 0..shape.height {
                let row = Row {
                    first: input[input_shape.offset(image, block, y, 0)..].as_ptr(),
                    second: skip[skip_shape.offset(image, block, y, 0)..].as_ptr(),
                    output: output.at(shape.offset(image, block, y, 0)),
                    vectors: shape.width,
                };
                let [scale, shift] = [scale, shift].map(|lanes| lanes[block * LANES..].as_ptr());
                form(&NormalisedRow { row, scale, shift });
            }
        }
    });
}

/// Turns the gradient of `relu(sum)` into that of the sum, where it lies; its halo is not touched.
///
/// # Panics
/// If the maps differ in size, or a buffer does not have its length.
pub fn relu_backward_in_place(
    context: &Context,
    (output, output_shape): (&[f32], MapShape),
    (gradient, shape): (&mut [f32], MapShape),
) {
    output_shape.check(output, "the output");
    shape.check(gradient, "the gradient");
    assert_eq!(output_shape.size(), shape.size(), "the output and the gradient");
    let (form, gradient) = (context.isa.form::<Gate>(), Shared::new(gradient));
    for_each_plane("ReLU, backward", &shape, |image, block| {
        for y in 0..shape.height {
            let place = gradient.at(shape.offset(image, block, y, 0));
            let first = output[output_shape.offset(image, block, y, 0)..].as_ptr();
            // SAFETY: lengths were checked against shapes; each plane is read and written by one call, vector by
            // vector.
            unsafe { form(&Row { first, second: place, output: place, vectors: shape.width }) };
        }
    });
}

/// Writes `relu(first + second)`, or the plain sum, with a zero halo.
///
/// # Panics
/// If the maps differ in size, or a buffer does not have its length.
pub fn add(
    context: &Context,
    first: (&[f32], MapShape),
    second: (&[f32], MapShape),
    relu: bool,
    output: (&mut [f32], MapShape),
) {
    let form = if relu { context.isa.form::<Add<true>>() } else { context.isa.form::<Add<false>>() };
    by_rows(form, first, second, output);
}

/// The gradient of `relu(sum)`, given the output and its gradient: zero where the output is. It is the gradient
/// of both summands.
///
/// # Panics
/// If the maps differ in size, or a buffer does not have its length.
pub fn relu_backward(
    context: &Context,
    output: (&[f32], MapShape),
    grad_output: (&[f32], MapShape),
    grad_input: (&mut [f32], MapShape),
) {
    by_rows(context.isa.form::<Gate>(), output, grad_output, grad_input);
}

fn by_rows(
    form: unsafe fn(&Row),
    (first, first_shape): (&[f32], MapShape),
    (second, second_shape): (&[f32], MapShape),
    (output, shape): (&mut [f32], MapShape),
) {
    first_shape.check(first, "the first map");
    second_shape.check(second, "the second map");
    shape.check(output, "the output");
    assert_eq!(first_shape.size(), shape.size(), "the first map and the output");
    assert_eq!(second_shape.size(), shape.size(), "the second map and the output");
    let output = Shared::new(output);
    for_each_plane("sum of maps", &shape, |image, block| {
        // SAFETY: lengths were checked against shapes; each plane is written by one call.
        unsafe {
            clear_halo(output, &shape, image, block..block + 1);
            for y in 0..shape.height {
                form(&Row {
                    first: first[first_shape.offset(image, block, y, 0)..].as_ptr(),
                    second: second[second_shape.offset(image, block, y, 0)..].as_ptr(),
                    output: output.at(shape.offset(image, block, y, 0)),
                    vectors: shape.width,
                });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn sums_and_their_gradient() {
        let shapes = [0, 1, 2].map(|halo| MapShape::new(1, 3, 1, 2, halo));
        let map = |shape: &MapShape, values: [f32; 6]| {
            let mut map = vec![0.0; shape.len()];
            for (index, value) in values.into_iter().enumerate() {
                map[shape.offset(0, 0, 0, index % 2) + index / 2] = value;
            }
            map
        };
        let values = |map: &[f32], shape: &MapShape| {
            std::array::from_fn::<f32, 6, _>(|index| map[shape.offset(0, 0, 0, index % 2) + index / 2])
        };
        for isa in Isa::available() {
            let context = Context::watched(isa);
            let first = map(&shapes[0], [1.0, -1.0, 2.0, 0.0, 5.0, -7.0]);
            let second = map(&shapes[1], [1.0, 1.0, -3.0, 0.5, 1.0, 8.0]);
            let mut sum = vec![9.0; shapes[2].len()];
            add(&context, (&first, shapes[0]), (&second, shapes[1]), true, (&mut sum, shapes[2]));
            assert_eq!(values(&sum, &shapes[2]), [2.0, 0.0, 0.0, 0.5, 6.0, 1.0]);
            assert_eq!(sum.iter().filter(|&&value| value != 0.0).count(), 4);
            let gradient = map(&shapes[0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            let mut found = vec![0.0; shapes[1].len()];
            relu_backward(&context, (&sum, shapes[2]), (&gradient, shapes[0]), (&mut found, shapes[1]));
            assert_eq!(values(&found, &shapes[1]), [1.0, 0.0, 0.0, 4.0, 5.0, 6.0]);
            add(&context, (&first, shapes[0]), (&second, shapes[1]), false, (&mut sum, shapes[2]));
            assert_eq!(values(&sum, &shapes[2]), [2.0, 0.0, -1.0, 0.5, 6.0, 1.0]);
        }
    }
}
