//! Sums of each channel, for batch norm, taken where a map is written: a tile's sum, and its squares about the tile's
//! own mean, so that no variance is a difference of large numbers (Chan, Golub and LeVeque, 1983).

use super::tile::Tile;
use cubecl::prelude::*;

/// Writes `partials[tile][2][channels]` from the sums that a group's units hold. Rows past the end hold zeros.
#[cube]
pub(crate) fn tile_sums(
    sums: &Array<f32>,
    partials: &mut [f32],
    row_tile: usize,
    rows_left: usize,
    column0: usize,
    channels: usize,
    #[comptime] tile: Tile,
) {
    let down = comptime!(tile.down());
    let across = comptime!(tile.across());
    let width = comptime!(tile.columns);
    let held_rows = comptime!(tile.register_rows);
    let held_columns = comptime!(tile.register_columns);
    let mut lines = Shared::<[f32]>::new_slice(down * width);
    let mut means = Shared::<[f32]>::new_slice(width);
    let unit = UNIT_POS as usize;
    let ux = unit % across;
    let uy = unit / across;
    let rows = rows_left.min(comptime!(tile.rows));
    let at = row_tile * 2 * channels + column0;
    #[unroll]
    for j in 0..held_columns {
        let mut sum = 0.0f32;
        #[unroll]
        for i in 0..held_rows {
            sum += sums[i * held_columns + j];
        }
        lines[uy * width + ux + j * across] = sum;
    }
    sync_cube();
    let mut column = unit;
    while column < width {
        let mut sum = 0.0f32;
        for line in 0..down {
            sum += lines[line * width + column];
        }
        means[column] = sum / f32::cast_from(rows);
        if column0 + column < channels {
            partials[at + column] = sum;
        }
        column += comptime!(tile.units());
    }
    sync_cube();
    #[unroll]
    for j in 0..held_columns {
        let mean = means[ux + j * across];
        let mut squares = 0.0f32;
        #[unroll]
        for i in 0..held_rows {
            if uy + i * down < rows {
                let difference = sums[i * held_columns + j] - mean;
                squares += difference * difference;
            }
        }
        lines[uy * width + ux + j * across] = squares;
    }
    sync_cube();
    let mut column = unit;
    while column < width {
        if column0 + column < channels {
            let mut squares = 0.0f32;
            for line in 0..down {
                squares += lines[line * width + column];
            }
            partials[at + channels + column] = squares;
        }
        column += comptime!(tile.units());
    }
}
