//! Convolution, batch normalisation, ReLU and a halving max-pool: one block, because a CPU wins by doing all
//! four in one pass over memory.

use super::{BatchNorm, Maps};
use crate::cpu::{self, ConvParameters, CpuMaps, FoldedConv};
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};
use xray_kernels::{Activation, ConvSpec};

const KERNEL: usize = 3;
const PADDING: usize = 1;

/// `[n, in, h, w]` to `[n, out, h / 2, w / 2]` (rounded down): 3×3 convolution with padding 1 and no bias,
/// batch norm, ReLU, 2×2 max-pool.
#[derive(Module, Debug)]
pub(crate) struct ConvBlock {
    conv: Conv2d,
    norm: BatchNorm,
    /// For inference on the CPU, once the weights do not change any more.
    #[module(skip)]
    folded: Option<FoldedConv>,
}

impl ConvBlock {
    pub(crate) fn new(channels_in: usize, channels_out: usize, device: &Device) -> Self {
        let conv = Conv2dConfig::new([channels_in, channels_out], [KERNEL, KERNEL])
            .with_padding(PaddingConfig2d::Explicit(PADDING, PADDING, PADDING, PADDING))
            .with_bias(false)
            .init(device);
        ConvBlock { conv, norm: BatchNorm::new(channels_out, device), folded: None }
    }

    pub(crate) fn forward(&self, maps: Maps) -> Maps {
        match maps {
            Maps::Nchw(maps_nchw) => Maps::Nchw(self.composed(maps_nchw)),
            Maps::Cpu(maps) if maps.device().is_autodiff() => Maps::Cpu(self.train(maps)),
            Maps::Cpu(maps) => {
                let fold = || self.fold(maps.are_images());
                let folded = self.folded.clone().unwrap_or_else(fold);
                Maps::Cpu(cpu::infer(&folded, maps))
            }
        }
    }

    /// The same block, which folds its batch norm into its weights only once. It must not be trained.
    pub(crate) fn folded(self, reads_images: bool) -> Self {
        let folded = Some(self.fold(reads_images));
        ConvBlock { folded, ..self }
    }

    /// Of burn's own operations.
    fn composed(&self, input_nchw: Tensor<4>) -> Tensor<4> {
        let activated = relu(self.norm.forward(self.conv.forward(input_nchw)));
        max_pool2d(activated, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
    }

    fn train(&self, input: CpuMaps) -> CpuMaps {
        let trained = cpu::train(self.block(), input, self.parameters());
        self.norm.track(trained.mean, trained.variance, trained.count);
        trained.output
    }

    fn fold(&self, reads_images: bool) -> FoldedConv {
        cpu::fold(self.block(), reads_images, self.parameters(), self.norm.statistics())
    }

    fn block(&self) -> xray_kernels::ConvBlock {
        let [out_channels, in_channels, kernel, _] = self.conv.weight.dims();
        xray_kernels::ConvBlock {
            conv: ConvSpec { in_channels, out_channels, kernel, stride: 1, padding: PADDING },
            activation: Activation { relu: true, pool: true },
            epsilon: BatchNorm::EPSILON as f32,
        }
    }

    fn parameters(&self) -> ConvParameters {
        ConvParameters {
            weight: self.conv.weight.val(),
            gamma: self.norm.weight.val(),
            beta: self.norm.bias.val(),
        }
    }
}
