//! Two 256-bit registers.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::{Kernel, Lanes};
use crate::isa::Form;
use std::arch::x86_64::*;

/// Two registers of 8 floats.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

impl Avx2 {
    #[inline(always)]
    pub(crate) fn of_halves(low: __m256, high: __m256) -> Self {
        Self(low, high)
    }

    #[inline(always)]
    pub(crate) fn halves(self) -> [__m256; 2] {
        [self.0, self.1]
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn entry<K: Kernel>(arguments: &K::Arguments) {
    // SAFETY: the instructions are enabled here and the caller has them; it vouches for the arguments.
    unsafe { K::run::<Avx2>(arguments) }
}

// SAFETY of every block below: the trait's caller has the instructions, and its pointers are good for 16
// floats; the loads and stores used ask for no alignment.
impl Lanes for Avx2 {
    type Mask = (__m256, __m256);

    // 6 x 2 accumulators, two vectors of weights and a pixel: 15 of 16 registers.
    const TILE_PIXELS: usize = 6;
    const TILE_BLOCKS: usize = 1;
    const WEIGHT_TILE: usize = 6;

    fn form<K: Kernel>() -> Form<K::Arguments> {
        entry::<K>
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_setzero_ps(), _mm256_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: above.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, summand: Self) -> Self {
        // SAFETY: above.
        unsafe {
            Self(_mm256_fmadd_ps(self.0, factor.0, summand.0), _mm256_fmadd_ps(self.1, factor.1, summand.1))
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        // SAFETY: above.
        unsafe {
            let shifted = |half| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(half)));
            Self(shifted(self.0), shifted(self.1))
        }
    }

    #[inline(always)]
    unsafe fn greater(self, other: Self) -> Self::Mask {
        // SAFETY: above.
        unsafe {
            (_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0), _mm256_cmp_ps::<_CMP_GT_OQ>(self.1, other.1))
        }
    }

    #[inline(always)]
    unsafe fn equal(self, other: Self) -> Self::Mask {
        // SAFETY: above.
        unsafe {
            (_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0), _mm256_cmp_ps::<_CMP_EQ_OQ>(self.1, other.1))
        }
    }

    #[inline(always)]
    unsafe fn and(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        // SAFETY: above.
        unsafe { (_mm256_and_ps(one.0, other.0), _mm256_and_ps(one.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn without(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        // SAFETY: above.
        unsafe { (_mm256_andnot_ps(other.0, one.0), _mm256_andnot_ps(other.1, one.1)) }
    }

    #[inline(always)]
    unsafe fn keep(self, mask: Self::Mask) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_and_ps(self.0, mask.0), _mm256_and_ps(self.1, mask.1)) }
    }
}
