//! Backward, plane by plane: the gradient of a plane's output is made in a scratch, and gives the weight gradient and that
//! of the input while it is in the cache.
#![expect(unsafe_code, reason = "threads write disjoint planes of one buffer")]

use super::input::Planes;
use super::kernel::{PixelRow, ProductRow, Shape, WeightedTap, product_form, row_form};
use super::{DepthwiseInput, DepthwiseSpec};
use crate::arena::Arena;
use crate::context::Context;
use crate::convolution::{GivenGradient, MapGradient, MapRows, Tap, forward_taps, gradient_halo, parities};
use crate::halo::clear_around;
use crate::isa::{Form, Isa};
use crate::lanes::LANES;
use crate::nonlinearity::Nonlinearity;
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::{for_each_chunk, for_each_plane};
use std::mem::MaybeUninit;
use std::ptr;

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
    grad_weights: &mut [f32],
    grad_input: Option<GradientMap>,
) {
    grad_shape.check(grad_output, "the output gradient");
    spec.check(&input.1, &grad_shape);
    let output = GivenGradient { data: grad_output, shape: grad_shape };
    let input = DepthwiseInput::map(input.0, input.1);
    backward(context, spec, input, weights, &output, grad_weights, grad_input);
}

/// The same, of a gradient that is made block by block.
pub(crate) fn backward(
    context: &Context,
    spec: &DepthwiseSpec,
    input: DepthwiseInput,
    weights: &[f32],
    output: &impl MapGradient,
    grad_weights: &mut [f32],
    grad_input: Option<GradientMap>,
) {
    let shape = input.shape();
    assert_eq!(shape.channels, spec.channels, "the input's channels and those of {spec:?}");
    assert_eq!(output.tiles(), shape.blocks(), "a gradient that is made block by block");
    let [height, width] = [shape.height, shape.width].map(|size| spec.output_size(size));
    let halo = gradient_halo(&spec.single(), shape.height, shape.width);
    let plane = MapShape::new(1, LANES, height, width, halo);
    let products = PlaneProducts::new(context, spec, input, plane);
    let input_gradient = grad_input.map(|map| {
        map.check(shape.size());
        InputGradient::new(context.isa, spec, plane, weights, map)
    });
    let per_plane = products.taps.len() * LANES;
    // No zeros first, which one thread would write.
    let count = shape.images * shape.blocks() * per_plane;
    let mut sums = Vec::<f64>::with_capacity(count);
    let shared = Shared::new(&mut sums.spare_capacity_mut()[..count]);
    for_each_plane("depthwise, backward", &shape, |image, block| {
        let mut gradient = context.arena.take(plane.len());
        let to = Shared::new(&mut gradient);
        let rows = plane.halo..plane.halo + plane.height;
        let place = MapRows { to, shape: &plane, image: 0, first_block: block, first: plane.halo };
        // SAFETY: the scratch is this task's, and each plane's sums are written by one task.
        let sums = unsafe {
            clear_around(to, &plane, [0, 0], rows);
            output.write([image, block], 0..plane.height, place);
            shared.part((image * shape.blocks() + block) * per_plane, per_plane)
        };
        products.add([image, block], &gradient, sums);
        if let Some(input) = &input_gradient {
            input.write([image, block], &gradient);
        }
    });
    // SAFETY: the pass went over every plane of every image.
    unsafe { sums.set_len(count) };
    add_up(&sums, &shape, per_plane, grad_weights, spec);
}

/// Sums of each image and block, in double precision across rows, added up in the order of the images.
fn add_up(sums: &[f64], shape: &MapShape, per_plane: usize, grad_weights: &mut [f32], spec: &DepthwiseSpec) {
    assert_eq!(grad_weights.len(), spec.weight_len(), "a gradient for each weight of {spec:?}");
    let taps = per_plane / LANES;
    for_each_chunk("sum of depthwise weight gradients", grad_weights, LANES * taps, |block, weights| {
        let mut totals = vec![0.0; per_plane];
        for image in 0..shape.images {
            let of_image = &sums[(image * shape.blocks() + block) * per_plane..][..per_plane];
            totals.iter_mut().zip(of_image).for_each(|(total, sum)| *total += sum);
        }
        for (index, weight) in weights.iter_mut().enumerate() {
            let (lane, tap) = (index / taps, index % taps);
            *weight = totals[tap * LANES + lane] as f32;
        }
    });
}

/// The weight gradient of a plane.
struct PlaneProducts<'a> {
    form: Form<ProductRow>,
    /// Taps that the form takes at once.
    places: usize,
    taps: Vec<Tap>,
    spec: DepthwiseSpec,
    arena: &'a Arena,
    input: Planes<'a>,
    /// Of the gradient.
    plane: MapShape,
}

impl<'a> PlaneProducts<'a> {
    fn new(context: &'a Context, spec: &DepthwiseSpec, input: DepthwiseInput<'a>, plane: MapShape) -> Self {
        let input = Planes::new(context.isa, input, spec.padding);
        let taps = forward_taps(&spec.single(), input.shape.halo, input.shape.row(), LANES);
        let (form, places) = product_form(context.isa, spec.kernel);
        Self { form, places, taps, spec: *spec, arena: &context.arena, input, plane }
    }

    /// Writes the sums of all rows, `[taps][16]`.
    fn add(&self, [image, block]: [usize; 2], gradient: &[f32], sums: &mut [MaybeUninit<f64>]) {
        let Self { form, places, ref taps, spec, arena, ref input, plane } = *self;
        let (stride, row) = (spec.stride, input.shape.row());
        let mut input = input.plane(arena, [image, block]);
        sums.iter_mut().for_each(|sum| _ = sum.write(0.0));
        let mut of_row = [0.0; LANES * LANES];
        for y in 0..plane.height {
            let input = input.up_to(spec.rows_before(y));
            for (taps, sums) in taps.chunks(places).zip(sums.chunks_exact_mut(places * LANES)) {
                let products = ProductRow {
                    input: input[y * stride * row + taps[0].offset..].as_ptr(),
                    input_step: stride * LANES,
                    gradient: gradient[plane.offset(0, 0, y, 0)..].as_ptr(),
                    columns: plane.width,
                    sums: of_row.as_mut_ptr(),
                };
                // SAFETY: lengths were checked against shapes; a row has fewer places than lanes.
                unsafe { form(&products) };
                for (total, sum) in sums.iter_mut().zip(of_row) {
                    // SAFETY: zeroed above.
                    *unsafe { total.assume_init_mut() } += f64::from(sum);
                }
            }
        }
    }
}

/// Forward passes over the output's gradient: one for each pair of parities.
struct InputGradient<'a> {
    plane: MapShape,
    stride: usize,
    /// `[block][tap][16]`.
    weights: Vec<f32>,
    block_weights: usize,
    passes: Vec<Pass>,
    to: Shared<'a, f32>,
    shape: MapShape,
    accumulate: bool,
}

/// The input pixels that meet the same taps.
struct Pass {
    form: Form<PixelRow>,
    first: (usize, usize),
    rows: usize,
    columns: usize,
    taps: Vec<WeightedTap>,
    /// Where the first row's input begins, and what lies between the kernel's rows.
    input: usize,
    kernel_row: isize,
}

impl<'a> InputGradient<'a> {
    fn new(isa: Isa, spec: &DepthwiseSpec, plane: MapShape, weights: &[f32], map: GradientMap<'a>) -> Self {
        let GradientMap { buffer, shape, accumulate } = map;
        Self {
            plane,
            stride: spec.stride,
            weights: spec.pack(weights),
            block_weights: spec.kernel * spec.kernel * LANES,
            passes: passes(isa, spec, &plane, &shape),
            to: Shared::new(buffer),
            shape,
            accumulate,
        }
    }

    fn write(&self, [image, block]: [usize; 2], gradient: &[f32]) {
        for pass in &self.passes {
            for row in 0..pass.rows {
                let y = pass.first.0 + row * self.stride;
                let row = PixelRow {
                    input: gradient[pass.input + row * self.plane.row()..].as_ptr(),
                    input_step: LANES,
                    kernel_row: pass.kernel_row,
                    taps: pass.taps.as_ptr(),
                    tap_count: pass.taps.len(),
                    weights: self.weights[block * self.block_weights..].as_ptr(),
                    output: self.to.at(self.shape.offset(image, block, y, pass.first.1)),
                    output_step: self.stride * LANES,
                    columns: pass.columns,
                    accumulate: self.accumulate,
                    start: ptr::null(),
                    sums: ptr::null_mut(),
                };
                // SAFETY: the taps lie in the padded plane; each plane is written by one call.
                unsafe { (pass.form)(&row) };
            }
        }
    }
}

fn passes(isa: Isa, spec: &DepthwiseSpec, plane: &MapShape, shape: &MapShape) -> Vec<Pass> {
    let single = spec.single();
    let halo = plane.halo as isize;
    let offset = |(y, x): (isize, isize)| {
        let offset = (y + halo) * plane.row() as isize + (x + halo) * LANES as isize;
        usize::try_from(offset).expect("the halo is as wide as taps reach")
    };
    let kernel_shape = Shape::of(spec.kernel, spec.stride, true);
    let mut passes = Vec::new();
    for y in parities(&single, shape.height) {
        for x in parities(&single, shape.width) {
            let pairs = y.places.iter().flat_map(|&y| x.places.iter().map(move |&x| (y, x)));
            let taps = pairs.map(|((ky, oy), (kx, ox))| Tap { kernel: (ky, kx), offset: offset((oy, ox)) });
            let taps = spec.weighted(taps);
            // The kernel's first row meets the lowest rows, and its last column those to the left.
            let (input, kernel_row) = match kernel_shape {
                Shape::Taps => (0, 0),
                Shape::Square { .. } => {
                    let left = x.places.last().expect("a kernel has columns").1;
                    (offset((y.places[0].1, left)), -(plane.row() as isize))
                }
            };
            let form = row_form(isa, kernel_shape, Nonlinearity::Identity);
            let (first, rows, columns) = ((y.first, x.first), y.count, x.count);
            passes.push(Pass { form, first, rows, columns, taps, input, kernel_row });
        }
    }
    passes
}
