//! Dense blocks and what lies between them (Huang et al., 2017): every layer reads the features of all layers before it.

use super::conv_norm::convolution;
use super::{BatchNorm, Maps};
use crate::HostTensor;
use crate::cpu::{self, ConvParameters, CpuMaps, FoldedDenseLayer};
use crate::gpu;
use crate::integer::{PlanMaps, folded_weights};
use crate::onnx::GraphMaps;
use crate::weights::to_host;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor};
use xray_kernels::{Activation, ConvSpec, Nonlinearity};

/// A 1×1 convolution gives so many times the growth rate to the 3×3 convolution that follows.
const BOTTLENECK: usize = 4;

const EPSILON: f32 = BatchNorm::EPSILON as f32;

/// `[n, in, h, w]` to `[n, in + layers * growth, h, w]`.
#[derive(Module, Debug)]
pub(crate) struct DenseBlock {
    layers: Vec<DenseLayer>,
}

/// Batch norm, ReLU, 1×1 convolution; batch norm, ReLU, 3×3 convolution.
#[derive(Module, Debug)]
struct DenseLayer {
    norm1: BatchNorm,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
    /// For inference on the CPU, once the weights do not change any more.
    #[module(skip)]
    folded: Option<FoldedDenseLayer>,
}

impl DenseBlock {
    pub(crate) fn new(channels: usize, layers: usize, growth: usize, device: &Device) -> Self {
        let layer = |number| DenseLayer::new(channels + number * growth, growth, device);
        DenseBlock { layers: (0..layers).map(layer).collect() }
    }

    pub(crate) fn forward(&self, maps: Maps) -> Maps {
        match maps {
            Maps::Nchw(maps_nchw) => {
                let grown = |features: Tensor<4>, layer: &DenseLayer| {
                    let new = layer.composed(features.clone());
                    Tensor::cat(vec![features, new], 1)
                };
                Maps::Nchw(self.layers.iter().fold(maps_nchw, grown))
            }
            Maps::Cpu(maps) if maps.in_training() => Maps::Cpu(self.train(maps)),
            Maps::Cpu(maps) => {
                let folded = |(number, layer): (usize, &DenseLayer)| {
                    layer.folded.clone().unwrap_or_else(|| self.fold(number))
                };
                let layers: Vec<_> = self.layers.iter().enumerate().map(folded).collect();
                Maps::Cpu(cpu::infer_dense_block(maps, &layers))
            }
            Maps::Gpu(maps) => {
                let layers = self.layers.iter().map(DenseLayer::on_gpu).collect();
                maps.dense_block(layers, EPSILON)
            }
            Maps::Graph(maps) => {
                let grown = |features: GraphMaps, layer: &DenseLayer| {
                    let new = layer.written_down(&features);
                    features.beside(&new)
                };
                Maps::Graph(self.layers.iter().fold(maps, grown))
            }
            Maps::Plan(maps) => {
                let grown =
                    |features: PlanMaps, layer: &DenseLayer| features.beside(&layer.planned(&features));
                Maps::Plan(self.layers.iter().fold(maps, grown))
            }
        }
    }

    /// For inference on the CPU; the weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        let folded: Vec<_> = (0..self.layers.len()).map(|number| self.fold(number)).collect();
        let layers = self.layers.into_iter().zip(folded);
        DenseBlock {
            layers: layers.map(|(layer, folded)| DenseLayer { folded: Some(folded), ..layer }).collect(),
        }
    }

    fn fold(&self, number: usize) -> FoldedDenseLayer {
        let layer = &self.layers[number];
        let channels = self.layers[0].norm1.channels();
        let statistics = [layer.norm1.statistics(), layer.norm2.statistics()];
        cpu::fold_dense_layer(number, channels, layer.parameters(), statistics, EPSILON)
    }

    fn train(&self, maps: CpuMaps) -> CpuMaps {
        let parameters = self.layers.iter().map(DenseLayer::parameters).collect();
        let (output, statistics) = cpu::train_dense_block(maps, parameters, EPSILON);
        for (layer, [first, second]) in self.layers.iter().zip(statistics) {
            layer.norm1.track(first);
            layer.norm2.track(second);
        }
        output
    }
}

impl DenseLayer {
    fn new(channels: usize, growth: usize, device: &Device) -> Self {
        let width = BOTTLENECK * growth;
        DenseLayer {
            norm1: BatchNorm::new(channels, device),
            conv1: convolution([channels, width], 1, 1, 1, device),
            norm2: BatchNorm::new(width, device),
            conv2: convolution([width, growth], 3, 1, 1, device),
            folded: None,
        }
    }

    /// Of burn's own operations.
    fn composed(&self, features_nchw: Tensor<4>) -> Tensor<4> {
        let inner = self.conv1.forward(relu(self.norm1.forward(features_nchw)));
        self.conv2.forward(relu(self.norm2.forward(inner)))
    }

    fn written_down(&self, features: &GraphMaps) -> GraphMaps {
        let relu = Nonlinearity::Relu;
        let inner = self.norm1.written_down(features).activated(relu).convolved(&self.conv1);
        self.norm2.written_down(&inner).activated(relu).convolved(&self.conv2)
    }

    fn planned(&self, features: &PlanMaps) -> PlanMaps {
        let [growth, width, ..] = self.conv2.weight.dims();
        let [_, channels, ..] = self.conv1.weight.dims();
        let squeeze =
            ConvSpec { in_channels: channels, out_channels: width, kernel: 1, stride: 1, padding: 0 };
        let grow = ConvSpec { in_channels: width, out_channels: growth, kernel: 3, stride: 1, padding: 1 };
        let folded = folded_weights(&self.conv1, &self.norm2);
        let relu = Activation::of(Nonlinearity::Relu);
        let inner = features.norm_relu(self.norm1.affine(), false).convolved(squeeze, folded, None, relu);
        inner.convolved(grow, without_norm(&self.conv2), None, Activation::of(Nonlinearity::Identity))
    }

    fn on_gpu(&self) -> gpu::DenseLayer {
        let [growth, width, ..] = self.conv2.weight.dims();
        let [squeeze, grow] =
            [(&self.norm1, &self.conv1), (&self.norm2, &self.conv2)].map(|(norm, conv)| norm.ids_with(conv));
        gpu::DenseLayer { squeeze, grow, width, growth }
    }

    fn parameters(&self) -> [ConvParameters; 2] {
        [self.norm1.with(&self.conv1), self.norm2.with(&self.conv2)]
    }
}

/// The weights of a convolution that no batch norm follows, and a bias of zeros.
fn without_norm(conv: &Conv2d) -> (Vec<f32>, Vec<f32>) {
    let HostTensor { shape, values } = to_host(conv.weight.val());
    (values, vec![0.0; shape[0]])
}

/// `[n, in, h, w]` to `[n, out, h / 2, w / 2]`: batch norm, ReLU, 1×1 convolution, 2×2 mean.
#[derive(Module, Debug)]
pub(crate) struct Transition {
    norm: BatchNorm,
    conv: Conv2d,
}

impl Transition {
    pub(crate) fn new(channels: [usize; 2], device: &Device) -> Self {
        let norm = BatchNorm::new(channels[0], device);
        Transition { norm, conv: convolution(channels, 1, 1, 1, device) }
    }

    pub(crate) fn forward(&self, maps: Maps) -> Maps {
        match maps {
            Maps::Nchw(maps_nchw) => {
                let output = self.conv.forward(relu(self.norm.forward(maps_nchw)));
                let halved = avg_pool2d(output, AvgPoolOptions::new([2, 2]).with_stride([2, 2]));
                Maps::Nchw(halved)
            }
            Maps::Cpu(maps) if maps.in_training() => {
                let (output, statistics) = cpu::train_transition(maps, self.parameters(), EPSILON);
                self.norm.track(statistics);
                Maps::Cpu(output)
            }
            Maps::Cpu(maps) => {
                let statistics = self.norm.statistics();
                Maps::Cpu(cpu::infer_transition(maps, self.parameters(), statistics, EPSILON))
            }
            Maps::Gpu(maps) => {
                let [channels, ..] = self.conv.weight.dims();
                maps.transition(self.norm.ids_with(&self.conv), channels, EPSILON)
            }
            Maps::Graph(maps) => {
                let activated = self.norm.written_down(&maps).activated(Nonlinearity::Relu);
                Maps::Graph(activated.convolved(&self.conv).average_pooled(2))
            }
            Maps::Plan(maps) => {
                let [out_channels, in_channels, ..] = self.conv.weight.dims();
                let conv = ConvSpec { in_channels, out_channels, kernel: 1, stride: 1, padding: 0 };
                // The mean before the convolution: they commute, and it is a quarter of the work.
                let averaged = maps.norm_relu(self.norm.affine(), true);
                let plain = Activation::of(Nonlinearity::Identity);
                Maps::Plan(averaged.convolved(conv, without_norm(&self.conv), None, plain))
            }
        }
    }

    fn parameters(&self) -> ConvParameters {
        self.norm.with(&self.conv)
    }
}
