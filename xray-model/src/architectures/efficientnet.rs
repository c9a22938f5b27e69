//! EfficientNet-B0 (Tan and Le: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019), table 1, as
//! torchvision has it. 4,024,906 parameters with one input channel and 14 findings. torchvision's dropout of 0.2 before
//! the classifier and its stochastic depth are left out: they would have to be drawn again when a run is resumed.

use super::cost::Cost;
use super::mobilenet::scaled;
use super::position;
use crate::initialise::{Draw, Initialisation};
use crate::layers::{ConvNorm, DepthwiseNorm, Maps, SqueezeExcitation};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use xray_kernels::{Activation, Nonlinearity};

/// The paper's channels of the first convolution; all others follow in proportion, rounded to multiples of eight.
pub(crate) const WIDTH: usize = 32;

pub(crate) const INITIALISATION: Initialisation =
    Initialisation { kernels: Draw::NormalByOutputs, matrices: Draw::UniformByOutputs, biases: Draw::Zero };

const SILU: Activation = Activation::of(Nonlinearity::Silu);
const LINEAR: Activation = Activation::of(Nonlinearity::Identity);

/// Expansion, kernel, stride of the first block, channels and blocks of each stage, at the paper's width.
const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
];

struct BlockPlan {
    channels: [usize; 2],
    expanded: usize,
    kernel: usize,
    stride: usize,
}

impl BlockPlan {
    /// Channels of the squeezed means.
    fn squeezed(&self) -> usize {
        (self.channels[0] / 4).max(1)
    }
}

fn plan(width: usize) -> Vec<Vec<BlockPlan>> {
    let mut channels_in = scaled(WIDTH, width);
    let stage = |[expansion, kernel, first_stride, channels, blocks]: [usize; 5]| {
        let channels = scaled(channels, width);
        let block = |number| {
            let stride = if number == 0 { first_stride } else { 1 };
            // A multiple of eight already.
            let expanded = channels_in * expansion;
            let plan = BlockPlan { channels: [channels_in, channels], expanded, kernel, stride };
            channels_in = channels;
            plan
        };
        (0..blocks).map(block).collect()
    };
    STAGES.into_iter().map(stage).collect()
}

/// What the last convolution is given and gives.
fn head(width: usize) -> [usize; 2] {
    let channels = scaled(STAGES[6][3], width);
    [channels, 4 * channels]
}

/// `[n, channels, h, w]` to `[n, classes]`; any size from 32 pixels.
#[derive(Module, Debug)]
pub(crate) struct EfficientNetB0 {
    stem: ConvNorm,
    stages: Vec<Vec<MbConv>>,
    head: ConvNorm,
    classifier: Linear,
}

impl EfficientNetB0 {
    pub(crate) fn new(channels: usize, width: usize, classes: usize, device: &Device) -> Self {
        let stage = |plan: Vec<BlockPlan>| plan.iter().map(|plan| MbConv::new(plan, device)).collect();
        EfficientNetB0 {
            stem: ConvNorm::new([channels, scaled(WIDTH, width)], 3, 2, SILU, device).first(),
            stages: plan(width).into_iter().map(stage).collect(),
            head: ConvNorm::new(head(width), 1, 1, SILU, device),
            classifier: LinearConfig::new(head(width)[1], classes).init(device),
        }
    }

    /// Makes logits of the maps' means.
    pub(crate) fn classifier(&self) -> &Linear {
        &self.classifier
    }

    /// The last maps.
    pub(crate) fn maps(&self, images: Maps) -> Maps {
        let blocks = self.stages.iter().flatten();
        self.head.forward(blocks.fold(self.stem.forward(images), |maps, block| block.forward(maps)))
    }

    /// For inference on the CPU; the weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        let folded = |stage: Vec<MbConv>| stage.into_iter().map(MbConv::folded).collect();
        EfficientNetB0 {
            stem: self.stem.folded(),
            stages: self.stages.into_iter().map(folded).collect(),
            head: self.head.folded(),
            classifier: self.classifier,
        }
    }

    /// Multiply-adds of one image of `size` pixels.
    pub(crate) fn multiply_adds(channels: usize, width: usize, classes: usize, size: u32) -> u64 {
        let mut cost = Cost::of_image(size);
        cost.convolution([channels, scaled(WIDTH, width)], 3, 2);
        for plan in plan(width).into_iter().flatten() {
            let BlockPlan { channels: [channels_in, channels_out], expanded, kernel, stride } = plan;
            if expanded != channels_in {
                cost.convolution([channels_in, expanded], 1, 1);
            }
            cost.depthwise(expanded, kernel, stride);
            cost.linear([expanded, plan.squeezed()]);
            cost.linear([plan.squeezed(), expanded]);
            cost.convolution([expanded, channels_out], 1, 1);
        }
        cost.convolution(head(width), 1, 1);
        cost.linear([head(width)[1], classes]);
        cost.multiply_adds()
    }
}

/// The inverted residual of MobileNetV2 with SiLU, and squeeze-and-excitation before the last convolution.
#[derive(Module, Debug)]
struct MbConv {
    expand: Option<ConvNorm>,
    depthwise: DepthwiseNorm,
    excitation: SqueezeExcitation,
    project: ConvNorm,
    #[module(skip)]
    is_residual: bool,
}

impl MbConv {
    fn new(plan: &BlockPlan, device: &Device) -> Self {
        let BlockPlan { channels: [channels_in, channels_out], expanded, kernel, stride } = *plan;
        let expand = || ConvNorm::new([channels_in, expanded], 1, 1, SILU, device).before_depthwise(kernel);
        MbConv {
            expand: (expanded != channels_in).then(expand),
            depthwise: DepthwiseNorm::new(expanded, kernel, stride, Nonlinearity::Silu, device),
            excitation: SqueezeExcitation::new(expanded, plan.squeezed(), device),
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
        let filtered = self.excitation.forward(self.depthwise.forward(expanded));
        match skip {
            Some(skip) => self.project.forward_onto(filtered, skip),
            None => self.project.forward(filtered),
        }
    }

    fn folded(self) -> Self {
        MbConv {
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
        ["head", layer, rest] => format!("features.8.{}.{rest}", position(layer)),
        ["stages", stage, block, part, layer, rest] => {
            let stage = stage.parse::<usize>().expect("an index") + 1;
            // Only the first stage does not expand.
            let depthwise = usize::from(stage > 1);
            let place = match *part {
                "expand" => format!("0.{}", position(layer)),
                "depthwise" => format!("{depthwise}.{}", position(layer)),
                "excitation" => format!("{}.{layer}", depthwise + 1),
                _ => format!("{}.{}", depthwise + 2, position(layer)),
            };
            format!("features.{stage}.{block}.block.{place}.{rest}")
        }
        ["classifier", rest] => format!("classifier.1.{rest}"),
        _ => path.join("."),
    }
}
