//! Backward: lane by lane, plane by plane.
#![expect(unsafe_code, reason = "threads write disjoint planes of one buffer")]

use super::DepthwiseSpec;
use super::kernel::{PixelRow, ProductRow, product_form, row_form};
use crate::context::Context;
use crate::convolution::{Tap, forward_taps, gradient_halo, parities};
use crate::isa::Isa;
use crate::lanes::LANES;
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::{for_each_chunk, for_each_plane};

/// Writes the weight gradient, in the layout of the weights, and that of the input where it is wanted (its halo is
/// not touched).
///
/// # Panics
/// If a shape does not fit the convolution, or a buffer its shape.
pub fn depthwise_backward(
    context: &Context,
    spec: &DepthwiseSpec,
    input: (&[f32], MapShape),
    weights: &[f32],
    (grad_output, grad_shape): (&[f32], MapShape),
    grad_weights: &mut Vec<f32>,
    grad_input: Option<GradientMap>,
) {
    input.1.check(input.0, "the input");
    grad_shape.check(grad_output, "the output gradient");
    spec.check(&input.1, &grad_shape);
    grad_weights.resize(spec.weight_len(), 0.0);
    weight_gradient(context.isa, spec, input, (grad_output, grad_shape), grad_weights);
    if let Some(map) = grad_input {
        map.check(input.1.size());
        input_gradient(context, spec, (grad_output, grad_shape), weights, map);
    }
}

/// Sums of each image and block, in double precision across rows, added up in the order of the images.
fn weight_gradient(
    isa: Isa,
    spec: &DepthwiseSpec,
    (input, shape): (&[f32], MapShape),
    (gradient, grad_shape): (&[f32], MapShape),
    grad_weights: &mut [f32],
) {
    let taps = forward_taps(&spec.single(), shape.halo, shape.row(), LANES);
    let per_plane = taps.len() * LANES;
    // No zeros first, which one thread would write.
    let count = shape.images * shape.blocks() * per_plane;
    let mut sums = Vec::<f64>::with_capacity(count);
    let (shared, form) = (Shared::new(&mut sums.spare_capacity_mut()[..count]), product_form(isa));
    for_each_plane("depthwise weight gradient", &shape, |image, block| {
        // SAFETY: each plane's sums are written by one call.
        let sums = unsafe { shared.part((image * shape.blocks() + block) * per_plane, per_plane) };
        sums.iter_mut().for_each(|sum| _ = sum.write(0.0));
        for y in 0..grad_shape.height {
            let row = shape.corner(image, block) + y * spec.stride * shape.row();
            for (tap, sums) in taps.iter().zip(sums.chunks_exact_mut(LANES)) {
                let mut sum = [0.0; LANES];
                let products = ProductRow {
                    input: input[row + tap.offset..].as_ptr(),
                    input_step: spec.stride * LANES,
                    gradient: gradient[grad_shape.offset(image, block, y, 0)..].as_ptr(),
                    columns: grad_shape.width,
                    sum: sum.as_mut_ptr(),
                };
                // SAFETY: lengths were checked against shapes.
                unsafe { form(&products) };
                for (total, sum) in sums.iter_mut().zip(sum) {
                    // SAFETY: zeroed above.
                    *unsafe { total.assume_init_mut() } += f64::from(sum);
                }
            }
        }
    });
    // SAFETY: the pass went over every plane of every image.
    unsafe { sums.set_len(count) };
    for_each_chunk(
        "sum of depthwise weight gradients",
        grad_weights,
        LANES * taps.len(),
        |block, weights| {
            let mut totals = vec![0.0; per_plane];
            for image in 0..shape.images {
                let of_image = &sums[(image * shape.blocks() + block) * per_plane..][..per_plane];
                totals.iter_mut().zip(of_image).for_each(|(total, sum)| *total += sum);
            }
            for (index, weight) in weights.iter_mut().enumerate() {
                let (lane, tap) = (index / taps.len(), index % taps.len());
                *weight = totals[tap * LANES + lane] as f32;
            }
        },
    );
}

/// A forward pass over the output's gradient for each pair of parities.
fn input_gradient(
    context: &Context,
    spec: &DepthwiseSpec,
    (gradient, grad_shape): (&[f32], MapShape),
    weights: &[f32],
    map: GradientMap,
) {
    let GradientMap { buffer, shape, accumulate } = map;
    let halo = gradient_halo(&spec.single(), shape.height, shape.width);
    let plane = MapShape::new(1, LANES, grad_shape.height, grad_shape.width, halo);
    let packed = spec.pack(weights);
    let block_weights = spec.kernel * spec.kernel * LANES;
    let passes = passes(spec, &plane, &shape);
    let (form, to) = (row_form(context.isa), Shared::new(buffer));
    for_each_plane("depthwise input gradient", &shape, |image, block| {
        let mut padded = context.arena.zeroed(plane.len());
        for y in 0..plane.height {
            let from = grad_shape.offset(image, block, y, 0);
            let length = plane.width * LANES;
            padded[plane.offset(0, 0, y, 0)..][..length].copy_from_slice(&gradient[from..from + length]);
        }
        for pass in &passes {
            for row in 0..pass.rows {
                let y = pass.first.0 + row * spec.stride;
                let row = PixelRow {
                    input: padded[row * plane.row()..].as_ptr(),
                    input_step: LANES,
                    taps: pass.taps.as_ptr(),
                    tap_count: pass.taps.len(),
                    weights: packed[block * block_weights..].as_ptr(),
                    output: to.at(shape.offset(image, block, y, pass.first.1)),
                    output_step: spec.stride * LANES,
                    columns: pass.columns,
                    accumulate,
                };
                // SAFETY: the taps lie in the padded plane; each plane is written by one call.
                unsafe { form(&row) };
            }
        }
    });
}

struct Pass {
    first: (usize, usize),
    rows: usize,
    columns: usize,
    taps: Vec<super::kernel::WeightedTap>,
}

fn passes(spec: &DepthwiseSpec, plane: &MapShape, shape: &MapShape) -> Vec<Pass> {
    let single = spec.single();
    let halo = plane.halo as isize;
    let mut passes = Vec::new();
    for y in parities(&single, shape.height) {
        for x in parities(&single, shape.width) {
            let pairs = y.places.iter().flat_map(|&y| x.places.iter().map(move |&x| (y, x)));
            let taps = pairs.map(|((ky, oy), (kx, ox))| {
                let offset = (oy + halo) * plane.row() as isize + (ox + halo) * LANES as isize;
                let offset = usize::try_from(offset).expect("the halo is as wide as taps reach");
                Tap { kernel: (ky, kx), offset }
            });
            let taps = spec.weighted(taps);
            passes.push(Pass { first: (y.first, x.first), rows: y.count, columns: x.count, taps });
        }
    }
    passes
}
