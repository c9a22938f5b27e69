//! What the layers that normalise a channel share, where layers concatenate: its moments, taken once where it is
//! written, and on the way back what all of them subtract from its gradient.

use crate::batch_norm::{Terms, add_terms, settle, terms_pass};
use crate::buffer::Buffer;
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{Map, MapShape};
use crate::pass::{Pass, bytes};
use crate::reduce::REDUCE_UNITS;
use crate::statistics::{Affine, NormSums, Running, Statistics, Table, TileSums, merge_sums};

/// Of the channels of a map: `[4][channels]`, means, squares about them, and the two terms of their gradient. Layers
/// write their channels one after the other, as in a dense block, and each layer normalises all there are by then.
///
/// On the way back a layer adds to the gradient of all it read with
/// [`input_gradient_with_sums`](crate::input_gradient_with_sums), and its norm's two terms a channel to the table with
/// [`ChannelTable::defer`]. Before the gradient of a channel is read, [`ChannelTable::settle`] subtracts the terms of all
/// layers from it, once. A table is good for one step.
#[derive(Debug)]
pub struct ChannelTable {
    values: Buffer,
    shape: MapShape,
    known: usize,
}

impl ChannelTable {
    /// Of a map of all channels that there will be; none is known yet.
    ///
    /// # Errors
    /// If the device makes no buffer.
    pub fn new(gpu: &Gpu, shape: MapShape) -> Result<Self, Error> {
        Ok(Self { values: Buffer::of(gpu, &vec![0.0; 4 * shape.channels])?, shape, known: 0 })
    }

    /// Adds the channels that `sums` are of, which follow the known ones, and makes the statistics of all that are
    /// known then, for the layer that normalises them; moves that layer's running statistics.
    ///
    /// # Errors
    /// If the device makes no buffer.
    ///
    /// # Panics
    /// If the sums are of another size of map or of more channels than are left, or a part does not have a float for
    /// each known channel.
    pub fn statistics(
        &mut self,
        gpu: &Gpu,
        sums: &TileSums,
        affine: Affine<'_>,
        running: Running<'_>,
        epsilon: f32,
    ) -> Result<Statistics, Error> {
        let shape = sums.shape();
        assert_eq!(shape.with_channels(0), self.shape.with_channels(0), "the map of the sums");
        let channels = self.known + shape.channels;
        assert!(channels <= self.shape.channels, "{channels} channels of {}", self.shape.channels);
        let table = Table { values: &self.values, known: self.known, room: self.shape.channels };
        let pass = concatenated_statistics_pass(shape, self.known, sums.rows());
        let statistics = merge_sums(gpu, sums, Some(table), (affine, running, epsilon), &pass)?;
        self.known = channels;
        Ok(statistics)
    }

    fn terms(&self, first: usize) -> Terms<'_> {
        let row = |row: usize| row * self.shape.channels + first;
        Terms { buffer: &self.values, mean: first, constant: row(2), slope: row(3) }
    }

    /// Adds the terms of a layer's norm, of which `sums` are, to those of the first channels, and writes the gradients
    /// of its gamma and beta.
    ///
    /// # Panics
    /// If the sums are of another size of map or of more channels than are known, or the gradients of gamma and beta do
    /// not have a float for each channel or lie in two buffers.
    pub fn defer(&self, gpu: &Gpu, statistics: &Statistics, sums: &NormSums, grad_affine: Affine<'_>) {
        let shape = sums.shape();
        assert_eq!(shape.with_channels(0), self.shape.with_channels(0), "the map of the sums");
        assert!(shape.channels <= self.known, "{} channels of {} known", shape.channels, self.known);
        add_terms(gpu, statistics, sums, self.terms(0), grad_affine, true);
    }

    /// Subtracts the terms of all layers so far from the gradient of some channels of the table's map: once for each
    /// channel, after all layers that read it.
    ///
    /// # Panics
    /// If a map is not of the table's size and among as many channels.
    pub fn settle(&self, gpu: &Gpu, map: Map<'_>, grad: Map<'_>) {
        let [first, stride] = map.place();
        assert_eq!(map.shape().with_channels(stride), self.shape, "the map of the table");
        assert_eq!(grad.place(), [first, stride], "channels of the gradient");
        settle(gpu, self.terms(first), map, grad);
    }
}

/// The launch of [`ChannelTable::defer`] after sums of `tiles` parts of a map: see
/// [`gradient_sum_tiles`](crate::gradient_sum_tiles).
pub fn defer_pass(channels: usize, tiles: usize) -> Pass {
    terms_pass(tiles, channels)
}

/// The launch of [`ChannelTable::statistics`] that adds the channels of a map of `fresh` to `known` ones, after sums of
/// tiles of `rows` pixels.
pub fn concatenated_statistics_pass(fresh: MapShape, known: usize, rows: usize) -> Pass {
    let (channels, tiles) = (known + fresh.channels, fresh.pixels().div_ceil(rows));
    let bytes = bytes(fresh.channels * 2 * tiles + channels * 13);
    Pass { name: "statistics", groups: [channels, 1], units: REDUCE_UNITS, multiply_adds: 0, bytes }
}
