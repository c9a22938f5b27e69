//! The elements before the pixels that are needed, and nothing else of a data set.

use super::DicomProblem;
use super::elements::{Element, Elements, Encoding, Head, Tag};

pub(super) mod tags {
    use super::Tag;

    pub(in super::super) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
    pub(in super::super) const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
    pub(in super::super) const PATIENT_SEX: Tag = Tag(0x0010, 0x0040);
    pub(in super::super) const PATIENT_AGE: Tag = Tag(0x0010, 0x1010);
    pub(in super::super) const VIEW_POSITION: Tag = Tag(0x0018, 0x5101);
    pub(in super::super) const SAMPLES: Tag = Tag(0x0028, 0x0002);
    pub(in super::super) const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
    pub(in super::super) const PLANAR: Tag = Tag(0x0028, 0x0006);
    pub(in super::super) const FRAMES: Tag = Tag(0x0028, 0x0008);
    pub(in super::super) const ROWS: Tag = Tag(0x0028, 0x0010);
    pub(in super::super) const COLUMNS: Tag = Tag(0x0028, 0x0011);
    pub(in super::super) const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
    pub(in super::super) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
    pub(in super::super) const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
    pub(in super::super) const SIGNED: Tag = Tag(0x0028, 0x0103);
    pub(in super::super) const PADDING: Tag = Tag(0x0028, 0x0120);
    pub(in super::super) const PADDING_LIMIT: Tag = Tag(0x0028, 0x0121);
    pub(in super::super) const WINDOW_CENTER: Tag = Tag(0x0028, 0x1050);
    pub(in super::super) const WINDOW_WIDTH: Tag = Tag(0x0028, 0x1051);
    pub(in super::super) const INTERCEPT: Tag = Tag(0x0028, 0x1052);
    pub(in super::super) const SLOPE: Tag = Tag(0x0028, 0x1053);
    pub(in super::super) const WINDOW_FUNCTION: Tag = Tag(0x0028, 0x1056);
    pub(in super::super) const RED_DESCRIPTOR: Tag = Tag(0x0028, 0x1101);
    pub(in super::super) const GREEN_DESCRIPTOR: Tag = Tag(0x0028, 0x1102);
    pub(in super::super) const BLUE_DESCRIPTOR: Tag = Tag(0x0028, 0x1103);
    pub(in super::super) const RED_DATA: Tag = Tag(0x0028, 0x1201);
    pub(in super::super) const GREEN_DATA: Tag = Tag(0x0028, 0x1202);
    pub(in super::super) const BLUE_DATA: Tag = Tag(0x0028, 0x1203);
    pub(in super::super) const MODALITY_LUT: Tag = Tag(0x0028, 0x3000);
    pub(in super::super) const LUT_DESCRIPTOR: Tag = Tag(0x0028, 0x3002);
    pub(in super::super) const LUT_DATA: Tag = Tag(0x0028, 0x3006);
    pub(in super::super) const VOI_LUT: Tag = Tag(0x0028, 0x3010);
    pub(in super::super) const PRESENTATION_LUT: Tag = Tag(0x2050, 0x0010);
    pub(in super::super) const PRESENTATION_SHAPE: Tag = Tag(0x2050, 0x0020);
    pub(in super::super) const FLOAT_PIXELS: Tag = Tag(0x7FE0, 0x0008);
    pub(in super::super) const DOUBLE_PIXELS: Tag = Tag(0x7FE0, 0x0009);
    pub(in super::super) const PIXELS: Tag = Tag(0x7FE0, 0x0010);

    pub(super) const NEEDED: [Tag; 34] = [
        SOP_INSTANCE_UID,
        PATIENT_ID,
        PATIENT_SEX,
        PATIENT_AGE,
        VIEW_POSITION,
        SAMPLES,
        PHOTOMETRIC,
        PLANAR,
        FRAMES,
        ROWS,
        COLUMNS,
        BITS_ALLOCATED,
        BITS_STORED,
        HIGH_BIT,
        SIGNED,
        PADDING,
        PADDING_LIMIT,
        WINDOW_CENTER,
        WINDOW_WIDTH,
        INTERCEPT,
        SLOPE,
        WINDOW_FUNCTION,
        RED_DESCRIPTOR,
        GREEN_DESCRIPTOR,
        BLUE_DESCRIPTOR,
        RED_DATA,
        GREEN_DATA,
        BLUE_DATA,
        MODALITY_LUT,
        VOI_LUT,
        PRESENTATION_LUT,
        PRESENTATION_SHAPE,
        LUT_DESCRIPTOR,
        LUT_DATA,
    ];
}

/// The needed elements of a data set, or of an item.
pub(super) struct Header<'a> {
    found: Vec<Element<'a>>,
    /// The head of the pixel data and what follows it.
    pub(super) pixels: Option<(Head, Elements<'a>)>,
    /// Bytes before the pixels' values.
    pub(super) length: u64,
}

/// Reads up to the pixels; what follows them is not looked at.
pub(super) fn read(mut elements: Elements<'_>) -> Result<Header<'_>, DicomProblem> {
    let whole = elements.rest.len();
    let mut header = Header { found: Vec::new(), pixels: None, length: 0 };
    while let Some(head) = elements.head()? {
        if matches!(head.tag, tags::FLOAT_PIXELS | tags::DOUBLE_PIXELS) {
            return Err(DicomProblem::Float);
        }
        if head.tag == tags::PIXELS {
            header.length = (whole - elements.rest.len()) as u64;
            header.pixels = Some((head, elements));
            break;
        }
        let element = elements.value(&head)?;
        if !tags::NEEDED.contains(&head.tag) {
            continue;
        }
        match header.element(head.tag) {
            Some(before) if before.value != element.value => return Err(DicomProblem::Twice(head.tag)),
            _ => header.found.push(element),
        }
    }
    Ok(header)
}

impl<'a> Header<'a> {
    pub(super) fn element(&self, tag: Tag) -> Option<&Element<'a>> {
        self.found.iter().find(|element| element.tag == tag && !element.value.is_empty())
    }

    /// A number of 16 bits.
    pub(super) fn short(&self, tag: Tag) -> Result<Option<u16>, DicomProblem> {
        let Some(element) = self.element(tag) else { return Ok(None) };
        match (element.vr, element.value.first_chunk::<2>()) {
            (None | Some([b'U', b'S'] | [b'S', b'S'] | [b'O', b'W'] | [b'U', b'N']), Some(bytes)) => {
                Ok(Some(element.encoding.short(*bytes)))
            }
            _ => Err(value(tag, element.value, "a number of 16 bits")),
        }
    }

    /// Text without the spaces and zeros around it; `None` when nothing is left.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let bytes = self.element(tag)?.value;
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(), // Latin 1, or at least one to one
        };
        Some(text.trim_matches([' ', '\0']).to_owned()).filter(|text| !text.is_empty())
    }

    /// The first of the decimal numbers of an element.
    pub(super) fn decimal(&self, tag: Tag) -> Result<Option<f64>, DicomProblem> {
        let Some(text) = self.text(tag) else { return Ok(None) };
        let first = text.split('\\').next().unwrap_or_default().trim_matches([' ', '\0']);
        if first.is_empty() {
            return Ok(None);
        }
        first.parse().map(Some).map_err(|_| value(tag, first.as_bytes(), "a decimal number"))
    }

    /// The needed elements of the first item of a sequence.
    pub(super) fn first_item(&self, tag: Tag) -> Result<Option<Header<'a>>, DicomProblem> {
        let Some(sequence) = self.element(tag) else { return Ok(None) };
        sequence.first_item()?.map(read).transpose()
    }
}

pub(super) fn value(tag: Tag, bytes: &[u8], expected: &'static str) -> DicomProblem {
    DicomProblem::Value { tag, value: quoted(bytes), expected }
}

/// The beginning of a text of the file, fit for a message.
pub(super) fn quoted(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    text.get(..40).unwrap_or(text).escape_ascii().to_string()
}

/// Numbers of 16 bits one after another.
pub(super) fn shorts(bytes: &[u8], encoding: Encoding) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|pair| encoding.short(*pair)).collect()
}
