//! The sum where a skip connection joins, with ReLU.
#![expect(unsafe_code, reason = "vector instructions; threads write disjoint planes of one buffer")]

use crate::context::Context;
use crate::halo::clear_halo;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each_plane;

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
    for_each_plane(&shape, |image, block| {
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
            let context = Context::new(isa);
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
