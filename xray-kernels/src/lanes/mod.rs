//! Sixteen floats side by side, in three forms, and how a kernel written once becomes three.
//!
//! A kernel is generic over [`Lanes`] and `#[inline(always)]`; each form has one entry function with the
//! instruction set enabled, into which the kernel is inlined whole. A vector never crosses a call.
#![expect(unsafe_code, reason = "vector instructions and pointers; every kernel rests on this trait")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod exp;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use exp::one_and_exp_of_negative;
pub(crate) use portable::Portable;

use crate::isa::Form;

/// Floats in a vector, and channels in a block.
pub(crate) const LANES: usize = 16;

/// Code that is compiled once per instruction set.
pub(crate) trait Kernel {
    /// Pointers and numbers.
    type Arguments;

    /// Runs. Implementations are `#[inline(always)]`.
    ///
    /// # Safety
    /// The processor has the instructions of `L`, and the arguments are as the kernel says.
    unsafe fn run<L: Lanes>(arguments: &Self::Arguments);
}

/// Adding it to a number rounds that to a whole `n`; where `n` is from -126 to 127, the lowest nine bits are the exponent's
/// of `2^n`.
const EXPONENT: f32 = 12_582_912.0 + 127.0;

/// Sixteen floats.
///
/// # Safety of all functions
/// The processor has the instructions; pointers are good for 16 floats, at the alignment of one float.
pub(crate) trait Lanes: Copy {
    /// One bit per lane.
    type Mask: Copy;

    /// Pixels in the largest register tile of a convolution.
    const TILE_PIXELS: usize;
    /// Blocks of output channels in it.
    const TILE_BLOCKS: usize;
    /// Inputs in the register tile of a weight gradient.
    const WEIGHT_TILE: usize;

    /// The entry that has the instructions enabled.
    fn form<K: Kernel>() -> Form<K::Arguments>;

    unsafe fn zero() -> Self;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    /// `self * factor + summand`, in one rounding where the processor can.
    unsafe fn mul_add(self, factor: Self, summand: Self) -> Self;
    /// The larger; `other` where either is not a number.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller; `other` where either is not a number.
    unsafe fn min(self, other: Self) -> Self;
    /// `2^n` of `n + EXPONENT`.
    unsafe fn power_of_two(self) -> Self;
    unsafe fn greater(self, other: Self) -> Self::Mask;
    unsafe fn equal(self, other: Self) -> Self::Mask;
    unsafe fn and(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    /// `one` without `other`.
    unsafe fn without(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    /// Zero where the mask is not set.
    unsafe fn keep(self, mask: Self::Mask) -> Self;
}
