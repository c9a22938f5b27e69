//! A DICOM file, written element by element (PS3.5 and PS3.10), whether what it says is true or not.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;

/// How elements are written, and how pixels are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Implicit,
    Explicit,
    BigEndian,
    Deflated,
    Rle,
    Jpeg,
}

impl Syntax {
    pub(super) const ALL: [Syntax; 6] =
        [Syntax::Implicit, Syntax::Explicit, Syntax::BigEndian, Syntax::Deflated, Syntax::Rle, Syntax::Jpeg];

    pub(super) fn uid(self) -> &'static str {
        match self {
            Syntax::Implicit => "1.2.840.10008.1.2",
            Syntax::Explicit => "1.2.840.10008.1.2.1",
            Syntax::BigEndian => "1.2.840.10008.1.2.2",
            Syntax::Deflated => "1.2.840.10008.1.2.1.99",
            Syntax::Rle => "1.2.840.10008.1.2.5",
            Syntax::Jpeg => "1.2.840.10008.1.2.4.50",
        }
    }
}

/// Group and element.
pub(super) type Tag = [u16; 2];

pub(super) const REFERENCED_IMAGES: Tag = [0x0008, 0x1140];
pub(super) const PIXELS: Tag = [0x7FE0, 0x0010];
const ITEM: Tag = [0xFFFE, 0xE000];
const ITEM_END: Tag = [0xFFFE, 0xE00D];
const SEQUENCE_END: Tag = [0xFFFE, 0xE0DD];
const UNDEFINED: u32 = u32::MAX;

/// Elements behind each other.
pub(super) struct Elements {
    pub(super) bytes: Vec<u8>,
    pub(super) explicit: bool,
    big_endian: bool,
}

impl Elements {
    pub(super) fn of(syntax: Syntax) -> Elements {
        let (explicit, big_endian) = (syntax != Syntax::Implicit, syntax == Syntax::BigEndian);
        Elements { bytes: Vec::new(), explicit, big_endian }
    }

    pub(super) fn word(&mut self, word: u16) {
        self.bytes.extend(if self.big_endian { word.to_be_bytes() } else { word.to_le_bytes() });
    }

    fn long(&mut self, long: u32) {
        self.bytes.extend(if self.big_endian { long.to_be_bytes() } else { long.to_le_bytes() });
    }

    fn tag(&mut self, [group, element]: Tag) {
        self.word(group);
        self.word(element);
    }

    /// All of an element that stands before its value.
    pub(super) fn header(&mut self, tag: Tag, vr: &str, length: u32) {
        self.tag(tag);
        if !self.explicit {
            return self.long(length);
        }
        self.bytes.extend(vr.as_bytes());
        if matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT") {
            self.word(0);
            self.long(length);
        } else {
            self.word(length as u16);
        }
    }

    pub(super) fn value(&mut self, tag: Tag, vr: &str, value: &[u8]) {
        let odd = value.len() % 2;
        self.header(tag, vr, (value.len() + odd) as u32);
        self.bytes.extend(value);
        let padding = if matches!(vr, "UI" | "OB" | "UN") { 0 } else { b' ' };
        self.bytes.extend(std::iter::repeat_n(padding, odd));
    }

    pub(super) fn text(&mut self, tag: Tag, vr: &str, text: &str) {
        self.value(tag, vr, text.as_bytes());
    }

    pub(super) fn words(&mut self, tag: Tag, vr: &str, words: &[u16]) {
        self.header(tag, vr, 2 * words.len() as u32);
        words.iter().for_each(|&word| self.word(word));
    }

    /// Sequences in each other, all of one item.
    pub(super) fn nested(&mut self, Nested { tag, vr, depth, says_length }: Nested) {
        let explicit = self.explicit;
        for level in (0..depth as u32).rev() {
            // A sequence's header and its item's take 12 + 8 bytes, or 8 + 8.
            let each = if self.explicit { 20 } else { 16 };
            let inner = level * each;
            self.header(tag, vr, if says_length { inner + 8 } else { UNDEFINED });
            // What is unknown and of no length is written as implicit (PS3.5, 6.2.2).
            self.explicit &= vr != "UN" || says_length;
            self.item(if says_length { inner } else { UNDEFINED });
        }
        if !says_length {
            for _ in 0..depth {
                self.tag(ITEM_END);
                self.long(0);
                self.tag(SEQUENCE_END);
                self.long(0);
            }
        }
        self.explicit = explicit;
    }

    fn item(&mut self, length: u32) {
        self.tag(ITEM);
        self.long(length);
    }

    /// A sequence of one item with a table of values.
    pub(super) fn lut(&mut self, tag: Tag, descriptor: [u16; 3], entries: &[u16]) {
        let mut item = Elements { bytes: Vec::new(), ..*self };
        item.words([0x0028, 0x3002], "US", &descriptor);
        item.words([0x0028, 0x3006], "OW", entries);
        self.header(tag, "SQ", item.bytes.len() as u32 + 8);
        self.item(item.bytes.len() as u32);
        self.bytes.append(&mut item.bytes);
    }

    /// Pixels in pieces, behind an empty table of their places. Each piece says a length, its own or another.
    pub(super) fn fragments<'a>(&mut self, pieces: impl IntoIterator<Item = (u32, &'a [u8])>) {
        self.header(PIXELS, "OB", UNDEFINED);
        self.item(0);
        for (length, piece) in pieces {
            self.item(length);
            self.bytes.extend(piece);
        }
        self.tag(SEQUENCE_END);
        self.long(0);
    }
}

/// How sequences lie in each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nested {
    pub(super) tag: Tag,
    /// `SQ`, or `UN` for what a writer did not know.
    pub(super) vr: &'static str,
    pub(super) depth: usize,
    /// Or else ends are marked.
    pub(super) says_length: bool,
}

/// The preamble, the file's own elements, and the data set.
pub(super) fn file(uid: &str, syntax: Syntax, data: &[u8]) -> Vec<u8> {
    let mut meta = Elements::of(Syntax::Explicit);
    meta.value([2, 1], "OB", &[0, 1]);
    meta.text([2, 2], "UI", "1.2.840.10008.5.1.4.1.1.1");
    meta.text([2, 3], "UI", "1.2.3");
    meta.text([2, 0x10], "UI", uid);
    meta.text([2, 0x12], "UI", "1.2.3.4");
    let mut file = Elements::of(Syntax::Explicit);
    file.bytes = [&[0; 128][..], b"DICM"].concat();
    file.value([2, 0], "UL", &(meta.bytes.len() as u32).to_le_bytes());
    file.bytes.append(&mut meta.bytes);
    if syntax == Syntax::Deflated {
        file.bytes.extend(deflated(data));
    } else {
        file.bytes.extend(data);
    }
    file.bytes
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

/// Run-length encoding (PS3.5, annex G), the higher bytes of all pixels first, in runs of literal bytes.
pub(super) fn run_lengths(planes: &[Vec<u8>]) -> Vec<u8> {
    let mut header = vec![planes.len() as u32];
    let mut bytes = Vec::new();
    for plane in planes {
        header.push(64 + bytes.len() as u32);
        for run in plane.chunks(128) {
            bytes.push(run.len() as u8 - 1);
            bytes.extend(run);
        }
        bytes.extend(std::iter::repeat_n(0, bytes.len() % 2));
    }
    header.resize(16, 0);
    header.into_iter().flat_map(u32::to_le_bytes).chain(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_lie_in_each_other_with_lengths_and_with_ends() {
        let written = |says_length| {
            let mut elements = Elements::of(Syntax::Explicit);
            elements.nested(Nested { tag: REFERENCED_IMAGES, vr: "SQ", depth: 2, says_length });
            elements.bytes
        };
        let lengths = written(true);
        assert_eq!(lengths.len(), 40);
        assert_eq!((lengths[8], lengths[16], lengths[28], lengths[36]), (28, 20, 8, 0));
        assert_eq!(written(false).len(), 40 + 32);
    }

    #[test]
    fn runs_begin_behind_the_header() {
        let encoded = run_lengths(&[vec![1; 130], vec![2; 3]]);
        assert_eq!((encoded[0], encoded[4], encoded[8]), (2, 64, 64 + 132));
        assert_eq!((encoded.len(), encoded[64], encoded[193]), (64 + 132 + 4, 127, 1));
    }
}
