//! What every operation is given: instructions and memory.

use crate::arena::Arena;
use crate::isa::{Isa, IsaError};

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
    /// The instruction set that [`Isa::detected`] finds, and an empty arena.
    pub fn detected() -> Result<Self, IsaError> {
        Ok(Self::new(Isa::detected()?))
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
