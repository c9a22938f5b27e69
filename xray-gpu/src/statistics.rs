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

    /// The map that the sums are of.
    pub(crate) fn shape(&self) -> MapShape {
        self.shape
    }

    /// Pixels of a tile.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

/// Sums of batch norm's backward pass, tile by tile: `[tile][2][channels]`, of `d`, the gradient before the activation,
/// and of `d` times the normalised value.
#[derive(Debug)]
pub struct NormSums {
    buffer: Buffer,
    shape: MapShape,
    tiles: usize,
}

impl NormSums {
    /// Room for the sums of `tiles` parts of a map.
    pub(crate) fn empty(gpu: &Gpu, shape: MapShape, tiles: usize) -> Result<Self, Error> {
        Ok(Self { buffer: Buffer::empty(gpu, tiles * 2 * shape.channels)?, shape, tiles })
    }

    pub(crate) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The map that is normalised.
    pub(crate) fn shape(&self) -> MapShape {
        self.shape
    }

    pub(crate) fn tiles(&self) -> usize {
        self.tiles
    }
}

/// Batch norm's parameters of each channel, or their gradients. Both lie in one buffer, anywhere.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// What normalised values are multiplied by.
    pub gamma: Part<'a>,
    /// What is added then.
    pub beta: Part<'a>,
}

impl Affine<'_> {
    /// # Panics
    /// If a part does not have a float a channel, or they lie in two buffers.
    pub(crate) fn expect(&self, channels: usize) {
        self.gamma.expect(channels, "gamma");
        self.beta.expect(channels, "beta");
        self.gamma.expect_beside(&self.beta, "gamma and beta");
    }
}

/// Running statistics of each channel. Both lie in one buffer, anywhere.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// Means.
    pub mean: Part<'a>,
    /// Variances with Bessel's correction, as PyTorch keeps them.
    pub variance: Part<'a>,
    /// The share of a new batch; PyTorch's default is 0.1. Inference does not look at it.
    pub momentum: f32,
}

impl Running<'_> {
    /// # Panics
    /// If a part does not have a float a channel, or they lie in two buffers.
    pub(crate) fn expect(&self, channels: usize) {
        self.mean.expect(channels, "running means");
        self.variance.expect(channels, "running variances");
        self.mean.expect_beside(&self.variance, "running means and variances");
    }
}

/// Where the numbers of channels start, in the buffer of the parameters and in that of the running statistics.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct NormPlaces {
    pub(crate) gamma: usize,
    pub(crate) beta: usize,
    pub(crate) mean: usize,
    pub(crate) variance: usize,
}

impl NormPlaces {
    /// # Panics
    /// If a part does not fit.
    pub(crate) fn of(affine: Affine<'_>, running: Running<'_>, channels: usize) -> NormPlacesLaunch {
        affine.expect(channels);
        running.expect(channels);
        let [gamma, beta] = [affine.gamma, affine.beta].map(|part| part.start());
        let [mean, variance] = [running.mean, running.variance].map(|part| part.start());
        NormPlacesLaunch::new(gamma, beta, mean, variance)
    }
}

/// What batch norm needs of each channel: seven rows of a buffer.
#[derive(Debug)]
pub struct Statistics {
    buffer: Buffer,
    channels: usize,
}

impl Statistics {
    /// Rows: mean, `1 / sqrt(variance + epsilon)`, scale, shift, variance (biased), and two of the backward pass: the
    /// means of the gradient and of the gradient times the normalised value, or, after
    /// [`normalised_gradient`](crate::normalised_gradient), what follows from them.
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

/// A row of [`Statistics`], of neighbouring channels.
#[cube]
pub(crate) fn row<N: Size>(
    statistics: &[Vector<f32, N>],
    row: usize,
    channels: usize,
    channel: usize,
) -> Vector<f32, N> {
    statistics[(row * channels + channel) / N::value()]
}

/// Numbers of [`merge_tiles()`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct MergeNumbers {
    /// Channels, and those of them, the first ones, that the table knows.
    channels: usize,
    known: usize,
    /// Channels that the table has room for.
    room: usize,
    /// Tiles of `rows` pixels each.
    tiles: usize,
    rows: usize,
    pixels: usize,
    epsilon: f32,
    momentum: f32,
}

/// A group a channel. Tiles are merged by Chan's formula: their squares, and those of their means about the whole mean.
/// With a `table`, `[2][room]` of means and squares, the first channels have no tiles and are read there, and the
/// others are written there.
#[cube(launch_unchecked)]
pub(crate) fn merge_tiles(
    partials: &[f32],
    affine: &[f32],
    running: &mut [f32],
    statistics: &mut [f32],
    table: &mut [f32],
    numbers: MergeNumbers,
    places: NormPlaces,
    #[comptime] with_table: bool,
) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let c = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let channels = numbers.channels;
    let known = numbers.known;
    let rows = numbers.rows;
    let pixels = numbers.pixels;
    let fresh = channels - known;
    let mut tiles = numbers.tiles;
    if c < known {
        tiles = 0;
    }
    let mut sum = 0.0f32;
    let mut tile = unit;
    while tile < tiles {
        sum += partials[tile * 2 * fresh + c - known];
        tile += REDUCE_UNITS;
    }
    let count = f32::cast_from(pixels);
    let mut mean = group_sum(&mut place, sum) / count;
    let mut squares = 0.0f32;
    let mut tile = unit;
    while tile < tiles {
        let valid = f32::cast_from((pixels - tile * rows).min(rows));
        let difference = partials[tile * 2 * fresh + c - known] / valid - mean;
        squares += partials[(tile * 2 + 1) * fresh + c - known] + valid * difference * difference;
        tile += REDUCE_UNITS;
    }
    let mut squares = group_sum(&mut place, squares);
    if unit == 0 {
        if comptime!(with_table) {
            if c < known {
                mean = table[c];
                squares = table[numbers.room + c];
            } else {
                table[c] = mean;
                table[numbers.room + c] = squares;
            }
        }
        let variance = squares / count;
        let inverse = 1.0f32 / (variance + numbers.epsilon).sqrt();
        let scale = affine[places.gamma + c] * inverse;
        statistics[c] = mean;
        statistics[channels + c] = inverse;
        statistics[2 * channels + c] = scale;
        statistics[3 * channels + c] = affine[places.beta + c] - mean * scale;
        statistics[4 * channels + c] = variance;
        let corrected = squares / (count - 1.0f32).max(1.0f32);
        let old_mean = running[places.mean + c];
        let old_variance = running[places.variance + c];
        running[places.mean + c] = old_mean + numbers.momentum * (mean - old_mean);
        running[places.variance + c] = old_variance + numbers.momentum * (corrected - old_variance);
    }
}

/// The launch of [`statistics`] after sums of tiles of `rows` pixels: see [`sum_rows`](crate::sum_rows).
pub fn statistics_pass(shape: MapShape, rows: usize) -> Pass {
    let (channels, tiles) = (shape.channels, shape.pixels().div_ceil(rows));
    let bytes = bytes(channels * (2 * tiles + 11));
    Pass { name: "statistics", groups: [channels, 1], units: REDUCE_UNITS, multiply_adds: 0, bytes }
}

/// Statistics of a training batch; moves the running ones towards them.
///
/// # Errors
/// If the device makes no buffer.
///
/// # Panics
/// If a part does not have a float a channel, or a pair lies in two buffers.
pub fn statistics(
    gpu: &Gpu,
    sums: &TileSums,
    affine: Affine<'_>,
    running: Running<'_>,
    epsilon: f32,
) -> Result<Statistics, Error> {
    let pass = statistics_pass(sums.shape, sums.rows);
    merge_sums(gpu, sums, None, (affine, running, epsilon), &pass)
}

/// A table of channels that layers concatenate, as [`merge_tiles()`] sees it: those that it knows, and its room.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) values: &'a Buffer,
    pub(crate) known: usize,
    pub(crate) room: usize,
}

/// Statistics of the channels that the table knows, and of those that `sums` are of.
pub(crate) fn merge_sums(
    gpu: &Gpu,
    sums: &TileSums,
    table: Option<Table<'_>>,
    (affine, running, epsilon): (Affine<'_>, Running<'_>, f32),
    pass: &Pass,
) -> Result<Statistics, Error> {
    let (known, room) = table.map_or((0, 0), |table| (table.known, table.room));
    let (channels, pixels) = (known + sums.shape.channels, sums.shape.pixels());
    let places = NormPlaces::of(affine, running, channels);
    let statistics = Statistics::empty(gpu, channels)?;
    let numbers = MergeNumbersLaunch::new(
        channels,
        known,
        room,
        pixels.div_ceil(sums.rows),
        sums.rows,
        pixels,
        epsilon,
        running.momentum,
    );
    // SAFETY: lengths were checked, sums have theirs from the same shape, and the table has room for all channels.
    unsafe {
        merge_tiles::launch_unchecked(
            gpu.launch(pass),
            gpu.grid(pass),
            pass.dim(),
            sums.buffer.argument(),
            affine.gamma.argument(),
            running.mean.argument(),
            statistics.buffer.argument(),
            table.map_or(&statistics.buffer, |table| table.values).argument(),
            numbers,
            places,
            table.is_some(),
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
    places: NormPlaces,
    epsilon: f32,
) {
    let c = ABSOLUTE_POS;
    if c < channels {
        let mean = running[places.mean + c];
        let variance = running[places.variance + c];
        let inverse = 1.0f32 / (variance + epsilon).sqrt();
        let scale = affine[places.gamma + c] * inverse;
        statistics[c] = mean;
        statistics[channels + c] = inverse;
        statistics[2 * channels + c] = scale;
        statistics[3 * channels + c] = affine[places.beta + c] - mean * scale;
        statistics[4 * channels + c] = variance;
    }
}

/// What inference normalises with: the running statistics instead of the batch's.
///
/// # Errors
/// If the device makes no buffer.
///
/// # Panics
/// If a part does not have a float a channel, or a pair lies in two buffers.
pub fn running_statistics(
    gpu: &Gpu,
    channels: usize,
    affine: Affine<'_>,
    running: Running<'_>,
    epsilon: f32,
) -> Result<Statistics, Error> {
    let places = NormPlaces::of(affine, running, channels);
    let statistics = Statistics::empty(gpu, channels)?;
    let pass = Pass::elements("running statistics", channels, 9);
    // SAFETY: lengths were checked.
    unsafe {
        from_running::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            affine.gamma.argument(),
            running.mean.argument(),
            statistics.buffer.argument(),
            channels,
            places,
            epsilon,
        );
    }
    Ok(statistics)
}
