//! Convolution, batch normalisation, activation and perhaps a halving max-pool: one block, because a CPU wins by doing
//! all of it in one pass over memory.

use super::{BatchNorm, Maps, activate};
use crate::cpu::{self, ConvNormSpec, ConvParameters, CpuMaps, FoldedConv};
use crate::gpu::ConvIds;
use crate::integer::{PlanMaps, folded_weights};
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};
use xray_kernels::{Activation, ConvBlock, ConvSpec};

/// A convolution without bias, padded by half its kernel.
pub(crate) fn convolution(
    [channels_in, channels_out]: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
    device: &Device,
) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([channels_in, channels_out], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_groups(groups)
        .with_bias(false)
        .init(device)
}

/// `[n, in, h, w]` to `[n, out, h / stride, w / stride]`, halved once more (rounded down) by a pool: convolution, batch
/// norm, activation.
#[derive(Module, Debug)]
pub(crate) struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
    #[module(skip)]
    activation: Activation,
    /// Of the maps on the CPU: what the next layer's padding takes.
    #[module(skip)]
    halo: usize,
    #[module(skip)]
    before_depthwise: bool,
    #[module(skip)]
    reads_images: bool,
    /// For inference on the CPU, once the weights do not change any more.
    #[module(skip)]
    folded: Option<FoldedConv>,
}

impl ConvNorm {
    /// `channels` are those of input and output.
    pub(crate) fn new(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        activation: Activation,
        device: &Device,
    ) -> Self {
        ConvNorm {
            conv: convolution(channels, kernel, stride, 1, device),
            norm: BatchNorm::new(channels[1], device),
            activation,
            halo: 1,
            before_depthwise: false,
            reads_images: false,
            folded: None,
        }
    }

    /// The same, as the first of a network.
    pub(crate) fn first(self) -> Self {
        ConvNorm { reads_images: true, ..self }
    }

    /// The same, followed by a depthwise convolution of so large a kernel, which alone reads the output.
    pub(crate) fn before_depthwise(self, kernel: usize) -> Self {
        ConvNorm { halo: kernel / 2, before_depthwise: true, ..self }
    }

    pub(crate) fn forward(&self, maps: Maps) -> Maps {
        match maps {
            Maps::Nchw(maps_nchw) => {
                let activated = activate(self.activation.function, self.composed(maps_nchw));
                Maps::Nchw(if self.activation.pool { halved(activated) } else { activated })
            }
            Maps::Cpu(maps) => Maps::Cpu(self.on_cpu(maps, None)),
            Maps::Gpu(maps) => maps.conv_norm(&self.spec().block, self.ids(), None),
            Maps::Graph(maps) => {
                let normalised = self.norm.written_down(&maps.convolved(&self.conv));
                let activated = normalised.activated(self.activation.function);
                Maps::Graph(if self.activation.pool { activated.max_pooled(2, 0) } else { activated })
            }
            Maps::Plan(maps) => Maps::Plan(self.planned(&maps, None)),
        }
    }

    /// With a skip connection, which is added before the activation.
    pub(crate) fn forward_onto(&self, maps: Maps, skip: Maps) -> Maps {
        match (maps, skip) {
            (Maps::Nchw(maps_nchw), Maps::Nchw(skip_nchw)) => {
                Maps::Nchw(activate(self.activation.function, self.composed(maps_nchw) + skip_nchw))
            }
            (Maps::Cpu(maps), Maps::Cpu(skip)) => Maps::Cpu(self.on_cpu(maps, Some(skip))),
            (Maps::Gpu(maps), Maps::Gpu(skip)) => maps.conv_norm(&self.spec().block, self.ids(), Some(skip)),
            (Maps::Graph(maps), Maps::Graph(skip)) => {
                let normalised = self.norm.written_down(&maps.convolved(&self.conv));
                Maps::Graph(normalised.plus(&skip).activated(self.activation.function))
            }
            (Maps::Plan(maps), Maps::Plan(skip)) => Maps::Plan(self.planned(&maps, Some(&skip))),
            _ => unreachable!("all maps of a network lie in one place"),
        }
    }

    fn planned(&self, maps: &PlanMaps, skip: Option<&PlanMaps>) -> PlanMaps {
        let weights = folded_weights(&self.conv, &self.norm);
        maps.convolved(self.spec().block.conv, weights, skip, self.activation)
    }

    /// The same block, which folds its batch norm into its weights only once. It must not be trained.
    pub(crate) fn folded(self) -> Self {
        let folded = Some(self.fold());
        ConvNorm { folded, ..self }
    }

    /// Convolution and batch norm of burn's own operations.
    fn composed(&self, input_nchw: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(input_nchw))
    }

    fn on_cpu(&self, maps: CpuMaps, skip: Option<CpuMaps>) -> CpuMaps {
        if maps.in_training() {
            let (output, statistics) = cpu::train(self.spec(), maps, skip, self.parameters());
            self.norm.track(statistics);
            output
        } else {
            let folded = self.folded.clone().unwrap_or_else(|| self.fold());
            cpu::infer(&folded, maps, skip)
        }
    }

    fn fold(&self) -> FoldedConv {
        cpu::fold(self.spec(), self.reads_images, self.parameters(), self.norm.statistics())
    }

    fn spec(&self) -> ConvNormSpec {
        let [out_channels, in_channels, kernel, _] = self.conv.weight.dims();
        let [stride, _] = self.conv.stride;
        let conv = ConvSpec { in_channels, out_channels, kernel, stride, padding: kernel / 2 };
        let block = ConvBlock { conv, activation: self.activation, epsilon: BatchNorm::EPSILON as f32 };
        ConvNormSpec { block, halo: self.halo, before_depthwise: self.before_depthwise }
    }

    fn parameters(&self) -> ConvParameters {
        self.norm.with(&self.conv)
    }

    fn ids(&self) -> ConvIds {
        self.norm.ids_with(&self.conv)
    }
}

fn halved(maps_nchw: Tensor<4>) -> Tensor<4> {
    max_pool2d(maps_nchw, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
}
