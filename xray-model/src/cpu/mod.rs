//! Layers on this processor: custom operations of burn that call xray-kernels. Maps between them are blocked
//! ([`CpuMaps`]); parameters are ordinary tensors, so weights files, optimizers and other devices see no difference.

mod adam;
mod conv_block;
mod global_average;
mod maps;
mod values;

pub(crate) use adam::{adam, squares};
pub(crate) use conv_block::{ConvParameters, FoldedConv, fold, infer, train};
pub(crate) use global_average::global_average;
pub(crate) use maps::CpuMaps;

use crate::{Error, Result};
use burn::backend::{Autodiff, Flex};
use std::sync::OnceLock;
use xray_kernels::{Context, Isa};

/// The CPU backend with gradients.
type Tracked = Autodiff<Flex>;

static CONTEXT: OnceLock<Context> = OnceLock::new();

/// Chooses the instructions of this process, once, and names them.
///
/// # Errors
/// If `XRAY_ISA` names instructions that are unknown or that this processor lacks.
pub(crate) fn prepare() -> Result<Isa> {
    let context = Context::detected().map_err(|source| Error::Instructions { source })?;
    Ok(CONTEXT.get_or_init(|| context).isa)
}

/// Instructions and buffers.
fn context() -> &'static Context {
    CONTEXT.get().expect("a CPU backend was opened, which prepares it")
}
