//! DenseNet-121 (Huang, Liu, van der Maaten and Weinberger: Densely Connected Convolutional Networks, CVPR 2017), table
//! 1, as torchvision has it; the network of CheXNet. 6,961,934 parameters with one input channel and 14 findings. On the
//! CPU the 2×2 means between dense blocks are taken before the 1×1 convolutions there, which gives the same numbers.

use super::cost::Cost;
use crate::initialise::{Draw, Initialisation};
use crate::layers::{BatchNorm, ConvNorm, DenseBlock, Maps, Transition};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use xray_kernels::{Activation, Nonlinearity};

/// The paper's growth rate: the features that each layer adds.
pub(crate) const WIDTH: usize = 32;

pub(crate) const INITIALISATION: Initialisation =
    Initialisation { kernels: Draw::NormalByInputs, matrices: Draw::UniformByInputs, biases: Draw::Zero };

/// Layers of each dense block.
const LAYERS: [usize; 4] = [6, 12, 24, 16];

/// `[n, channels, h, w]` to `[n, classes]`; any size from 32 pixels.
#[derive(Module, Debug)]
pub(crate) struct DenseNet {
    features: Features,
    classifier: Linear,
}

#[derive(Module, Debug)]
struct Features {
    stem: ConvNorm,
    denseblock1: DenseBlock,
    transition1: Transition,
    denseblock2: DenseBlock,
    transition2: Transition,
    denseblock3: DenseBlock,
    transition3: Transition,
    denseblock4: DenseBlock,
    norm5: BatchNorm,
}

impl DenseNet {
    pub(crate) fn new(channels: usize, growth: usize, classes: usize, device: &Device) -> Self {
        let [first, second, third, fourth] = plan(growth);
        let block = |plan: &BlockPlan| DenseBlock::new(plan.channels, plan.layers, growth, device);
        let transition = |plan: &BlockPlan| Transition::new([plan.features, plan.features / 2], device);
        let relu = Activation::of(Nonlinearity::Relu);
        DenseNet {
            features: Features {
                stem: ConvNorm::new([channels, first.channels], 7, 2, relu, device).first(),
                denseblock1: block(&first),
                transition1: transition(&first),
                denseblock2: block(&second),
                transition2: transition(&second),
                denseblock3: block(&third),
                transition3: transition(&third),
                denseblock4: block(&fourth),
                norm5: BatchNorm::new(fourth.features, device),
            },
            classifier: LinearConfig::new(fourth.features, classes).init(device),
        }
    }

    /// The last maps.
    pub(crate) fn maps(&self, images: Maps) -> Maps {
        self.features.maps(images)
    }

    /// Makes logits of the maps' means.
    pub(crate) fn classifier(&self) -> &Linear {
        &self.classifier
    }

    /// For inference on the CPU; the weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        DenseNet { features: self.features.folded(), ..self }
    }

    /// Multiply-adds of one image of `size` pixels.
    pub(crate) fn multiply_adds(channels: usize, growth: usize, classes: usize, size: u32) -> u64 {
        let mut cost = Cost::of_image(size);
        let [first, .., last] = plan(growth);
        cost.convolution([channels, first.channels], 7, 2);
        cost.stride(2);
        for (number, BlockPlan { channels, layers, features }) in plan(growth).into_iter().enumerate() {
            for layer in 0..layers {
                cost.convolution([channels + layer * growth, 4 * growth], 1, 1);
                cost.convolution([4 * growth, growth], 3, 1);
            }
            if number + 1 < LAYERS.len() {
                cost.convolution([features, features / 2], 1, 1);
                cost.halve();
            }
        }
        cost.linear([last.features, classes]);
        cost.multiply_adds()
    }
}

impl Features {
    fn maps(&self, images: Maps) -> Maps {
        let maps = self.stem.forward(images).overlapping_max();
        let maps = self.transition1.forward(self.denseblock1.forward(maps));
        let maps = self.transition2.forward(self.denseblock2.forward(maps));
        let maps = self.transition3.forward(self.denseblock3.forward(maps));
        self.norm5.forward_relu(self.denseblock4.forward(maps))
    }

    fn folded(self) -> Self {
        Features {
            stem: self.stem.folded(),
            denseblock1: self.denseblock1.folded(),
            denseblock2: self.denseblock2.folded(),
            denseblock3: self.denseblock3.folded(),
            denseblock4: self.denseblock4.folded(),
            ..self
        }
    }
}

/// Of a dense block: what comes in, how many layers, what goes out.
struct BlockPlan {
    channels: usize,
    layers: usize,
    features: usize,
}

fn plan(growth: usize) -> [BlockPlan; 4] {
    let mut channels = 2 * growth;
    LAYERS.map(|layers| {
        let plan = BlockPlan { channels, layers, features: channels + layers * growth };
        // Transitions halve the channels.
        channels = plan.features / 2;
        plan
    })
}

/// torchvision's name of a parameter at a path of fields.
pub(crate) fn spelling(path: &[&str]) -> String {
    match path {
        ["features", "stem", layer, rest] => format!("features.{layer}0.{rest}"),
        ["features", block, "layers", number, rest @ ..] => {
            let number = number.parse::<usize>().expect("an index") + 1;
            format!("features.{block}.denselayer{number}.{}", rest.join("."))
        }
        _ => path.join("."),
    }
}
