//! Layers on this processor, by xray-kernels. Maps between them are blocked ([`CpuMaps`]), and what leads back through
//! them lies on a tape. Parameters are ordinary tensors, so weights files, optimizers and other devices see no difference.

mod adam;
mod concatenation;
mod conv_norm;
mod dense_block;
mod depthwise;
mod global_average;
mod gradient;
mod images;
mod maps;
mod norm_relu;
mod parameters;
mod pool;
mod squeeze_excitation;
mod tape;
mod transition;
mod values;

pub(crate) use adam::{AdamTensors, adam, squares};
pub(crate) use conv_norm::{ConvNormSpec, FoldedConv, fold, infer, train};
pub(crate) use dense_block::{FoldedDenseLayer, fold_dense_layer, infer_dense_block, train_dense_block};
pub(crate) use depthwise::{fold_depthwise, infer_depthwise, train_depthwise};
pub(crate) use global_average::global_average;
pub(crate) use images::images;
pub(crate) use maps::CpuMaps;
pub(crate) use norm_relu::{infer_norm_relu, train_norm_relu};
pub(crate) use parameters::{ConvParameters, NormParameters, Statistics, blended};
pub(crate) use pool::pool;
pub(crate) use squeeze_excitation::{SqueezeLayers, squeeze_excitation};
pub(crate) use transition::{infer_transition, train_transition};

use crate::Result;
use burn::backend::{Autodiff, Flex};
use std::sync::OnceLock;
use xray_kernels::Context;

/// The CPU backend with gradients.
type Tracked = Autodiff<Flex>;

static CONTEXT: OnceLock<Context> = OnceLock::new();

/// Chooses the instructions and convolutions of this process, once, and names what the last bits depend on.
///
/// # Errors
/// If `XRAY_ISA` or `XRAY_CONVOLUTION` names what is unknown or what this processor lacks.
pub(crate) fn prepare() -> Result<String> {
    let context = Context::detected()?;
    let Context { isa, winograd, .. } = CONTEXT.get_or_init(|| context);
    Ok(format!("{isa}{}", if *winograd { "" } else { ", direct convolutions" }))
}

/// Instructions and buffers.
pub(crate) fn context() -> &'static Context {
    CONTEXT.get().expect("a CPU backend was opened, which prepares it")
}
