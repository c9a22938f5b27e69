//! The entropy-coded data of a scan: segments between restart markers, and the blocks in them.

use super::ScanProblem;
use super::bits::Bits;
use super::blocks::Blocks;
use super::header::Frame;
use super::huffman::Entry;

/// What follows the scan in memory, so that the bit reader may load eight bytes anywhere.
const PADDING: [u8; 8] = [0; 8];

/// The bytes of a scan without stuffing, and where its segments end.
#[derive(Default)]
pub(super) struct Scan {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Scan {
    /// Copies `bytes` up to the first marker that is not a restart, dropping the zero after each 0xFF and the
    /// restart markers, which must count 0, 1, … 7, 0, ….
    pub(super) fn unstuff(&mut self, bytes: &[u8]) -> Result<(), ScanProblem> {
        self.bytes.clear();
        self.ends.clear();
        let mut rest = bytes;
        while let Some(at) = position_of_ff(rest) {
            self.bytes.extend_from_slice(&rest[..at]);
            match rest.get(at + 1) {
                Some(0x00) => {
                    self.bytes.push(0xFF);
                    rest = &rest[at + 2..];
                }
                Some(0xFF) => rest = &rest[at + 1..],
                Some(&marker @ 0xD0..=0xD7) => {
                    if usize::from(marker & 7) != self.ends.len() % 8 {
                        return Err(ScanProblem::Restart);
                    }
                    self.ends.push(self.bytes.len());
                    rest = &rest[at + 2..];
                }
                _ => {
                    rest = &[];
                }
            }
        }
        self.bytes.extend_from_slice(rest);
        self.ends.push(self.bytes.len());
        self.bytes.extend_from_slice(&PADDING);
        Ok(())
    }
}

/// The first 0xFF, looking at eight bytes at a time: one byte in 200 is one.
fn position_of_ff(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(Ok(word)) = bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
        // A byte of `zeros` is zero where `bytes` has 0xFF; the expression's lowest set bit marks the first.
        let zeros = !u64::from_le_bytes(word);
        let found = zeros.wrapping_sub(LOW) & !zeros & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    bytes[at..].iter().position(|&byte| byte == 0xFF).map(|offset| at + offset)
}

/// Draws blocks from a scan, in order.
pub(super) struct Entropy<'a> {
    frame: &'a Frame<'a>,
    scan: &'a Scan,
    /// The segment being read.
    segment: usize,
    bits: Bits<'a>,
    /// Blocks until the next restart marker.
    left: usize,
    previous_dc: i32,
}

impl<'a> Entropy<'a> {
    /// # Errors
    /// When the scan has not as many segments as the frame's restart interval asks for.
    pub(super) fn new(frame: &'a Frame<'a>, scan: &'a Scan) -> Result<Self, ScanProblem> {
        let blocks = frame.width.div_ceil(8) as usize * frame.height.div_ceil(8) as usize;
        let left = frame.restart_interval.unwrap_or(blocks);
        if scan.ends.len() != blocks.div_ceil(left) {
            return Err(ScanProblem::Restart);
        }
        let bits = Bits::new(&scan.bytes, scan.ends[0]);
        Ok(Entropy { frame, scan, segment: 0, bits, left, previous_dc: 0 })
    }

    /// Decodes the next block into `lane` of `blocks`, dequantised.
    #[inline]
    pub(super) fn block(&mut self, blocks: &mut Blocks, lane: usize) -> Result<(), ScanProblem> {
        if self.left == 0 {
            self.restart()?;
        }
        self.left -= 1;
        self.dc(blocks, lane)?;
        self.ac(blocks, lane)
    }

    #[cold]
    fn restart(&mut self) -> Result<(), ScanProblem> {
        self.finish()?;
        let start = self.scan.ends[self.segment];
        self.segment += 1;
        let end = *self.scan.ends.get(self.segment).ok_or(ScanProblem::Restart)?;
        self.bits = Bits::new(&self.scan.bytes[start..], end - start);
        self.left = self.frame.restart_interval.unwrap_or(usize::MAX);
        self.previous_dc = 0;
        Ok(())
    }

    #[inline(always)]
    fn dc(&mut self, blocks: &mut Blocks, lane: usize) -> Result<(), ScanProblem> {
        self.bits.ensure();
        let entry = self.frame.dc.entry(self.bits.peek()).ok_or(ScanProblem::Code)?;
        self.bits.consume(entry.bits());
        // A corrupt file may sum up to anything; wrapping is as good a nonsense as another.
        self.previous_dc = self.previous_dc.wrapping_add(entry.value());
        let used = blocks.set(self.frame.steps[0], lane, self.previous_dc);
        blocks.mark(used);
        Ok(())
    }

    /// One branch per symbol besides the refill: the end of a block is a jump past its last place, and writes
    /// a zero where a zero was.
    #[inline(always)]
    fn ac(&mut self, blocks: &mut Blocks, lane: usize) -> Result<(), ScanProblem> {
        let frame = self.frame;
        // Locals stay in registers; fields would be written back at every symbol.
        let (mut bits, mut used) = (self.bits, 0);
        let mut place = 1;
        while place < 64 {
            bits.ensure();
            let entry = frame.ac.entry(bits.peek()).ok_or(ScanProblem::Code)?;
            bits.consume(entry.bits());
            place += entry.zeros();
            used |= blocks.set(frame.steps[place % 128], lane, entry.value());
            place += 1;
        }
        self.bits = bits;
        blocks.mark(used);
        if place > 64 && place <= Entry::END { Err(ScanProblem::Overrun) } else { Ok(()) }
    }

    /// Checks that the segment held every bit that was read.
    pub(super) fn finish(&self) -> Result<(), ScanProblem> {
        if self.bits.overran() { Err(ScanProblem::Truncated) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffing_goes_and_segments_are_found() {
        let check = |bytes: &[u8], expected: Result<(&[u8], &[usize]), ScanProblem>| {
            let mut scan = Scan::default();
            let result = scan.unstuff(bytes).map(|()| {
                let length = scan.bytes.len() - PADDING.len();
                (&scan.bytes[..length], &scan.ends[..])
            });
            assert_eq!(result, expected, "{bytes:x?}");
        };
        check(&[], Ok((&[], &[0])));
        check(&[1, 2, 3], Ok((&[1, 2, 3], &[3])));
        check(&[1, 0xFF, 0, 3, 0xFF, 0xD9, 9], Ok((&[1, 0xFF, 3], &[3])));
        check(&[1, 0xFF, 0xFF, 0xD9], Ok((&[1], &[1])));
        check(&[1, 0xFF, 0xD0, 2, 0xFF, 0xFF, 0xD1, 3], Ok((&[1, 2, 3], &[1, 2, 3])));
        check(&[1, 0xFF, 0xD1], Err(ScanProblem::Restart));
        check(&[0xFF], Ok((&[], &[0])));
    }

    #[test]
    fn the_first_ff_is_found_wherever_it_is() {
        for length in 0..30 {
            let mut bytes = vec![0xFE; length];
            assert_eq!(position_of_ff(&bytes), None);
            for place in (0..length).rev() {
                bytes[place] = 0xFF;
                assert_eq!(position_of_ff(&bytes), Some(place), "{length}");
            }
        }
    }
}
