//! Pools: over windows, and over whole maps.

mod global;
mod window;

pub use global::{
    global_average, global_average_gradient, global_average_gradient_pass, global_average_pass,
};
pub(crate) use global::{image_sums_pass, launch_image_sums};
pub use window::{pool, pool_gradient, pool_gradient_pass, pool_pass, pooled_shape};
