//! Two 256-bit registers.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::{ByteKernel, Integers};
use crate::isa::Form;
use crate::lanes::{Avx2, LANES};
use std::arch::x86_64::*;

/// Two registers of 8 integers.
#[derive(Clone, Copy)]
pub(crate) struct Avx2Integers(__m256i, __m256i);

/// Signed bytes as words: those at even places and those at odd ones, of both registers.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    even: [__m256i; 2],
    odd: [__m256i; 2],
}

#[target_feature(enable = "avx2,fma")]
unsafe fn entry<K: ByteKernel>(arguments: &K::Arguments) {
    // SAFETY: the instructions are enabled here and the caller has them; it vouches for the arguments.
    unsafe { K::run::<Avx2Integers>(arguments) }
}

#[inline(always)]
unsafe fn words(registers: [__m256i; 2]) -> Words {
    // SAFETY: the caller has the instructions.
    unsafe {
        Words {
            even: registers.map(|bytes| _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes))),
            odd: registers.map(|bytes| _mm256_srai_epi16::<8>(bytes)),
        }
    }
}

/// Adds four products of each of eight lanes, as pairs of words: nothing saturates.
#[inline(always)]
unsafe fn dot(sum: __m256i, bytes: __m256i, even: __m256i, odd: __m256i) -> __m256i {
    // SAFETY: the caller has the instructions.
    unsafe {
        let low = _mm256_and_si256(bytes, _mm256_set1_epi16(0xFF));
        let high = _mm256_srli_epi16::<8>(bytes);
        let sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, even));
        _mm256_add_epi32(sum, _mm256_madd_epi16(high, odd))
    }
}

// SAFETY of every block below: the trait's caller has the instructions, and its pointers are good for what is read
// or written; the loads and stores used ask for no alignment.
impl Integers for Avx2Integers {
    type Floats = Avx2;
    type Bytes = (__m256i, __m256i);
    type Weights = Words;

    // 4 x 2 sums, four registers of weights, two of bytes and a product: 15 of 16.
    const PIXELS: usize = 4;
    const BLOCKS: usize = 1;

    fn form<K: ByteKernel>() -> Form<K::Arguments> {
        entry::<K>
    }

    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: above.
        unsafe {
            let words = _mm256_packs_epi32(self.0, self.1);
            // Packing works in halves of registers.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.cast(), _mm_packus_epi16(low, high));
        }
    }

    #[inline(always)]
    unsafe fn widen(from: *const u8) -> Self {
        // SAFETY: above.
        unsafe {
            let half = |at| _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(at).cast()));
            Self(half(0), half(8))
        }
    }

    #[inline(always)]
    unsafe fn dot(self, bytes: Self::Bytes, weights: Words) -> Self {
        // SAFETY: above.
        unsafe {
            Self(
                dot(self.0, bytes.0, weights.even[0], weights.odd[0]),
                dot(self.1, bytes.1, weights.even[1], weights.odd[1]),
            )
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_max_epi32(self.0, other.0), _mm256_max_epi32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn floats(self) -> Avx2 {
        // SAFETY: above.
        unsafe { Avx2::of_halves(_mm256_cvtepi32_ps(self.0), _mm256_cvtepi32_ps(self.1)) }
    }

    #[inline(always)]
    unsafe fn rounded(floats: Avx2) -> Self {
        let [low, high] = floats.halves();
        // SAFETY: above.
        unsafe { Self(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high)) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Words {
        // SAFETY: above.
        unsafe { words([_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())]) }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const u8) -> Self::Bytes {
        // SAFETY: above.
        let four = unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) };
        (four, four)
    }

    #[inline(always)]
    unsafe fn weights_of_four(from: *const i8) -> Words {
        // SAFETY: above.
        unsafe { words([_mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())); 2]) }
    }

    #[inline(always)]
    unsafe fn load_four(from: *const i32) -> Self {
        // SAFETY: above.
        let four = unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast())) };
        Self(four, four)
    }

    #[inline(always)]
    unsafe fn floats_of_four(from: *const f32) -> Avx2 {
        // SAFETY: above.
        unsafe {
            let four = _mm_loadu_ps(from);
            let eight = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(four), four);
            Avx2::of_halves(eight, eight)
        }
    }

    #[inline(always)]
    unsafe fn pixels<const STRIDE: usize>(from: *const u8) -> Self::Bytes {
        // SAFETY: above.
        unsafe {
            if STRIDE == 1 {
                return (_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast()));
            }
            let pixel = |at: usize| _mm_loadu_si128(from.add(at * STRIDE * LANES).cast());
            (_mm256_set_m128i(pixel(1), pixel(0)), _mm256_set_m128i(pixel(3), pixel(2)))
        }
    }

    #[inline(always)]
    unsafe fn quads([a, b, c, d]: [Self::Bytes; 4]) -> [Self::Bytes; 4] {
        // SAFETY: above.
        let half = |[a, b, c, d]: [__m256i; 4]| unsafe {
            let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
            [
                _mm256_unpacklo_epi16(ab, cd),
                _mm256_unpackhi_epi16(ab, cd),
                _mm256_unpacklo_epi16(ab_high, cd_high),
                _mm256_unpackhi_epi16(ab_high, cd_high),
            ]
        };
        let [low, high] = [half([a.0, b.0, c.0, d.0]), half([a.1, b.1, c.1, d.1])];
        [(low[0], high[0]), (low[1], high[1]), (low[2], high[2]), (low[3], high[3])]
    }

    #[inline(always)]
    unsafe fn store_pixels([a, b, c, d]: [Self; 4], to: *mut u8) {
        // SAFETY: above.
        unsafe {
            let half = |a, b, c, d| _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            _mm256_storeu_si256(to.cast(), half(a.0, b.0, c.0, d.0));
            _mm256_storeu_si256(to.add(32).cast(), half(a.1, b.1, c.1, d.1));
        }
    }
}
