//! What factors of products are rounded to before they are multiplied, and which types a device multiplies in hardware.

use cubecl::ir::{DeviceProperties, ElemType, FloatKind};
use std::fmt;

/// What the factors of convolutions are rounded to. Maps, weights, gradients, statistics and sums are float32 in all.
///
/// Factors are rounded when they are loaded. Convolutions of one channel a weight (a first layer of one channel, and
/// depthwise ones) and the last layer multiply in float32 in every precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Precision {
    /// Not at all.
    #[default]
    F32,
    /// To 10 bits of fraction, with the exponents of float32: NVIDIA's TF32.
    Tf32,
    /// To 7 bits of fraction, with the exponents of float32.
    Bf16,
    /// To 10 bits of fraction, between 6e-8 and 65,504: small gradients vanish without a scaled loss.
    F16,
}

impl Precision {
    /// Each, the most exact first.
    pub const ALL: [Self; 4] = [Self::F32, Self::Tf32, Self::Bf16, Self::F16];

    /// As written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Bytes of a factor in a group's shared memory.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::Tf32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    fn kind(self) -> FloatKind {
        match self {
            Self::F32 => FloatKind::F32,
            Self::Tf32 => FloatKind::TF32,
            Self::Bf16 => FloatKind::BF16,
            Self::F16 => FloatKind::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `launch` with `factor` as the type that factors are rounded to.
macro_rules! with_factor {
    ($precision:expr, $factor:ident => $launch:expr) => {
        match $precision {
            $crate::Precision::F32 => {
                type $factor = f32;
                $launch
            }
            $crate::Precision::Tf32 => {
                type $factor = cubecl::prelude::tf32;
                $launch
            }
            $crate::Precision::Bf16 => {
                type $factor = half::bf16;
                $launch
            }
            $crate::Precision::F16 => {
                type $factor = half::f16;
                $launch
            }
        }
    };
}
pub(crate) use with_factor;

/// A matrix instruction: units of a plane multiply `m x k` factors by `k x n` ones and add to `m x n` float32 sums.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// Units of a plane.
    pub(crate) plane: usize,
}

/// The largest instruction that a device lists for a precision.
///
/// None for a device whose planes vary in size: how many there are in a group decides what each one computes, and is
/// compiled into the kernel.
pub(crate) fn instruction(properties: &DeviceProperties, precision: Precision) -> Option<Instruction> {
    let hardware = &properties.hardware;
    if precision == Precision::F32 || hardware.plane_size_min != hardware.plane_size_max {
        return None;
    }
    let (factor, sum) = (ElemType::Float(precision.kind()), ElemType::Float(FloatKind::F32));
    let listed = properties.features.matmul.cmma.iter();
    let usable = listed.filter(|c| c.a_type == factor && c.b_type == factor && c.cd_type == sum);
    let sizes = usable.map(|c| Instruction {
        m: c.m as usize,
        n: c.n as usize,
        k: c.k as usize,
        plane: hardware.plane_size_max as usize,
    });
    sizes.max_by_key(|i| (i.m * i.n * i.k, i.m))
}
