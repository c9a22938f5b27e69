//! One 512-bit register.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::{Kernel, Lanes};
use crate::isa::Form;
use std::arch::x86_64::*;

/// A register of 16 floats.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

impl Avx512 {
    #[inline(always)]
    pub(crate) fn of_register(register: __m512) -> Self {
        Self(register)
    }

    #[inline(always)]
    pub(crate) fn register(self) -> __m512 {
        self.0
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn entry<K: Kernel>(arguments: &K::Arguments) {
    // SAFETY: the instructions are enabled here and the caller has them; it vouches for the arguments.
    unsafe { K::run::<Avx512>(arguments) }
}

// SAFETY of every block below: the trait's caller has the instructions, and its pointers are good for 16
// floats; the loads and stores used ask for no alignment.
impl Lanes for Avx512 {
    type Mask = __mmask16;

    // 14 x 2 accumulators, two vectors of weights and a pixel: 31 of 32 registers.
    const TILE_PIXELS: usize = 14;
    const TILE_BLOCKS: usize = 2;
    const WEIGHT_TILE: usize = 12;

    fn form<K: Kernel>() -> Form<K::Arguments> {
        entry::<K>
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_setzero_ps() })
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: above.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_sqrt_ps(self.0) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, summand: Self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, summand.0) })
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(self.0))) })
    }

    #[inline(always)]
    unsafe fn greater(self, other: Self) -> Self::Mask {
        // SAFETY: above.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    unsafe fn equal(self, other: Self) -> Self::Mask {
        // SAFETY: above.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    unsafe fn and(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        one & other
    }

    #[inline(always)]
    unsafe fn without(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        one & !other
    }

    #[inline(always)]
    unsafe fn keep(self, mask: Self::Mask) -> Self {
        // SAFETY: above.
        Self(unsafe { _mm512_maskz_mov_ps(mask, self.0) })
    }
}
