//! A factor for each channel of each image, as squeeze-and-excitation has (Hu et al., 2018).
#![expect(unsafe_code, reason = "vector instructions; threads write disjoint planes of one buffer")]

use crate::context::Context;
use crate::halo::clear_halo;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::for_each_plane;

/// A row of vectors.
struct Row {
    input: *const f32,
    output: *mut f32,
    /// `[16]` each.
    factors: *const f32,
    summands: *const f32,
    /// Whether the result is added to what the output holds.
    accumulate: bool,
    vectors: usize,
}

struct Scale;

impl Kernel for Scale {
    type Arguments = Row;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &Row) {
        // SAFETY: the caller's pointers are good for the vectors.
        unsafe {
            let (factors, summands) = (L::load(row.factors), L::load(row.summands));
            for at in (0..row.vectors).map(|vector| vector * LANES) {
                let mut value = L::load(row.input.add(at)).mul_add(factors, summands);
                if row.accumulate {
                    value = value.add(L::load(row.output.add(at)));
                }
                value.store(row.output.add(at));
            }
        }
    }
}

/// Rows of two maps, whose products are summed.
struct Pair {
    one: *const f32,
    other: *const f32,
    vectors: usize,
    /// `[16]`.
    sums: *mut f32,
}

struct Products;

impl Kernel for Products {
    type Arguments = Pair;

    #[inline(always)]
    unsafe fn run<L: Lanes>(pair: &Pair) {
        // SAFETY: the caller's pointers are good for the vectors, and the sums for one.
        unsafe {
            let mut sums = [L::zero(); 4];
            for first in (0..pair.vectors).step_by(4) {
                for (number, sum) in sums.iter_mut().enumerate() {
                    if first + number < pair.vectors {
                        let at = (first + number) * LANES;
                        *sum = L::load(pair.one.add(at)).mul_add(L::load(pair.other.add(at)), *sum);
                    }
                }
            }
            sums[0].add(sums[1]).add(sums[2].add(sums[3])).store(pair.sums);
        }
    }
}

/// Writes `factor * input`, with a zero halo; factors are `[images][channels]`.
///
/// # Panics
/// If the maps differ in size, or a slice does not have its length.
pub fn gate(
    context: &Context,
    input: (&[f32], MapShape),
    factors: &[f32],
    (output, shape): (&mut [f32], MapShape),
) {
    shape.check(output, "the output");
    let output = Shared::new(output);
    scale("gate", context, input, [factors, &[]], (output, shape, false), |image, block| {
        // SAFETY: the halo of a plane belongs to one call.
        unsafe { clear_halo(output, &shape, image, block..block + 1) };
    });
}

/// Writes the gradient of the input, its halo not touched: `factor * gradient + summand`, both `[images][channels]`.
pub(crate) fn gate_backward(
    context: &Context,
    factors_and_summands: [&[f32]; 2],
    grad_output: (&[f32], MapShape),
    grad_input: GradientMap,
) {
    grad_input.check(grad_output.1.size());
    let GradientMap { buffer, shape, accumulate } = grad_input;
    let output = (Shared::new(buffer), shape, accumulate);
    scale("gate, backward", context, grad_output, factors_and_summands, output, |_, _| ());
}

/// The gradients of the factors, `[images][channels]`: the sum of each channel's inputs times their gradients.
pub(crate) fn factors_backward(
    context: &Context,
    (input, input_shape): (&[f32], MapShape),
    (grad_output, shape): (&[f32], MapShape),
    grad_factors: &mut [f32],
) {
    input_shape.check(input, "the input");
    shape.check(grad_output, "the output gradient");
    assert_eq!(input_shape.size(), shape.size(), "the input and the output gradient");
    assert_eq!(grad_factors.len(), shape.images * shape.channels, "a gradient for each channel");
    let (form, to) = (context.isa.form::<Products>(), Shared::new(grad_factors));
    for_each_plane("gate, factors backward", &shape, |image, block| {
        // A row in single precision, rows in double.
        let mut total = [0.0_f64; LANES];
        for y in 0..shape.height {
            let mut sums = [0.0_f32; LANES];
            let pair = Pair {
                one: input[input_shape.offset(image, block, y, 0)..].as_ptr(),
                other: grad_output[shape.offset(image, block, y, 0)..].as_ptr(),
                vectors: shape.width,
                sums: sums.as_mut_ptr(),
            };
            // SAFETY: lengths were checked against shapes.
            unsafe { form(&pair) };
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += f64::from(sum);
            }
        }
        let channels = LANES.min(shape.channels - block * LANES);
        // SAFETY: the channels of a block are written by one call.
        let to = unsafe { to.part(image * shape.channels + block * LANES, channels) };
        for (factor, total) in to.iter_mut().zip(total) {
            *factor = total as f32;
        }
    });
}

/// Writes `factor * input + summand`; before each plane `first` is called. No summands are zeros.
fn scale(
    name: &'static str,
    context: &Context,
    (input, input_shape): (&[f32], MapShape),
    factors_and_summands: [&[f32]; 2],
    (output, shape, accumulate): (Shared<f32>, MapShape, bool),
    first: impl Fn(usize, usize) + Sync,
) {
    input_shape.check(input, "the input");
    assert_eq!(input_shape.size(), shape.size(), "the input and the output");
    let [factors, summands] = factors_and_summands;
    let length = shape.images * shape.channels;
    assert_eq!(factors.len(), length, "a factor for each channel");
    assert!(summands.is_empty() || summands.len() == length, "a summand for each channel");
    let form = context.isa.form::<Scale>();
    for_each_plane(name, &shape, |image, block| {
        let lanes = factors_and_summands.map(|list| {
            let mut lanes = [0.0; LANES];
            if !list.is_empty() {
                let of_image = &list[image * shape.channels..(image + 1) * shape.channels];
                let of_block = &of_image[block * LANES..shape.channels.min((block + 1) * LANES)];
                lanes[..of_block.len()].copy_from_slice(of_block);
            }
            lanes
        });
        first(image, block);
        for y in 0..shape.height {
            let row = Row {
                input: input[input_shape.offset(image, block, y, 0)..].as_ptr(),
                output: output.at(shape.offset(image, block, y, 0)),
                factors: lanes[0].as_ptr(),
                summands: lanes[1].as_ptr(),
                accumulate,
                vectors: shape.width,
            };
            // SAFETY: both maps were checked against shapes; each plane is written by one call.
            unsafe { form(&row) };
        }
    });
}
