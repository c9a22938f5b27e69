//! CPU kernels for training and running convolutional networks, on plain slices of `f32`.

mod adam;
mod arena;
mod batch_norm;
mod block;
mod context;
mod convolution;
mod depthwise;
mod halo;
mod isa;
mod lanes;
mod layout;
mod peak;
mod planes;
mod pooling;
mod residual;
mod shape;
mod shared;
mod tasks;

pub use adam::AdamStep;
pub use arena::{Arena, ArenaBuffer};
pub use batch_norm::{Activation, NormGradient, Normalisation, Sums, normalise, normalise_backward};
pub use block::{BlockGradients, BlockParameters, ConvBlock, FoldedBlock, PreActivation, SavedBlock};
pub use context::Context;
pub use convolution::{ConvOutput, ConvSpec, PackedWeights, TransposedWeights, convolve, convolve_backward};
pub use depthwise::{DepthwiseSpec, depthwise, depthwise_backward};
pub use isa::{ISA_VARIABLE, Isa, IsaError};
pub use layout::{to_blocked, to_planar};
pub use peak::multiply_add_peak;
pub use planes::ConvInput;
pub use pooling::{Pool, PoolKind, global_average, global_average_backward};
pub use residual::{add, relu_backward};
pub use shape::{GradientMap, MapShape, PlanarShape};
