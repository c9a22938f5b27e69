//! The product of [`gather`](super::gather) by matrix instructions: factors are rounded when they are loaded into
//! shared memory, and summed in float32.

use super::fragments::{Fragments, Layout, STEP, leave, multiply, zeros};
use super::gather::GatherNumbers;
use super::norm_sums::{norm_of, pair_sums};
use super::sums::tile_sums;
use super::window::{Window, phase, source, window, written};
use crate::curve::Curve;
use crate::epilogue::{Ending, EpiloguePlaces, finish};
use crate::map::Sizes;
use crate::source::normalise;
use cubecl::prelude::*;

/// How a [`gather_by_matrices`] kernel is compiled. The map that is read is read in fours.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) fragments: Fragments,
    /// Input gradient: `from` is the output's gradient.
    pub(super) backward: bool,
    /// What follows the norm that is applied to `map` where it is loaded.
    pub(super) norm: Option<Curve>,
    /// What becomes of the sums.
    pub(super) ending: Ending,
}

impl Form {
    /// Weights `[out][tap][in]` are read along the input channels: those are terms, or going backward columns.
    const fn layouts(self) -> [Layout; 2] {
        [Layout::ByTerms, if self.backward { Layout::BySide } else { Layout::ByTerms }]
    }
}

/// `statistics` are bound twice, by single floats and by fours: those of `map` going forward, of `beside` going back.
/// `beside` and `aside` are of the epilogue.
#[cube(launch_unchecked)]
pub(super) fn gather_by_matrices<E: Numeric>(
    map: &[Vector<f32, Const<4>>],
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
    let fragments = comptime!(form.fragments);
    let function = comptime!(form.norm.unwrap_or(Curve::Identity));
    let layouts = comptime!(form.layouts());
    let tile = comptime!(fragments.tile());
    let units = comptime!(tile.units());
    let lanes = comptime!(STEP / 4);
    let mut left = Shared::<[Vector<E, Const<4>>]>::new_slice(comptime!(layouts[0].fours(tile.rows)));
    let mut right = Shared::<[Vector<E, Const<4>>]>::new_slice(comptime!(layouts[1].fours(tile.columns)));
    let unit = UNIT_POS as usize;
    let row_tile = group / numbers.tiles_across;
    let row0 = row_tile * comptime!(tile.rows);
    let column0 = group % numbers.tiles_across * comptime!(tile.columns);
    let piece = CUBE_POS_Z as usize % numbers.pieces;
    let phase = phase(CUBE_POS_Z as usize / numbers.pieces, &from, &to, &numbers, comptime!(form.backward));
    let last = ((piece + 1) * numbers.terms).min(phase.depth);

    // A unit loads the same rows in every step.
    let lane = unit % lanes;
    let row_parts = comptime!(tile.rows * lanes / units);
    let mut windows = Sequence::<Window>::new();
    #[unroll]
    for part in 0..row_parts {
        let row = row0 + unit / lanes + part * comptime!(units / lanes);
        windows.push(window(row, &phase, &from, &numbers, comptime!(form.backward)));
    }
    let sums = zeros(fragments);
    let mut k0 = piece * numbers.terms;
    while k0 < last {
        let k = k0 + lane * 4;
        let channel = k % from.channels;
        let mut scale = Vector::<f32, Const<4>>::new(0.0f32);
        let mut shift = Vector::<f32, Const<4>>::new(0.0f32);
        if comptime!(form.norm.is_some()) {
            scale = statistics_fours[(2 * from.channels + channel) / 4];
            shift = statistics_fours[(3 * from.channels + channel) / 4];
        }
        #[unroll]
        for part in 0..row_parts {
            let pixel =
                source(&windows[part], k / from.channels, &phase, &from, &numbers, comptime!(form.backward));
            let mut value = Vector::<f32, Const<4>>::new(0.0f32);
            if k < last && pixel.inside {
                value = map[(pixel.pixel * from.stride + from.first + channel) / 4];
                if comptime!(form.norm.is_some()) {
                    value = normalise(value, scale, shift, function);
                }
            }
            let row = unit / lanes + part * comptime!(units / lanes);
            left[row * comptime!(Fragments::by_terms() / 4) + lane] = Vector::cast_from(value);
        }
        #[unroll]
        for part in 0..comptime!(tile.columns * lanes / units) {
            let mut value = Vector::<f32, Const<4>>::new(0.0f32);
            if comptime!(form.backward) {
                let quads = comptime!(tile.columns / 4);
                let term = (unit + part * units) / quads;
                let quad = (unit + part * units) % quads;
                let k = k0 + term;
                let tap = k / from.channels;
                let tap_y = tap / phase.taps_x * phase.every + phase.first_y;
                let tap_x = tap % phase.taps_x * phase.every + phase.first_x;
                let weight = (k % from.channels * numbers.kernel + tap_y) * numbers.kernel + tap_x;
                let column = column0 + quad * 4;
                let at = numbers.weights_at + weight * to.channels + column;
                #[unroll]
                for q in 0..4usize {
                    if k < last && column + q < to.channels {
                        value.insert(q, weights[at + q]);
                    }
                }
                right[term * comptime!(Fragments::by_side(tile.columns) / 4) + quad] =
                    Vector::cast_from(value);
            } else {
                let column = unit / lanes + part * comptime!(units / lanes);
                let at = numbers.weights_at + (column0 + column) * phase.depth + k;
                #[unroll]
                for q in 0..4usize {
                    if k + q < last && column0 + column < to.channels {
                        value.insert(q, weights[at + q]);
                    }
                }
                right[column * comptime!(Fragments::by_terms() / 4) + lane] = Vector::cast_from(value);
            }
        }
        sync_cube();
        multiply::<E>(&left, &right, &sums, layouts, fragments);
        sync_cube();
        k0 += STEP;
    }

    let own = leave(&sums, fragments);
    let uy = unit / comptime!(tile.across());
    let ux = unit % comptime!(tile.across());
    let held_columns = comptime!(tile.register_columns);
    let mut norms = Array::<Vector<f32, Const<4>>>::new(held_columns);
    let mut totals = Array::<f32>::new(held_columns);
    let mut products = Array::<f32>::new(held_columns);
    #[unroll]
    for j in 0..held_columns {
        norms[j] = Vector::<f32, Const<4>>::new(0.0f32);
        if comptime!(form.ending.norm_sums.is_some()) {
            norms[j] = norm_of(statistics, column0 + ux + j * comptime!(tile.across()), to.channels);
        }
        totals[j] = 0.0f32;
        products[j] = 0.0f32;
    }
    let base = piece * (to.images * to.height * to.width * to.stride) + to.first;
    #[unroll]
    for i in 0..comptime!(tile.register_rows) {
        let row = row0 + uy + i * comptime!(tile.down());
        let pixel = written(row, &phase, &to, comptime!(form.backward));
        #[unroll]
        for j in 0..held_columns {
            let column = column0 + ux + j * comptime!(tile.across());
            if row < phase.rows && column < to.channels {
                let written = finish(
                    own[comptime!(i * held_columns + j)],
                    pixel,
                    column,
                    target,
                    base + pixel * to.stride + column,
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
        let index = CUBE_POS_Z as usize / numbers.pieces;
        let tile_at = index * (numbers.tiles / numbers.tiles_across) + row_tile;
        pair_sums(&totals, &products, aside, tile_at, column0, to.channels, tile);
    }
    if comptime!(form.ending.sums) {
        tile_sums(&own, aside, row_tile, phase.rows - row0, column0, to.channels, tile);
    }
}
