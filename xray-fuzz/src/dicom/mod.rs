//! DICOM files: small ones of most kinds that are read, and ones that lie. JPEG of 12 bits, lossless JPEG and JPEG 2000 are
//! not among them: nothing here writes those.

mod file;
mod lies;

use crate::corpus::{Corpus, Expected, Kind, Seed};
use file::{Elements, Nested, PIXELS, REFERENCED_IMAGES, Syntax, Tag, file, run_lengths};
use std::sync::LazyLock;
use xray_image::{GrayImage, SynthConfig, encode_jpeg, synthesise};

/// All DICOM files.
pub(crate) fn corpus(seed: u64) -> Corpus {
    let seeds = seeds().into_iter();
    let seeds = seeds.map(|(name, expected, picture)| Seed::new(name, expected, picture.file()));
    Corpus::new(Kind::Dicom, seed, seeds.collect(), lies::draw)
}

/// A phantom that is wider than high.
pub(crate) static PHANTOM: LazyLock<GrayImage> = LazyLock::new(|| {
    let config = SynthConfig { images: 1, size: 32, ..SynthConfig::default() };
    let square = synthesise(&config).next().expect("one was asked for").image;
    GrayImage { width: 32, height: 24, pixels: square.pixels[..32 * 24].to_vec() }
});

/// What a file says of its picture, and what it holds.
#[derive(Clone, Debug)]
struct Picture {
    syntax: Syntax,
    uid: String,
    rows: u16,
    columns: u16,
    samples: u16,
    photometric: &'static str,
    allocated: u16,
    stored: u16,
    high: u16,
    signed: u16,
    frames: Option<String>,
    /// Slope and intercept.
    rescale: Option<[String; 2]>,
    /// Centre and width.
    window: Option<[String; 2]>,
    padding: Option<u16>,
    /// Descriptor and entries of a table of grays.
    lut: Option<([u16; 3], Vec<u16>)>,
    nested: Vec<Nested>,
    /// A value of which only the header is there.
    hollow: Option<(Tag, &'static str, u32)>,
    pixels: Pixels,
}

/// What stands in the pixels' element.
#[derive(Clone, Debug)]
enum Pixels {
    /// The phantom, as the rest says.
    Phantom,
    /// The same, cut into so many pieces where it is packed.
    Pieces(usize),
    /// These bytes under a length of their own or another.
    Raw(u32, Vec<u8>),
    /// Packed pieces of these lengths, or others.
    RawPieces(Vec<(u32, Vec<u8>)>),
}

impl Picture {
    /// The phantom in `stored` of `allocated` bits.
    fn phantom(syntax: Syntax, allocated: u16, stored: u16) -> Picture {
        Picture {
            syntax,
            uid: syntax.uid().to_owned(),
            rows: PHANTOM.height as u16,
            columns: PHANTOM.width as u16,
            samples: 1,
            photometric: "MONOCHROME2",
            allocated,
            stored,
            high: stored - 1,
            signed: 0,
            frames: None,
            rescale: None,
            window: None,
            padding: None,
            lut: None,
            nested: Vec::new(),
            hollow: None,
            pixels: Pixels::Phantom,
        }
    }

    /// Gray values in the bits that are stored, those of signed ones around zero.
    fn values(&self) -> Vec<u16> {
        let shift = self.stored.clamp(8, 16) - 8;
        let zero = if self.signed == 1 { 128_i32 << shift } else { 0 };
        PHANTOM.pixels.iter().map(|&gray| ((i32::from(gray) << shift) - zero) as u16).collect()
    }

    fn file(&self) -> Vec<u8> {
        let mut elements = Elements::of(self.syntax);
        elements.text([8, 0x16], "UI", "1.2.840.10008.5.1.4.1.1.1");
        elements.text([8, 0x18], "UI", "1.2.3");
        self.nested.iter().for_each(|&nested| elements.nested(nested));
        elements.text([0x10, 0x20], "LO", "7");
        if let Some((tag, vr, length)) = self.hollow {
            elements.header(tag, vr, length);
        }
        self.describe(&mut elements);
        self.write_pixels(&mut elements);
        file(&self.uid, self.syntax, &elements.bytes)
    }

    fn describe(&self, elements: &mut Elements) {
        elements.words([0x28, 2], "US", &[self.samples]);
        elements.text([0x28, 4], "CS", self.photometric);
        if let Some(frames) = &self.frames {
            elements.text([0x28, 8], "IS", frames);
        }
        let sides_and_bits = [
            (0x10, self.rows),
            (0x11, self.columns),
            (0x100, self.allocated),
            (0x101, self.stored),
            (0x102, self.high),
            (0x103, self.signed),
        ];
        sides_and_bits.iter().for_each(|&(tag, word)| elements.words([0x28, tag], "US", &[word]));
        if let Some(padding) = self.padding {
            elements.words([0x28, 0x120], "US", &[padding]);
        }
        if let Some([centre, width]) = &self.window {
            elements.text([0x28, 0x1050], "DS", centre);
            elements.text([0x28, 0x1051], "DS", width);
        }
        if let Some([slope, intercept]) = &self.rescale {
            elements.text([0x28, 0x1052], "DS", intercept);
            elements.text([0x28, 0x1053], "DS", slope);
        }
        if let Some((descriptor, entries)) = &self.lut {
            elements.lut([0x28, 0x3010], *descriptor, entries);
        }
    }

    fn write_pixels(&self, elements: &mut Elements) {
        let pieces = match &self.pixels {
            Pixels::Raw(length, bytes) => {
                elements.header(PIXELS, "OW", *length);
                return elements.bytes.extend(bytes);
            }
            Pixels::RawPieces(pieces) => {
                return elements.fragments(pieces.iter().map(|(length, piece)| (*length, &piece[..])));
            }
            Pixels::Phantom => 1,
            Pixels::Pieces(pieces) => *pieces,
        };
        match self.packed() {
            Some(packed) => {
                let length = packed.len().div_ceil(pieces.max(1)).next_multiple_of(2).max(2);
                let pieces: Vec<&[u8]> = packed.chunks(length).collect();
                elements.fragments(pieces.into_iter().map(|piece| (piece.len() as u32, piece)));
            }
            None if self.allocated == 8 => {
                let bytes: Vec<u8> = self.values().into_iter().map(|value| value as u8).collect();
                elements.value(PIXELS, "OW", &bytes);
            }
            None => elements.words(PIXELS, "OW", &self.values()),
        }
    }

    /// Of an even length; none where pixels are not packed.
    fn packed(&self) -> Option<Vec<u8>> {
        let plane = |shift: u32| self.values().iter().map(|value| (value >> shift) as u8).collect();
        let mut packed = match self.syntax {
            Syntax::Jpeg => encode_jpeg(&PHANTOM, 90),
            Syntax::Rle if self.allocated == 8 => run_lengths(&[plane(0)]),
            Syntax::Rle => run_lengths(&[plane(8), plane(0)]),
            _ => return None,
        };
        packed.extend(std::iter::repeat_n(0, packed.len() % 2));
        Some(packed)
    }
}

fn pair(first: &str, second: &str) -> Option<[String; 2]> {
    Some([first.to_owned(), second.to_owned()])
}

/// One of each kind, and what becomes of it.
fn seeds() -> Vec<(String, Expected, Picture)> {
    use Expected::{Accepted, Either, Refused};
    let mut seeds = Vec::new();
    let mut add = |name: &str, expected, picture: Picture| {
        seeds.push((name.to_owned(), expected, picture));
    };
    let deep = |syntax| Picture::phantom(syntax, 16, 12);
    for syntax in Syntax::ALL {
        let picture = if syntax == Syntax::Jpeg { Picture::phantom(syntax, 8, 8) } else { deep(syntax) };
        add(&format!("{syntax:?}"), Accepted, picture);
    }
    let explicit = || deep(Syntax::Explicit);
    add("8 bits", Accepted, Picture::phantom(Syntax::Explicit, 8, 8));
    add("8 bits in runs", Accepted, Picture::phantom(Syntax::Rle, 8, 8));
    add("16 bits", Accepted, Picture::phantom(Syntax::Implicit, 16, 16));
    add("signed", Accepted, Picture { signed: 1, ..Picture::phantom(Syntax::Explicit, 16, 16) });
    add("white is 0", Accepted, Picture { photometric: "MONOCHROME1", ..explicit() });
    add("rescaled", Accepted, Picture { rescale: pair("0.5", "-1024"), ..explicit() });
    add("window", Accepted, Picture { window: pair("2048", "4096"), ..explicit() });
    add("two windows", Accepted, Picture { window: pair("2048\\900", "4096\\100"), ..explicit() });
    let table: Vec<u16> = (0..4096).collect();
    add("table", Accepted, Picture { lut: Some(([4096, 0, 12], table)), ..explicit() });
    add("padding", Accepted, Picture { padding: Some(0), ..explicit() });
    add(
        "two pieces",
        Accepted,
        Picture { pixels: Pixels::Pieces(2), ..Picture::phantom(Syntax::Jpeg, 8, 8) },
    );
    for (vr, says_length) in [("SQ", true), ("SQ", false), ("UN", false)] {
        let nested = Nested { tag: REFERENCED_IMAGES, vr, depth: 3, says_length };
        let name = format!("{vr}, {}", if says_length { "lengths" } else { "ends" });
        add(
            &name,
            if vr == "SQ" { Accepted } else { Either },
            Picture { nested: vec![nested], ..explicit() },
        );
    }
    add("two frames", Refused, Picture { frames: Some("2".to_owned()), ..explicit() });
    add("slope of NaN", Refused, Picture { rescale: pair("nan", "0"), ..explicit() });
    add("slope of 0", Refused, Picture { rescale: pair("0", "0"), ..explicit() });
    add("window of NaN", Either, Picture { window: pair("nan", "100"), ..explicit() });
    add("window of no width", Either, Picture { window: pair("100", "0"), ..explicit() });
    add(
        "colour",
        Refused,
        Picture { samples: 3, photometric: "RGB", ..Picture::phantom(Syntax::Explicit, 8, 8) },
    );
    add("unknown syntax", Refused, Picture { uid: "1.2.840.10008.1.2.4.999".to_owned(), ..explicit() });
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_image::decode_gray;

    /// The programs try every one of them in each run; these are the ones that all versions read.
    #[test]
    fn plain_files_are_read_as_the_phantom() {
        for (name, _, picture) in seeds() {
            if !["Implicit", "Explicit", "BigEndian", "8 bits", "16 bits", "SQ, lengths", "SQ, ends"]
                .contains(&name.as_str())
            {
                continue;
            }
            let read = decode_gray(&picture.file()).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert_eq!((read.width, read.height), (PHANTOM.width, PHANTOM.height), "{name}");
            let [low, high] = [&PHANTOM.pixels, &read.pixels].map(|pixels| {
                let at = |gray: Option<&u8>| pixels.iter().position(|pixel| Some(pixel) == gray);
                (at(pixels.iter().min()), at(pixels.iter().max()))
            });
            assert_eq!(low, high, "{name}: the darkest and the brightest pixels are where they were");
        }
    }
}
