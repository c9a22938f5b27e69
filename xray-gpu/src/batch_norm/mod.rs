//! Batch normalisation with its neighbours: see [`apply`](self::apply) for the one pass forward and
//! [`backward`](self::backward) for the three back, of which [`from_sums`](self::from_sums) leaves out the first. With
//! the mean of 2 x 2 pixels after the activation: [`average`](self::average). [`Statistics`](crate::Statistics) come
//! between.

mod apply;
mod average;
mod backward;
mod from_sums;
mod window;

pub use apply::{normalise, normalise_pass, normalised_shape};
pub use average::{
    average_normalised, average_normalised_gradient, average_normalised_gradient_passes,
    average_normalised_pass, averaged_shape,
};
pub use backward::{NormMaps, normalise_backward, normalise_backward_passes};
pub(crate) use from_sums::{Terms, add_terms, settle, terms_pass};
pub use from_sums::{normalised_gradient, normalised_gradient_passes, settle_pass};
