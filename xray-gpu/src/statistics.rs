//! From the sums of tiles to what batch norm needs of a channel.
#![expect(unsafe_code, reason = "launches without bounds checks; lengths are checked before")]

use crate::buffer::{Buffer, Part};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::MapShape;
use crate::pass::{Pass, bytes};
use crate::reduce::{REDUCE_UNITS, group_sum};
use cubecl::prelude::*;

/// Channel sums of a map, tile by tile: `[tile][2][channels]`, the sum and the squares about the tile's own mean.
#[derive(Debug)]
pub struct TileSums {
    buffer: Buffer,
    shape: MapShape,
    rows: usize,
}

impl TileSums {
    /// Room for the sums of tiles of `rows` pixels.
    pub(crate) fn empty(gpu: &Gpu, shape: MapShape, rows: usize) -> Result<Self, Error> {
        let tiles = shape.pixels().div_ceil(rows);
        Ok(Self { buffer: Buffer::empty(gpu, tiles * 2 * shape.channels)?, shape, rows })
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}

/// Running statistics, `[2][channels]`: means, then variances with Bessel's correction, as PyTorch keeps them.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// Where they are.
    pub values: Part<'a>,
    /// The share of a new batch; PyTorch's default is 0.1.
    pub momentum: f32,
}

/// What batch norm needs of each channel: seven rows of a buffer.
#[derive(Debug)]
pub struct Statistics {
    buffer: Buffer,
    channels: usize,
}

impl Statistics {
    /// Rows: mean, `1 / sqrt(variance + epsilon)`, scale, shift, variance (biased), and of the backward pass the means
    /// of the gradient and of the gradient times the normalised value.
    pub const ROWS: usize = 7;

    pub(crate) fn empty(gpu: &Gpu, channels: usize) -> Result<Self, Error> {
        Ok(Self { buffer: Buffer::empty(gpu, Self::ROWS * channels)?, channels })
    }

    /// `[7][channels]`, in the order of [`Statistics::ROWS`].
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.channels
    }
}

/// A group a channel. Tiles are merged by Chan's formula: their squares, and those of their means about the whole mean.
#[cube(launch_unchecked)]
fn merge_tiles(
    partials: &[f32],
    affine: &[f32],
    running: &mut [f32],
    statistics: &mut [f32],
    channels: usize,
    tiles: usize,
    rows: usize,
    pixels: usize,
    affine_at: usize,
    running_at: usize,
    epsilon: f32,
    momentum: f32,
) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let c = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    let mut tile = unit;
    while tile < tiles {
        sum += partials[tile * 2 * channels + c];
        tile += REDUCE_UNITS;
    }
    let count = f32::cast_from(pixels);
    let mean = group_sum(&mut place, sum) / count;
    let mut squares = 0.0f32;
    let mut tile = unit;
    while tile < tiles {
        let valid = f32::cast_from((pixels - tile * rows).min(rows));
        let difference = partials[tile * 2 * channels + c] / valid - mean;
        squares += partials[(tile * 2 + 1) * channels + c] + valid * difference * difference;
        tile += REDUCE_UNITS;
    }
    let squares = group_sum(&mut place, squares);
    if unit == 0 {
        let variance = squares / count;
        let inverse = 1.0f32 / (variance + epsilon).sqrt();
        let scale = affine[affine_at + c] * inverse;
        statistics[c] = mean;
        statistics[channels + c] = inverse;
        statistics[2 * channels + c] = scale;
        statistics[3 * channels + c] = affine[affine_at + channels + c] - mean * scale;
        statistics[4 * channels + c] = variance;
        let corrected = squares / (count - 1.0f32).max(1.0f32);
        let old_mean = running[running_at + c];
        let old_variance = running[running_at + channels + c];
        running[running_at + c] = old_mean + momentum * (mean - old_mean);
        running[running_at + channels + c] = old_variance + momentum * (corrected - old_variance);
    }
}

/// The launch of [`statistics`] after sums of tiles of `rows` pixels: see [`sum_rows`](crate::sum_rows).
pub fn statistics_pass(shape: MapShape, rows: usize) -> Pass {
    let (channels, tiles) = (shape.channels, shape.pixels().div_ceil(rows));
    let bytes = bytes(channels * (2 * tiles + 11));
    Pass { name: "statistics", groups: [channels, 1], units: REDUCE_UNITS, multiply_adds: 0, bytes }
}

/// Statistics of a training batch; moves the running ones towards them. `affine` is `[2][channels]`: gamma, then beta.
///
/// # Errors
/// If the device makes no buffer.
///
/// # Panics
/// If a part does not have two floats a channel.
pub fn statistics(
    gpu: &Gpu,
    sums: &TileSums,
    affine: Part<'_>,
    running: Running<'_>,
    epsilon: f32,
) -> Result<Statistics, Error> {
    let (channels, pixels) = (sums.shape.channels, sums.shape.pixels());
    affine.expect(2 * channels, "gamma and beta");
    running.values.expect(2 * channels, "running means and variances");
    let statistics = Statistics::empty(gpu, channels)?;
    let tiles = pixels.div_ceil(sums.rows);
    let pass = statistics_pass(sums.shape, sums.rows);
    // SAFETY: lengths were checked, and sums have theirs from the same shape.
    unsafe {
        merge_tiles::launch_unchecked(
            gpu.launch(&pass),
            pass.grid(),
            pass.dim(),
            sums.buffer.argument(),
            affine.argument(),
            running.values.argument(),
            statistics.buffer.argument(),
            channels,
            tiles,
            sums.rows,
            pixels,
            affine.start(),
            running.values.start(),
            epsilon,
            running.momentum,
        );
    }
    Ok(statistics)
}

#[cube(launch_unchecked)]
fn from_running(
    affine: &[f32],
    running: &[f32],
    statistics: &mut [f32],
    channels: usize,
    affine_at: usize,
    running_at: usize,
    epsilon: f32,
) {
    let c = ABSOLUTE_POS;
    if c < channels {
        let mean = running[running_at + c];
        let variance = running[running_at + channels + c];
        let inverse = 1.0f32 / (variance + epsilon).sqrt();
        let scale = affine[affine_at + c] * inverse;
        statistics[c] = mean;
        statistics[channels + c] = inverse;
        statistics[2 * channels + c] = scale;
        statistics[3 * channels + c] = affine[affine_at + channels + c] - mean * scale;
        statistics[4 * channels + c] = variance;
    }
}

/// What inference normalises with: the running statistics instead of the batch's.
///
/// # Errors
/// If the device makes no buffer.
///
/// # Panics
/// If a part does not have two floats a channel.
pub fn running_statistics(
    gpu: &Gpu,
    channels: usize,
    affine: Part<'_>,
    running: Part<'_>,
    epsilon: f32,
) -> Result<Statistics, Error> {
    affine.expect(2 * channels, "gamma and beta");
    running.expect(2 * channels, "running means and variances");
    let statistics = Statistics::empty(gpu, channels)?;
    let pass = Pass::elements("running statistics", channels, 9);
    // SAFETY: lengths were checked.
    unsafe {
        from_running::launch_unchecked(
            gpu.launch(&pass),
            pass.grid(),
            pass.dim(),
            affine.argument(),
            running.argument(),
            statistics.buffer.argument(),
            channels,
            affine.start(),
            running.start(),
            epsilon,
        );
    }
    Ok(statistics)
}
