//! What every operation is given: instructions and memory.

use crate::arena::Arena;
use crate::isa::{Isa, IsaError};

/// The environment variable that says how 3 x 3 kernels are convolved.
const CONVOLUTION_VARIABLE: &str = "XRAY_CONVOLUTION";

/// What a variable names that is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// An instruction set.
    #[error("XRAY_ISA")]
    Isa(#[from] IsaError),
    /// A way of convolving.
    #[error("XRAY_CONVOLUTION: unknown way {name:?}: direct and winograd are known")]
    Convolution {
        /// What was asked for.
        name: String,
    },
}

/// Instructions to use and where buffers come from. Threads are those of the current rayon pool.
#[derive(Clone, Debug)]
pub struct Context {
    /// The instruction set.
    pub isa: Isa,
    /// Where scratch and results are taken from.
    pub arena: Arena,
    /// Whether convolutions of 3 x 3 kernels may save multiplications as Winograd did, which is the rule. Results
    /// then differ from direct convolutions in their last digits.
    pub winograd: bool,
}

impl Context {
    /// The instruction set that [`Isa::detected`] finds, the convolutions that `XRAY_CONVOLUTION` names (`direct`, or
    /// `winograd`, the rule), and an empty arena.
    pub fn detected() -> Result<Self, ContextError> {
        let winograd = match std::env::var(CONVOLUTION_VARIABLE).unwrap_or_default().as_str() {
            "" | "winograd" => true,
            "direct" => false,
            other => return Err(ContextError::Convolution { name: other.to_owned() }),
        };
        Ok(Self { winograd, ..Self::new(Isa::detected()?) })
    }

    /// The given instruction set, and an empty arena.
    pub fn new(isa: Isa) -> Self {
        Self { isa, arena: Arena::new(), winograd: true }
    }

    /// For tests: the given instruction set, and an arena whose buffers show wrong use.
    pub fn watched(isa: Isa) -> Self {
        Self { arena: Arena::watched(), ..Self::new(isa) }
    }
}
