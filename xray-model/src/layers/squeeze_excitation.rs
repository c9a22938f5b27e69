//! A factor for each channel, learned from the means of all (Hu et al., 2018).

use super::{Maps, activate, alike};
use crate::cpu::{self, SqueezeLayers};
use crate::gpu::LinearIds;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use xray_kernels::Nonlinearity;

const HAS_BIAS: &str = "made with a bias";

/// `maps * sigmoid(fc2(silu(fc1(means of maps))))`. As in torchvision, the two layers are 1×1 convolutions of maps of one
/// pixel.
#[derive(Module, Debug)]
pub(crate) struct SqueezeExcitation {
    fc1: Conv2d,
    fc2: Conv2d,
}

impl SqueezeExcitation {
    pub(crate) fn new(channels: usize, squeezed: usize, device: &Device) -> Self {
        SqueezeExcitation {
            fc1: Conv2dConfig::new([channels, squeezed], [1, 1]).init(device),
            fc2: Conv2dConfig::new([squeezed, channels], [1, 1]).init(device),
        }
    }

    pub(crate) fn forward(&self, maps: Maps) -> Maps {
        if let Maps::Graph(maps) = &maps {
            let squeezed = maps.global_average().convolved(&self.fc1).activated(Nonlinearity::Silu);
            return Maps::Graph(maps.times(&squeezed.convolved(&self.fc2).sigmoid()));
        }
        if let Maps::Plan(maps) = &maps {
            return Maps::Plan(maps.gated([&self.fc1, &self.fc2]));
        }
        if let Maps::Cpu(maps) = maps {
            let layers = [&self.fc1, &self.fc2];
            let (weights, biases) = (layers.map(|layer| layer.weight.val()), layers.map(bias));
            return Maps::Cpu(cpu::squeeze_excitation(maps, SqueezeLayers { weights, biases }));
        }
        if let Maps::Gpu(maps) = maps {
            let ids = [&self.fc1, &self.fc2].map(|layer| LinearIds {
                weight: layer.weight.id,
                bias: layer.bias.as_ref().expect(HAS_BIAS).id,
            });
            let [squeezed, ..] = self.fc1.weight.dims();
            return maps.squeeze_excitation(ids, squeezed);
        }
        let means_nc = maps.clone().global_average();
        let squeezed = activate(Nonlinearity::Silu, linear(&self.fc1, means_nc));
        maps.scaled(sigmoid(linear(&self.fc2, squeezed)))
    }
}

/// A 1×1 convolution of maps of one pixel.
fn linear(conv: &Conv2d, input_ni: Tensor<2>) -> Tensor<2> {
    let weight_io = conv.weight.val().flatten::<2>(1, 3).transpose();
    let bias = bias(conv);
    alike(input_ni, |input_ni| input_ni.matmul(weight_io.clone()) + bias.clone().unsqueeze())
}

fn bias(conv: &Conv2d) -> Tensor<1> {
    conv.bias.as_ref().expect(HAS_BIAS).val()
}
