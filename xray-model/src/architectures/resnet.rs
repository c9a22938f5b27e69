//! ResNet (He, Zhang, Ren and Sun: Deep Residual Learning for Image Recognition, CVPR 2016), table 1, as torchvision
//! has it: the stride of a bottleneck is that of its 3×3 convolution ("version 1.5"). With one input channel and 14
//! findings ResNet-18 has 11,177,422 parameters and ResNet-50 has 23,530,446.

use super::cost::Cost;
use crate::initialise::{Draw, Initialisation};
use crate::layers::{ConvNorm, Maps};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use xray_kernels::{Activation, Nonlinearity};

/// The paper's channels of the first stage; each stage has twice those of the one before.
pub(crate) const WIDTH: usize = 64;

pub(crate) const INITIALISATION: Initialisation = Initialisation {
    kernels: Draw::NormalByOutputs,
    matrices: Draw::UniformByInputs,
    biases: Draw::UniformByInputs,
};

const RELU: Activation = Activation::of(Nonlinearity::Relu);
const LINEAR: Activation = Activation::of(Nonlinearity::Identity);

/// Which of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Depth {
    /// Blocks of two 3×3 convolutions.
    Eighteen,
    /// Bottlenecks: 1×1, 3×3 and 1×1 convolution, the last to four times the channels.
    Fifty,
}

impl Depth {
    /// Blocks of each stage.
    fn stages(self) -> [usize; 4] {
        match self {
            Depth::Eighteen => [2, 2, 2, 2],
            Depth::Fifty => [3, 4, 6, 3],
        }
    }

    /// Channels that a block gives for each of its stage's.
    fn expansion(self) -> usize {
        match self {
            Depth::Eighteen => 1,
            Depth::Fifty => 4,
        }
    }

    fn block(self, channels_in: usize, channels: usize, stride: usize) -> BlockPlan {
        let out = channels * self.expansion();
        let convolutions = match self {
            Depth::Eighteen => vec![([channels_in, out], 3, stride), ([out, out], 3, 1)],
            Depth::Fifty => vec![
                ([channels_in, channels], 1, 1),
                ([channels, channels], 3, stride),
                ([channels, out], 1, 1),
            ],
        };
        let downsample = (stride != 1 || channels_in != out).then_some(([channels_in, out], 1, stride));
        BlockPlan { convolutions, downsample }
    }

    /// The blocks of all stages.
    fn plan(self, width: usize) -> [Vec<BlockPlan>; 4] {
        let mut channels_in = width;
        let mut stage = 0;
        self.stages().map(|blocks| {
            let channels = width << stage;
            let first_stride = if stage == 0 { 1 } else { 2 };
            stage += 1;
            let block = |number| {
                let stride = if number == 0 { first_stride } else { 1 };
                let plan = self.block(channels_in, channels, stride);
                channels_in = channels * self.expansion();
                plan
            };
            (0..blocks).map(block).collect()
        })
    }

    fn features(self, width: usize) -> usize {
        8 * width * self.expansion()
    }
}

/// Channels, kernel and stride.
type ConvPlan = ([usize; 2], usize, usize);

struct BlockPlan {
    convolutions: Vec<ConvPlan>,
    downsample: Option<ConvPlan>,
}

/// `[n, channels, h, w]` to `[n, classes]`; any size from 32 pixels.
#[derive(Module, Debug)]
pub(crate) struct ResNet {
    stem: ConvNorm,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    fc: Linear,
}

impl ResNet {
    pub(crate) fn new(depth: Depth, channels: usize, width: usize, classes: usize, device: &Device) -> Self {
        let stage = |plan: Vec<BlockPlan>| plan.into_iter().map(|plan| Block::new(plan, device)).collect();
        let [layer1, layer2, layer3, layer4] = depth.plan(width).map(stage);
        ResNet {
            stem: ConvNorm::new([channels, width], 7, 2, RELU, device).first(),
            layer1,
            layer2,
            layer3,
            layer4,
            fc: LinearConfig::new(depth.features(width), classes).init(device),
        }
    }

    /// Makes logits of the maps' means.
    pub(crate) fn classifier(&self) -> &Linear {
        &self.fc
    }

    /// The last maps.
    pub(crate) fn maps(&self, images: Maps) -> Maps {
        let stem = self.stem.forward(images).overlapping_max();
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        stages.into_iter().flatten().fold(stem, |maps, block| block.forward(maps))
    }

    /// For inference on the CPU; the weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        let folded = |stage: Vec<Block>| stage.into_iter().map(Block::folded).collect();
        ResNet {
            stem: self.stem.folded(),
            layer1: folded(self.layer1),
            layer2: folded(self.layer2),
            layer3: folded(self.layer3),
            layer4: folded(self.layer4),
            fc: self.fc,
        }
    }

    /// Multiply-adds of one image of `size` pixels.
    pub(crate) fn multiply_adds(
        depth: Depth,
        channels: usize,
        width: usize,
        classes: usize,
        size: u32,
    ) -> u64 {
        let mut cost = Cost::of_image(size);
        cost.convolution([channels, width], 7, 2);
        cost.stride(2);
        for BlockPlan { convolutions, downsample } in depth.plan(width).into_iter().flatten() {
            for (channels, kernel, stride) in convolutions {
                cost.convolution(channels, kernel, stride);
            }
            // Of as many pixels as the block's output.
            if let Some((channels, kernel, _)) = downsample {
                cost.convolution(channels, kernel, 1);
            }
        }
        cost.linear([depth.features(width), classes]);
        cost.multiply_adds()
    }
}

/// `relu(convolutions(x) + x)`, with x brought to the same size by a 1×1 convolution where it has another.
#[derive(Module, Debug)]
struct Block {
    convolutions: Vec<ConvNorm>,
    downsample: Option<ConvNorm>,
}

impl Block {
    fn new(BlockPlan { convolutions, downsample }: BlockPlan, device: &Device) -> Self {
        let convolution = |activation| {
            move |(channels, kernel, stride): ConvPlan| {
                ConvNorm::new(channels, kernel, stride, activation, device)
            }
        };
        Block {
            convolutions: convolutions.into_iter().map(convolution(RELU)).collect(),
            downsample: downsample.map(convolution(LINEAR)),
        }
    }

    fn forward(&self, maps: Maps) -> Maps {
        let skip = match &self.downsample {
            Some(downsample) => downsample.forward(maps.clone()),
            None => maps.clone(),
        };
        let (last, inner) = self.convolutions.split_last().expect("a block has convolutions");
        last.forward_onto(inner.iter().fold(maps, |maps, convolution| convolution.forward(maps)), skip)
    }

    fn folded(self) -> Self {
        Block {
            convolutions: self.convolutions.into_iter().map(ConvNorm::folded).collect(),
            downsample: self.downsample.map(ConvNorm::folded),
        }
    }
}

/// torchvision's name of a parameter at a path of fields.
pub(crate) fn spelling(path: &[&str]) -> String {
    match path {
        ["stem", layer, rest] => format!("{}1.{rest}", prefix(layer)),
        [stage, block, "convolutions", number, layer, rest] => {
            let number = number.parse::<usize>().expect("an index") + 1;
            format!("{stage}.{block}.{}{number}.{rest}", prefix(layer))
        }
        [stage, block, "downsample", layer, rest] => {
            format!("{stage}.{block}.downsample.{}.{rest}", super::position(layer))
        }
        _ => path.join("."),
    }
}

fn prefix(layer: &str) -> &str {
    if layer == "conv" { "conv" } else { "bn" }
}
