//! How many channels a network's images have, and what each makes of the gray image.

use crate::ModelConfig;
use xray_artifacts::ChannelRange;

/// The channels of a network's images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Channels {
    /// How many.
    pub(crate) count: usize,
    /// What each makes of a normalised value; none where they all hold it as it is.
    pub(crate) ranges: Option<[ChannelRange; 3]>,
}

impl Channels {
    /// Those of a network that is trained here.
    pub(crate) fn of(model: &ModelConfig) -> Self {
        Channels { count: model.channels, ranges: None }
    }

    /// Images of `size` pixels channel by channel, `[n, channels, size, size]`.
    pub(crate) fn planar(&self, pixels: &[f32], size: usize) -> Vec<f32> {
        let mut planar = Vec::with_capacity(self.count * pixels.len());
        for image in pixels.chunks_exact(size * size) {
            for channel in 0..self.count {
                planar.extend(image.iter().map(|&value| self.value(channel, value)));
            }
        }
        planar
    }

    /// What a channel holds of a gray value.
    pub(crate) fn value(&self, channel: usize, gray: f32) -> f32 {
        match &self.ranges {
            Some(ranges) => ranges[channel].of(gray),
            None => gray,
        }
    }
}
