//! Batch norm's sums on the way back, taken where the gradient of a normalised map is written: of each channel the sum
//! of `d` and of `d n`, where `d` is the gradient before the activation and `n` the value that was normalised. What is
//! written or added is `scale d`, the gradient of the map before the norm but for two terms of each channel, which those
//! sums give: see [`normalised_gradient`](crate::normalised_gradient).

use super::tile::Tile;
use cubecl::prelude::*;

/// A channel's mean, inverse deviation, scale and shift, from the rows of [`Statistics`](crate::Statistics).
#[cube]
pub(super) fn norm_of(statistics: &[f32], channel: usize, channels: usize) -> Vector<f32, Const<4>> {
    let mut norm = Vector::<f32, Const<4>>::new(0.0f32);
    if channel < channels {
        #[unroll]
        for row in 0..4usize {
            norm.insert(row, statistics[row * channels + channel]);
        }
    }
    norm
}

/// Writes `partials[row_tile][2][channels]` from what each unit added up of its columns.
#[cube]
pub(super) fn pair_sums(
    sums: &Array<f32>,
    products: &Array<f32>,
    partials: &mut [f32],
    row_tile: usize,
    column0: usize,
    channels: usize,
    #[comptime] tile: Tile,
) {
    let down = comptime!(tile.down());
    let across = comptime!(tile.across());
    let width = comptime!(tile.columns);
    let held_columns = comptime!(tile.register_columns);
    // One after the other: both at once would take more memory than a group has on many devices.
    let mut lines = Shared::<[f32]>::new_slice(down * width);
    let unit = UNIT_POS as usize;
    let place = unit / across * width + unit % across;
    #[unroll]
    for half in 0..2usize {
        #[unroll]
        for j in 0..held_columns {
            let mut own = sums[j];
            if comptime!(half == 1) {
                own = products[j];
            }
            lines[place + j * across] = own;
        }
        sync_cube();
        let mut column = unit;
        while column < width {
            if column0 + column < channels {
                let mut sum = 0.0f32;
                for line in 0..down {
                    sum += lines[line * width + column];
                }
                partials[(row_tile * 2 + half) * channels + column0 + column] = sum;
            }
            column += comptime!(tile.units());
        }
        sync_cube();
    }
}
