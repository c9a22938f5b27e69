//! From features to a loss, and back.

mod linear;
mod loss;

pub use linear::Linear;
pub use loss::{LossKind, loss, loss_pass};
