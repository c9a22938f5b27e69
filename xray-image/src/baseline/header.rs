//! The segments before the scan: sizes, quantisation and Huffman tables.

use super::blocks::{Step, steps};
use super::huffman::HuffmanTable;

/// What a gray baseline JPEG says before its one scan.
pub(crate) struct Frame<'a> {
    /// Pixels in a row.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Place and factor of each coefficient, in zigzag order.
    pub(super) steps: [Step; 128],
    /// Codes of the differences of the first coefficient.
    pub(super) dc: HuffmanTable,
    /// Codes of the other coefficients.
    pub(super) ac: HuffmanTable,
    /// Blocks between restart markers.
    pub(super) restart_interval: Option<usize>,
    /// Everything after the scan's header.
    pub(super) scan: &'a [u8],
}

/// Tables and numbers gathered on the way to the scan.
#[derive(Default)]
struct Tables {
    quantisation: [Option<[u16; 64]>; 4],
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    restart_interval: Option<usize>,
    /// Height, width, component's name and quantisation table.
    frame: Option<(u32, u32, u8, usize)>,
}

/// Reads the headers of `bytes`. `None` for anything but gray 8-bit baseline in one scan, and for headers that
/// make no sense: the general decoder takes those, and complains where it must.
pub(crate) fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let mut tables = Tables::default();
    let mut at = 2;
    loop {
        let [0xFF, marker] = *bytes.get(at..at + 2)? else { return None };
        if marker == 0xFF {
            at += 1; // fill byte
            continue;
        }
        let length = bytes.get(at + 2..at + 4)?;
        let end = at + 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = bytes.get(at + 4..end)?;
        match marker {
            0xC0 => tables.frame(body)?,
            0xC4 => tables.huffman(body)?,
            0xDB => tables.quantisation(body)?,
            0xDD => tables.restart_interval(body)?,
            0xDA => return tables.scan(body, &bytes[end..]),
            0xE0..=0xEF | 0xFE => {}
            _ => return None,
        }
        at = end;
    }
}

impl Tables {
    fn frame(&mut self, body: &[u8]) -> Option<()> {
        let [8, h1, h0, w1, w0, 1, name, _sampling, table] = *body else { return None };
        let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
        if self.frame.is_some() || height == 0 || width == 0 || table > 3 {
            return None;
        }
        self.frame = Some((height.into(), width.into(), name, table.into()));
        Some(())
    }

    fn quantisation(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = body.split_first() {
            let (wide, slot) = (usize::from(place >> 4), self.quantisation.get_mut(usize::from(place & 15))?);
            if wide > 1 {
                return None;
            }
            let (values, rest) = rest.split_at_checked(64 << wide)?;
            let step = |i: usize| match wide {
                0 => u16::from(values[i]),
                _ => u16::from_be_bytes([values[2 * i], values[2 * i + 1]]),
            };
            *slot = Some(std::array::from_fn(step));
            body = rest;
        }
        Some(())
    }

    fn huffman(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let table = HuffmanTable::new(counts, rest)?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let slots = if place >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *slots.get_mut(usize::from(place & 15)).filter(|_| place >> 4 <= 1)? = Some(table);
            body = &rest[symbols..];
        }
        Some(())
    }

    fn restart_interval(&mut self, body: &[u8]) -> Option<()> {
        let &[high, low] = body else { return None };
        let blocks = usize::from(u16::from_be_bytes([high, low]));
        self.restart_interval = (blocks > 0).then_some(blocks);
        Some(())
    }

    /// The scan's header: one component, the one of the frame, in full precision.
    fn scan<'a>(self, body: &[u8], scan: &'a [u8]) -> Option<Frame<'a>> {
        let [1, name, tables, 0, 63, 0] = *body else { return None };
        let (height, width, expected, quantisation) = self.frame?;
        let pick = |mut of: [Option<HuffmanTable>; 4], slot: u8| of.get_mut(usize::from(slot))?.take();
        let (dc, ac) = (pick(self.dc, tables >> 4)?, pick(self.ac, tables & 15)?);
        let sizes_fit = dc.symbols().iter().all(|&size| size <= 11)
            && ac.symbols().iter().all(|&symbol| symbol & 15 <= 10);
        if name != expected || !sizes_fit {
            return None;
        }
        let steps = steps(&self.quantisation[quantisation]?);
        Some(Frame { width, height, steps, dc, ac, restart_interval: self.restart_interval, scan })
    }
}
