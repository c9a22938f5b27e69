//! Huffman tables that give a symbol and the value that follows it in one look-up.

/// Code and value together are looked up when they are at most this long, as nine in ten are. Twice 4 KiB of
/// tables leave room in the first-level cache.
const LOOKUP: u32 = 10;

/// What the next bits say: a value, after so many zeros. Packed into 32 bits: the value (16), the zeros (8), the
/// bits it takes (8).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Entry(u32);

impl Entry {
    /// The zeros of the symbol that ends a block: past any place in it, and a multiple of 128, so that the
    /// place modulo 128 is still the next free one.
    pub(super) const END: usize = 128;

    fn new(bits: u32, zeros: u32, value: i32) -> Self {
        Entry(bits | zeros << 8 | (value as u32) << 16)
    }

    /// Bits of the code and the value.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 0xFF
    }

    /// Coefficients to skip; [`Entry::END`] at the end of a block.
    #[inline(always)]
    pub(super) fn zeros(self) -> usize {
        (self.0 >> 8 & 0xFF) as usize
    }

    /// The coefficient; zero for sixteen zeros in a row and at the end of a block.
    #[inline(always)]
    pub(super) fn value(self) -> i32 {
        self.0 as i32 >> 16
    }
}

/// A decoding table.
pub(super) struct HuffmanTable {
    /// By the next bits; zero bits where these are too few to know.
    lookup: Box<[Entry; 1 << LOOKUP]>,
    /// For each length of code: the first code that is too large for it, left-aligned to 16 bits, and what to
    /// add to a code to get its place in `symbols`.
    limits: [(u32, i32); 17],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// From the number of codes of each length 1 to 16 and the symbols in order of their codes. `None` when
    /// there are more codes than the lengths leave room for, or fewer symbols than codes.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
        let symbols = symbols.get(..total)?.to_vec();
        let mut lookup = Box::new([Entry::default(); 1 << LOOKUP]);
        let mut limits = [(0, 0); 17];
        let (mut code, mut next) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            limits[length as usize].1 = next as i32 - code as i32;
            for &symbol in &symbols[next..next + usize::from(count)] {
                if code >> length != 0 {
                    return None;
                }
                fill(&mut lookup, code, length, symbol);
                code += 1;
            }
            next += usize::from(count);
            limits[length as usize].0 = code << (16 - length);
            code <<= 1;
        }
        Some(HuffmanTable { lookup, limits, symbols })
    }

    /// The symbols as stored: four bits of zeros, four of the value's size.
    pub(super) fn symbols(&self) -> &[u8] {
        &self.symbols
    }

    /// What `bits` (left-aligned, at least 26 of them) begin with; `None` when that is not a code.
    #[inline(always)]
    pub(super) fn entry(&self, bits: u64) -> Option<Entry> {
        let entry = self.lookup[(bits >> (64 - LOOKUP)) as usize];
        if entry.bits() != 0 { Some(entry) } else { self.search(bits) }
    }

    #[cold]
    fn search(&self, bits: u64) -> Option<Entry> {
        let code = (bits >> 48) as u32;
        let length = (1..=16).find(|&length| code < self.limits[length as usize].0)?;
        let place = (code >> (16 - length)) as i32 + self.limits[length as usize].1;
        let symbol = *self.symbols.get(usize::try_from(place).ok()?)?;
        Some(entry(length, symbol, bits << length))
    }
}

/// Fills the look-ups of all bits that begin with `code` and hold a whole value after it.
fn fill(lookup: &mut [Entry; 1 << LOOKUP], code: u32, length: u32, symbol: u8) {
    let size = u32::from(symbol & 15);
    let Some(spare) = LOOKUP.checked_sub(length + size) else { return };
    for value in 0..1 << size {
        let first = (code << size | value) << spare;
        let following = u64::from(value) << 32 << (32 - size);
        lookup[first as usize..(first + (1 << spare)) as usize].fill(entry(length, symbol, following));
    }
}

/// The meaning of `symbol` when the bits `following` (left-aligned) come after its code.
fn entry(length: u32, symbol: u8, following: u64) -> Entry {
    let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    if size == 0 && zeros != 15 {
        return Entry::new(length, Entry::END as u32, 0);
    }
    Entry::new(length + size, zeros, extend(following, size))
}

/// The value in the first `size` of `bits`. JPEG stores negative values minus one, without their sign [T.81,
/// EXTEND].
fn extend(bits: u64, size: u32) -> i32 {
    let magnitude = (bits >> 1 >> (63 - size)) as i32;
    if bits >> 63 == 1 || size == 0 { magnitude } else { magnitude + 1 - (1 << size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of codes by length from pairs of length and count.
    fn counts(pairs: &[(usize, u8)]) -> [u8; 16] {
        let mut counts = [0; 16];
        pairs.iter().for_each(|&(length, count)| counts[length - 1] = count);
        counts
    }

    /// `text` of zeros and ones, left-aligned.
    fn bits(text: &str) -> u64 {
        let value = u64::from_str_radix(text, 2).expect("zeros and ones");
        value << (64 - text.len())
    }

    #[test]
    fn symbols_short_and_long_give_zeros_and_values() {
        // Codes: 0 end, 10 a value of two bits, 110 three zeros and a value of ten bits, 1110 sixteen zeros,
        // and 1111_1111_1110 (twelve bits) one zero and a value of one bit.
        let table = HuffmanTable::new(
            &counts(&[(1, 1), (2, 1), (3, 1), (4, 1), (12, 1)]),
            &[0x00, 0x02, 0x3A, 0xF0, 0x11],
        )
        .expect("a prefix code");
        let check = |text: &str, expected: (u32, usize, i32)| {
            let entry = table.entry(bits(text)).expect("a code");
            assert_eq!((entry.bits(), entry.zeros(), entry.value()), expected, "{text}");
        };
        check("0", (1, Entry::END, 0));
        check("1000", (4, 0, -3));
        check("1001", (4, 0, -2));
        check("1010", (4, 0, 2));
        check("1011", (4, 0, 3));
        check("1101111111111", (13, 3, 1023));
        check("1100000000000", (13, 3, -1023));
        check("1110", (4, 15, 0));
        check("1111000000001", (13, 1, 1));
        check("1111000000000", (13, 1, -1));
        assert_eq!(table.entry(bits("1111111111111111")), None);
    }

    #[test]
    fn codes_that_do_not_fit_are_refused() {
        let fits =
            |pairs: &[(usize, u8)], symbols: &[u8]| HuffmanTable::new(&counts(pairs), symbols).is_some();
        assert!(fits(&[(1, 2)], &[1, 2]));
        assert!(!fits(&[(1, 3)], &[1, 2, 3]), "three codes of one bit");
        assert!(!fits(&[(1, 2), (5, 1)], &[1, 2, 3]), "no room after two codes of one bit");
        assert!(!fits(&[(2, 3)], &[1, 2]), "fewer symbols than codes");
    }
}
