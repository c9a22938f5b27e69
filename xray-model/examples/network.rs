//! What a network is, in numbers: `cargo run --release -p xray-model --example network -- --model densenet-121`.
//!
//! Parameters, multiply-adds of one image, bytes of its ONNX file in each type of weights, and, with a file of weights,
//! an image and the logits that another library gives for it (`tests/golden/make_networks.py FOLDER`), how far ours are
//! from those. Prints one JSON object; `--onnx FILE` writes the network too.
#![expect(clippy::print_stdout, reason = "a program that prints its figures")]

use clap::Parser;
use serde_json::json;
use std::error::Error;
use std::path::{Path, PathBuf};
use xray_model::{
    Architecture, Backend, Learner, LearnerConfig, ModelConfig, Onnx, Predictor, StateDict, WeightType, onnx,
};

/// As many as the NIH data have.
const CLASSES: usize = 14;

/// Tell what a network is
#[derive(Debug, Parser)]
struct Arguments {
    /// The network
    #[arg(long, value_parser = named)]
    model: Architecture,

    /// Width and height of the images
    #[arg(long, default_value = "224")]
    size: u32,

    /// Where to write it as an ONNX file in float32
    #[arg(long, value_name = "FILE")]
    onnx: Option<PathBuf>,

    /// `weights.*`, `image` and `logits` of another library
    #[arg(long)]
    golden: Option<PathBuf>,
}

/// By the name that files and command lines use.
fn named(name: &str) -> Result<Architecture, serde_json::Error> {
    serde_json::from_value(name.into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { model, size, onnx: file, golden } = Arguments::parse();
    let config = ModelConfig::of(model);
    let learner = Learner::new(&LearnerConfig { model: config.clone(), ..LearnerConfig::new(CLASSES) }, 0)?;
    let weights = learner.weights().expect("a device that works");
    let written = |dtype: WeightType| {
        let how = Onnx { size, opset: 17, metadata: Vec::new() };
        onnx(&config, CLASSES, &weights.stored(dtype), &how)
    };
    if let Some(file) = file {
        std::fs::write(file, written(WeightType::F32)?)?;
    }
    let bytes = |dtype: WeightType| written(dtype).map(|file| file.len());
    println!(
        "{}",
        json!({
            "parameters": learner.num_parameters(),
            "multiply_adds": config.multiply_adds(CLASSES, size),
            "onnx_bytes": {
                "f32": bytes(WeightType::F32)?,
                "f16": bytes(WeightType::F16)?,
                "int8": bytes(WeightType::Int8)?,
            },
            "logits_error": golden.map(|path| logits_error(&path, model)).transpose()?,
        })
    );
    Ok(())
}

/// The largest difference of a logit, as a part of the largest logit.
fn logits_error(golden: &Path, model: Architecture) -> Result<f32, Box<dyn Error>> {
    let file = StateDict::load(golden)?;
    let weights = file.with_prefix("weights.");
    // Only a first layer reads one channel or three with so large a kernel.
    let reads_colour = weights.tensors.values().any(|tensor| matches!(tensor.shape[..], [_, 3, 7, 7]));
    let channels = if reads_colour { 3 } else { 1 };
    let config = ModelConfig { channels, ..ModelConfig::of(model) };
    let (image, logits) = (&file.tensors["image"], &file.tensors["logits"].values);
    let size = u32::try_from(image.shape[2])?;
    let found = Predictor::new(&config, CLASSES, &weights, Backend::Cpu)?.predict(&image.values, size)?;
    let largest = logits.iter().fold(0.0f32, |most, logit| most.max(logit.abs()));
    Ok(found.iter().zip(logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest)
}
