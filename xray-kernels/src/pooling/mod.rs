//! Pooling that stands alone; 2 x 2 max pooling behind a batch norm is part of its pass.

mod global;
mod window;

pub use global::{global_average, global_average_backward};
pub use window::{Pool, PoolKind};
