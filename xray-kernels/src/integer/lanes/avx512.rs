//! One 512-bit register, with products of bytes (VNNI) or without.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::{ByteKernel, Integers};
use crate::isa::Form;
use crate::lanes::{Avx512, LANES};
use std::arch::asm;
use std::arch::x86_64::*;

/// Signed bytes as words: those at even places and those at odd ones.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    even: __m512i,
    odd: __m512i,
}

/// What both forms have in common. `$weights` makes weights of a register, `$dot` adds products.
macro_rules! integers {
    (
        $(#[$documentation:meta])* $name:ident, $features:literal, $pixels:literal,
        $Weights:ty, $weights:expr, $dot:expr $(, $dots:item)?
    ) => {
        $(#[$documentation])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name(__m512i);

        // SAFETY of every block below: the trait's caller has the instructions, and its pointers are good for what
        // is read or written; the loads and stores used ask for no alignment.
        impl Integers for $name {
            type Floats = Avx512;
            type Bytes = __m512i;
            type Weights = $Weights;

            const PIXELS: usize = $pixels;
            const BLOCKS: usize = 2;

            fn form<K: ByteKernel>() -> Form<K::Arguments> {
                #[target_feature(enable = $features)]
                unsafe fn entry<K: ByteKernel>(arguments: &K::Arguments) {
                    // SAFETY: the instructions are enabled here and the caller has them; it vouches for the arguments.
                    unsafe { K::run::<$name>(arguments) }
                }
                entry::<K>
            }

            #[inline(always)]
            unsafe fn load(from: *const i32) -> Self {
                // SAFETY: above.
                Self(unsafe { _mm512_loadu_si512(from.cast()) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                // SAFETY: above.
                unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(self.0)) }
            }

            #[inline(always)]
            unsafe fn widen(from: *const u8) -> Self {
                // SAFETY: above.
                Self(unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())) })
            }

            #[inline(always)]
            unsafe fn dot(self, bytes: __m512i, weights: $Weights) -> Self {
                // SAFETY: above.
                Self(unsafe { $dot(self.0, bytes, weights) })
            }

            $($dots)?

            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                // SAFETY: above.
                Self(unsafe { _mm512_max_epi32(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn floats(self) -> Avx512 {
                // SAFETY: above.
                Avx512::of_register(unsafe { _mm512_cvtepi32_ps(self.0) })
            }

            #[inline(always)]
            unsafe fn rounded(floats: Avx512) -> Self {
                // SAFETY: above.
                Self(unsafe { _mm512_cvtps_epi32(floats.register()) })
            }

            #[inline(always)]
            unsafe fn weights(from: *const i8) -> $Weights {
                // SAFETY: above.
                unsafe { $weights(_mm512_loadu_si512(from.cast())) }
            }

            #[inline(always)]
            unsafe fn broadcast(from: *const u8) -> __m512i {
                // SAFETY: above.
                unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
            }

            #[inline(always)]
            unsafe fn weights_of_four(from: *const i8) -> $Weights {
                // SAFETY: above.
                unsafe { $weights(_mm512_broadcast_i32x4(_mm_loadu_si128(from.cast()))) }
            }

            #[inline(always)]
            unsafe fn load_four(from: *const i32) -> Self {
                // SAFETY: above.
                Self(unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())) })
            }

            #[inline(always)]
            unsafe fn floats_of_four(from: *const f32) -> Avx512 {
                // SAFETY: above.
                Avx512::of_register(unsafe { _mm512_broadcast_f32x4(_mm_loadu_ps(from)) })
            }

            #[inline(always)]
            unsafe fn pixels<const STRIDE: usize>(from: *const u8) -> __m512i {
                // SAFETY: above.
                unsafe {
                    match STRIDE {
                        1 => _mm512_loadu_si512(from.cast()),
                        2 => {
                            let [low, high] =
                                [0, 4 * LANES].map(|at| _mm512_loadu_si512(from.add(at).cast()));
                            _mm512_shuffle_i32x4::<0b10_00_10_00>(low, high)
                        }
                        _ => {
                            let pixel = |at: usize| _mm_loadu_si128(from.add(at * STRIDE * LANES).cast());
                            let pixels = _mm512_castsi128_si512(pixel(0));
                            let pixels = _mm512_inserti32x4::<1>(pixels, pixel(1));
                            let pixels = _mm512_inserti32x4::<2>(pixels, pixel(2));
                            _mm512_inserti32x4::<3>(pixels, pixel(3))
                        }
                    }
                }
            }

            #[inline(always)]
            unsafe fn quads([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
                // SAFETY: above.
                unsafe {
                    let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
                    let (ab_high, cd_high) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
                    [
                        _mm512_unpacklo_epi16(ab, cd),
                        _mm512_unpackhi_epi16(ab, cd),
                        _mm512_unpacklo_epi16(ab_high, cd_high),
                        _mm512_unpackhi_epi16(ab_high, cd_high),
                    ]
                }
            }

            #[inline(always)]
            unsafe fn store_pixels([a, b, c, d]: [Self; 4], to: *mut u8) {
                // SAFETY: above.
                unsafe {
                    let low = _mm512_packs_epi32(a.0, b.0);
                    let high = _mm512_packs_epi32(c.0, d.0);
                    _mm512_storeu_si512(to.cast(), _mm512_packus_epi16(low, high));
                }
            }
        }
    };
}

integers! {
    /// Four products at once.
    VnniIntegers, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma",
    // 14 x 2 sums, two registers of weights and one of bytes: 31 of 32.
    14,
    __m512i, std::convert::identity, |sum, bytes, weights| _mm512_dpbusd_epi32(sum, bytes, weights),
    #[inline(always)]
    unsafe fn dots<const SUMS: usize>(sums: &mut [Self; SUMS], from: *const u8, weights: [__m512i; SUMS]) {
        // SAFETY: the caller's.
        unsafe {
            match &mut sums[..] {
                [sum] => dot_one(&mut sum.0, from, weights[0]),
                [first, second] => {
                    dot_two([&mut first.0, &mut second.0], from, [weights[0], weights[1]]);
                }
                sums => unreachable!("{} sums", sums.len()),
            }
        }
    }
}

// Written out, because the compiler would load the bytes of all pixels of a tile before it multiplies any, and keep sums
// in memory for want of registers: a layer of 64 to 64 channels took 1.4 times as long.

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn dot_one(sum: &mut __m512i, from: *const u8, weights: __m512i) {
    let _bytes: __m512i;
    // SAFETY: reads four bytes, for which the caller's pointer is good.
    unsafe {
        asm!(
            "vpbroadcastd {bytes}, dword ptr [{from}]",
            "vpdpbusd {sum}, {bytes}, {weights}",
            bytes = out(zmm_reg) _bytes,
            from = in(reg) from,
            sum = inout(zmm_reg) *sum,
            weights = in(zmm_reg) weights,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn dot_two(sums: [&mut __m512i; 2], from: *const u8, weights: [__m512i; 2]) {
    let [first, second] = sums;
    let _bytes: __m512i;
    // SAFETY: as above.
    unsafe {
        asm!(
            "vpbroadcastd {bytes}, dword ptr [{from}]",
            "vpdpbusd {first}, {bytes}, {one}",
            "vpdpbusd {second}, {bytes}, {two}",
            bytes = out(zmm_reg) _bytes,
            from = in(reg) from,
            first = inout(zmm_reg) *first,
            second = inout(zmm_reg) *second,
            one = in(zmm_reg) weights[0],
            two = in(zmm_reg) weights[1],
            options(pure, readonly, nostack, preserves_flags),
        );
    }
}

integers! {
    /// Pairs of products, of words.
    Avx512Integers, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma",
    // 12 x 2 sums, four registers of weights, two of bytes and a product: 31 of 32.
    12,
    Words,
    |bytes| Words {
        even: _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(bytes)),
        odd: _mm512_srai_epi16::<8>(bytes),
    },
    |sum, bytes, weights: Words| {
        let low = _mm512_and_si512(bytes, _mm512_set1_epi16(0xFF));
        let high = _mm512_srli_epi16::<8>(bytes);
        let sum = _mm512_add_epi32(sum, _mm512_madd_epi16(low, weights.even));
        _mm512_add_epi32(sum, _mm512_madd_epi16(high, weights.odd))
    }
}
