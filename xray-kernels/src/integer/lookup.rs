//! Bytes looked up in a table of all bytes, in place.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use crate::isa::{Form, Isa};

/// Runs of sixteen bytes.
pub(super) struct Lookup {
    pub(super) table: *const u8,
    pub(super) bytes: *mut u8,
    /// Where each run begins.
    pub(super) places: *const u32,
    pub(super) count: usize,
}

/// The form of the look-up for an instruction set.
pub(super) fn lookup_form(isa: Isa) -> Form<Lookup> {
    #[cfg(target_arch = "x86_64")]
    if isa.has_byte_tables() {
        return permuted;
    }
    let _ = isa;
    one_by_one
}

unsafe fn one_by_one(run: &Lookup) {
    // SAFETY: the caller's table holds 256 bytes, and its places are good for 16.
    unsafe {
        for number in 0..run.count {
            let sixteen = run.bytes.add(*run.places.add(number) as usize).cast::<[u8; 16]>();
            sixteen.write(sixteen.read().map(|byte| *run.table.add(usize::from(byte))));
        }
    }
}

/// Two tables of 128 bytes, of which the highest bit of each byte says which.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn permuted(run: &Lookup) {
    use std::arch::x86_64::*;
    // SAFETY: as above.
    unsafe {
        let quarter = |at: usize| _mm512_loadu_si512(run.table.add(64 * at).cast());
        let table = [quarter(0), quarter(1), quarter(2), quarter(3)];
        for number in 0..run.count {
            let place = run.bytes.add(*run.places.add(number) as usize);
            let bytes = _mm512_castsi128_si512(_mm_loadu_si128(place.cast()));
            let low = _mm512_permutex2var_epi8(table[0], bytes, table[1]);
            let high = _mm512_permutex2var_epi8(table[2], bytes, table[3]);
            let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
            _mm_storeu_si128(place.cast(), _mm512_castsi512_si128(found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found() {
        let table: [u8; 256] = std::array::from_fn(|byte| (byte * 7 + 3) as u8);
        for isa in Isa::available() {
            let mut bytes: Vec<u8> = (0..=255).collect();
            let places: Vec<u32> = (0..16).filter(|&place| place != 5).map(|place| place * 16).collect();
            let run = Lookup {
                table: table.as_ptr(),
                bytes: bytes.as_mut_ptr(),
                places: places.as_ptr(),
                count: places.len(),
            };
            // SAFETY: the instructions are available.
            unsafe { lookup_form(isa)(&run) };
            for (at, &byte) in bytes.iter().enumerate() {
                let expected = if at / 16 == 5 { at as u8 } else { table[at] };
                assert_eq!(byte, expected, "{isa}: {at}");
            }
        }
    }
}
