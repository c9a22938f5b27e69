//! Batch normalisation (Ioffe & Szegedy 2015) with PyTorch's running statistics: the running variance takes
//! the unbiased batch variance. burn's own layer takes the biased one, which would make a network trained
//! here score differently from the same one trained in PyTorch.

use super::Maps;
use crate::cpu::{self, ConvParameters, NormParameters, Statistics};
use crate::gpu::ConvIds;
use crate::onnx::GraphMaps;
use burn::module::{Module, ModuleMapper, Param, RunningState};
use burn::nn::conv::Conv2d;
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor};
use xray_kernels::Nonlinearity;

const MOMENTUM: f64 = 0.1;

/// Per-channel normalisation of `[batch, channels, height, width]`: by the batch's statistics on a device
/// that records gradients, by the running ones elsewhere.
#[derive(Module, Debug)]
pub(crate) struct BatchNorm {
    pub(crate) weight: Param<Tensor<1>>,
    pub(crate) bias: Param<Tensor<1>>,
    pub(crate) running_mean: RunningState<Tensor<1>>,
    pub(crate) running_var: RunningState<Tensor<1>>,
}

impl BatchNorm {
    /// Added to the variance.
    pub(crate) const EPSILON: f64 = 1e-5;

    pub(crate) fn new(channels: usize, device: &Device) -> Self {
        BatchNorm {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
        }
    }

    /// Same shape in and out.
    pub(crate) fn forward(&self, input_nchw: Tensor<4>) -> Tensor<4> {
        if input_nchw.device().is_autodiff() {
            self.normalise_by_batch(input_nchw)
        } else {
            let (mean, variance) = (self.running_mean.value(), self.running_var.value());
            batch_norm(input_nchw, self.weight.val(), self.bias.val(), mean, variance, Self::EPSILON)
        }
    }

    fn normalise_by_batch(&self, input_nchw: Tensor<4>) -> Tensor<4> {
        let [n, _, h, w] = input_nchw.dims();
        let batch = batch_norm_train(input_nchw, self.weight.val(), self.bias.val(), Self::EPSILON);
        self.blend(batch.mean.detach(), batch.variance.detach(), n * h * w);
        batch.output
    }

    /// With ReLU, where no convolution is next to it.
    pub(crate) fn forward_relu(&self, maps: Maps) -> Maps {
        let epsilon = Self::EPSILON as f32;
        let parameters = || NormParameters { gamma: self.weight.val(), beta: self.bias.val() };
        match maps {
            Maps::Nchw(maps_nchw) => Maps::Nchw(relu(self.forward(maps_nchw))),
            Maps::Cpu(maps) if maps.in_training() => {
                let (output, statistics) = cpu::train_norm_relu(maps, parameters(), epsilon);
                self.track(statistics);
                Maps::Cpu(output)
            }
            Maps::Cpu(maps) => {
                Maps::Cpu(cpu::infer_norm_relu(maps, parameters(), self.statistics(), epsilon))
            }
            Maps::Gpu(maps) => maps.norm_relu(self.weight.id, epsilon),
            Maps::Graph(maps) => Maps::Graph(self.written_down(&maps).activated(Nonlinearity::Relu)),
            Maps::Plan(maps) => Maps::Plan(maps.norm_relu(self.affine(), false)),
        }
    }

    /// As an operation, by the running statistics.
    pub(crate) fn written_down(&self, maps: &GraphMaps) -> GraphMaps {
        maps.normalised(&self.weight, Self::EPSILON)
    }

    /// What this layer and a convolution next to it learn.
    pub(crate) fn with(&self, conv: &Conv2d) -> ConvParameters {
        ConvParameters { weight: conv.weight.val(), gamma: self.weight.val(), beta: self.bias.val() }
    }

    /// How a GPU knows both.
    pub(crate) fn ids_with(&self, conv: &Conv2d) -> ConvIds {
        ConvIds { kernel: conv.weight.id, gamma: self.weight.id }
    }

    pub(crate) fn channels(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Takes up the statistics of a batch on the CPU, in training.
    pub(crate) fn track(&self, Statistics { mean, variance, count }: Statistics) {
        for (running, batch, factor) in
            [(&self.running_mean, mean, 1.0), (&self.running_var, variance, unbiased(count))]
        {
            // Clones share the value. `update` would keep one for each thread and average them by operations of burn,
            // while other threads wait.
            running.clone().map(&mut Blend { batch: &batch, factor: factor as f32 });
        }
    }

    /// The running mean and variance.
    pub(crate) fn statistics(&self) -> [Tensor<1>; 2] {
        [self.running_mean.value(), self.running_var.value()]
    }

    fn blend(&self, mean: Tensor<1>, variance: Tensor<1>, count: usize) {
        blend(&self.running_mean, mean);
        blend(&self.running_var, variance.mul_scalar(unbiased(count)));
    }
}

/// What makes an unbiased variance of a biased one.
fn unbiased(count: usize) -> f64 {
    let samples = count as f64;
    samples / (samples - 1.0).max(1.0)
}

/// Writes a running statistic after a batch on the CPU.
struct Blend<'a> {
    batch: &'a [f32],
    factor: f32,
}

impl ModuleMapper for Blend<'_> {
    fn map_float<const D: usize>(&mut self, running: Param<Tensor<D>>) -> Param<Tensor<D>> {
        running.map(|old| cpu::blended(old, self.batch, self.factor, MOMENTUM))
    }
}

fn blend(running: &RunningState<Tensor<1>>, batch: Tensor<1>) {
    let kept = running.value_sync().mul_scalar(1.0 - MOMENTUM);
    running.update(kept.add(batch.mul_scalar(MOMENTUM)).detach());
}
