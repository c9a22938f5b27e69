//! SmallCNN: four blocks of 3×3 convolution, batch norm, ReLU and max-pool, then the mean over the map and
//! one linear layer. 391,918 parameters at width 32, one input channel and 14 findings.

use super::cost::Cost;
use crate::initialise::{Draw, Initialisation};
use crate::layers::{ConvNorm, Maps};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use xray_kernels::{Activation, Nonlinearity};

/// Channels of the first block.
pub(crate) const WIDTH: usize = 32;

/// PyTorch's defaults.
pub(crate) const INITIALISATION: Initialisation = Initialisation {
    kernels: Draw::UniformByInputs,
    matrices: Draw::UniformByInputs,
    biases: Draw::UniformByInputs,
};

/// Channels double from block to block: `width`, 2 `width`, 4 `width`, 8 `width`.
const BLOCKS: usize = 4;

const ACTIVATION: Activation = Activation { function: Nonlinearity::Relu, pool: true };

/// `[n, channels, h, w]` to `[n, classes]`; any size from 16 pixels.
#[derive(Module, Debug)]
pub(crate) struct SmallCnn {
    features: Vec<ConvNorm>,
    classifier: Linear,
}

impl SmallCnn {
    pub(crate) fn new(channels: usize, width: usize, classes: usize, device: &Device) -> Self {
        let block = |[from, to]: [usize; 2]| ConvNorm::new([from, to], 3, 1, ACTIVATION, device);
        let [first, rest @ ..] = blocks(channels, width);
        SmallCnn {
            features: std::iter::once(block(first).first()).chain(rest.map(block)).collect(),
            classifier: LinearConfig::new(width << (BLOCKS - 1), classes).init(device),
        }
    }

    /// For inference on the CPU; the weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        SmallCnn { features: self.features.into_iter().map(ConvNorm::folded).collect(), ..self }
    }

    /// Makes logits of the maps' means.
    pub(crate) fn classifier(&self) -> &Linear {
        &self.classifier
    }

    /// The last maps.
    pub(crate) fn maps(&self, images: Maps) -> Maps {
        self.features.iter().fold(images, |maps, block| block.forward(maps))
    }

    /// Multiply-adds of one image of `size` pixels.
    pub(crate) fn multiply_adds(channels: usize, width: usize, classes: usize, size: u32) -> u64 {
        let mut cost = Cost::of_image(size);
        for block in blocks(channels, width) {
            cost.convolution(block, 3, 1);
            cost.halve();
        }
        cost.linear([width << (BLOCKS - 1), classes]);
        cost.multiply_adds()
    }
}

/// Channels of each block's input and output.
fn blocks(channels: usize, width: usize) -> [[usize; 2]; BLOCKS] {
    std::array::from_fn(|block| {
        let from = if block == 0 { channels } else { width << (block - 1) };
        [from, width << block]
    })
}
