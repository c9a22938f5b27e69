//! The tiled product of the weight gradient: rows are output channels, columns are (tap, input channel), and the
//! contraction goes over pixels, cut into pieces because it is long and the output is small.

use super::tile::Tile;
use crate::curve::Curve;
use crate::map::Sizes;
use crate::source::{normalise, normalise_one};
use cubecl::prelude::*;

/// How [`weight_tiles`] is compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) tile: Tile,
    /// Four channels of the input a load, and of the output's gradient.
    pub(super) input_fours: bool,
    pub(super) grad_fours: bool,
    /// What follows the norm that is applied to the input where it is loaded.
    pub(super) norm: Option<Curve>,
}

/// Numbers of [`weight_tiles`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct WeightNumbers {
    kernel: usize,
    stride: usize,
    padding: usize,
    /// Where the gradient starts in `target`.
    target_at: usize,
    tiles: usize,
    tiles_across: usize,
    /// Pixels of a piece.
    terms: usize,
}

/// Writes `target[piece][out][tap][in]`. Both maps are bound twice, by single floats and by fours.
#[cube(launch_unchecked)]
pub(super) fn weight_tiles(
    input: &[f32],
    input_fours: &[Vector<f32, Const<4>>],
    grad: &[f32],
    grad_fours: &[Vector<f32, Const<4>>],
    statistics: &[f32],
    target: &mut [f32],
    from: Sizes,
    to: Sizes,
    numbers: WeightNumbers,
    #[comptime] form: Form,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= numbers.tiles {
        terminate!();
    }
    let tile = comptime!(form.tile);
    let units = comptime!(tile.units());
    let down = comptime!(tile.down());
    let across = comptime!(tile.across());
    let held_rows = comptime!(tile.register_rows / 4);
    let held_columns = comptime!(tile.register_columns / 4);
    // Fours of a tile's side, and how many a unit loads of them in a step of 16 pixels.
    let row_quads = comptime!(tile.rows / 4);
    let column_quads = comptime!(tile.columns / 4);
    let mut a = Shared::<[Vector<f32, Const<4>>]>::new_slice(16 * row_quads);
    let mut b = Shared::<[Vector<f32, Const<4>>]>::new_slice(16 * column_quads);
    let unit = UNIT_POS as usize;
    let ux = unit % across;
    let uy = unit / across;
    let columns = numbers.kernel * numbers.kernel * from.channels;
    let row0 = group / numbers.tiles_across * comptime!(tile.rows);
    let column0 = group % numbers.tiles_across * comptime!(tile.columns);
    let pixels = to.images * to.height * to.width;
    let first = CUBE_POS_Z as usize * numbers.terms;
    let last = (first + numbers.terms).min(pixels);

    let row = row0 + unit % row_quads * 4;
    // A unit loads the same columns in every step: their taps are found once.
    let column = column0 + unit % column_quads * 4;
    let mut tap_y = Array::<usize>::new(4usize);
    let mut tap_x = Array::<usize>::new(4usize);
    let mut channel = Array::<usize>::new(4usize);
    #[unroll]
    for q in 0..4usize {
        let tap = (column + q) / from.channels;
        tap_y[q] = tap / numbers.kernel;
        tap_x[q] = tap % numbers.kernel;
        channel[q] = (column + q) % from.channels;
    }
    let function = comptime!(form.norm.unwrap_or(Curve::Identity));
    let mut scale = Vector::<f32, Const<4>>::new(0.0f32);
    let mut shift = Vector::<f32, Const<4>>::new(0.0f32);
    if comptime!(form.norm.is_some()) {
        #[unroll]
        for q in 0..4usize {
            scale.insert(q, statistics[2 * from.channels + channel[q]]);
            shift.insert(q, statistics[3 * from.channels + channel[q]]);
        }
    }
    let mut sums = Array::<Vector<f32, Const<4>>>::new(4 * held_rows * held_columns);
    #[unroll]
    for i in 0..4 * held_rows * held_columns {
        sums[i] = Vector::new(0.0f32);
    }
    let mut right = Array::<Vector<f32, Const<4>>>::new(held_columns);

    // The pixels of the output that this unit loads the input for: counted on from step to step, not divided.
    let loads = comptime!(16 * column_quads / units);
    let mut pixel_x = Array::<usize>::new(loads);
    let mut pixel_y = Array::<usize>::new(loads);
    let mut image = Array::<usize>::new(loads);
    #[unroll]
    for part in 0..loads {
        let pixel = first + unit / column_quads + part * comptime!(units / column_quads);
        pixel_x[part] = pixel % to.width;
        pixel_y[part] = pixel / to.width % to.height;
        image[part] = pixel / (to.width * to.height);
    }
    let mut k0 = first;
    while k0 < last {
        #[unroll]
        for part in 0..comptime!(16 * row_quads / units) {
            let k = unit / row_quads + part * comptime!(units / row_quads);
            let pixel = k0 + k;
            let mut value = Vector::<f32, Const<4>>::new(0.0f32);
            if pixel < last {
                let at = pixel * to.stride + to.first + row;
                if comptime!(form.grad_fours) {
                    if row < to.channels {
                        value = grad_fours[at / 4];
                    }
                } else {
                    #[unroll]
                    for q in 0..4usize {
                        if row + q < to.channels {
                            value.insert(q, grad[at + q]);
                        }
                    }
                }
            }
            a[k * row_quads + unit % row_quads] = value;
        }
        #[unroll]
        for part in 0..loads {
            let k = unit / column_quads + part * comptime!(units / column_quads);
            let pixel = k0 + k;
            let x = pixel_x[part] * numbers.stride;
            let y = pixel_y[part] * numbers.stride;
            let image_at = image[part] * from.height;
            let mut value = Vector::<f32, Const<4>>::new(0.0f32);
            if comptime!(form.input_fours) {
                if pixel < last
                    && column < columns
                    && inside(y + tap_y[0], x + tap_x[0], &from, numbers.padding)
                {
                    let row = image_at + y + tap_y[0] - numbers.padding;
                    let at = (row * from.width + x + tap_x[0] - numbers.padding) * from.stride;
                    value = input_fours[(at + from.first + channel[0]) / 4];
                    if comptime!(form.norm.is_some()) {
                        value = normalise(value, scale, shift, function);
                    }
                }
            } else {
                #[unroll]
                for q in 0..4usize {
                    if pixel < last
                        && column + q < columns
                        && inside(y + tap_y[q], x + tap_x[q], &from, numbers.padding)
                    {
                        let row = image_at + y + tap_y[q] - numbers.padding;
                        let at = (row * from.width + x + tap_x[q] - numbers.padding) * from.stride;
                        let mut one = input[at + from.first + channel[q]];
                        if comptime!(form.norm.is_some()) {
                            one = normalise_one(one, scale.extract(q), shift.extract(q), function);
                        }
                        value.insert(q, one);
                    }
                }
            }
            b[k * column_quads + unit % column_quads] = value;
        }
        sync_cube();
        // Not unrolled: the whole step takes drivers long to compile, and is no faster.
        for k in 0..16usize {
            #[unroll]
            for j in 0..held_columns {
                right[j] = b[k * column_quads + ux + j * across];
            }
            #[unroll]
            for i in 0..held_rows {
                let left = a[k * row_quads + uy + i * down];
                #[unroll]
                for q in 0..4usize {
                    let factor = Vector::<f32, Const<4>>::new(left.extract(q));
                    #[unroll]
                    for j in 0..held_columns {
                        let at = comptime!((i * 4 + q) * held_columns + j);
                        sums[at] = fma(factor, right[j], sums[at]);
                    }
                }
            }
        }
        sync_cube();
        k0 += 16;
        #[unroll]
        for part in 0..loads {
            let mut x = pixel_x[part] + 16;
            while x >= to.width {
                x -= to.width;
                pixel_y[part] += 1;
                if pixel_y[part] >= to.height {
                    pixel_y[part] = 0usize.runtime();
                    image[part] += 1;
                }
            }
            pixel_x[part] = x;
        }
    }
    let base = numbers.target_at + CUBE_POS_Z as usize * to.channels * columns;
    #[unroll]
    for i in 0..held_rows {
        #[unroll]
        for q in 0..4usize {
            let row = row0 + (uy + i * down) * 4 + q;
            #[unroll]
            for j in 0..held_columns {
                let column = column0 + (ux + j * across) * 4;
                let sum = sums[(i * 4 + q) * held_columns + j];
                #[unroll]
                for p in 0..4usize {
                    if row < to.channels && column + p < columns {
                        target[base + row * columns + column + p] = sum.extract(p);
                    }
                }
            }
        }
    }
}

/// Whether a place, counted from the padding's corner, lies in the map.
#[cube]
pub(super) fn inside(y: usize, x: usize, from: &Sizes, padding: usize) -> bool {
    y >= padding && y < from.height + padding && x >= padding && x < from.width + padding
}
