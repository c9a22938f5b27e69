//! The segments before the first scan.

use super::broken;
use super::huffman::HuffmanTable;
use crate::dicom::DicomProblem;

/// What a frame header (SOF) says.
#[derive(Clone, Debug, Default)]
pub(in crate::dicom) struct Frame {
    /// The number of the marker after SOF0: 0 baseline, 1 extended, 2 progressive, 3 lossless; 0x37 for JPEG-LS.
    pub(in crate::dicom) process: u8,
    /// Bits of a sample.
    pub(in crate::dicom) bits: u8,
    pub(in crate::dicom) height: u32,
    pub(in crate::dicom) width: u32,
    /// Name and quantisation table of each.
    pub(in crate::dicom) components: Vec<(u8, u8)>,
    /// Some component has fewer samples than others.
    pub(in crate::dicom) subsampled: bool,
}

/// All that is needed to decode the one scan.
pub(super) struct Coded<'a> {
    pub(super) frame: Frame,
    pub(super) quantisation: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<HuffmanTable>; 4],
    pub(super) ac: [Option<HuffmanTable>; 4],
    /// Units between restart markers, 0 for none.
    pub(super) restart_interval: usize,
    /// Tables of direct and alternating coefficients, of each component in order.
    pub(super) tables: Vec<(usize, usize)>,
    /// Ss, Se and Al of the scan header.
    pub(super) selection: [u8; 3],
    pub(super) scan: &'a [u8],
}

/// Marker, body and what follows, from one segment to the next. Ends at the scan.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8], &[u8]), DicomProblem>> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0xD8]);
    let mut is_done = false;
    std::iter::from_fn(move || {
        if is_done {
            return None;
        }
        let Some(at) = rest else {
            is_done = true;
            return Some(Err(broken("it does not begin as one")));
        };
        let next = segment(at);
        match next {
            Some((marker, _, after)) => (rest, is_done) = (Some(after), marker == 0xDA),
            None => is_done = true,
        }
        Some(next.ok_or(broken("its headers are cut off")))
    })
}

/// The same of one segment, after any number of bytes that fill up.
pub(in crate::dicom) fn segment(mut at: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    while let [0xFF, 0xFF, ..] = at {
        at = &at[1..];
    }
    let ([0xFF, marker, high, low], _) = at.split_first_chunk::<4>()? else { return None };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let body = at.get(4..2 + length)?;
    Some((*marker, body, &at[2 + length..]))
}

/// The frame header.
pub(in crate::dicom) fn frame(bytes: &[u8]) -> Result<Frame, DicomProblem> {
    for segment in segments(bytes) {
        let (marker, body, _) = segment?;
        if let Some(process) = process(marker) {
            return frame_of(process, body);
        }
    }
    Err(broken("it has no frame header"))
}

fn process(marker: u8) -> Option<u8> {
    matches!(marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF | 0xF7).then(|| marker - 0xC0)
}

fn frame_of(process: u8, body: &[u8]) -> Result<Frame, DicomProblem> {
    let cut = broken("its frame header is cut off");
    let (&[bits, h1, h0, w1, w0, count], rest) = body.split_first_chunk::<6>().ok_or(cut.clone())?;
    let parts = rest.get(..3 * usize::from(count)).ok_or(cut)?.as_chunks::<3>().0;
    Ok(Frame {
        process,
        bits,
        height: u16::from_be_bytes([h1, h0]).into(),
        width: u16::from_be_bytes([w1, w0]).into(),
        components: parts.iter().map(|&[name, _, table]| (name, table)).collect(),
        subsampled: parts.iter().any(|part| part[1] != parts[0][1]),
    })
}

/// Everything up to the first scan.
pub(super) fn parse(bytes: &[u8]) -> Result<Coded<'_>, DicomProblem> {
    let mut coded = Coded {
        frame: Frame::default(),
        quantisation: [None; 4],
        dc: [const { None }; 4],
        ac: [const { None }; 4],
        restart_interval: 0,
        tables: Vec::new(),
        selection: [0; 3],
        scan: &[],
    };
    for segment in segments(bytes) {
        let (marker, body, after) = segment?;
        match marker {
            0xC4 => coded.huffman(body).ok_or(broken("a Huffman table makes no sense"))?,
            0xDB => coded.quantisation(body).ok_or(broken("a quantisation table makes no sense"))?,
            0xDD => {
                let interval = body.first_chunk::<2>().ok_or(broken("its headers are cut off"))?;
                coded.restart_interval = u16::from_be_bytes(*interval).into();
            }
            0xDA => {
                coded.scan_header(body).ok_or(broken("its scan does not hold all components"))?;
                coded.scan = after;
            }
            _ => {
                if let Some(process) = process(marker) {
                    coded.frame = frame_of(process, body)?;
                }
            }
        }
    }
    Ok(coded)
}

impl Coded<'_> {
    fn huffman(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = match place >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(place & 15))? = Some(HuffmanTable::new(counts, symbols)?);
            body = rest;
        }
        Some(())
    }

    fn quantisation(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = body.split_first() {
            let slot = self.quantisation.get_mut(usize::from(place & 15))?;
            let wide = usize::from(place >> 4);
            let (values, rest) = rest.split_at_checked(64 << wide.min(1)).filter(|_| wide <= 1)?;
            *slot = Some(std::array::from_fn(|i| match wide {
                0 => values[i].into(),
                _ => u16::from_be_bytes([values[2 * i], values[2 * i + 1]]),
            }));
            body = rest;
        }
        Some(())
    }

    /// All components of the frame, in its order.
    fn scan_header(&mut self, body: &[u8]) -> Option<()> {
        let (&count, rest) = body.split_first()?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, shift] = rest else { return None };
        let names = self.frame.components.iter().map(|&(name, _)| name);
        let parts = parts.as_chunks::<2>().0;
        if !parts.iter().map(|part| part[0]).eq(names) {
            return None;
        }
        self.tables = parts.iter().map(|&[_, tables]| ((tables >> 4).into(), (tables & 15).into())).collect();
        self.selection = [first, last, shift & 15];
        Some(())
    }
}
