//! Where the features of a dense block lie: one buffer, each layer's behind those of the layers before. Every layer
//! begins a block of 16 lanes; where a growth rate is not a multiple of 16, as in the small networks of tests, lanes in
//! between stay zero, and parameters and maps are spread out and gathered.

use std::borrow::Cow;
use xray_kernels::MapShape;

const LANES: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(super) struct Concatenation {
    /// Images, pixels and channels of what comes in, without halo.
    pub(super) input: MapShape,
    pub(super) growth: usize,
    pub(super) layers: usize,
}

impl Concatenation {
    fn input_blocks(&self) -> usize {
        self.input.channels.div_ceil(LANES)
    }

    /// Blocks that lie before the features of a layer.
    fn blocks_before(&self, layer: usize) -> usize {
        self.input_blocks() + layer * self.growth.div_ceil(LANES)
    }

    fn shape(&self, channels: usize) -> MapShape {
        let MapShape { images, height, width, .. } = self.input;
        MapShape::new(images, channels, height, width, 0)
    }

    fn buffer_blocks(&self) -> usize {
        self.blocks_before(self.layers)
    }

    /// The whole buffer, lanes in between included.
    pub(super) fn whole(&self) -> MapShape {
        self.shape(self.buffer_blocks() * LANES)
    }

    /// What comes in, in the buffer.
    pub(super) fn given(&self) -> MapShape {
        self.shape(self.input.channels).within(0, self.buffer_blocks())
    }

    /// What a layer reads, lanes in between included.
    pub(super) fn before(&self, layer: usize) -> MapShape {
        self.shape(self.blocks_before(layer) * LANES).within(0, self.buffer_blocks())
    }

    /// What a layer writes.
    pub(super) fn features(&self, layer: usize) -> MapShape {
        self.shape(self.growth).within(self.blocks_before(layer), self.buffer_blocks())
    }

    /// The same, lanes in between included.
    pub(super) fn lanes_of_features(&self, layer: usize) -> MapShape {
        let channels = self.growth.next_multiple_of(LANES);
        self.shape(channels).within(self.blocks_before(layer), self.buffer_blocks())
    }

    /// The output as other layers see it.
    pub(super) fn output(&self) -> MapShape {
        self.shape(self.channels_before(self.layers))
    }

    /// Channels that a layer reads.
    fn channels_before(&self, layer: usize) -> usize {
        self.input.channels + layer * self.growth
    }

    /// Whether there are no lanes in between.
    pub(super) fn is_dense(&self) -> bool {
        self.input.channels.is_multiple_of(LANES) && self.growth.is_multiple_of(LANES)
    }

    /// The lane of a channel.
    fn lane(&self, channel: usize) -> usize {
        match channel.checked_sub(self.input.channels) {
            None => channel,
            Some(behind) => self.blocks_before(behind / self.growth) * LANES + behind % self.growth,
        }
    }

    /// Rows of so many channels as a layer reads, as rows of lanes with zeros in between.
    pub(super) fn spread<'a>(&self, layer: usize, rows: &'a [f32]) -> Cow<'a, [f32]> {
        if self.is_dense() {
            return Cow::Borrowed(rows);
        }
        let (channels, lanes) = (self.channels_before(layer), self.blocks_before(layer) * LANES);
        let mut spread = vec![0.0; rows.len() / channels * lanes];
        for (from, to) in rows.chunks(channels).zip(spread.chunks_mut(lanes)) {
            for (channel, value) in from.iter().enumerate() {
                to[self.lane(channel)] = *value;
            }
        }
        Cow::Owned(spread)
    }

    /// The other way.
    pub(super) fn gather(&self, layer: usize, rows: Vec<f32>) -> Vec<f32> {
        if self.is_dense() {
            return rows;
        }
        let (channels, lanes) = (self.channels_before(layer), self.blocks_before(layer) * LANES);
        let rows = rows.chunks(lanes);
        rows.flat_map(|row| (0..channels).map(|channel| row[self.lane(channel)])).collect()
    }

    /// Calls with the place of each pixel's channel in the buffer and in the output.
    pub(super) fn for_each_value(&self, mut call: impl FnMut(usize, usize)) {
        let (whole, output) = (self.whole(), self.output());
        for image in 0..output.images {
            for channel in 0..output.channels {
                let lane = self.lane(channel);
                for pixel in 0..output.height * output.width {
                    let (y, x) = (pixel / output.width, pixel % output.width);
                    let from = whole.offset(image, lane / LANES, y, x) + lane % LANES;
                    call(from, output.offset(image, channel / LANES, y, x) + channel % LANES);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spread_is_gathered_again() {
        for (channels, growth) in [(20, 3), (16, 32), (5, 17)] {
            let place = Concatenation { input: MapShape::new(1, channels, 2, 2, 0), growth, layers: 3 };
            let rows: Vec<f32> = (0..2 * (channels + 2 * growth)).map(|i| 1.0 + i as f32).collect();
            let spread = place.spread(2, &rows).into_owned();
            assert_eq!(spread.len(), 2 * place.before(2).channels);
            assert_eq!(place.gather(2, spread), rows);
        }
    }

    #[test]
    fn every_layer_begins_a_block() {
        let place = Concatenation { input: MapShape::new(1, 20, 1, 1, 0), growth: 3, layers: 2 };
        assert_eq!([19, 20, 22, 23].map(|channel| place.lane(channel)), [19, 32, 34, 48]);
        assert_eq!((place.whole().channels, place.output().channels), (64, 26));
        assert_eq!(place.features(1).offset(0, 0, 0, 0), 48);
    }
}
