//! Max and average pools over square windows, forward and backward.
#![expect(unsafe_code, reason = "launches without bounds checks; shapes are checked before")]

use crate::gpu::Gpu;
use crate::map::{GradientMap, Map, MapShape, Sizes, element, put};
use crate::pass::{Pass, bytes};
use cubecl::prelude::*;
use xray_kernels::{Pool, PoolKind};

/// How the kernels are compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Form {
    max: bool,
}

/// Numbers of a [`Pool`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct PoolNumbers {
    kernel: usize,
    stride: usize,
    padding: usize,
}

/// The pixels of a window along an axis: from `first` up to `last`.
#[derive(CubeType, Clone, Copy)]
struct Span {
    first: usize,
    last: usize,
}

#[cube]
fn span(window: usize, size: usize, pool: &PoolNumbers) -> Span {
    let start = window * pool.stride;
    let mut first = 0usize.runtime();
    if start > pool.padding {
        first = start - pool.padding;
    }
    Span { first, last: (start + pool.kernel - pool.padding).min(size) }
}

/// The first pixel with the largest value, row by row.
#[cube]
fn largest(input: &[f32], from: &Sizes, image: usize, channel: usize, rows: &Span, columns: &Span) -> usize {
    let mut best = (image * from.height + rows.first) * from.width + columns.first;
    let mut value = input[best * from.stride + from.first + channel];
    for y in rows.first..rows.last {
        for x in columns.first..columns.last {
            let pixel = (image * from.height + y) * from.width + x;
            let next = input[pixel * from.stride + from.first + channel];
            if next > value || next.is_nan() && !value.is_nan() {
                best = pixel;
                value = next;
            }
        }
    }
    best
}

#[cube(launch_unchecked)]
fn pool_forward(
    input: &[f32],
    output: &mut [f32],
    from: Sizes,
    to: Sizes,
    pool: PoolNumbers,
    length: usize,
    #[comptime] form: Form,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let own = element::<Const<1>>(i, &to);
        let rows = span(own.y, from.height, &pool);
        let columns = span(own.x, from.width, &pool);
        let mut value = 0.0f32;
        if comptime!(form.max) {
            let pixel = largest(input, &from, own.image, own.channel, &rows, &columns);
            value = input[pixel * from.stride + from.first + own.channel];
        } else {
            for y in rows.first..rows.last {
                for x in columns.first..columns.last {
                    let pixel = (own.image * from.height + y) * from.width + x;
                    value += input[pixel * from.stride + from.first + own.channel];
                }
            }
            value /= f32::cast_from((rows.last - rows.first) * (columns.last - columns.first));
        }
        output[own.pixel * to.stride + to.first + own.channel] = value;
    }
}

/// A unit an element of the input: it asks every window that it lies in, in their order.
#[cube(launch_unchecked)]
fn pool_backward(
    input: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
    from: Sizes,
    to: Sizes,
    grad_sizes: Sizes,
    pool: PoolNumbers,
    length: usize,
    #[comptime] form: Form,
    #[comptime] accumulate: bool,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let own = element::<Const<1>>(i, &from);
        let windows_y = windows(own.y, to.height, &pool);
        let windows_x = windows(own.x, to.width, &pool);
        let mut sum = 0.0f32;
        for y in windows_y.first..windows_y.last {
            let rows = span(y, from.height, &pool);
            for x in windows_x.first..windows_x.last {
                let columns = span(x, from.width, &pool);
                let window = (own.image * to.height + y) * to.width + x;
                let gradient = grad_output[window * to.stride + to.first + own.channel];
                if comptime!(form.max) {
                    if largest(input, &from, own.image, own.channel, &rows, &columns) == own.pixel {
                        sum += gradient;
                    }
                } else {
                    let pixels = (rows.last - rows.first) * (columns.last - columns.first);
                    sum += gradient / f32::cast_from(pixels);
                }
            }
        }
        put(grad_input, own.pixel * grad_sizes.stride + grad_sizes.first + own.channel, sum, accumulate);
    }
}

/// The windows that a pixel lies in along an axis.
#[cube]
fn windows(pixel: usize, count: usize, pool: &PoolNumbers) -> Span {
    let mut first = 0usize.runtime();
    if pixel + pool.padding >= pool.kernel {
        first = (pixel + pool.padding - pool.kernel) / pool.stride + 1;
    }
    Span { first, last: ((pixel + pool.padding) / pool.stride + 1).min(count) }
}

/// The map that a pool makes.
///
/// # Panics
/// If no window fits.
pub fn pooled_shape(pool: &Pool, input: MapShape) -> MapShape {
    input.with_size(pool.output_size(input.height), pool.output_size(input.width))
}

/// The launch of [`pool`].
pub fn pool_pass(pool: &Pool, input: MapShape) -> Pass {
    let output = pooled_shape(pool, input);
    Pass { bytes: bytes(input.len() + output.len()), ..Pass::elements("pool", output.len(), 0) }
}

/// The launch of [`pool_backward`](self::pool_gradient).
pub fn pool_gradient_pass(pool: &Pool, input: MapShape) -> Pass {
    let floats = 2 * input.len() + pooled_shape(pool, input).len();
    Pass { bytes: bytes(floats), ..Pass::elements("pool gradient", input.len(), 0) }
}

fn numbers(pool: &Pool) -> (PoolNumbersLaunch, Form) {
    let form = Form { max: pool.kind == PoolKind::Max };
    (PoolNumbersLaunch::new(pool.kernel, pool.stride, pool.padding), form)
}

/// Pools, as PyTorch's `MaxPool2d` and `AvgPool2d(count_include_pad=False)`.
///
/// # Panics
/// If a shape does not fit.
pub fn pool(gpu: &Gpu, pool: &Pool, input: Map<'_>, output: Map<'_>) {
    let shape = pooled_shape(pool, input.shape());
    output.expect(shape, "the pooled map");
    let (pass, (numbers, form)) = (pool_pass(pool, input.shape()), numbers(pool));
    // SAFETY: shapes fit, and maps have their lengths.
    unsafe {
        pool_forward::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            input.argument(),
            output.argument(),
            input.sizes(),
            output.sizes(),
            numbers,
            shape.len(),
            form,
        );
    }
}

/// Writes or adds the gradient of the input, given the input and the output's gradient. Of equal values in a window the
/// first gets it, row by row.
///
/// # Panics
/// If a shape does not fit.
pub fn pool_gradient(
    gpu: &Gpu,
    pool: &Pool,
    input: Map<'_>,
    grad_output: Map<'_>,
    GradientMap { map: grad_input, accumulate }: GradientMap<'_>,
) {
    let shape = input.shape();
    grad_output.expect(pooled_shape(pool, shape), "the output's gradient");
    grad_input.expect(shape, "the input's gradient");
    let (pass, (numbers, form)) = (pool_gradient_pass(pool, shape), numbers(pool));
    // SAFETY: shapes fit, and maps have their lengths.
    unsafe {
        pool_backward::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            input.argument(),
            grad_output.argument(),
            grad_input.argument(),
            input.sizes(),
            grad_output.sizes(),
            grad_input.sizes(),
            numbers,
            shape.len(),
            form,
            accumulate,
        );
    }
}
