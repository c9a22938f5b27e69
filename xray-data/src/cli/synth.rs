//! `xray-data synth`

use super::Format;
use super::build::{OutputArguments, write};
use super::source::SplitChoice;
use clap::Args;
use xray_artifacts::{Exit, Failure};
use xray_data::build::Output;
use xray_data::sources::synthetic;
use xray_image::SynthConfig;

const EXAMPLE: &str = "\
Example:
  xray-data synth --images 8000 --size 128 --seed 0 --out shards";

/// Draw synthetic X-rays with a visible sign for each finding, and write them as shards
///
/// Findings occur as often, and as often together, as in ChestX-ray14. For first runs and tests where no real
/// image may be used.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct SynthArguments {
    /// Number of images; the number of patients follows from it
    #[arg(long, value_name = "N", default_value_t = 8000, value_parser = clap::value_parser!(u64).range(1..))]
    images: u64,

    /// Width and height in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 128,
          value_parser = clap::value_parser!(u32).range(16..=2048))]
    size: u32,

    /// Strength of the signs: at 1 some are obvious and some can hardly be seen, above 2 all are obvious, at 0
    /// there is nothing to find
    #[arg(long, value_name = "F", default_value_t = 1.0, value_parser = strength)]
    contrast: f32,

    #[command(flatten)]
    split: SplitChoice,

    #[command(flatten)]
    output: OutputArguments,
}

fn strength(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=10.0).contains(&value) { Ok(value) } else { Err("not between 0 and 10".to_owned()) }
}

pub(super) fn run(arguments: &SynthArguments, format: Format) -> Result<Exit, Failure> {
    let SynthArguments { images, size, contrast, split, output } = arguments;
    let config = SynthConfig {
        images: *images,
        size: *size,
        seed: split.seed,
        contrast: *contrast,
        ..SynthConfig::default()
    };
    let build = output.config(None, split.seed, split.plan(), false);
    write(&synthetic::read(&config), Output::start(&build, &output.out)?, &output.out, format)
}
