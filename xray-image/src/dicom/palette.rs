//! Palettes: each sample names an entry of three tables of red, green and blue (PS3.3, C.7.6.3.1.5).

use super::DicomProblem;
use super::description::{Description, Photometric};
use super::gray::Lut;
use super::header::{Header, tags};
use super::samples::Samples;

const TABLES: [[super::Tag; 2]; 3] = [
    [tags::RED_DESCRIPTOR, tags::RED_DATA],
    [tags::GREEN_DESCRIPTOR, tags::GREEN_DATA],
    [tags::BLUE_DESCRIPTOR, tags::BLUE_DATA],
];

/// The colours that the samples name, brought to 8 bits, and what describes them then.
///
/// # Errors
/// Tables that are not there, in segments, or not as their descriptors say.
pub(super) fn colours(
    samples: &Samples<'_>,
    description: &Description,
    header: &Header<'_>,
) -> Result<(Samples<'static>, Description), DicomProblem> {
    let mut tables = Vec::with_capacity(TABLES.len());
    for tags in TABLES {
        tables.push(Lut::of(header, tags, header, "palette")?);
    }
    let colour = |table: &Lut, stored: i64| {
        let white = (1_u32 << table.bits) - 1;
        ((u32::from(table.at(stored as f64)) * 255 + white / 2) / white) as u8
    };
    let mut bytes = Vec::with_capacity(TABLES.len() * description.pixels());
    for sample in samples.iter() {
        let stored = description.number(sample);
        bytes.extend(tables.iter().map(|table| colour(table, stored)));
    }
    let described = Description {
        photometric: Photometric::Rgb,
        planar: false,
        samples: TABLES.len(),
        allocated: 8,
        stored: 8,
        high: 7,
        signed: false,
        ..*description
    };
    Ok((Samples::of_bytes(bytes), described))
}
