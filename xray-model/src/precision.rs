//! What a network's products are computed in.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What the factors of convolutions are rounded to in training, on a GPU that multiplies so in hardware. Weights,
/// gradients, statistics and sums are float32 in all, and so is everything that predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Not at all: every device.
    #[default]
    F32,
    /// To 10 bits of fraction, with the exponents of float32.
    Tf32,
    /// To 7 bits of fraction, with the exponents of float32.
    Bf16,
    /// To 10 bits of fraction, between 6e-8 and 65,504. The loss is scaled, so that small gradients do not vanish; a step
    /// whose gradients overflow is skipped (Micikevicius et al., ICLR 2018).
    F16,
}

impl Precision {
    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
