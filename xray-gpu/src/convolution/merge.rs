//! The second pass of a contraction in pieces: it adds them up in their order, and takes the channel sums that the
//! first pass could not. Without pieces it takes the sums of a map that is there already.

#![expect(unsafe_code, reason = "launches without bounds checks; lengths are checked before")]

use super::norm_sums::{norm_of, pair_sums};
use super::sums::tile_sums;
use super::tile::Tile;
use crate::buffer::Buffer;
use crate::epilogue::{Ending, Epilogue, EpiloguePlaces, finish};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{GradientMap, Map, MapShape, Sizes};
use crate::pass::{Pass, bytes};
use crate::statistics::TileSums;
use cubecl::prelude::*;

/// How [`merge`] is compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Form {
    tile: Tile,
    /// Whether the total is written; otherwise `source` is a map as `to` says.
    write: bool,
    /// What becomes of the totals.
    ending: Ending,
}

pub(super) const MERGE: Tile = Tile { rows: 64, columns: 32, register_rows: 8, register_columns: 1 };
/// Pixels of a tile of which [`map_sums`] takes sums.
pub const MAP_SUM_ROWS: usize = SUMS.rows;

const SUMS: Tile = Tile { rows: 256, columns: 32, register_rows: 32, register_columns: 1 };

#[cube(launch_unchecked)]
fn merge(
    source: &[f32],
    statistics: &[f32],
    beside: &[f32],
    target: &mut [f32],
    aside: &mut [f32],
    to: Sizes,
    places: EpiloguePlaces,
    tiles: usize,
    tiles_across: usize,
    pieces: usize,
    #[comptime] form: Form,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= tiles {
        terminate!();
    }
    let tile = comptime!(form.tile);
    let held = comptime!(tile.register_rows);
    let unit = UNIT_POS as usize;
    let row_tile = group / tiles_across;
    let row0 = row_tile * comptime!(tile.rows);
    let column0 = group % tiles_across * comptime!(tile.columns);
    let column = column0 + unit % comptime!(tile.columns);
    let pixels = to.images * to.height * to.width;
    let mut sums = Array::<f32>::new(held);
    let mut norm = Vector::<f32, Const<4>>::new(0.0f32);
    let mut total = Array::<f32>::new(1usize);
    let mut product = Array::<f32>::new(1usize);
    total[0] = 0.0f32;
    product[0] = 0.0f32;
    if comptime!(form.ending.norm_sums.is_some()) {
        norm = norm_of(statistics, column, to.channels);
    }
    #[unroll]
    for i in 0..held {
        let row = row0 + unit / comptime!(tile.columns) + i * comptime!(tile.down());
        let mut sum = 0.0f32;
        if row < pixels && column < to.channels {
            if comptime!(form.write) {
                for piece in 0..pieces {
                    sum += source[(piece * pixels + row) * to.channels + column];
                }
                let written = finish(
                    sum,
                    row,
                    column,
                    target,
                    row * to.stride + to.first + column,
                    beside,
                    aside,
                    norm,
                    &places,
                    comptime!(form.ending),
                );
                if comptime!(form.ending.norm_sums.is_some()) {
                    total[0] += written.d;
                    product[0] += written.product;
                }
            } else {
                sum = source[row * to.stride + to.first + column];
            }
        }
        sums[i] = sum;
    }
    if comptime!(form.ending.norm_sums.is_some()) {
        pair_sums(&total, &product, aside, row_tile, column0, to.channels, tile);
    }
    if comptime!(form.ending.sums) {
        tile_sums(&sums, aside, row_tile, pixels - row0, column0, to.channels, tile);
    }
}

/// The pass that adds up `pieces` maps.
pub(super) fn merge_pass(shape: MapShape, pieces: usize) -> Pass {
    pass("merge", MERGE, shape, pieces + 1)
}

fn pass(name: &'static str, tile: Tile, shape: MapShape, times: usize) -> Pass {
    let [down, across] = tile.cover(shape.pixels(), shape.channels);
    let bytes = bytes(shape.len() * times);
    Pass { name, groups: [down * across, 1], units: tile.units(), multiply_adds: 0, bytes }
}

/// The pass of [`map_sums`].
pub fn map_sums_pass(shape: MapShape) -> Pass {
    pass("map sums", SUMS, shape, 1)
}

/// Adds up pieces, each a map of just the target's channels.
pub(super) fn merge_pieces(
    gpu: &Gpu,
    source: &Buffer,
    pieces: usize,
    GradientMap { map: target, accumulate }: GradientMap<'_>,
    epilogue: Epilogue<'_>,
    pass: &Pass,
) {
    let shape = target.shape();
    assert_eq!(source.len(), pieces * shape.len(), "floats of {pieces} pieces");
    let form = Form { tile: MERGE, write: true, ending: epilogue.ending(accumulate) };
    launch(gpu, (source, pieces), target, epilogue, form, pass);
}

/// The channel sums of a map that is not written by a convolution: of a depthwise one, or of a concatenation.
///
/// # Errors
/// If the device makes no buffer for them.
pub fn map_sums(gpu: &Gpu, map: Map<'_>) -> Result<TileSums, Error> {
    let sums = TileSums::empty(gpu, map.shape(), SUMS.rows)?;
    let epilogue = Epilogue::Sums(&sums);
    let form = Form { tile: SUMS, write: false, ending: epilogue.ending(false) };
    launch(gpu, (map.buffer(), 1), map, epilogue, form, &map_sums_pass(map.shape()));
    Ok(sums)
}

fn launch(
    gpu: &Gpu,
    (source, pieces): (&Buffer, usize),
    target: Map<'_>,
    epilogue: Epilogue<'_>,
    form: Form,
    pass: &Pass,
) {
    let shape = target.shape();
    let [down, across] = form.tile.cover(shape.pixels(), shape.channels);
    // SAFETY: lengths were checked; rows and channels past the end are not touched.
    unsafe {
        merge::launch_unchecked(
            gpu.launch(pass),
            gpu.grid(pass),
            pass.dim(),
            source.argument(),
            epilogue.statistics(target),
            epilogue.beside(target),
            target.argument(),
            epilogue.aside(target),
            target.sizes(),
            epilogue.places(target),
            down * across,
            across,
            pieces,
            form,
        );
    }
}
