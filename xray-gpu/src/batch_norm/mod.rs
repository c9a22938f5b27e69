//! Batch normalisation with its neighbours: see [`apply`](self::apply) for the one pass forward and
//! [`backward`](self::backward) for the three back. [`Statistics`](crate::Statistics) come between.

mod apply;
mod backward;
mod window;

pub use apply::{normalise, normalise_pass, normalised_shape};
pub use backward::{NormMaps, normalise_backward, normalise_backward_passes};
pub(crate) use window::element;
