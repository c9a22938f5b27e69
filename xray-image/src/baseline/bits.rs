//! Reads bits, most significant first, from bytes that hold no stuffing and no markers.

/// A bit reader over one segment. The slice may run on past the segment's end (into padding, or the next
/// segment): reading too far gives nonsense bits, never a panic, and [`Bits::overran`] tells.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits in the segment.
    length: usize,
    /// Next byte to load.
    at: usize,
    /// Upcoming bits, the next one on top. Below the `count` valid ones lie bits that the next refill brings
    /// again, unchanged.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// Reads the first `length` bytes of `bytes`.
    pub(super) fn new(bytes: &'a [u8], length: usize) -> Self {
        Bits { bytes, length: length * 8, at: 0, buffer: 0, count: 0 }
    }

    /// Fills the buffer to 56 bits or more, without a loop: eight bytes are loaded, as many as fit are counted
    /// [Giesen, "Reading bits in far too many ways", variant 4].
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(Ok(word)) = self.bytes.get(self.at..self.at + 8).map(<[u8; 8]>::try_from) {
            self.buffer |= u64::from_be_bytes(word) >> self.count;
        }
        self.at += (63 - self.count as usize) >> 3;
        self.count |= 56;
    }

    /// Refills when fewer than 27 bits are left, which the longest code and the longest value take.
    #[inline(always)]
    pub(super) fn ensure(&mut self) {
        if self.count < 27 {
            self.refill();
        }
    }

    /// The upcoming bits, left-aligned.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.buffer
    }

    /// Drops `count` bits, at most 27 after [`Bits::ensure`].
    #[inline(always)]
    pub(super) fn consume(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// Whether more bits were consumed than the segment has.
    pub(super) fn overran(&self) -> bool {
        self.at * 8 - self.count as usize > self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order_and_the_end_is_noticed() {
        let bytes: Vec<u8> = (0..40_u8).map(|i| i.wrapping_mul(73) ^ 0x5A).collect();
        let expected = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
        let mut bits = Bits::new(&bytes, 30);
        let mut at = 0;
        for step in (1..=27).chain(1..=10) {
            if at + step > 30 * 8 {
                break;
            }
            bits.ensure();
            for offset in 0..step {
                assert_eq!(
                    (bits.peek() >> (63 - offset) & 1) as u8,
                    expected(at + offset),
                    "bit {}",
                    at + offset
                );
            }
            bits.consume(step as u32);
            at += step;
            assert!(!bits.overran());
        }
        bits.ensure();
        bits.consume((30 * 8 - at) as u32);
        assert!(!bits.overran(), "the last bit may be read");
        bits.ensure();
        bits.consume(1);
        assert!(bits.overran());
    }
}
