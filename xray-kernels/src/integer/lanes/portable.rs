//! Plain Rust: what the other forms must equal.
#![expect(unsafe_code, reason = "pointers")]

use super::{ByteKernel, Integers};
use crate::isa::Form;
use crate::lanes::{LANES, Lanes, Portable};
use std::array::from_fn;

/// An array.
#[derive(Clone, Copy)]
pub(crate) struct PortableIntegers([i32; LANES]);

const BYTES: usize = 4 * LANES;

/// Adding it to a float of less than 2^22 leaves the nearest integer in the lowest bits.
const ROUND: f32 = 12_582_912.0;

unsafe fn entry<K: ByteKernel>(arguments: &K::Arguments) {
    // SAFETY: no instructions beyond the baseline; the caller vouches for the arguments.
    unsafe { K::run::<PortableIntegers>(arguments) }
}

// SAFETY of every block below: the caller's pointers are good for what is read or written, and arrays of bytes are
// read at any alignment.
impl Integers for PortableIntegers {
    type Floats = Portable;
    type Bytes = [u8; BYTES];
    type Weights = [i8; BYTES];

    const PIXELS: usize = 4;
    const BLOCKS: usize = 1;

    fn form<K: ByteKernel>() -> Form<K::Arguments> {
        entry::<K>
    }

    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: above.
        Self(unsafe { from.cast::<[i32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: above.
        unsafe { to.cast::<[u8; LANES]>().write(self.0.map(|value| value as u8)) }
    }

    #[inline(always)]
    unsafe fn widen(from: *const u8) -> Self {
        // SAFETY: above.
        Self(unsafe { from.cast::<[u8; LANES]>().read() }.map(i32::from))
    }

    #[inline(always)]
    unsafe fn dot(self, bytes: Self::Bytes, weights: Self::Weights) -> Self {
        let product = |at: usize| i32::from(bytes[at]) * i32::from(weights[at]);
        Self(from_fn(|lane| {
            let at = 4 * lane;
            let products = product(at) + product(at + 1) + product(at + 2) + product(at + 3);
            self.0[lane].wrapping_add(products)
        }))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(from_fn(|lane| self.0[lane].max(other.0[lane])))
    }

    #[inline(always)]
    unsafe fn floats(self) -> Portable {
        let floats = self.0.map(|value| value as f32);
        // SAFETY: sixteen floats.
        unsafe { Portable::load(floats.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn rounded(floats: Portable) -> Self {
        let mut values = [0.0f32; LANES];
        // SAFETY: sixteen floats.
        unsafe { floats.store(values.as_mut_ptr()) };
        Self(values.map(|value| (value + ROUND).to_bits().cast_signed() - ROUND.to_bits().cast_signed()))
    }

    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: above.
        unsafe { from.cast::<[i8; BYTES]>().read() }
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const u8) -> Self::Bytes {
        // SAFETY: above.
        let four = unsafe { from.cast::<[u8; 4]>().read() };
        from_fn(|at| four[at % 4])
    }

    #[inline(always)]
    unsafe fn weights_of_four(from: *const i8) -> Self::Weights {
        // SAFETY: above.
        let sixteen = unsafe { from.cast::<[i8; LANES]>().read() };
        from_fn(|at| sixteen[at % LANES])
    }

    #[inline(always)]
    unsafe fn load_four(from: *const i32) -> Self {
        // SAFETY: above.
        let four = unsafe { from.cast::<[i32; 4]>().read_unaligned() };
        Self(from_fn(|lane| four[lane % 4]))
    }

    #[inline(always)]
    unsafe fn floats_of_four(from: *const f32) -> Portable {
        // SAFETY: above.
        let four = unsafe { from.cast::<[f32; 4]>().read_unaligned() };
        let sixteen: [f32; LANES] = from_fn(|lane| four[lane % 4]);
        // SAFETY: sixteen floats.
        unsafe { Portable::load(sixteen.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn pixels<const STRIDE: usize>(from: *const u8) -> Self::Bytes {
        // SAFETY: above.
        from_fn(|at| unsafe { from.add(at / LANES * LANES * STRIDE + at % LANES).read() })
    }

    #[inline(always)]
    unsafe fn quads(taps: [Self::Bytes; 4]) -> [Self::Bytes; 4] {
        from_fn(|channels| {
            from_fn(|at| {
                let (pixel, channel, tap) = (at / LANES, 4 * channels + at % LANES / 4, at % 4);
                taps[tap][pixel * LANES + channel]
            })
        })
    }

    #[inline(always)]
    unsafe fn store_pixels(channels: [Self; 4], to: *mut u8) {
        let bytes: [u8; BYTES] = from_fn(|at| {
            let (pixel, channel) = (at / LANES, at % LANES);
            channels[channel / 4].0[4 * pixel + channel % 4] as u8
        });
        // SAFETY: above.
        unsafe { to.cast::<[u8; BYTES]>().write(bytes) }
    }
}
