//! Images as they are handed to a network, copied by all threads.

use super::context;
use super::maps::CpuMaps;
use crate::channels::Channels;
use xray_kernels::{PlanarShape, repeat_planes};

/// `[n, channels, size, size]` of gray pixels `[n, size, size]`. Where all channels hold the same, one stands for them:
/// the first convolution has the sum of their weights.
pub(crate) fn images(pixels: &[f32], size: usize, channels: &Channels, in_training: bool) -> CpuMaps {
    let count = if channels.ranges.is_some() { channels.count } else { 1 };
    let images = pixels.len() / (size * size);
    let shape = PlanarShape { images, channels: count, height: size, width: size };
    let mut buffer = context().arena.take(shape.len());
    repeat_planes(pixels, |channel, value| channels.value(channel, value), (&mut buffer, shape));
    CpuMaps::images(buffer, shape, in_training)
}
