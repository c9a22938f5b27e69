//! The blocks that networks are made of.

mod batch_norm;
mod conv_block;

pub(crate) use batch_norm::BatchNorm;
pub(crate) use conv_block::ConvBlock;
