//! From features to a loss, and back.

mod linear;
mod loss;

pub use linear::Linear;
pub use loss::{binary_cross_entropy, binary_cross_entropy_pass};
