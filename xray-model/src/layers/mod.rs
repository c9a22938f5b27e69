//! The blocks that networks are made of.

mod activation;
mod alike;
mod batch_norm;
mod class_maps;
mod conv_norm;
mod dense_block;
mod depthwise_norm;
mod maps;
mod squeeze_excitation;

use activation::activate;
pub(crate) use alike::alike;
pub(crate) use batch_norm::BatchNorm;
pub(crate) use class_maps::class_maps;
pub(crate) use conv_norm::ConvNorm;
pub(crate) use dense_block::{DenseBlock, Transition};
pub(crate) use depthwise_norm::DepthwiseNorm;
pub(crate) use maps::Maps;
pub(crate) use squeeze_excitation::SqueezeExcitation;
