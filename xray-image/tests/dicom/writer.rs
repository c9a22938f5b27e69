//! DICOM files written byte by byte (PS3.5: explicit VR, little endian).

pub(crate) const NATIVE: &str = "1.2.840.10008.1.2.1";
pub(crate) const JPEG: &str = "1.2.840.10008.1.2.4.50";

/// Tag, VR, length and value; values are padded to even length.
pub(crate) fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" || vr.starts_with('O') { 0 } else { b' ' });
    }
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    if matches!(vr, "OB" | "OW" | "SQ" | "UN") {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

pub(crate) fn short(group: u16, number: u16, value: u16) -> Vec<u8> {
    element(group, number, "US", &value.to_le_bytes())
}

pub(crate) fn decimal(number: u16, value: &str) -> Vec<u8> {
    element(0x28, number, "DS", value.as_bytes())
}

/// A file of these elements, which must be in order.
pub(crate) fn file(transfer_syntax: &str, elements: &[Vec<u8>]) -> Vec<u8> {
    let meta = element(2, 0x10, "UI", transfer_syntax.as_bytes());
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend(element(2, 0, "UL", &(meta.len() as u32).to_le_bytes()));
    bytes.extend(meta);
    bytes.extend(elements.concat());
    bytes
}

/// What describes a picture, in order.
pub(crate) struct Picture {
    pub(crate) photometric: &'static str,
    pub(crate) samples: u16,
    pub(crate) size: [u16; 2],
    pub(crate) allocated: u16,
    pub(crate) stored: u16,
    pub(crate) signed: bool,
}

impl Picture {
    /// Gray of 16 bits, of which so many are used.
    pub(crate) fn gray(width: u16, height: u16, stored: u16) -> Self {
        Picture {
            photometric: "MONOCHROME2",
            samples: 1,
            size: [width, height],
            allocated: 16,
            stored,
            signed: false,
        }
    }

    pub(crate) fn elements(&self) -> Vec<Vec<u8>> {
        vec![
            short(0x28, 2, self.samples),
            element(0x28, 4, "CS", self.photometric.as_bytes()),
            short(0x28, 0x10, self.size[1]),
            short(0x28, 0x11, self.size[0]),
            short(0x28, 0x100, self.allocated),
            short(0x28, 0x101, self.stored),
            short(0x28, 0x102, self.stored - 1),
            short(0x28, 0x103, u16::from(self.signed)),
        ]
    }

    /// A native file of these bytes, with what else belongs before the pixels.
    pub(crate) fn native(&self, more: &[Vec<u8>], pixels: &[u8]) -> Vec<u8> {
        let pixels = element(0x7FE0, 0x10, "OW", pixels);
        file(NATIVE, &[self.elements(), more.to_vec(), vec![pixels]].concat())
    }
}

/// One row of 16-bit values of `bits` bits.
pub(crate) fn row(
    photometric: &'static str,
    bits: u16,
    signed: bool,
    values: &[i32],
    more: &[Vec<u8>],
) -> Vec<u8> {
    let picture = Picture { photometric, signed, ..Picture::gray(values.len() as u16, 1, bits) };
    picture.native(more, &words(values))
}

pub(crate) fn words(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|&value| (value as u16).to_le_bytes()).collect()
}

/// Pixel data of undefined length: an offset table, the fragments, the delimiter.
pub(crate) fn encapsulated(table: &[u32], fragments: &[&[u8]]) -> Vec<u8> {
    let item = |bytes: &[u8]| [&b"\xFE\xFF\x00\xE0"[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let table: Vec<u8> = table.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    let mut pixels = b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF".to_vec();
    pixels.extend(item(&table));
    fragments.iter().for_each(|fragment| pixels.extend(item(fragment)));
    pixels.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
    pixels
}

/// A sequence with one item, its length given.
pub(crate) fn sequence(group: u16, number: u16, elements: &[Vec<u8>]) -> Vec<u8> {
    let item = elements.concat();
    let bytes = [&b"\xFE\xFF\x00\xE0"[..], &(item.len() as u32).to_le_bytes(), &item].concat();
    element(group, number, "SQ", &bytes)
}
