//! The networks by name, and the one type the rest of the crate handles.

mod small_cnn;

use crate::layers::Maps;
use crate::{Error, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use small_cnn::SmallCnn;

/// Which network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Four blocks of convolution, batch norm, ReLU and max-pool.
    #[default]
    SmallCnn,
}

impl Architecture {
    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::SmallCnn => "small-cnn",
        }
    }
}

/// What a network looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Which network.
    pub architecture: Architecture,
    /// Channels of the first block; the others follow from it.
    pub width: usize,
    /// Channels of the images.
    pub channels: usize,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig { architecture: Architecture::SmallCnn, width: 32, channels: 1 }
    }
}

impl ModelConfig {
    /// The smallest image this network takes, in pixels.
    pub fn smallest_size(&self) -> u32 {
        match self.architecture {
            Architecture::SmallCnn => 16,
        }
    }

    /// Multiply-adds of one forward pass of one image.
    pub fn multiply_adds(&self, classes: usize, size: u32) -> u64 {
        match self.architecture {
            Architecture::SmallCnn => SmallCnn::multiply_adds(
                self.channels as u64,
                self.width as u64,
                classes as u64,
                u64::from(size),
            ),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse =
            |key, value: usize, expected| Err(Error::Config { key, value: value.to_string(), expected });
        if !(1..=1024).contains(&self.width) {
            return refuse("width", self.width, "1 to 1024");
        }
        if self.channels != 1 {
            return refuse("channels", self.channels, "1, for gray images");
        }
        Ok(())
    }
}

/// Any of the networks.
#[derive(Module, Debug)]
pub(crate) enum Network {
    SmallCnn(SmallCnn),
}

impl Network {
    /// With weights that are not yet worth anything: [`crate::initialise`] or a file gives them values.
    pub(crate) fn new(config: &ModelConfig, classes: usize, device: &Device) -> Result<Self> {
        config.check()?;
        match config.architecture {
            Architecture::SmallCnn => {
                Ok(Network::SmallCnn(SmallCnn::new(config.channels, config.width, classes, device)))
            }
        }
    }

    /// Images `[n, channels, h, w]` to logits `[n, classes]`.
    pub(crate) fn forward(&self, images: Maps) -> Tensor<2> {
        match self {
            Network::SmallCnn(network) => network.forward(images),
        }
    }

    /// Images `[n, channels, h, w]` to what each place adds to each logit, `[n, classes, h', w']`.
    pub(crate) fn activation_maps(&self, images: Maps) -> Tensor<4> {
        match self {
            Network::SmallCnn(network) => network.activation_maps(images),
        }
    }

    /// For inference on the CPU: what can be computed once is. The weights must not change any more.
    pub(crate) fn folded(self) -> Self {
        match self {
            Network::SmallCnn(network) => Network::SmallCnn(network.folded()),
        }
    }

    /// The name of the last layer's bias, which starts at the labels' log-odds.
    pub(crate) fn output_bias(&self) -> &'static str {
        match self {
            Network::SmallCnn(_) => "classifier.bias",
        }
    }
}
