//! MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov and Chen: Inverted Residuals and Linear Bottlenecks, CVPR 2018), table 2,
//! as torchvision has it. 2,241,230 parameters with one input channel and 14 findings. torchvision's dropout of 0.2
//! before the classifier is left out: it would have to be drawn again when a run is resumed.

use super::cost::Cost;
use super::position;
use crate::initialise::{Draw, Initialisation};
use crate::layers::{ConvNorm, DepthwiseNorm, Maps};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use xray_kernels::{Activation, Nonlinearity};

/// The paper's channels of the first convolution; all others follow in proportion, rounded to multiples of eight.
pub(crate) const WIDTH: usize = 32;

pub(crate) const INITIALISATION: Initialisation =
    Initialisation { kernels: Draw::NormalByOutputs, matrices: Draw::Normal(0.01), biases: Draw::Zero };

const RELU6: Activation = Activation::of(Nonlinearity::Relu6);
const LINEAR: Activation = Activation::of(Nonlinearity::Identity);

/// Expansion, channels, blocks and stride of the first block of each stage, at the paper's width.
const STAGES: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

/// Channels of the last convolution, which a smaller width does not reduce.
const FEATURES: usize = 1280;

/// Channels at a width, as a multiple of eight that is at most a tenth smaller.
pub(super) fn scaled(channels: usize, width: usize) -> usize {
    let exact = (channels * width) as f64 / WIDTH as f64;
    let rounded = ((exact + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * exact { rounded + 8 } else { rounded }
}

struct BlockPlan {
    channels: [usize; 2],
    expanded: usize,
    stride: usize,
}

fn plan(width: usize) -> Vec<BlockPlan> {
    let mut channels_in = scaled(WIDTH, width);
    let mut plan = Vec::new();
    for [expansion, channels, blocks, first_stride] in STAGES {
        let channels = scaled(channels, width);
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            let expanded = channels_in * expansion;
            plan.push(BlockPlan { channels: [channels_in, channels], expanded, stride });
            channels_in = channels;
        }
    }
    plan
}

/// What the last convolution is given and gives.
fn head(width: usize) -> [usize; 2] {
    [scaled(STAGES[6][1], width), scaled(FEATURES, width.max(WIDTH))]
}

/// `[n, channels, h, w]` to `[n, classes]`; any size from 32 pixels.
#[derive(Module, Debug)]
pub(crate) struct MobileNetV2 {
    stem: ConvNorm,
    blocks: Vec<InvertedResidual>,
    head: ConvNorm,
    classifier: Linear,
}

impl MobileNetV2 {
    pub(crate) fn new(channels: usize, width: usize, classes: usize, device: &Device) -> Self {
        let blocks = plan(width).into_iter().map(|plan| InvertedResidual::new(&plan, device));
        MobileNetV2 {
            stem: ConvNorm::new([channels, scaled(WIDTH, width)], 3, 2, RELU6, device).first(),
            blocks: blocks.collect(),
            head: ConvNorm::new(head(width), 1, 1, RELU6, device),
            classifier: LinearConfig::new(head(width)[1], classes).init(device),
        }
    }

    /// Makes logits of the maps' means.
    pub(crate) fn classifier(&self) -> &Linear {
        &self.classifier
    }

    /// The last maps.
    pub(crate) fn maps(&self, images: Maps) -> Maps {
        let maps = self.blocks.iter().fold(self.stem.forward(images), |maps, block| block.forward(maps));
        self.head.forward(maps)
    }

    /// For inference on the CPU; the weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        MobileNetV2 {
            stem: self.stem.folded(),
            blocks: self.blocks.into_iter().map(InvertedResidual::folded).collect(),
            head: self.head.folded(),
            classifier: self.classifier,
        }
    }

    /// Multiply-adds of one image of `size` pixels.
    pub(crate) fn multiply_adds(channels: usize, width: usize, classes: usize, size: u32) -> u64 {
        let mut cost = Cost::of_image(size);
        cost.convolution([channels, scaled(WIDTH, width)], 3, 2);
        for BlockPlan { channels: [channels_in, channels_out], expanded, stride } in plan(width) {
            if expanded != channels_in {
                cost.convolution([channels_in, expanded], 1, 1);
            }
            cost.depthwise(expanded, 3, stride);
            cost.convolution([expanded, channels_out], 1, 1);
        }
        cost.convolution(head(width), 1, 1);
        cost.linear([head(width)[1], classes]);
        cost.multiply_adds()
    }
}

/// 1×1 convolution to more channels, depthwise convolution, 1×1 convolution back; the input is added where it has the
/// output's size.
#[derive(Module, Debug)]
struct InvertedResidual {
    expand: Option<ConvNorm>,
    depthwise: DepthwiseNorm,
    project: ConvNorm,
    #[module(skip)]
    is_residual: bool,
}

impl InvertedResidual {
    fn new(plan: &BlockPlan, device: &Device) -> Self {
        let BlockPlan { channels: [channels_in, channels_out], expanded, stride } = *plan;
        let expand = || ConvNorm::new([channels_in, expanded], 1, 1, RELU6, device).before_depthwise(3);
        InvertedResidual {
            expand: (expanded != channels_in).then(expand),
            depthwise: DepthwiseNorm::new(expanded, 3, stride, Nonlinearity::Relu6, device),
            project: ConvNorm::new([expanded, channels_out], 1, 1, LINEAR, device),
            is_residual: stride == 1 && channels_in == channels_out,
        }
    }

    fn forward(&self, maps: Maps) -> Maps {
        let skip = self.is_residual.then(|| maps.clone());
        let expanded = match &self.expand {
            Some(expand) => expand.forward(maps),
            None => maps,
        };
        let filtered = self.depthwise.forward(expanded);
        match skip {
            Some(skip) => self.project.forward_onto(filtered, skip),
            None => self.project.forward(filtered),
        }
    }

    fn folded(self) -> Self {
        InvertedResidual {
            expand: self.expand.map(ConvNorm::folded),
            depthwise: self.depthwise.folded(),
            project: self.project.folded(),
            ..self
        }
    }
}

/// torchvision's name of a parameter at a path of fields.
pub(crate) fn spelling(path: &[&str]) -> String {
    match path {
        ["stem", layer, rest] => format!("features.0.{}.{rest}", position(layer)),
        ["head", layer, rest] => format!("features.18.{}.{rest}", position(layer)),
        ["blocks", number, part, layer, rest] => {
            let number = number.parse::<usize>().expect("an index") + 1;
            // Only the first block does not expand.
            let depthwise = usize::from(number > 1);
            let place = match *part {
                "expand" => format!("0.{}", position(layer)),
                "depthwise" => format!("{depthwise}.{}", position(layer)),
                _ => (depthwise + 1 + position(layer)).to_string(),
            };
            format!("features.{number}.conv.{place}.{rest}")
        }
        ["classifier", rest] => format!("classifier.1.{rest}"),
        _ => path.join("."),
    }
}
