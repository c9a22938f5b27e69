//! A factor for each channel of each image, as squeeze-and-excitation has (Hu et al., 2018).
#![expect(unsafe_code, reason = "vector instructions; threads write disjoint planes of one buffer")]

use crate::context::Context;
use crate::halo::clear_halo;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::for_each_plane;
use std::ptr;

/// A row of vectors.
struct Row {
    input: *const f32,
    output: *mut f32,
    /// `[16]`.
    factors: *const f32,
    /// Whether products are added to what the output holds.
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
            let factors = L::load(row.factors);
            for at in (0..row.vectors).map(|vector| vector * LANES) {
                let mut value = L::load(row.input.add(at)).mul(factors);
                if row.accumulate {
                    value = value.add(L::load(row.output.add(at)));
                }
                value.store(row.output.add(at));
            }
        }
    }
}

/// Products of two rows, added up into `output`.
struct Products;

impl Kernel for Products {
    type Arguments = (Row, *const f32);

    #[inline(always)]
    unsafe fn run<L: Lanes>((row, gradient): &(Row, *const f32)) {
        // SAFETY: the caller's pointers are good for the vectors, and the output for one.
        unsafe {
            let mut sum = L::zero();
            for at in (0..row.vectors).map(|vector| vector * LANES) {
                sum = L::load(row.input.add(at)).mul_add(L::load(gradient.add(at)), sum);
            }
            sum.store(row.output);
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
    for_each_plane("halo of a gate", &shape, |image, block| {
        // SAFETY: the halo of a plane belongs to one call.
        unsafe { clear_halo(output, &shape, image, block..block + 1) };
    });
    scale(context, input, factors, (output, shape), false);
}

/// Writes the gradients of the factors, and that of the input (its halo is not touched).
///
/// # Panics
/// If the maps differ in size, or a slice does not have its length.
pub fn gate_backward(
    context: &Context,
    (input, input_shape): (&[f32], MapShape),
    factors: &[f32],
    (grad_output, shape): (&[f32], MapShape),
    grad_factors: &mut [f32],
    grad_input: GradientMap,
) {
    input_shape.check(input, "the input");
    grad_input.check(shape.size());
    assert_eq!(input_shape.size(), shape.size(), "the input and the output gradient");
    assert_eq!(grad_factors.len(), shape.images * shape.channels, "a gradient for each channel");
    let GradientMap { buffer, shape: grad_shape, accumulate } = grad_input;
    let given = (grad_output, shape);
    scale(context, given, factors, (Shared::new(buffer), grad_shape), accumulate);
    let (form, to) = (context.isa.form::<Products>(), Shared::new(grad_factors));
    for_each_plane("gate, factors backward", &shape, |image, block| {
        // A row in single precision, rows in double.
        let mut total = [0.0_f64; LANES];
        for y in 0..shape.height {
            let mut sum = [0.0_f32; LANES];
            let row = Row {
                input: input[input_shape.offset(image, block, y, 0)..].as_ptr(),
                output: sum.as_mut_ptr(),
                factors: ptr::null(),
                accumulate: false,
                vectors: shape.width,
            };
            let gradient = grad_output[shape.offset(image, block, y, 0)..].as_ptr();
            // SAFETY: lengths were checked against shapes.
            unsafe { form(&(row, gradient)) };
            for (total, sum) in total.iter_mut().zip(sum) {
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

fn scale(
    context: &Context,
    (input, input_shape): (&[f32], MapShape),
    factors: &[f32],
    (output, shape): (Shared<f32>, MapShape),
    accumulate: bool,
) {
    input_shape.check(input, "the input");
    assert_eq!(input_shape.size(), shape.size(), "the input and the output");
    assert_eq!(factors.len(), shape.images * shape.channels, "a factor for each channel");
    let form = context.isa.form::<Scale>();
    for_each_plane("gate", &shape, |image, block| {
        let mut lanes = [0.0; LANES];
        let of_image = &factors[image * shape.channels..(image + 1) * shape.channels];
        let of_block = &of_image[block * LANES..shape.channels.min((block + 1) * LANES)];
        lanes[..of_block.len()].copy_from_slice(of_block);
        for y in 0..shape.height {
            let row = Row {
                input: input[input_shape.offset(image, block, y, 0)..].as_ptr(),
                output: output.at(shape.offset(image, block, y, 0)),
                factors: lanes.as_ptr(),
                accumulate,
                vectors: shape.width,
            };
            // SAFETY: both maps were checked against shapes; each plane is written by one call.
            unsafe { form(&row) };
        }
    });
}
