//! Stored samples, native in the file or decompressed.

use super::DicomProblem;
use super::description::Description;
use super::elements::{Elements, Encoding, Head};
use std::borrow::Cow;

/// Samples in the order of the file, unused bits included.
pub(super) struct Samples<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// 8, 16 or 32.
    pub(super) bits: u16,
    pub(super) encoding: Encoding,
}

impl Samples<'_> {
    pub(super) fn of_words(words: &[u16]) -> Samples<'static> {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Samples { bytes: Cow::Owned(bytes), bits: 16, encoding: Encoding::IMPLICIT }
    }

    pub(super) fn of_bytes(bytes: Vec<u8>) -> Samples<'static> {
        Samples { bytes: Cow::Owned(bytes), bits: 8, encoding: Encoding::IMPLICIT }
    }

    /// All samples, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let size = usize::from(self.bits / 8);
        self.bytes.chunks_exact(size).map(|bytes| self.sample(bytes))
    }

    /// One sample; what is not there is 0.
    pub(super) fn at(&self, place: usize) -> u32 {
        let size = usize::from(self.bits / 8);
        self.bytes.get(place * size..(place + 1) * size).map_or(0, |bytes| self.sample(bytes))
    }

    fn sample(&self, bytes: &[u8]) -> u32 {
        match *bytes {
            [byte] => byte.into(),
            [a, b] => self.encoding.short([a, b]).into(),
            [a, b, c, d] => self.encoding.long([a, b, c, d]),
            _ => 0,
        }
    }
}

/// Pixel data as they are, compared with what the header makes of them.
pub(super) fn native<'a>(
    head: &Head,
    mut elements: Elements<'a>,
    description: &Description,
) -> Result<Samples<'a>, DicomProblem> {
    if head.length.is_none() {
        return Err(DicomProblem::Syntax("in fragments of a native transfer syntax".to_owned()));
    }
    let encoding = elements.encoding;
    let value = elements.value(head)?.value;
    let bytes = checked(value, description)?;
    // Words of two samples of 8 bits stand with the second first.
    let swapped = encoding.big_endian && head.vr == Some(*b"OW") && description.allocated == 8;
    let bytes = match description.allocated {
        1 => Cow::Owned(unpack_bits(bytes, description.count())),
        8 if swapped => {
            let pairs = value.chunks(2).flat_map(|pair| pair.iter().rev()).copied();
            Cow::Owned(pairs.take(bytes.len()).collect())
        }
        _ => Cow::Borrowed(bytes),
    };
    Ok(Samples { bytes, bits: description.allocated.max(8), encoding })
}

/// The bytes of the picture; a byte or so of padding may follow, a second picture may not.
fn checked<'a>(bytes: &'a [u8], description: &Description) -> Result<&'a [u8], DicomProblem> {
    let (expected, found) = (description.native_bytes(), bytes.len() as u64);
    let even = expected.next_multiple_of(2);
    match bytes.get(..expected as usize) {
        Some(picture) if found.saturating_sub(even) < expected.max(2) => Ok(picture),
        _ => Err(DicomProblem::PixelData { expected, found }),
    }
}

/// Bits to bytes, the lowest bit first (PS3.5, 8.1.1).
fn unpack_bits(bytes: &[u8], count: usize) -> Vec<u8> {
    (0..count).map(|place| bytes.get(place / 8).map_or(0, |byte| byte >> (place % 8) & 1)).collect()
}
