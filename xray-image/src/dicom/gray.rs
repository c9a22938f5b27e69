//! The way from stored values to gray (PS3.3, C.11): modality LUT or rescale, then the first VOI LUT or window (or the
//! range of the values where there is none), then inversion where the lowest value is white.
//!
//! What cannot be followed is refused, because a guess would be another picture. Pixels of padding are not part of the
//! picture: they do not count in the range, and are black.

use super::DicomProblem;
use super::description::{Description, Photometric};
use super::header::{Header, quoted, shorts, tags};
use super::samples::Samples;

/// Samples as gray from 0 to 255.
pub(super) fn show(
    samples: &Samples<'_>,
    description: &Description,
    header: &Header<'_>,
) -> Result<Vec<u8>, DicomProblem> {
    if header.element(tags::PRESENTATION_LUT).is_some() {
        return Err(DicomProblem::Lut("presentation"));
    }
    let modality = Modality::read(header)?;
    let padding = Padding::read(header, description)?;
    let value = |sample: u32| match padding {
        Some(padding) if padding.has(sample, description) => None,
        _ => Some(modality.apply(description.number(sample))),
    };
    let voi = match Voi::read(header)? {
        Some(voi) => voi,
        None => Voi::range(samples.iter().filter_map(value)),
    };
    let inverted = description.photometric == Photometric::Gray { inverted: true };
    let gray = |sample: u32| {
        let Some(value) = value(sample) else { return 0 };
        let gray = voi.apply(value).clamp(0.0, 1.0);
        ((if inverted { 1.0 - gray } else { gray }) * 255.0).round() as u8
    };
    if samples.bits > 16 {
        return Ok(samples.iter().map(gray).collect());
    }
    // One entry per value a sample can have, so that each pixel costs one look-up.
    let table: Vec<u8> = (0..1_u32 << samples.bits).map(gray).collect();
    Ok(samples.iter().map(|sample| table[sample as usize]).collect())
}

/// From the stored number to what was measured.
enum Modality {
    Table(Lut),
    Rescale { slope: f64, intercept: f64 },
}

impl Modality {
    fn read(header: &Header<'_>) -> Result<Self, DicomProblem> {
        let slope = header.decimal(tags::SLOPE)?.unwrap_or(1.0);
        let intercept = header.decimal(tags::INTERCEPT)?.unwrap_or(0.0);
        // Beyond these limits a double no longer tells one stored value from the next.
        let is_usable = slope != 0.0 && slope.is_normal() && slope.abs() < 1e30 && intercept.abs() < 1e30;
        if !is_usable {
            let [slope, intercept] = [slope, intercept].map(|number| number.to_string());
            return Err(DicomProblem::Rescale { slope, intercept });
        }
        match Lut::read(header, tags::MODALITY_LUT, "modality")? {
            Some(_) if (slope, intercept) != (1.0, 0.0) => Err(DicomProblem::TwoModalities),
            Some(lut) => Ok(Modality::Table(lut)),
            None => Ok(Modality::Rescale { slope, intercept }),
        }
    }

    fn apply(&self, stored: i64) -> f64 {
        match self {
            Modality::Table(lut) => lut.at(stored as f64).into(),
            Modality::Rescale { slope, intercept } => stored as f64 * slope + intercept,
        }
    }
}

/// Entries, of which the first belongs to this value and to all below.
pub(super) struct Lut {
    first: f64,
    entries: Vec<u16>,
    /// Bits of an entry, as it is declared.
    pub(super) bits: u16,
}

impl Lut {
    /// The LUT of a sequence's first item (PS3.3, C.11.1.1).
    fn read(header: &Header<'_>, tag: super::Tag, name: &'static str) -> Result<Option<Self>, DicomProblem> {
        let Some(item) = header.first_item(tag)? else { return Ok(None) };
        Lut::of(&item, [tags::LUT_DESCRIPTOR, tags::LUT_DATA], header, name).map(Some)
    }

    /// The LUT of a descriptor and its data; the header tells whether pixels are signed.
    pub(super) fn of(
        item: &Header<'_>,
        [descriptor, data]: [super::Tag; 2],
        header: &Header<'_>,
        name: &'static str,
    ) -> Result<Self, DicomProblem> {
        let unreadable = DicomProblem::Lut(name);
        let (Some(descriptor), Some(data)) = (item.element(descriptor), item.element(data)) else {
            return Err(unreadable);
        };
        let [count, first, bits] = *shorts(descriptor.value, descriptor.encoding) else {
            return Err(unreadable);
        };
        let count = if count == 0 { 1 << 16 } else { usize::from(count) };
        let is_signed = match descriptor.vr {
            Some([b'S', b'S']) => true,
            Some([b'U', b'S']) => false,
            _ => header.short(tags::SIGNED)? == Some(1),
        };
        let first = if is_signed { f64::from(first as i16) } else { f64::from(first) };
        let (is_bytes, length) =
            (bits <= 8 && data.value.len() == count.next_multiple_of(2), data.value.len());
        let entries: Vec<u16> = match is_bytes {
            true => data.value[..count].iter().map(|&byte| byte.into()).collect(),
            false if length == 2 * count => shorts(data.value, data.encoding),
            false => return Err(unreadable),
        };
        let is_sensible =
            matches!(bits, 8..=16) && entries.iter().all(|&entry| u32::from(entry) >> bits == 0);
        if is_sensible { Ok(Lut { first, entries, bits }) } else { Err(unreadable) }
    }

    pub(super) fn at(&self, value: f64) -> u16 {
        let last = self.entries.len() as f64 - 1.0;
        self.entries[(value.round() - self.first).clamp(0.0, last) as usize]
    }

    /// White: devices declare 16 bits and use 12, so the entries themselves tell.
    fn white(&self) -> u16 {
        let largest = self.entries.iter().copied().max().unwrap_or(0);
        u16::MAX.checked_shr(largest.leading_zeros()).unwrap_or(1).max(1)
    }
}

/// How measured values become gray.
enum Voi {
    Table {
        lut: Lut,
        white: f64,
    },
    Window {
        function: Function,
        center: f64,
        width: f64,
    },
    /// From the lowest to the highest value of the image.
    Range(f64, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Linear,
    LinearExact,
    Sigmoid,
}

impl Voi {
    /// The first LUT, else the first window. `None` where there is neither.
    fn read(header: &Header<'_>) -> Result<Option<Self>, DicomProblem> {
        if let Some(lut) = Lut::read(header, tags::VOI_LUT, "VOI")? {
            return Ok(Some(Voi::Table { white: lut.white().into(), lut }));
        }
        let (center, width) = (header.decimal(tags::WINDOW_CENTER)?, header.decimal(tags::WINDOW_WIDTH)?);
        let name = header.text(tags::WINDOW_FUNCTION).unwrap_or_else(|| "LINEAR".to_owned());
        let function = match name.split('\\').next().unwrap_or_default().trim() {
            "LINEAR" => Some(Function::Linear),
            "LINEAR_EXACT" => Some(Function::LinearExact),
            "SIGMOID" => Some(Function::Sigmoid),
            _ => None,
        };
        let said = |number: Option<f64>| number.map_or("nothing".to_owned(), |number| number.to_string());
        match (center, width, function) {
            (None, None, _) => Ok(None),
            (Some(center), Some(width), Some(function)) if is_usable(center, width, function) => {
                Ok(Some(Voi::Window { function, center, width }))
            }
            _ => {
                let function = quoted(name);
                Err(DicomProblem::Window { center: said(center), width: said(width), function })
            }
        }
    }

    fn range(values: impl Iterator<Item = f64>) -> Self {
        let wider = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), wider);
        Voi::Range(low, high)
    }

    /// Gray from 0 to 1, and beyond.
    fn apply(&self, value: f64) -> f64 {
        match self {
            Voi::Table { lut, white } => f64::from(lut.at(value)) / white,
            Voi::Range(low, high) => (value - low) / (high - low).max(f64::MIN_POSITIVE),
            Voi::Window { function: Function::Sigmoid, center, width } => {
                1.0 / (1.0 + (-4.0 * (value - center) / width).exp())
            }
            Voi::Window { function: Function::LinearExact, center, width } => (value - center) / width + 0.5,
            Voi::Window { function: Function::Linear, center, width } => {
                let (center, width) = (center - 0.5, width - 1.0);
                match width > 0.0 {
                    true => (value - center) / width + 0.5,
                    false => f64::from(u8::from(value > center)),
                }
            }
        }
    }
}

/// A width below 1 is none of a linear window, 0 and less is none at all (PS3.3, C.11.2.1.2).
fn is_usable(center: f64, width: f64, function: Function) -> bool {
    let least = if function == Function::Linear { 1.0 } else { f64::MIN_POSITIVE };
    center.abs() < 1e30 && (least..1e30).contains(&width)
}

/// Samples that are not part of the picture: a value, or a range of values (PS3.3, C.7.5.1.1.2).
#[derive(Clone, Copy)]
struct Padding {
    first: i64,
    last: i64,
}

impl Padding {
    fn read(header: &Header<'_>, description: &Description) -> Result<Option<Self>, DicomProblem> {
        let number = |bits: u16| if description.signed { i64::from(bits as i16) } else { i64::from(bits) };
        let Some(first) = header.short(tags::PADDING)?.map(number) else { return Ok(None) };
        let last = header.short(tags::PADDING_LIMIT)?.map_or(first, number);
        Ok(Some(Padding { first: first.min(last), last: first.max(last) }))
    }

    /// Devices that store 12 bits pad with all 16, so the whole sample is looked at too.
    fn has(self, sample: u32, description: &Description) -> bool {
        let allocated =
            Description { stored: description.allocated, high: description.allocated - 1, ..*description };
        let is_within = |number: i64| (self.first..=self.last).contains(&number);
        is_within(description.number(sample)) || is_within(allocated.number(sample))
    }
}
