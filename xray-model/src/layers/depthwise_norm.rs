//! Depthwise convolution, batch norm and activation (Sandler et al., 2018).

use super::conv_norm::convolution;
use super::{BatchNorm, Maps, activate};
use crate::cpu;
use crate::integer::folded_weights;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Device;
use xray_kernels::{DepthwiseBlock, DepthwiseSpec, Nonlinearity};

/// `[n, channels, h, w]` to `[n, channels, h / stride, w / stride]`: each channel has a kernel of its own.
#[derive(Module, Debug)]
pub(crate) struct DepthwiseNorm {
    conv: Conv2d,
    norm: BatchNorm,
    #[module(skip)]
    function: Nonlinearity,
}

impl DepthwiseNorm {
    pub(crate) fn new(
        channels: usize,
        kernel: usize,
        stride: usize,
        function: Nonlinearity,
        device: &Device,
    ) -> Self {
        let conv = convolution([channels, channels], kernel, stride, channels, device);
        DepthwiseNorm { conv, norm: BatchNorm::new(channels, device), function }
    }

    pub(crate) fn forward(&self, maps: Maps) -> Maps {
        match maps {
            Maps::Nchw(maps_nchw) => {
                Maps::Nchw(activate(self.function, self.norm.forward(self.conv.forward(maps_nchw))))
            }
            Maps::Cpu(maps) if maps.device().is_autodiff() => {
                let parameters = self.norm.with(&self.conv);
                let (output, statistics) = cpu::train_depthwise(self.block(), maps, parameters);
                self.norm.track(statistics);
                Maps::Cpu(output)
            }
            Maps::Cpu(maps) => {
                let (parameters, statistics) = (self.norm.with(&self.conv), self.norm.statistics());
                Maps::Cpu(cpu::infer_depthwise(self.block(), maps, parameters, statistics))
            }
            Maps::Gpu(maps) => maps.depthwise_norm(&self.block(), self.norm.ids_with(&self.conv)),
            Maps::Graph(maps) => {
                Maps::Graph(self.norm.written_down(&maps.convolved(&self.conv)).activated(self.function))
            }
            Maps::Plan(maps) => {
                let weights = folded_weights(&self.conv, &self.norm);
                Maps::Plan(maps.filtered(self.block().conv, weights, self.function))
            }
        }
    }

    fn block(&self) -> DepthwiseBlock {
        let [channels, _, kernel, _] = self.conv.weight.dims();
        let [stride, _] = self.conv.stride;
        let conv = DepthwiseSpec { channels, kernel, stride, padding: kernel / 2 };
        DepthwiseBlock { conv, function: self.function, epsilon: BatchNorm::EPSILON as f32 }
    }
}
