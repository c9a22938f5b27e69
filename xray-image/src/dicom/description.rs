//! What a header says of its one picture, checked before any pixel is touched.

use super::DicomProblem;
use super::header::{Header, quoted, tags, value};
use crate::{Budget, ImageProblem};

/// What the numbers of a pixel mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    /// One sample; whether the lowest is white.
    Gray { inverted: bool },
    /// One sample, which names a colour.
    Palette,
    /// Red, green, blue.
    Rgb,
    /// Luma first, then colour differences.
    Ybr,
    /// The same, native, with one pair of colour differences for two pixels.
    Ybr422,
}

/// How a picture is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Description {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) photometric: Photometric,
    /// Samples of a pixel lie in planes, not side by side.
    pub(super) planar: bool,
    pub(super) samples: usize,
    /// 1, 8, 16 or 32.
    pub(super) allocated: u16,
    pub(super) stored: u16,
    pub(super) high: u16,
    pub(super) signed: bool,
}

/// Width and height, and whether the picture is gray.
pub(super) fn size(header: &Header<'_>) -> Result<([u32; 2], bool), DicomProblem> {
    let (Some(width), Some(height)) = (header.short(tags::COLUMNS)?, header.short(tags::ROWS)?) else {
        return Err(DicomProblem::Missing("rows and columns, so no picture"));
    };
    let samples = header.short(tags::SAMPLES)?.unwrap_or(1);
    Ok(([width.into(), height.into()], samples == 1))
}

/// Reads and checks what describes the picture.
pub(super) fn read(header: &Header<'_>, budget: &Budget) -> Result<Description, ImageProblem> {
    let ([width, height], _) = size(header)?;
    budget.check_size(width, height)?;
    frames(header)?;
    if header.pixels.is_none() {
        return Err(DicomProblem::Missing("pixel data").into());
    }
    let samples = header.short(tags::SAMPLES)?.unwrap_or(1);
    let photometric = photometric(header, samples)?;
    let allocated = header.short(tags::BITS_ALLOCATED)?.ok_or(DicomProblem::Missing("bits allocated"))?;
    let stored = header.short(tags::BITS_STORED)?.unwrap_or(allocated);
    let high = header.short(tags::HIGH_BIT)?.unwrap_or(stored.saturating_sub(1));
    if !matches!(allocated, 1 | 8 | 16 | 32) {
        return Err(DicomProblem::SampleSize(allocated).into());
    }
    if stored == 0 || stored > allocated || high >= allocated || high + 1 < stored {
        return Err(DicomProblem::Bits { allocated, stored, high }.into());
    }
    let planar = samples > 1 && header.short(tags::PLANAR)?.unwrap_or(0) == 1;
    let signed = header.short(tags::SIGNED)?.unwrap_or(0) == 1;
    let samples = usize::from(samples);
    Ok(Description { width, height, photometric, planar, samples, allocated, stored, high, signed })
}

fn frames(header: &Header<'_>) -> Result<(), DicomProblem> {
    let Some(text) = header.text(tags::FRAMES) else { return Ok(()) };
    match text.parse() {
        Ok(1) => Ok(()),
        Ok(frames) => Err(DicomProblem::Frames(frames)),
        Err(_) => Err(value(tags::FRAMES, text.as_bytes(), "a number of frames")),
    }
}

fn photometric(header: &Header<'_>, samples: u16) -> Result<Photometric, DicomProblem> {
    let name = header.text(tags::PHOTOMETRIC).ok_or(DicomProblem::Missing("photometric interpretation"))?;
    // In DX images INVERSE goes with MONOCHROME1 and means the same; alone it means it too (PS3.3, C.8.11.3).
    let inverse = header.text(tags::PRESENTATION_SHAPE).is_some_and(|shape| shape == "INVERSE");
    match (name.as_str(), samples) {
        ("MONOCHROME1", 1) => Ok(Photometric::Gray { inverted: true }),
        ("MONOCHROME2", 1) => Ok(Photometric::Gray { inverted: inverse }),
        ("PALETTE COLOR", 1) => Ok(Photometric::Palette),
        ("RGB" | "YBR_RCT" | "YBR_ICT", 3) => Ok(Photometric::Rgb),
        ("YBR_FULL", 3) => Ok(Photometric::Ybr),
        ("YBR_FULL_422", 3) => Ok(Photometric::Ybr422),
        _ => Err(DicomProblem::Colours { photometric: quoted(name), samples }),
    }
}

impl Description {
    /// How the samples lie that a decoder gives: side by side, with all colours for every pixel.
    pub(super) fn decompressed(self) -> Self {
        let photometric = match self.photometric {
            Photometric::Ybr422 => Photometric::Ybr,
            other => other,
        };
        Description { photometric, planar: false, ..self }
    }

    /// Compares with what a codestream announces, which might be more than there is memory.
    pub(super) fn check_codestream(
        &self,
        coding: &'static str,
        [width, height]: [u32; 2],
        components: usize,
        bits: u8,
    ) -> Result<(), DicomProblem> {
        let differs =
            |header: String, codestream: String| Err(DicomProblem::Codestream { coding, header, codestream });
        let bits = u16::from(bits);
        if [width, height] != [self.width, self.height] {
            differs(format!("{}x{}", self.width, self.height), format!("{width}x{height}"))
        } else if components != self.samples {
            differs(format!("{} samples a pixel", self.samples), components.to_string())
        } else if bits < self.stored || bits > self.allocated {
            differs(format!("{} bits stored in {}", self.stored, self.allocated), bits.to_string())
        } else {
            Ok(())
        }
    }

    /// Samples of the whole picture.
    pub(super) fn count(&self) -> usize {
        self.pixels() * self.samples
    }

    pub(super) fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Bytes of native pixel data.
    pub(super) fn native_bytes(&self) -> u64 {
        let per_pixel = if self.photometric == Photometric::Ybr422 { 2 } else { self.samples as u64 };
        (self.pixels() as u64 * per_pixel * u64::from(self.allocated)).div_ceil(8)
    }

    /// The number in a sample's bits, sign included.
    pub(super) fn number(&self, sample: u32) -> i64 {
        let unused = 64 - u32::from(self.stored);
        let shift = u32::from(self.high + 1 - self.stored);
        let bits = u64::from(sample) >> shift << unused;
        if self.signed { bits as i64 >> unused } else { (bits >> unused) as i64 }
    }
}
