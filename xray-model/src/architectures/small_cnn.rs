//! SmallCNN: four blocks of 3×3 convolution, batch norm, ReLU and max-pool, then the mean over the map and
//! one linear layer. 391,918 parameters at width 32, one input channel and 14 findings.

use crate::layers::{ConvBlock, Maps};
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

    pub(crate) fn forward(&self, images: Maps) -> Tensor<2> {
        self.classifier.forward(self.maps(images).global_average())
    }

    /// For inference on the CPU; the weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        let blocks = self.features.into_iter().enumerate();
        SmallCnn { features: blocks.map(|(at, block)| block.folded(at == 0)).collect(), ..self }
    }

    /// What each place of the last map adds to each logit, `[n, classes, h, w]`. The classifier is linear in the
    /// mean over the map, so the mean of a class's map is its logit.
    pub(crate) fn activation_maps(&self, images: Maps) -> Tensor<4> {
        let maps_nchw = self.maps(images).into_nchw();
        let [n, channels, h, w] = maps_nchw.dims();
        let weight_kc = self.classifier.weight.val().transpose();
        let classes = weight_kc.dims()[0];
        let weight_nkc = weight_kc.unsqueeze::<3>().expand([n, classes, channels]);
        let classes_nkp = weight_nkc.matmul(maps_nchw.reshape([n, channels, h * w]));
        let bias = self.classifier.bias.as_ref().expect("made with a bias").val();
        (classes_nkp + bias.reshape([1, classes, 1])).reshape([n, classes, h, w])
    }

    fn maps(&self, images: Maps) -> Maps {
        self.features.iter().fold(images, |maps, block| block.forward(maps))
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
