//! The networks by name, and the one type the rest of the crate handles.

mod cost;
mod densenet;
mod efficientnet;
mod mobilenet;
mod resnet;
mod small_cnn;

use crate::initialise::Initialisation;
use crate::integer::Plan;
use crate::layers::{Maps, alike, class_maps};
use crate::{Error, Result};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use densenet::DenseNet;
use efficientnet::EfficientNetB0;
use mobilenet::MobileNetV2;
use resnet::{Depth, ResNet};
use serde::{Deserialize, Serialize};
use small_cnn::SmallCnn;

/// Which network. Read in any of the spellings that [`Architecture::from_name`] knows, written in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub enum Architecture {
    /// Four blocks of convolution, batch norm, ReLU and max-pool.
    #[default]
    #[serde(rename = "small-cnn")]
    SmallCnn,
    /// He et al. 2016, with 18 layers.
    #[serde(rename = "resnet-18")]
    ResNet18,
    /// He et al. 2016, with 50 layers.
    #[serde(rename = "resnet-50")]
    ResNet50,
    /// Huang et al. 2017, with 121 layers: the network of CheXNet.
    #[serde(rename = "densenet-121")]
    DenseNet121,
    /// Sandler et al. 2018.
    #[serde(rename = "mobilenet-v2")]
    MobileNetV2,
    /// Tan & Le 2019.
    #[serde(rename = "efficientnet-b0")]
    EfficientNetB0,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 6] = [
        Architecture::SmallCnn,
        Architecture::ResNet18,
        Architecture::ResNet50,
        Architecture::DenseNet121,
        Architecture::MobileNetV2,
        Architecture::EfficientNetB0,
    ];

    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::SmallCnn => "small-cnn",
            Architecture::ResNet18 => "resnet-18",
            Architecture::ResNet50 => "resnet-50",
            Architecture::DenseNet121 => "densenet-121",
            Architecture::MobileNetV2 => "mobilenet-v2",
            Architecture::EfficientNetB0 => "efficientnet-b0",
        }
    }

    /// The network of a name as it is written here, by torchvision (`resnet18`, `mobilenet_v2`) or by timm
    /// (`mobilenetv2_100`); case and punctuation do not count.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = |name: &str| -> String {
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
        };
        let name = plain(name);
        let name = if name == "mobilenetv2100" { "mobilenetv2" } else { &name };
        Self::ALL.into_iter().find(|architecture| plain(architecture.name()) == name)
    }

    /// The paper's width: channels of the first convolution, or DenseNet's growth rate.
    pub fn width(self) -> usize {
        match self {
            Architecture::SmallCnn => small_cnn::WIDTH,
            Architecture::ResNet18 | Architecture::ResNet50 => resnet::WIDTH,
            Architecture::DenseNet121 => densenet::WIDTH,
            Architecture::MobileNetV2 => mobilenet::WIDTH,
            Architecture::EfficientNetB0 => efficientnet::WIDTH,
        }
    }
}

impl TryFrom<String> for Architecture {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        let names = || Architecture::ALL.map(|known| format!("`{}`", known.name())).join(", ");
        Architecture::from_name(&name)
            .ok_or_else(|| format!("unknown variant `{name}`, expected one of {}", names()))
    }
}

/// What a network looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Which network.
    pub architecture: Architecture,
    /// Channels of the first convolution, or DenseNet's growth rate; all others follow from it. 0 stands for the paper's.
    pub width: usize,
    /// Channels of the images: 1, or 3 that all hold the gray image, for weights of colour images.
    pub channels: usize,
    /// Whether scores are the mean of those of an image and of its mirror image (test-time augmentation), for twice
    /// the time.
    pub flip: bool,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig { architecture: Architecture::SmallCnn, width: 0, channels: 1, flip: false }
    }
}

impl ModelConfig {
    /// The paper's network.
    pub fn of(architecture: Architecture) -> Self {
        ModelConfig { architecture, ..ModelConfig::default() }
    }

    /// The same with its width as a number.
    pub fn resolved(self) -> Self {
        let width = if self.width == 0 { self.architecture.width() } else { self.width };
        ModelConfig { width, ..self }
    }

    /// The smallest image this network takes, in pixels.
    pub fn smallest_size(&self) -> u32 {
        match self.architecture {
            Architecture::SmallCnn => 16,
            // One pixel is left of it.
            _ => 32,
        }
    }

    /// Multiply-adds of one forward pass of one image.
    pub fn multiply_adds(&self, classes: usize, size: u32) -> u64 {
        let ModelConfig { architecture, width, channels, .. } = self.clone().resolved();
        match architecture {
            Architecture::SmallCnn => SmallCnn::multiply_adds(channels, width, classes, size),
            Architecture::ResNet18 => ResNet::multiply_adds(Depth::Eighteen, channels, width, classes, size),
            Architecture::ResNet50 => ResNet::multiply_adds(Depth::Fifty, channels, width, classes, size),
            Architecture::DenseNet121 => DenseNet::multiply_adds(channels, width, classes, size),
            Architecture::MobileNetV2 => MobileNetV2::multiply_adds(channels, width, classes, size),
            Architecture::EfficientNetB0 => EfficientNetB0::multiply_adds(channels, width, classes, size),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse =
            |key, value: usize, expected| Err(Error::Config { key, value: value.to_string(), expected });
        if self.width > 1024 {
            return refuse("width", self.width, "1 to 1024, or 0 for the paper's");
        }
        if ![1, 3].contains(&self.channels) {
            return refuse("channels", self.channels, "1, for gray images, or 3, each with the gray image");
        }
        Ok(())
    }
}

/// Any of the networks.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one network in a process; its tensors lie elsewhere")]
pub(crate) enum Network {
    SmallCnn(SmallCnn),
    ResNet(ResNet),
    DenseNet(DenseNet),
    MobileNetV2(MobileNetV2),
    EfficientNetB0(EfficientNetB0),
}

/// The same for whichever network it is.
macro_rules! of_each {
    ($network:expr, $inner:ident => $result:expr) => {
        match $network {
            Network::SmallCnn($inner) => $result,
            Network::ResNet($inner) => $result,
            Network::DenseNet($inner) => $result,
            Network::MobileNetV2($inner) => $result,
            Network::EfficientNetB0($inner) => $result,
        }
    };
}

impl Network {
    /// With weights that are not yet worth anything: [`crate::initialise`] or a file gives them values.
    pub(crate) fn new(config: &ModelConfig, classes: usize, device: &Device) -> Result<Self> {
        config.check()?;
        let ModelConfig { architecture, width, channels, .. } = config.clone().resolved();
        let resnet = |depth| Network::ResNet(ResNet::new(depth, channels, width, classes, device));
        Ok(match architecture {
            Architecture::SmallCnn => Network::SmallCnn(SmallCnn::new(channels, width, classes, device)),
            Architecture::ResNet18 => resnet(Depth::Eighteen),
            Architecture::ResNet50 => resnet(Depth::Fifty),
            Architecture::DenseNet121 => Network::DenseNet(DenseNet::new(channels, width, classes, device)),
            Architecture::MobileNetV2 => {
                Network::MobileNetV2(MobileNetV2::new(channels, width, classes, device))
            }
            Architecture::EfficientNetB0 => {
                Network::EfficientNetB0(EfficientNetB0::new(channels, width, classes, device))
            }
        })
    }

    /// Images `[n, channels, h, w]` to logits `[n, classes]`.
    pub(crate) fn forward(&self, images: Maps) -> Tensor<2> {
        self.classify(self.features(images))
    }

    /// Images `[n, channels, h, w]` to the means of the last maps, `[n, features]`.
    pub(crate) fn features(&self, images: Maps) -> Tensor<2> {
        self.maps(images).global_average()
    }

    /// Features `[n, features]` to logits `[n, classes]`.
    pub(crate) fn classify(&self, features_nf: Tensor<2>) -> Tensor<2> {
        alike(features_nf, |features_nf| self.classifier().forward(features_nf))
    }

    /// Images `[n, channels, h, w]` to logits, and to what each place adds to each logit, `[n, classes, h', w']`.
    pub(crate) fn forward_with_maps(&self, images: Maps) -> (Tensor<2>, Tensor<4>) {
        let maps = self.maps(images);
        let logits = self.classify(maps.clone().global_average());
        (logits, self.class_maps(maps.into_nchw()))
    }

    /// What each place of the last maps adds to each logit.
    pub(crate) fn class_maps(&self, maps_nchw: Tensor<4>) -> Tensor<4> {
        class_maps(self.classifier(), maps_nchw)
    }

    /// Writes the network down as operations, of which the last gives `output`.
    pub(crate) fn write_down(&self, images: Maps, output: &str) {
        let Maps::Graph(maps) = self.maps(images) else {
            unreachable!("all maps of a network lie in one place")
        };
        maps.global_average().classified(self.classifier(), output);
    }

    /// What the network computes of images of so many channels, up to the last maps.
    pub(crate) fn plan(&self, channels: usize) -> Plan {
        Plan::of(channels, |images| match self.maps(Maps::Plan(images)) {
            Maps::Plan(maps) => maps,
            _ => unreachable!("all maps of a network lie in one place"),
        })
    }

    /// The last maps.
    pub(crate) fn maps(&self, images: Maps) -> Maps {
        of_each!(self, network => network.maps(images))
    }

    /// Makes logits of the means of the last maps.
    pub(crate) fn classifier(&self) -> &Linear {
        of_each!(self, network => network.classifier())
    }

    /// How many logits it gives.
    pub(crate) fn classes(&self) -> usize {
        self.classifier().weight.dims()[1]
    }

    /// For inference on the CPU: what can be computed once is. The weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        of_each!(self, network => network.folded().into())
    }

    /// How first weights are drawn.
    pub(crate) fn initialisation(&self) -> Initialisation {
        match self {
            Network::SmallCnn(_) => small_cnn::INITIALISATION,
            Network::ResNet(_) => resnet::INITIALISATION,
            Network::DenseNet(_) => densenet::INITIALISATION,
            Network::MobileNetV2(_) => mobilenet::INITIALISATION,
            Network::EfficientNetB0(_) => efficientnet::INITIALISATION,
        }
    }

    /// How the parameter at a path of fields is called in weights files.
    pub(crate) fn spelling(&self) -> fn(&[&str]) -> String {
        match self {
            Network::SmallCnn(_) => |path| path.join("."),
            Network::ResNet(_) => resnet::spelling,
            Network::DenseNet(_) => densenet::spelling,
            Network::MobileNetV2(_) => mobilenet::spelling,
            Network::EfficientNetB0(_) => efficientnet::spelling,
        }
    }

    /// The name of the last layer, whose bias starts at the labels' log-odds.
    pub(crate) fn head(&self) -> &'static str {
        match self {
            Network::SmallCnn(_) | Network::DenseNet(_) => "classifier",
            Network::ResNet(_) => "fc",
            Network::MobileNetV2(_) | Network::EfficientNetB0(_) => "classifier.1",
        }
    }
}

macro_rules! a_network {
    ($($name:ident),*) => {
        $(impl From<$name> for Network {
            fn from(network: $name) -> Self {
                Network::$name(network)
            }
        })*
    };
}

a_network!(SmallCnn, ResNet, DenseNet, MobileNetV2, EfficientNetB0);

/// Where a layer stands in torchvision's sequence of convolution and batch norm.
fn position(layer: &str) -> usize {
    usize::from(layer == "norm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiply_adds_are_the_known_ones() {
        // torchvision's, of colour images and a thousand classes, in billions.
        let check = |architecture, expected: f64| {
            let config = ModelConfig { channels: 3, ..ModelConfig::of(architecture) };
            let found = config.multiply_adds(1000, 224) as f64 / 1e9;
            assert!((found - expected).abs() < 6e-4, "{architecture:?}: {found}");
        };
        check(Architecture::ResNet18, 1.814);
        check(Architecture::ResNet50, 4.089);
        check(Architecture::DenseNet121, 2.834);
        check(Architecture::MobileNetV2, 0.301);
        check(Architecture::EfficientNetB0, 0.386);
    }

    #[test]
    fn a_width_of_zero_is_the_papers() {
        let width = |width| ModelConfig { width, ..ModelConfig::of(Architecture::ResNet50) }.resolved().width;
        assert_eq!((width(0), width(12)), (64, 12));
    }

    #[test]
    fn names_are_those_of_settings() {
        for architecture in Architecture::ALL {
            let name = serde_json::to_value(architecture).expect("a name");
            assert_eq!(name, architecture.name());
        }
    }

    #[test]
    fn the_spellings_of_torchvision_and_timm_are_known() {
        let check = |architecture: Architecture, spellings: &[&str]| {
            for spelling in spellings.iter().chain([&architecture.name()]) {
                let read: Architecture = serde_json::from_value((*spelling).into()).expect("a name");
                assert_eq!(read, architecture, "{spelling}");
            }
        };
        check(Architecture::SmallCnn, &["small_cnn", "SmallCNN"]);
        check(Architecture::ResNet18, &["resnet18", "ResNet18", "ResNet-18", "RESNET_18"]);
        check(Architecture::ResNet50, &["resnet50", "ResNet50"]);
        check(Architecture::DenseNet121, &["densenet121", "DenseNet121", "DenseNet-121"]);
        check(Architecture::MobileNetV2, &["mobilenet_v2", "MobileNetV2", "mobilenetv2_100"]);
        check(Architecture::EfficientNetB0, &["efficientnet_b0", "EfficientNet-B0", "EfficientNetB0"]);
        for other in ["resnet", "resnet34", "densenet169", "resnet-18-wide", ""] {
            let error = serde_json::from_value::<Architecture>(other.into()).expect_err(other).to_string();
            assert!(
                error.starts_with(&format!("unknown variant `{other}`, expected one of `small-cnn`")),
                "{error}"
            );
        }
    }
}
