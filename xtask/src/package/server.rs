//! `cargo xtask package server`: xray-serve and a model as a folder from which a container is built, or from which
//! systemd runs it.

use super::{Level, MODEL_FILES, portable};
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use xray_workspace::steps;

/// Build xray-serve as one static file, and a folder with it, a model, a Containerfile and a unit of systemd
///
/// `podman build --format docker -t xray-serve FOLDER` (or docker) makes an image that holds nothing else, not even a shell.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// The folder of model.json and model.safetensors, such as model/ of a run
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,

    /// The folder that is made [default: server/ in the target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const SERVER: &str = "xray-serve";

const CONTAINERFILE: &str = include_str!("../../../deploy/Containerfile");
const UNIT: &str = include_str!("../../../deploy/xray-serve.service");

/// Builds it and says what it is.
#[expect(clippy::print_stdout, reason = "the answer")]
pub(super) fn run(arguments: &ServerArguments) -> Result<()> {
    let folder = match &arguments.out {
        Some(out) => std::path::absolute(out)?,
        None => steps::target_folder()?.join("server"),
    };
    let model = steps::root().join(&arguments.model);
    let program = portable::build(&[SERVER], Level::V1)?.remove(0);
    fs::create_dir_all(folder.join("model"))?;
    copy(&program, &folder.join(SERVER))?;
    for name in MODEL_FILES {
        copy(&model.join(name), &folder.join("model").join(name))?;
    }
    fs::write(folder.join("Containerfile"), CONTAINERFILE)?;
    fs::write(folder.join("xray-serve.service"), UNIT)?;
    let megabytes = fs::metadata(&program)?.len() as f64 / 1e6;
    println!("{}: {megabytes:.1} MB", folder.join(SERVER).display());
    println!("podman build --format docker -t xray-serve {}", folder.display());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
