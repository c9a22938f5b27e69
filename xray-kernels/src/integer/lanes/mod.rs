//! Sixteen sums of products of bytes, in four forms that give the same bits.
//!
//! A kernel is generic over [`Integers`] as those of floats are over [`Lanes`], of which the epilogues make use.
//! Products are of an unsigned byte and a signed one and are added up in 32 bits without saturation, so that
//! `vpmaddubsw`, which saturates in 16 bits, has no part in it.
#![expect(unsafe_code, reason = "vector instructions and pointers; every kernel rests on this trait")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2Integers;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::{Avx512Integers, VnniIntegers};
pub(crate) use portable::PortableIntegers;

use crate::isa::Form;
use crate::lanes::Lanes;

/// Code on bytes that is compiled once per instruction set.
pub(crate) trait ByteKernel {
    /// Pointers and numbers.
    type Arguments;

    /// Runs. Implementations are `#[inline(always)]`.
    ///
    /// # Safety
    /// The processor has the instructions of `I`, and the arguments are as the kernel says.
    unsafe fn run<I: Integers>(arguments: &Self::Arguments);
}

/// Sixteen integers of 32 bits.
///
/// # Safety of all functions
/// The processor has the instructions; pointers are good for what is read or written, at any alignment.
pub(crate) trait Integers: Copy {
    /// Sixteen floats.
    type Floats: Lanes;
    /// 64 unsigned bytes: four for each lane.
    type Bytes: Copy;
    /// 64 signed bytes, ready to be multiplied.
    type Weights: Copy;

    /// Pixels in the register tile of a convolution.
    const PIXELS: usize;
    /// Blocks of output channels in it.
    const BLOCKS: usize;

    /// The entry that has the instructions enabled.
    fn form<K: ByteKernel>() -> Form<K::Arguments>;

    /// Sixteen integers.
    unsafe fn load(from: *const i32) -> Self;
    /// The lowest byte of each lane, sixteen in all.
    unsafe fn store(self, to: *mut u8);
    /// Sixteen bytes, one for each lane.
    unsafe fn widen(from: *const u8) -> Self;
    /// Adds the four products of each lane.
    unsafe fn dot(self, bytes: Self::Bytes, weights: Self::Weights) -> Self;
    /// Adds to each sum the products of four bytes, the same for every lane, and of weights of its own.
    #[inline(always)]
    unsafe fn dots<const SUMS: usize>(
        sums: &mut [Self; SUMS],
        from: *const u8,
        weights: [Self::Weights; SUMS],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let bytes = Self::broadcast(from);
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = sum.dot(bytes, weights);
            }
        }
    }
    /// The larger.
    unsafe fn max(self, other: Self) -> Self;
    /// The nearest floats.
    unsafe fn floats(self) -> Self::Floats;
    /// The nearest integers, ties to even, of floats between -2^22 and 2^22.
    unsafe fn rounded(floats: Self::Floats) -> Self;

    /// 64 weights.
    unsafe fn weights(from: *const i8) -> Self::Weights;
    /// Four bytes, for every lane the same.
    unsafe fn broadcast(from: *const u8) -> Self::Bytes;

    // A pixel of a block is sixteen bytes, so 64 bytes are also four pixels of a block, and sixteen integers four
    // pixels of four channels.

    /// Sixteen weights, four times.
    unsafe fn weights_of_four(from: *const i8) -> Self::Weights;
    /// Four integers, four times.
    unsafe fn load_four(from: *const i32) -> Self;
    /// Four floats, four times.
    unsafe fn floats_of_four(from: *const f32) -> Self::Floats;
    /// Four pixels that lie so many pixels apart. May read as far as if there were one more.
    unsafe fn pixels<const STRIDE: usize>(from: *const u8) -> Self::Bytes;
    /// Of each channel of four pixels the bytes of all four taps: of channels 0 to 3, 4 to 7, 8 to 11, 12 to 15.
    unsafe fn quads(taps: [Self::Bytes; 4]) -> [Self::Bytes; 4];
    /// Four pixels of sixteen channels, which come as four by four; all are from 0 to 255.
    unsafe fn store_pixels(channels: [Self; 4], to: *mut u8);
}
