//! From features to a loss, and back; the dense layers of gates as well.

mod activate;
mod linear;
mod loss;

pub use activate::{activate, activate_gradient, activate_gradient_pass, activate_pass};
pub use linear::Linear;
pub use loss::{LossKind, loss, loss_pass};
