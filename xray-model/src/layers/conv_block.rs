//! Convolution, batch normalisation, ReLU and a halving max-pool: one block, because a CPU wins by doing all
//! four in one pass over memory.

use super::BatchNorm;
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};

/// `[n, in, h, w]` to `[n, out, h / 2, w / 2]` (rounded down): 3×3 convolution with padding 1 and no bias,
/// batch norm, ReLU, 2×2 max-pool.
#[derive(Module, Debug)]
pub(crate) struct ConvBlock {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvBlock {
    pub(crate) fn new(channels_in: usize, channels_out: usize, device: &Device) -> Self {
        let conv = Conv2dConfig::new([channels_in, channels_out], [3, 3])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_bias(false)
            .init(device);
        ConvBlock { conv, norm: BatchNorm::new(channels_out, device) }
    }

    pub(crate) fn forward(&self, input_nchw: Tensor<4>) -> Tensor<4> {
        let activated = relu(self.norm.forward(self.conv.forward(input_nchw)));
        max_pool2d(activated, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
    }
}
