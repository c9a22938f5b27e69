//! What the rest of the crate tells a GPU: its images, its rates, and by the ids of parameters what layers learned.

use crate::Pixels;
use crate::channels::Channels;
use burn::module::ParamId;

/// The kernel of a convolution, and the gamma that its batch norm is known by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvIds {
    pub(crate) kernel: ParamId,
    pub(crate) gamma: ParamId,
}

/// Weight and bias of a fully connected layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearIds {
    pub(crate) weight: ParamId,
    pub(crate) bias: ParamId,
}

/// A dense layer: batch norm, ReLU and 1×1 convolution; batch norm, ReLU and 3×3 convolution. Each gamma is that of the
/// batch norm before the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DenseLayer {
    pub(crate) squeeze: ConvIds,
    pub(crate) grow: ConvIds,
    /// Channels in between, and channels that come new.
    pub(crate) width: usize,
    pub(crate) growth: usize,
}

/// Gray images `[n][size][size]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Images<'a> {
    pub(crate) pixels: Pixels<'a>,
    pub(crate) size: usize,
    /// What each channel holds of the gray image.
    pub(crate) channels: Channels,
}

/// How far all layers but the last go in a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backbone {
    /// Neither they nor their moments change.
    Frozen,
    /// At a learning rate of their own.
    Rate(f64),
}

/// Steps that the device remembers before it must be asked.
pub(crate) const RING: usize = 64;
