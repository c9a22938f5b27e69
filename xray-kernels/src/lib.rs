//! CPU kernels for training and running convolutional networks, on plain slices of `f32`.

mod adam;
mod arena;
mod batch_norm;
mod block;
mod context;
mod convolution;
mod halo;
mod isa;
mod lanes;
mod peak;
mod planes;
mod pooling;
mod shape;
mod shared;
mod tasks;

pub use adam::AdamStep;
pub use arena::{Arena, ArenaBuffer};
pub use batch_norm::{Activation, NormGradient, Normalisation, Sums, normalise, normalise_backward};
pub use block::{BlockGradients, BlockParameters, ConvBlock, FoldedBlock, SavedBlock};
pub use context::Context;
pub use convolution::{
    ConvOutput, ConvSpec, GradientTarget, PackedWeights, TransposedWeights, convolve, convolve_backward,
};
pub use isa::{ISA_VARIABLE, Isa, IsaError};
pub use peak::multiply_add_peak;
pub use planes::ConvInput;
pub use pooling::{global_average, global_average_backward};
pub use shape::{MapShape, PlanarShape};
