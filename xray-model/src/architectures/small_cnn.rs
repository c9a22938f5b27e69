//! SmallCNN: four blocks of 3×3 convolution, batch norm, ReLU and max-pool, then the mean over the map and
//! one linear layer. 391,918 parameters at width 32, one input channel and 14 findings.

use crate::layers::ConvBlock;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// Channels double from block to block: `width`, 2 `width`, 4 `width`, 8 `width`.
const BLOCKS: usize = 4;

/// `[n, channels, h, w]` to `[n, classes]`; any size from 16 pixels.
#[derive(Module, Debug)]
pub(crate) struct SmallCnn {
    features: Vec<ConvBlock>,
    classifier: Linear,
}

impl SmallCnn {
    pub(crate) fn new(channels: usize, width: usize, classes: usize, device: &Device) -> Self {
        let widths: Vec<_> =
            std::iter::once(channels).chain((0..BLOCKS).map(|block| width << block)).collect();
        SmallCnn {
            features: widths.windows(2).map(|pair| ConvBlock::new(pair[0], pair[1], device)).collect(),
            classifier: LinearConfig::new(widths[BLOCKS], classes).init(device),
        }
    }

    pub(crate) fn forward(&self, images_nchw: Tensor<4>) -> Tensor<2> {
        let maps_nchw = self.features.iter().fold(images_nchw, |maps, block| block.forward(maps));
        let means_nc = maps_nchw.flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2);
        self.classifier.forward(means_nc)
    }

    /// Multiply-adds of one image of `size` pixels.
    pub(crate) fn multiply_adds(channels: u64, width: u64, classes: u64, size: u64) -> u64 {
        let mut total = 0;
        let (mut channels_in, mut side) = (channels, size);
        for block in 0..BLOCKS {
            let channels_out = width << block;
            total += side * side * channels_in * channels_out * 9;
            (channels_in, side) = (channels_out, side / 2);
        }
        total + channels_in * classes
    }
}
