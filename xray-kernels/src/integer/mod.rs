//! Inference in integers: maps of bytes, weights of signed bytes with a scale for each output channel, sums in 32 bits
//! (Jacob et al., 2018; Krishnamoorthi, 2018).
//!
//! A map's byte `q` stands for `scale * (q - zero_point)` ([`Quantisation`]). What follows a sum, that is bias, skip
//! connection, nonlinearity and the scale of the next map, is computed from it in float32, by operations that round
//! the same way on every processor. So results have the same bits on all instruction sets, and plain Rust is what the
//! other forms are compared with.

mod affine;
mod convolution;
mod depthwise;
mod lanes;
mod lookup;
mod map;
mod mean;
mod pooling;
mod quantisation;
mod requantisation;
#[cfg(test)]
mod tests;
mod tile;
mod weights;

pub use affine::{ByteAffine, byte_gate};
pub use convolution::{ByteConv, ByteInput};
pub use depthwise::ByteDepthwise;
#[cfg(target_arch = "x86_64")]
pub(crate) use lanes::{Avx2Integers, Avx512Integers, VnniIntegers};
pub(crate) use lanes::{ByteKernel, Integers, PortableIntegers};
pub use map::{ByteMap, BytePlanes};
pub use mean::byte_means;
pub use pooling::byte_max_pool;
pub use quantisation::Quantisation;
pub use requantisation::Requantisation;
pub use weights::quantised_weights;
