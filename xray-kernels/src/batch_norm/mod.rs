//! Batch normalisation (Ioffe and Szegedy, 2015), with activation and max pooling in the same pass.
//!
//! `y = gamma * (z - mean) / sqrt(variance + epsilon) + beta`, per channel, over all pixels of the batch. What
//! pooling chose and the activation cut is not stored: backward computes `y` again from `z`, with the same instructions
//! and so the same bits, while it reads `z` anyway.

mod apply;
mod backward;
mod gradient;
mod input;
mod normalisation;
mod sums;

pub use apply::normalise;
pub(crate) use apply::{ApplyRows, apply_form, check_sizes};
pub(crate) use backward::{NormBackward, Propagated};
pub use backward::{NormGradient, normalise_backward};
pub(crate) use input::{NormInput, Rows, Stored};
pub use normalisation::Normalisation;
pub use sums::{Sums, Totals};

use crate::isa::{Form, Isa};
use crate::nonlinearity::{Curve, Identity, Nonlinearity, Relu, Relu6, Silu};

/// What follows a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// What becomes of each value, after pooling.
    pub function: Nonlinearity,
    /// The largest of each 2 x 2 pixels, the last odd row and column left out; the gradient goes to the first of
    /// equal ones, row by row.
    pub pool: bool,
}

impl Activation {
    /// Without pooling.
    pub const fn of(function: Nonlinearity) -> Self {
        Self { function, pool: false }
    }

    /// Rows or columns left of `size`.
    ///
    /// # Panics
    /// If pooling leaves none.
    pub fn output_size(self, size: usize) -> usize {
        let output = if self.pool { size / 2 } else { size };
        assert!(output > 0, "nothing is left of {size} pixels after pooling");
        output
    }
}

/// A pass that is compiled once per activation.
trait ByActivation {
    type Arguments;

    fn form<C: Curve, const POOL: bool>(isa: Isa) -> Form<Self::Arguments>;
}

/// The one place that knows them all.
fn chosen<B: ByActivation>(isa: Isa, activation: Activation) -> Form<B::Arguments> {
    fn of<B: ByActivation, C: Curve>(isa: Isa, pool: bool) -> Form<B::Arguments> {
        if pool { B::form::<C, true>(isa) } else { B::form::<C, false>(isa) }
    }
    let pool = activation.pool;
    match activation.function {
        Nonlinearity::Identity => of::<B, Identity>(isa, pool),
        Nonlinearity::Relu => of::<B, Relu>(isa, pool),
        Nonlinearity::Relu6 => of::<B, Relu6>(isa, pool),
        Nonlinearity::Silu => of::<B, Silu>(isa, pool),
    }
}
