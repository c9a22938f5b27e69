//! Depthwise convolution, batch norm and activation (Sandler et al., 2018).

use super::conv_norm::convolution;
use super::{BatchNorm, Maps, activate};
use crate::cpu;
use crate::integer::folded_weights;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Device;
use std::sync::Arc;
use xray_kernels::{DepthwiseBlock, DepthwiseSpec, FoldedDepthwise, Nonlinearity};

/// `[n, channels, h, w]` to `[n, channels, h / stride, w / stride]`: each channel has a kernel of its own.
#[derive(Module, Debug)]
pub(crate) struct DepthwiseNorm {
    conv: Conv2d,
    norm: BatchNorm,
    #[module(skip)]
    function: Nonlinearity,
    /// For inference on the CPU, once the weights do not change any more.
    #[module(skip)]
    folded: Option<Arc<FoldedDepthwise>>,
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
        DepthwiseNorm { conv, norm: BatchNorm::new(channels, device), function, folded: None }
    }

    pub(crate) fn forward(&self, maps: Maps) -> Maps {
        match maps {
            Maps::Nchw(maps_nchw) => {
                Maps::Nchw(activate(self.function, self.norm.forward(self.conv.forward(maps_nchw))))
            }
            Maps::Cpu(maps) if maps.in_training() => {
                let parameters = self.norm.with(&self.conv);
                let (output, statistics) = cpu::train_depthwise(self.block(), maps, parameters);
                self.norm.track(statistics);
                Maps::Cpu(output)
            }
            Maps::Cpu(maps) => {
                let folded = self.folded.clone().unwrap_or_else(|| self.fold());
                Maps::Cpu(cpu::infer_depthwise(&folded, maps))
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

    /// The same block, which folds its batch norm into its weights only once. It must not be trained.
    pub(crate) fn folded(self) -> Self {
        let folded = Some(self.fold());
        DepthwiseNorm { folded, ..self }
    }

    fn fold(&self) -> Arc<FoldedDepthwise> {
        cpu::fold_depthwise(self.block(), self.norm.with(&self.conv), self.norm.statistics())
    }

    fn block(&self) -> DepthwiseBlock {
        let [channels, _, kernel, _] = self.conv.weight.dims();
        let [stride, _] = self.conv.stride;
        let conv = DepthwiseSpec { channels, kernel, stride, padding: kernel / 2 };
        DepthwiseBlock { conv, function: self.function, epsilon: BatchNorm::EPSILON as f32 }
    }
}
