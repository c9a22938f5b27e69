//! Max and average pooling over square windows.
#![expect(unsafe_code, reason = "vector instructions; threads write disjoint planes of one buffer")]

use crate::context::Context;
use crate::halo::clear_halo;
use crate::isa::{Form, Isa};
use crate::lanes::{Kernel, LANES, Lanes};
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::for_each_plane;
use std::ptr;

/// What a window gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Its largest value, padding left out; the gradient goes to the first of equal ones, row by row.
    Max,
    /// The mean of its values inside the map.
    Average,
}

/// A pool, as PyTorch's `MaxPool2d` and `AvgPool2d(count_include_pad=False)`, sizes rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Largest or mean.
    pub kind: PoolKind,
    /// Rows and columns of a window.
    pub kernel: usize,
    /// Pixels between two windows.
    pub stride: usize,
    /// Pixels that windows reach beyond the border; at most half of a window.
    pub padding: usize,
}

impl Pool {
    /// Rows or columns of output.
    ///
    /// # Panics
    /// If no window fits, or the padding is more than half of one.
    pub fn output_size(&self, size: usize) -> usize {
        assert!(self.kernel > 0 && self.stride > 0, "{self:?} has no window or no stride");
        assert!(2 * self.padding <= self.kernel, "{self:?} pads more than half a window");
        let padded = size + 2 * self.padding;
        assert!(padded >= self.kernel, "{self:?} does not fit into {size} pixels");
        (padded - self.kernel) / self.stride + 1
    }

    /// Pools, writing a zero halo.
    ///
    /// # Panics
    /// If a shape does not fit, or a buffer does not have its length.
    pub fn forward(&self, context: &Context, input: (&[f32], MapShape), output: (&mut [f32], MapShape)) {
        let (map, shape) = output;
        self.check(input, shape, map);
        let (output, form) = (Shared::new(map), self.form::<false>(context.isa));
        for_each_plane("pool", &shape, |image, block| {
            // SAFETY: lengths were checked against shapes; each plane is written by one call.
            unsafe {
                clear_halo(output, &shape, image, block..block + 1);
                for y in 0..shape.height {
                    let to = output.at(shape.offset(image, block, y, 0));
                    form(&Windows { output: to, ..self.windows(input, [image, block, y], shape.width) });
                }
            }
        });
    }

    /// The gradient of the input, given the input and the output's gradient.
    ///
    /// # Panics
    /// If a shape does not fit, or a buffer does not have its length.
    pub fn backward(
        &self,
        context: &Context,
        input: (&[f32], MapShape),
        (grad_output, shape): (&[f32], MapShape),
        grad_input: GradientMap,
    ) {
        self.check(input, shape, grad_output);
        grad_input.check(input.1.size());
        let GradientMap { buffer, shape: grad_shape, accumulate } = grad_input;
        let (to, form) = (Shared::new(buffer), self.form::<true>(context.isa));
        for_each_plane("pool, backward", &shape, |image, block| {
            // SAFETY: lengths were checked against shapes; each plane is written by one call.
            unsafe {
                for y in 0..if accumulate { 0 } else { grad_shape.height } {
                    to.part(grad_shape.offset(image, block, y, 0), grad_shape.width * LANES).fill(0.0);
                }
                for y in 0..shape.height {
                    form(&Windows {
                        gradient: grad_output[shape.offset(image, block, y, 0)..].as_ptr(),
                        target: to.at(grad_shape.offset(image, block, 0, 0)),
                        target_row: grad_shape.row(),
                        ..self.windows(input, [image, block, y], shape.width)
                    });
                }
            }
        });
    }

    fn check(&self, (input, shape): (&[f32], MapShape), output_shape: MapShape, output: &[f32]) {
        shape.check(input, "the input");
        output_shape.check(output, "the output");
        let [height, width] = [shape.height, shape.width].map(|size| self.output_size(size));
        assert_eq!(
            output_shape.size(),
            [shape.images, shape.channels, height, width],
            "the output of {self:?}"
        );
    }

    fn form<const BACKWARD: bool>(&self, isa: Isa) -> Form<Windows> {
        match self.kind {
            PoolKind::Max => isa.form::<RowOfWindows<BACKWARD, true>>(),
            PoolKind::Average => isa.form::<RowOfWindows<BACKWARD, false>>(),
        }
    }

    fn windows(
        &self,
        (input, shape): (&[f32], MapShape),
        [image, block, y]: [usize; 3],
        columns: usize,
    ) -> Windows {
        Windows {
            pool: *self,
            input: input[shape.offset(image, block, 0, 0)..].as_ptr(),
            input_row: shape.row(),
            size: [shape.height, shape.width],
            y,
            columns,
            output: ptr::null_mut(),
            gradient: ptr::null(),
            target: ptr::null_mut(),
            target_row: 0,
        }
    }
}

/// A row of windows of a block.
struct Windows {
    pool: Pool,
    /// The first pixel of the plane.
    input: *const f32,
    input_row: usize,
    size: [usize; 2],
    /// Which row, and windows in it.
    y: usize,
    columns: usize,
    /// Forward: the row's first output.
    output: *mut f32,
    /// Backward: the row's first gradient, and the first pixel of the plane that they are added to.
    gradient: *const f32,
    target: *mut f32,
    target_row: usize,
}

impl Windows {
    /// The pixels of a window along an axis.
    #[inline(always)]
    fn span(&self, axis: usize, window: usize) -> (usize, usize) {
        let start = window * self.pool.stride;
        let first = start.saturating_sub(self.pool.padding);
        (first, (start + self.pool.kernel - self.pool.padding).min(self.size[axis]))
    }
}

struct RowOfWindows<const BACKWARD: bool, const MAX: bool>;

impl<const BACKWARD: bool, const MAX: bool> Kernel for RowOfWindows<BACKWARD, MAX> {
    type Arguments = Windows;

    #[inline(always)]
    unsafe fn run<L: Lanes>(windows: &Windows) {
        let rows = windows.span(0, windows.y);
        for x in 0..windows.columns {
            let columns = windows.span(1, x);
            // SAFETY: spans lie in the planes, and the caller's pointers are good for them.
            unsafe {
                let value = Self::value::<L>(windows, rows, columns);
                if BACKWARD {
                    let gradient = L::load(windows.gradient.add(x * LANES));
                    Self::spread(windows, rows, columns, value, gradient);
                } else {
                    value.store(windows.output.add(x * LANES));
                }
            }
        }
    }
}

impl<const BACKWARD: bool, const MAX: bool> RowOfWindows<BACKWARD, MAX> {
    #[inline(always)]
    unsafe fn value<L: Lanes>(windows: &Windows, rows: (usize, usize), columns: (usize, usize)) -> L {
        // SAFETY: as in `run`.
        unsafe {
            let mut value = if MAX { L::splat(f32::NEG_INFINITY) } else { L::zero() };
            if BACKWARD && !MAX {
                return value;
            }
            for y in rows.0..rows.1 {
                for x in columns.0..columns.1 {
                    let pixel = L::load(windows.input.add(y * windows.input_row + x * LANES));
                    value = if MAX { value.max(pixel) } else { value.add(pixel) };
                }
            }
            if MAX { value } else { value.mul(L::splat(share(rows, columns))) }
        }
    }

    #[inline(always)]
    unsafe fn spread<L: Lanes>(
        windows: &Windows,
        rows: (usize, usize),
        columns: (usize, usize),
        largest: L,
        gradient: L,
    ) {
        // SAFETY: as in `run`.
        unsafe {
            let mut open = L::zero().equal(L::zero());
            let shared = gradient.mul(L::splat(share(rows, columns)));
            for y in rows.0..rows.1 {
                for x in columns.0..columns.1 {
                    let target = windows.target.add(y * windows.target_row + x * LANES);
                    let mut part = shared;
                    if MAX {
                        let pixel = L::load(windows.input.add(y * windows.input_row + x * LANES));
                        let here = L::and(pixel.equal(largest), open);
                        open = L::without(open, here);
                        part = gradient.keep(here);
                    }
                    L::load(target).add(part).store(target);
                }
            }
        }
    }
}

#[inline(always)]
fn share(rows: (usize, usize), columns: (usize, usize)) -> f32 {
    1.0 / ((rows.1 - rows.0) * (columns.1 - columns.0)) as f32
}
