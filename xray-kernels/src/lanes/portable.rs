//! Plain Rust. On x86-64 the compiler makes four SSE2 vectors of it.
#![expect(unsafe_code, reason = "pointers")]

use super::{Kernel, LANES, Lanes};
use crate::isa::Form;

/// An array.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

unsafe fn entry<K: Kernel>(arguments: &K::Arguments) {
    // SAFETY: no instructions beyond the baseline; the caller vouches for the arguments.
    unsafe { K::run::<Portable>(arguments) }
}

macro_rules! lanewise {
    ($value:ident => $result:expr) => {{
        let mut lanes = [0.0; LANES];
        let mut $value = 0;
        while $value < LANES {
            lanes[$value] = $result;
            $value += 1;
        }
        Self(lanes)
    }};
}

impl Lanes for Portable {
    type Mask = [bool; LANES];

    const TILE_PIXELS: usize = 2;
    const TILE_BLOCKS: usize = 1;
    const WEIGHT_TILE: usize = 2;

    fn form<K: Kernel>() -> Form<K::Arguments> {
        entry::<K>
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's pointer is good for 16 floats, and an array of them asks no more alignment.
        Self(unsafe { from.cast::<[f32; LANES]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as in `load`.
        unsafe { to.cast::<[f32; LANES]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        lanewise!(lane => self.0[lane] + other.0[lane])
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        lanewise!(lane => self.0[lane] - other.0[lane])
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        lanewise!(lane => self.0[lane] * other.0[lane])
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        lanewise!(lane => self.0[lane] / other.0[lane])
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        lanewise!(lane => self.0[lane].sqrt())
    }

    // Two roundings: `f32::mul_add` is a call to the C library where the baseline has no such instruction.
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, summand: Self) -> Self {
        lanewise!(lane => self.0[lane] * factor.0[lane] + summand.0[lane])
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        lanewise!(lane => if self.0[lane] > other.0[lane] { self.0[lane] } else { other.0[lane] })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        lanewise!(lane => if self.0[lane] < other.0[lane] { self.0[lane] } else { other.0[lane] })
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        lanewise!(lane => f32::from_bits(self.0[lane].to_bits() << 23))
    }

    #[inline(always)]
    unsafe fn greater(self, other: Self) -> Self::Mask {
        std::array::from_fn(|lane| self.0[lane] > other.0[lane])
    }

    #[inline(always)]
    unsafe fn equal(self, other: Self) -> Self::Mask {
        std::array::from_fn(|lane| self.0[lane] == other.0[lane])
    }

    #[inline(always)]
    unsafe fn and(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        std::array::from_fn(|lane| one[lane] & other[lane])
    }

    #[inline(always)]
    unsafe fn without(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        std::array::from_fn(|lane| one[lane] & !other[lane])
    }

    #[inline(always)]
    unsafe fn keep(self, mask: Self::Mask) -> Self {
        lanewise!(lane => if mask[lane] { self.0[lane] } else { 0.0 })
    }
}
