//! JPEG of more than 8 bits (T.81): sequential with 12, lossless with up to 16. What has 8 bits is decoded as every other
//! JPEG.

mod extended;
mod huffman;
mod lossless;
mod segments;

pub(super) use segments::{Frame, frame, segment};

use super::description::Description;
use super::samples::Samples;
use super::{Decoded, DicomProblem};
use crate::{Budget, ImageProblem};
use std::borrow::Cow;

const fn broken(problem: &'static str) -> DicomProblem {
    DicomProblem::Broken { coding: "JPEG", problem }
}

/// The picture in a JPEG of any process, JPEG-LS too: the marker of its frame says which.
pub(super) fn decode<'a>(
    bytes: Cow<'a, [u8]>,
    description: &Description,
    budget: &Budget,
) -> Result<Decoded<'a>, ImageProblem> {
    let frame = frame(&bytes)?;
    description.check_codestream("JPEG", [frame.width, frame.height], frame.components.len(), frame.bits)?;
    let samples = match (frame.process, frame.bits) {
        (0..=2, 8) if frame.components.len() > 1 => return Ok(Decoded::Jpeg(bytes)),
        (0..=2, 8) => Samples::of_bytes(gray(&bytes, budget)?),
        (0..=1, 12) => Samples::of_words(&extended::decode(&segments::parse(&bytes)?, budget)?),
        (3, _) => Samples::of_words(&lossless::decode(&segments::parse(&bytes)?, budget)?),
        (0x37, _) => super::jpeg_ls::decode(&bytes, &frame, budget)?,
        (process, bits) => {
            let name = format!("JPEG of {bits} bits in process SOF{process}");
            return Err(DicomProblem::Syntax(name).into());
        }
    };
    Ok(Decoded::Samples(samples))
}

/// The pixels of a JPEG of 8 bits, by the decoder of all others.
pub(super) fn gray(bytes: &[u8], budget: &Budget) -> Result<Vec<u8>, ImageProblem> {
    Ok(crate::jpeg::decode(bytes, budget)?.pixels)
}
