//! A decoder for the one kind of JPEG that X-ray collections are made of: gray, 8-bit, baseline. Everything
//! else is left to zune-jpeg. Pixels equal libjpeg's (`islow`) exactly.
//!
//! Why it exists: decoding is most of a loader's work, and one component without colour leaves room. Byte
//! stuffing is removed before the entropy decoder runs, so that it refills without looking for markers; eight
//! neighbouring blocks are transformed side by side, one to a vector lane, so that nothing is transposed in
//! between.

mod bits;
mod blocks;
mod entropy;
mod header;
mod huffman;

pub(super) use header::{Frame, parse};

use crate::{Budget, GrayImage, ImageProblem};
use blocks::{Blocks, LANES, Strip};
use entropy::{Entropy, Scan};
use std::cell::RefCell;

thread_local! {
    // The entropy-coded bytes without stuffing; as large as the file, kept from image to image.
    static SCAN: RefCell<Scan> = RefCell::default();
}

/// What is wrong with the entropy-coded data.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
enum ScanProblem {
    #[error("the data end early")]
    Truncated,
    #[error("a code that its Huffman table lacks")]
    Code,
    #[error("more than 64 coefficients in a block")]
    Overrun,
    #[error("restart markers are missing, misplaced or in excess")]
    Restart,
}

impl From<ScanProblem> for ImageProblem {
    fn from(problem: ScanProblem) -> Self {
        ImageProblem::Jpeg(problem.to_string())
    }
}

/// Decodes the one scan of a frame that [`parse`] accepted.
pub(super) fn decode(frame: &Frame<'_>, budget: &Budget) -> Result<GrayImage, ImageProblem> {
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    budget.check_memory(pixels + frame.scan.len() as u64)?;
    let pixels = SCAN.with_borrow_mut(|scan| {
        scan.unstuff(frame.scan)?;
        decode_scan(frame, scan, budget)
    })?;
    Ok(GrayImage { width: frame.width, height: frame.height, pixels })
}

fn decode_scan(frame: &Frame<'_>, scan: &Scan, budget: &Budget) -> Result<Vec<u8>, ImageProblem> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let columns = width.div_ceil(8);
    let mut entropy = Entropy::new(frame, scan)?;
    let mut blocks = Blocks::default();
    let mut strip = Strip::new(columns.div_ceil(LANES));
    let mut pixels = Vec::with_capacity(width * height);
    for top in (0..height).step_by(8) {
        budget.check_time()?;
        for first in (0..columns).step_by(LANES) {
            blocks.clear();
            for lane in 0..LANES.min(columns - first) {
                entropy.block(&mut blocks, lane)?;
            }
            blocks.transform(&mut strip, first / LANES);
        }
        for row in 0..8.min(height - top) {
            pixels.extend_from_slice(&strip.row(row)[..width]);
        }
    }
    entropy.finish()?;
    Ok(pixels)
}
