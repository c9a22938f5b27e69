//! Entropy-coded bits: a reader that takes the stuffing out, and tables with one look-up for a code.

use super::broken;
use crate::dicom::DicomProblem;

/// Symbols by the next 16 bits.
pub(super) struct HuffmanTable {
    /// Length of the code (0: none) and symbol.
    lookup: Box<[(u8, u8)]>,
}

impl HuffmanTable {
    /// From the number of codes of each length 1 to 16 and the symbols in order of their codes; `None` when these do not
    /// fit.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut lookup = Vec::with_capacity(1 << 16);
        let mut symbols = symbols.iter();
        for (length, &count) in (1_u8..).zip(counts) {
            for &symbol in symbols.by_ref().take(count.into()) {
                let codes = 1 << (16 - length);
                if lookup.len() + codes > 1 << 16 {
                    return None;
                }
                lookup.extend(std::iter::repeat_n((length, symbol), codes));
            }
        }
        lookup.resize(1 << 16, (0, 0));
        Some(HuffmanTable { lookup: lookup.into() })
    }
}

/// Bits from the highest of each byte on, up to the next marker.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// Bits that are there, in the lowest places.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(scan: &'a [u8]) -> Self {
        Bits { rest: scan, held: 0, count: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let (byte, length) = match *self.rest {
                [0xFF, 0, ..] => (0xFF, 2),
                [0xFF, ..] | [] => return,
                [byte, ..] => (byte, 1),
            };
            self.rest = &self.rest[length..];
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next 16 bits, zeros after the last.
    fn peek(&mut self) -> u16 {
        if self.count < 16 {
            self.fill();
        }
        match self.count.checked_sub(16) {
            Some(more) => (self.held >> more) as u16,
            None => (self.held << (16 - self.count)) as u16,
        }
    }

    fn skip(&mut self, bits: u32) -> Result<(), DicomProblem> {
        self.count = self.count.checked_sub(bits).ok_or(broken("its data end early"))?;
        Ok(())
    }

    /// The next symbol.
    pub(super) fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, DicomProblem> {
        let (length, symbol) = table.lookup[usize::from(self.peek())];
        if length == 0 {
            return Err(broken("a code that its Huffman table lacks"));
        }
        self.skip(length.into())?;
        Ok(symbol)
    }

    /// A value of so many bits, at most 16; negative ones are stored minus one, without their sign (T.81, EXTEND).
    pub(super) fn value(&mut self, size: u8) -> Result<i32, DicomProblem> {
        if size == 0 {
            return Ok(0);
        }
        let size = u32::from(size.min(16));
        let bits = i32::from(self.peek()) >> (16 - size);
        self.skip(size)?;
        Ok(if bits >> (size - 1) == 1 { bits } else { bits + 1 - (1 << size) })
    }

    /// Passes the restart marker that must be next.
    pub(super) fn restart(&mut self, number: usize) -> Result<(), DicomProblem> {
        let marker = 0xD0 | (number % 8) as u8;
        let rest = self.rest.strip_prefix(&[0xFF, marker]).filter(|_| self.count < 8);
        self.rest = rest.ok_or(broken("restart markers are missing or misplaced"))?;
        (self.held, self.count) = (0, 0);
        Ok(())
    }
}
