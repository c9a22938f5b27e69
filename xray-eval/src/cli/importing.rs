//! The command line of `xray-eval import`.

use super::{OutputFormat, printed};
use crate::{ImportModelOptions, Pipeline, import_model};
use clap::Args;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure};
use xray_cli::print;
use xray_data::labels::parse_labels;
use xray_model::Architecture;

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The network: small-cnn, resnet-18, resnet-50, densenet-121, mobilenet-v2 or efficientnet-b0, also as torchvision
    /// spells them
    #[arg(long, value_name = "NAME", value_parser = architecture)]
    architecture: Architecture,
    /// The finding of each output in their order, as one line of CSV; empty for one that was never trained: 'Mass,,Edema'
    #[arg(long, value_name = "A,B,...")]
    labels: String,
    /// How images are prepared for it
    #[arg(long, value_enum, value_name = "WHOSE")]
    preprocessing: Pipeline,
    /// The folder of the bundle
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace a bundle that is there
    #[arg(long)]
    overwrite: bool,
    /// Width and height of the network's input in pixels [default: 224]
    #[arg(long, value_name = "PX")]
    size: Option<u32>,
    /// Channels of its images, 1 or 3 [default: 3 for imagenet, else 1]
    #[arg(long, value_name = "N", value_parser = clap::builder::PossibleValuesParser::new(["1", "3"]))]
    channels: Option<String>,
    /// Channels of its first convolution, or DenseNet's growth rate [default: the paper's]
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    width: usize,
    /// Which of several networks in the file, such as encoder_k [default: the only one, or the one that the others
    /// are copies of]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    part: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

impl ImportArguments {
    pub(super) fn run(&self, file: &Path) -> Result<Exit, Failure> {
        let options = ImportModelOptions {
            architecture: self.architecture,
            width: self.width,
            labels: parse_labels(&self.labels),
            pipeline: self.preprocessing,
            size: self.size,
            channels: self.channels.as_ref().and_then(|channels| channels.parse().ok()),
            part: self.part.clone(),
            out: self.out.clone(),
            overwrite: self.overwrite,
        };
        let found = import_model(file, &options)?;
        print(&printed(self.format, &found, || found.text()))?;
        Ok(Exit::Ok)
    }
}

fn architecture(name: &str) -> Result<Architecture, String> {
    let names = || Architecture::ALL.map(Architecture::name).join(", ");
    Architecture::from_name(name).ok_or_else(|| format!("one of {}", names()))
}
