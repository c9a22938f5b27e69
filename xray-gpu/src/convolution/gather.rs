//! The tiled product of the forward pass and of the input gradient: rows are pixels of what is written, columns its
//! channels, and the contraction goes over (tap, channel) of what is read. No matrix is laid out in memory: each load
//! gathers from the map.
//!
//! The input gradient of a strided convolution runs one phase for each remainder of a pixel's place, and only the taps
//! that reach the phase are contracted, so nothing is multiplied by zeros between pixels.

use super::norm_sums::{norm_of, pair_sums};
use super::sums::tile_sums;
use super::tile::Tile;
use crate::curve::Curve;
use crate::epilogue::{Ending, EpiloguePlaces, finish};
use crate::map::Sizes;
use crate::source::{normalise, normalise_one};
use cubecl::prelude::*;

/// How a [`gather`] kernel is compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) tile: Tile,
    /// Input gradient: `source` is the output's gradient.
    pub(crate) backward: bool,
    /// Four channels a load.
    pub(crate) fours: bool,
    /// What follows the norm that is applied to `source` where it is loaded.
    pub(crate) norm: Option<Curve>,
    /// What becomes of the sums.
    pub(crate) ending: Ending,
}

/// Numbers of a [`gather`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct GatherNumbers {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    /// Where the weights `[out][tap][in]` start.
    pub(crate) weights_at: usize,
    /// Tiles of the output, and how many of them lie side by side.
    pub(crate) tiles: usize,
    pub(crate) tiles_across: usize,
    /// Pieces of the contraction, and terms of one. `target` holds one map for each.
    pub(crate) pieces: usize,
    pub(crate) terms: usize,
}

/// A row that reads nothing: past every border.
const OUTSIDE: usize = 1 << 30;

/// `source` is bound twice, by single floats and by fours, and so are `statistics`, which are those of `source` going
/// forward and those of `beside` going back. `beside` and `aside` are of the epilogue.
#[cube(launch_unchecked)]
pub(crate) fn gather(
    source: &[f32],
    source_fours: &[Vector<f32, Const<4>>],
    statistics: &[f32],
    statistics_fours: &[Vector<f32, Const<4>>],
    weights: &[f32],
    beside: &[f32],
    target: &mut [f32],
    aside: &mut [f32],
    from: Sizes,
    to: Sizes,
    numbers: GatherNumbers,
    places: EpiloguePlaces,
    #[comptime] form: Form,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= numbers.tiles {
        terminate!();
    }
    let tile = comptime!(form.tile);
    let function = comptime!(form.norm.unwrap_or(Curve::Identity));
    let units = comptime!(tile.units());
    let across = comptime!(tile.across());
    let down = comptime!(tile.down());
    let held_rows = comptime!(tile.register_rows);
    let held_columns = comptime!(tile.register_columns);
    // Two more than the tile has: the four lanes of a row then lie in different banks.
    let a_row = comptime!(tile.rows + 2);
    let b_row = comptime!(tile.columns + 2);
    let a_parts = comptime!(4 * tile.rows / units);
    let b_parts = comptime!(4 * tile.columns / units);
    let mut a = Shared::<[Vector<f32, Const<4>>]>::new_slice(4 * a_row);
    let mut b = Shared::<[Vector<f32, Const<4>>]>::new_slice(4 * b_row);

    let unit = UNIT_POS as usize;
    let row_tile = group / numbers.tiles_across;
    let row0 = row_tile * comptime!(tile.rows);
    let column0 = group % numbers.tiles_across * comptime!(tile.columns);
    let kernel = numbers.kernel;
    let padding = numbers.padding;
    let piece = CUBE_POS_Z as usize % numbers.pieces;
    let phase = CUBE_POS_Z as usize / numbers.pieces;

    // Which pixels this phase writes: (place + i * every). Going forward there is one phase, of all of them.
    let mut every = 1usize.runtime();
    if comptime!(form.backward) {
        every = numbers.stride;
    }
    let place_y = phase / every;
    let place_x = phase % every;
    let rows_y = (to.height + every - 1 - place_y) / every;
    let rows_x = (to.width + every - 1 - place_x) / every;
    let rows = to.images * rows_y * rows_x;
    // The first tap that reaches it, and how many do.
    let first_y = (place_y + padding) % every;
    let first_x = (place_x + padding) % every;
    let taps_y = (kernel + every - 1 - first_y) / every;
    let taps_x = (kernel + every - 1 - first_x) / every;
    let depth = taps_y * taps_x * from.channels;
    let last = ((piece + 1) * numbers.terms).min(depth);

    // Of the rows that this unit loads: where its window starts, and its image.
    let lane = unit % 4;
    let mut window_y = Array::<usize>::new(a_parts);
    let mut window_x = Array::<usize>::new(a_parts);
    let mut image_at = Array::<usize>::new(a_parts);
    #[unroll]
    for part in 0..a_parts {
        let row = row0 + unit / 4 + part * comptime!(units / 4);
        let x = row % rows_x;
        let y = (row / rows_x) % rows_y;
        image_at[part] = row / (rows_x * rows_y) * from.height;
        if comptime!(form.backward) {
            window_y[part] = y + (place_y + padding - first_y) / every;
            window_x[part] = x + (place_x + padding - first_x) / every;
        } else {
            window_y[part] = y * numbers.stride;
            window_x[part] = x * numbers.stride;
        }
        if row >= rows {
            window_y[part] = OUTSIDE.runtime();
        }
    }
    let mut sums = Array::<f32>::new(held_rows * held_columns);
    #[unroll]
    for i in 0..held_rows * held_columns {
        sums[i] = 0.0f32;
    }
    let ux = unit % across;
    let uy = unit / across;
    let mut right = Array::<Vector<f32, Const<4>>>::new(held_columns);

    let mut k0 = piece * numbers.terms;
    // Channel and tap of the four terms that this unit loads. They are counted on from step to step: a division costs as
    // much as a dozen products.
    let start = k0 + lane * 4;
    let mut channel = start % from.channels;
    let mut own_y = start / from.channels / taps_x.max(1);
    let mut own_x = start / from.channels % taps_x.max(1);
    while k0 < last {
        if comptime!(form.fours) {
            let k = k0 + lane * 4;
            let mut scale = Vector::<f32, Const<4>>::new(0.0f32);
            let mut shift = Vector::<f32, Const<4>>::new(0.0f32);
            if comptime!(form.norm.is_some()) {
                scale = statistics_fours[(2 * from.channels + channel) / 4];
                shift = statistics_fours[(3 * from.channels + channel) / 4];
            }
            #[unroll]
            for part in 0..a_parts {
                let mut value = Vector::<f32, Const<4>>::new(0.0f32);
                let pixel = source_pixel(window_y[part], window_x[part], own_y, own_x, &from, padding, form);
                if k < last && pixel.inside {
                    let at = ((image_at[part] + pixel.y) * from.width + pixel.x) * from.stride;
                    value = source_fours[(at + from.first + channel) / 4];
                    if comptime!(form.norm.is_some()) {
                        value = normalise(value, scale, shift, function);
                    }
                }
                a[lane * a_row + unit / 4 + part * comptime!(units / 4)] = value;
            }
        } else {
            let mut values = Array::<Vector<f32, Const<4>>>::new(a_parts);
            #[unroll]
            for part in 0..a_parts {
                values[part] = Vector::<f32, Const<4>>::new(0.0f32);
            }
            #[unroll]
            for q in 0..4usize {
                let k = k0 + lane * 4 + q;
                let tap = k / from.channels;
                let tap_y = tap / taps_x;
                let tap_x = tap % taps_x;
                let mut scale = 0.0f32;
                let mut shift = 0.0f32;
                if comptime!(form.norm.is_some()) {
                    scale = statistics[2 * from.channels + k % from.channels];
                    shift = statistics[3 * from.channels + k % from.channels];
                }
                #[unroll]
                for part in 0..a_parts {
                    let pixel =
                        source_pixel(window_y[part], window_x[part], tap_y, tap_x, &from, padding, form);
                    if k < last && pixel.inside {
                        let at = ((image_at[part] + pixel.y) * from.width + pixel.x) * from.stride;
                        let mut value = values[part];
                        let mut one = source[at + from.first + k % from.channels];
                        if comptime!(form.norm.is_some()) {
                            one = normalise_one(one, scale, shift, function);
                        }
                        value.insert(q, one);
                        values[part] = value;
                    }
                }
            }
            #[unroll]
            for part in 0..a_parts {
                a[lane * a_row + unit / 4 + part * comptime!(units / 4)] = values[part];
            }
        }
        #[unroll]
        for part in 0..b_parts {
            let mut value = Vector::<f32, Const<4>>::new(0.0f32);
            let column = unit / 4 + part * comptime!(units / 4);
            let k = k0 + lane * 4;
            let is_column = column0 + column < to.channels;
            if comptime!(form.backward && form.fours) {
                if k < last && is_column {
                    let tap = (channel * kernel + own_y * every + first_y) * kernel + own_x * every + first_x;
                    let at = numbers.weights_at + tap * to.channels + column0 + column;
                    let next = kernel * kernel * to.channels;
                    #[unroll]
                    for q in 0..4usize {
                        value.insert(q, weights[at + q * next]);
                    }
                }
            } else if comptime!(form.backward) {
                #[unroll]
                for q in 0..4usize {
                    if k + q < last && is_column {
                        let out = (k + q) % from.channels;
                        let tap = (k + q) / from.channels;
                        let tap_y = tap / taps_x * every + first_y;
                        let tap_x = tap % taps_x * every + first_x;
                        let weight = ((out * kernel + tap_y) * kernel + tap_x) * to.channels;
                        value.insert(q, weights[numbers.weights_at + weight + column0 + column]);
                    }
                }
            } else {
                let at = numbers.weights_at + (column0 + column) * depth + k;
                #[unroll]
                for q in 0..4usize {
                    if k + q < last && is_column {
                        value.insert(q, weights[at + q]);
                    }
                }
            }
            b[lane * b_row + column] = value;
        }
        sync_cube();
        // Not unrolled: the whole step takes drivers long to compile, and is no faster.
        for quad in 0..4usize {
            #[unroll]
            for j in 0..held_columns {
                right[j] = b[quad * b_row + ux + j * across];
            }
            #[unroll]
            for i in 0..held_rows {
                let left = a[quad * a_row + uy + i * down];
                #[unroll]
                for j in 0..held_columns {
                    let mut sum = sums[i * held_columns + j];
                    #[unroll]
                    for q in 0..4usize {
                        sum = fma(left.extract(q), right[j].extract(q), sum);
                    }
                    sums[i * held_columns + j] = sum;
                }
            }
        }
        sync_cube();
        k0 += 16;
        if comptime!(form.fours) {
            channel += 16;
            while channel >= from.channels {
                channel -= from.channels;
                own_x += 1;
                if own_x >= taps_x {
                    own_x = 0;
                    own_y += 1;
                }
            }
        }
    }

    let mut norms = Array::<Vector<f32, Const<4>>>::new(held_columns);
    let mut totals = Array::<f32>::new(held_columns);
    let mut products = Array::<f32>::new(held_columns);
    #[unroll]
    for j in 0..held_columns {
        norms[j] = Vector::<f32, Const<4>>::new(0.0f32);
        if comptime!(form.ending.norm_sums.is_some()) {
            norms[j] = norm_of(statistics, column0 + ux + j * across, to.channels);
        }
        totals[j] = 0.0f32;
        products[j] = 0.0f32;
    }
    let map = piece * (to.images * to.height * to.width * to.stride) + to.first;
    #[unroll]
    for i in 0..held_rows {
        let row = row0 + uy + i * down;
        let mut pixel = row;
        if comptime!(form.backward) {
            let y = (row / rows_x) % rows_y * every + place_y;
            let image = row / (rows_x * rows_y);
            pixel = (image * to.height + y) * to.width + row % rows_x * every + place_x;
        }
        #[unroll]
        for j in 0..held_columns {
            let column = column0 + ux + j * across;
            if row < rows && column < to.channels {
                let written = finish(
                    sums[i * held_columns + j],
                    pixel,
                    column,
                    target,
                    map + pixel * to.stride + column,
                    beside,
                    aside,
                    norms[j],
                    &places,
                    comptime!(form.ending),
                );
                if comptime!(form.ending.norm_sums.is_some()) {
                    totals[j] += written.d;
                    products[j] += written.product;
                }
            }
        }
    }
    if comptime!(form.ending.norm_sums.is_some()) {
        // Phases follow each other, each with as many tiles as the first.
        let tile_at = phase * (numbers.tiles / numbers.tiles_across) + row_tile;
        pair_sums(&totals, &products, aside, tile_at, column0, to.channels, tile);
    }
    if comptime!(form.ending.sums) {
        tile_sums(&sums, aside, row_tile, rows - row0, column0, to.channels, tile);
    }
}

#[derive(CubeType, Clone, Copy)]
struct SourcePixel {
    inside: bool,
    y: usize,
    x: usize,
}

/// What a tap of a window reads. Coordinates are unsigned, so they are compared before anything is subtracted.
#[cube]
fn source_pixel(
    window_y: usize,
    window_x: usize,
    tap_y: usize,
    tap_x: usize,
    from: &Sizes,
    padding: usize,
    #[comptime] form: Form,
) -> SourcePixel {
    if comptime!(form.backward) {
        SourcePixel {
            inside: window_y >= tap_y
                && window_y < from.height + tap_y
                && window_x >= tap_x
                && window_x < from.width + tap_x,
            y: window_y - tap_y,
            x: window_x - tap_x,
        }
    } else {
        let y = window_y + tap_y;
        let x = window_x + tap_x;
        SourcePixel {
            inside: y >= padding && y < from.height + padding && x >= padding && x < from.width + padding,
            y: y - padding,
            x: x - padding,
        }
    }
}
