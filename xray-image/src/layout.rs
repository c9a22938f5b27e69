//! What a JPEG's segments say of the work it takes, read without decoding: its frame and its scans.

use crate::ImageProblem;
use crate::jpeg::{Frame, frame};

/// The frame of a JPEG, and what decoding all its scans takes.
pub(super) struct Layout {
    pub(super) frame: Frame,
    pub(super) scans: usize,
    /// Blocks of 64 coefficients that the scans go through, all together.
    pub(super) visits: u64,
    /// Bytes of coefficients that are kept until the last scan; 0 where one scan holds all.
    pub(super) coefficients: u64,
}

/// A component's name, and its blocks, those that only pad included.
struct Component {
    name: u8,
    blocks: u64,
}

impl Layout {
    /// Walks all segments up to the end of the image. A scan's data are skipped, not believed.
    pub(super) fn read(bytes: &[u8]) -> Result<Layout, ImageProblem> {
        let mut layout = Layout { frame: frame(bytes)?, scans: 0, visits: 0, coefficients: 0 };
        let mut components = Vec::new();
        for (marker, body) in segments(bytes) {
            match marker {
                0xD9 => break,
                0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) && components.is_empty() => {
                    components = layout.components(body);
                    // A stretched first component makes zune-jpeg keep twice as much.
                    let all: u64 = components.iter().map(|component| component.blocks).sum();
                    layout.coefficients = if marker == 0xC2 { 2 * 64 * 2 * all } else { 0 };
                    let is_tall = body.get(7).is_some_and(|sampling| sampling & 15 > sampling >> 4);
                    if !is_tall {
                        layout.coefficients /= 2;
                    }
                }
                0xDA => layout.scan(body, &components),
                _ => {}
            }
        }
        Ok(layout)
    }

    fn components(&self, frame: &[u8]) -> Vec<Component> {
        let list = || frame.get(6..).unwrap_or_default().as_chunks::<3>().0.iter().take(4);
        let most = |shift: u32| list().map(|c| u64::from(c[1] >> shift & 15)).max().unwrap_or(1).max(1);
        let (across, down) = (most(4), most(0));
        let units = u64::from(self.frame.width).div_ceil(8 * across)
            * u64::from(self.frame.height).div_ceil(8 * down);
        list()
            .map(|&[name, sampling, _]| Component {
                name,
                blocks: units * u64::from(sampling >> 4) * u64::from(sampling & 15),
            })
            .collect()
    }

    fn scan(&mut self, header: &[u8], components: &[Component]) {
        let names = header.get(1..).unwrap_or_default().as_chunks::<2>().0;
        let is_in = |component: &&Component| names.iter().any(|pair| pair[0] == component.name);
        let of_scan = || components.iter().filter(is_in);
        self.scans += 1;
        self.visits += of_scan().map(|component| component.blocks).sum::<u64>();
        // Parts of the image in several scans: all are kept until the last one has come.
        if self.coefficients == 0 && of_scan().count() < components.len() {
            self.coefficients = components.iter().map(|component| 2 * 64 * component.blocks).sum();
        }
    }
}

/// The segments of a JPEG, each with its marker; between them, whatever is not a marker is skipped.
pub(super) fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 2;
    std::iter::from_fn(move || {
        let (marker, body, next) = segment(bytes, at)?;
        at = next;
        Some((marker, body))
    })
}

/// The next marker at or after `at` that begins a segment or ends the image, the segment's body, and where to go on.
fn segment(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 1 | 0xFF | 0xD0..=0xD8);
    let start = at + bytes.get(at..)?.windows(2).position(is_marker)?;
    let marker = bytes[start + 1];
    if marker == 0xD9 {
        return Some((marker, &[], start + 2));
    }
    let length = bytes.get(start + 2..start + 4)?;
    let end = start + 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
    Some((marker, bytes.get(start + 4..end)?, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_blocks_and_memory_are_counted() {
        // 83x45 pixels: 11 x 6 blocks, or 6 x 3 units of four blocks and two of colour.
        let check = |bytes: &[u8], expected: (usize, u64, u64)| {
            let layout = Layout::read(bytes).expect("a JPEG");
            assert_eq!((layout.scans, layout.visits, layout.coefficients), expected);
        };
        check(include_bytes!("../tests/golden/jpeg/gray-q90.jpg"), (1, 66, 0));
        check(include_bytes!("../tests/golden/jpeg/gray-progressive.jpg"), (6, 396, 66 * 128));
        check(include_bytes!("../tests/golden/jpeg/colour-420.jpg"), (1, 108, 0));
    }
}
