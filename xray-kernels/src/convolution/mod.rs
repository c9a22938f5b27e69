//! Convolutions on blocked maps, without a matrix of columns: direct ones, and in module `winograd` those of 3 x 3
//! kernels with fewer multiplications.
//!
//! Every direct forward pass and every input gradient is one thing, a [`pass::Pass`]: register tiles of pixels by
//! output channels, each the sum over input blocks and a list of taps. What differs is the list and the steps.

mod backward;
mod bands;
mod cut;
mod forward;
mod gradient;
mod input_gradient;
mod pack;
mod pass;
mod spec;
mod taps;
mod tile;
mod weight_gradient;
mod weight_pass;
mod weight_tile;
mod winograd;

pub(crate) use backward::{Backward, MapGradient, MapRows};
pub(crate) use bands::Bands;
pub(crate) use forward::convolve_pooled;
pub use forward::{ConvOutput, convolve};
pub(crate) use gradient::GivenGradient;
pub use gradient::convolve_backward;
pub use pack::{PackedWeights, TransposedWeights};
pub use spec::ConvSpec;
pub(crate) use taps::{Tap, forward_taps, gradient_halo, parities};
