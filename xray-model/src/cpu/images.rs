//! Images as they are handed to a network, copied by all threads.

use super::context;
use super::values::tensor;
use crate::channels::Channels;
use burn::backend::Flex;
use burn::tensor::{Device, Tensor};
use xray_kernels::{PlanarShape, repeat_planes};

/// `[n, channels, size, size]` of gray pixels `[n, size, size]`. Where all channels hold the same, one stands for them:
/// the first convolution has the sum of their weights.
pub(crate) fn images(pixels: &[f32], size: usize, channels: &Channels, device: &Device) -> Tensor<4> {
    let count = if channels.ranges.is_some() { channels.count } else { 1 };
    let images = pixels.len() / (size * size);
    let shape = PlanarShape { images, channels: count, height: size, width: size };
    let mut buffer = context().arena.take(shape.len());
    repeat_planes(pixels, |channel, value| channels.value(channel, value), (&mut buffer, shape));
    let images = Tensor::from_primitive::<Flex>(tensor(buffer, [images, count, size, size]));
    if device.is_autodiff() { Tensor::from_inner(images) } else { images }
}
