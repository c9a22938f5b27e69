//! Batch normalisation (Ioffe and Szegedy, 2015), with ReLU and max pooling in the same pass.

mod sums;

pub use sums::Sums;
