//! The blocks that networks are made of.

mod batch_norm;
mod conv_block;
mod maps;

pub(crate) use batch_norm::BatchNorm;
pub(crate) use conv_block::ConvBlock;
pub(crate) use maps::Maps;
