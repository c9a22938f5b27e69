//! RLE (PS3.5, G): each byte of a sample in a segment of its own, packed as PackBits, the highest byte first.

use super::DicomProblem;
use super::description::Description;
use super::elements::Encoding;
use super::samples::Samples;
use crate::{Budget, ImageProblem};
use std::borrow::Cow;

const fn broken(problem: &'static str) -> DicomProblem {
    DicomProblem::Broken { coding: "RLE", problem }
}

/// Samples, those of a pixel side by side.
pub(super) fn decode(
    bytes: &[u8],
    description: &Description,
    budget: &Budget,
) -> Result<Samples<'static>, ImageProblem> {
    let size = usize::from(description.allocated / 8);
    if size == 0 {
        return Err(DicomProblem::Syntax("RLE of single bits".to_owned()).into());
    }
    let pixels = description.pixels();
    let header = bytes.first_chunk::<64>().ok_or(broken("its header is cut off"))?;
    let numbers: Vec<usize> =
        header.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number) as usize).collect();
    let segments = description.samples * size;
    if numbers[0] != segments {
        return Err(broken("the number of segments is not that of the bytes of a pixel").into());
    }
    let mut samples = vec![0; segments * pixels];
    for segment in 0..segments {
        budget.check_time()?;
        let (start, next) = (numbers[segment + 1], numbers.get(segment + 2).copied());
        let end = next.filter(|_| segment + 1 < segments).unwrap_or(bytes.len());
        let packed = bytes.get(start..end).ok_or(broken("a segment lies outside"))?;
        let (channel, byte) = (segment / size, size - 1 - segment % size);
        let mut places = samples.iter_mut().skip(channel * size + byte).step_by(segments);
        unpack(packed, |byte| match places.next() {
            Some(place) => {
                *place = byte;
                true
            }
            None => false,
        });
        if places.next().is_some() {
            return Err(broken("a segment ends early").into());
        }
    }
    Ok(Samples { bytes: Cow::Owned(samples), bits: description.allocated, encoding: Encoding::IMPLICIT })
}

/// Gives bytes to `put` until it wants no more.
fn unpack(packed: &[u8], mut put: impl FnMut(u8) -> bool) {
    let mut rest = packed;
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        match control as i8 {
            -128 => {}
            control @ 0.. => {
                let (literal, after) = rest.split_at(rest.len().min(control as usize + 1));
                rest = after;
                if !literal.iter().all(|&byte| put(byte)) {
                    return;
                }
            }
            control => {
                let Some((&byte, after)) = rest.split_first() else { return };
                rest = after;
                if !(0..=-i32::from(control)).all(|_| put(byte)) {
                    return;
                }
            }
        }
    }
}
