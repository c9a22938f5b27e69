//! Data elements one after another, as slices of the file (PS3.5, 7).
//!
//! The file is not believed: a length counts only as far as there are bytes, and sequences are passed over in a loop
//! with a list of what is open, because a small file can nest them deeper than a stack is.

use super::DicomProblem;

/// Group and number of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub u16, pub u16);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({:04X},{:04X})", self.0, self.1)
    }
}

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = u32::MAX;
/// Sequences and items that may be open at a time; files that are meant nest a handful.
const MOST_OPEN: usize = 64;

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Each element names its kind (VR).
    pub(super) explicit: bool,
    pub(super) big_endian: bool,
}

impl Encoding {
    pub(super) const EXPLICIT: Encoding = Encoding { explicit: true, big_endian: false };
    pub(super) const IMPLICIT: Encoding = Encoding { explicit: false, big_endian: false };

    pub(super) fn short(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(super) fn long(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// What stands before an element's value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) tag: Tag,
    /// Two letters, where the encoding has them.
    pub(super) vr: Option<[u8; 2]>,
    /// `None` where a delimiter ends it.
    pub(super) length: Option<u32>,
}

/// One element: its value, or the items of its sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: Tag,
    pub(super) vr: Option<[u8; 2]>,
    pub(super) value: &'a [u8],
    /// Of what the value holds.
    pub(super) encoding: Encoding,
}

impl<'a> Element<'a> {
    /// The elements of a sequence's first item; `None` of an empty sequence.
    pub(super) fn first_item(&self) -> Result<Option<Elements<'a>>, DicomProblem> {
        let mut items = Elements { rest: self.value, encoding: self.encoding };
        let Some(head) = items.head()? else { return Ok(None) };
        match head.tag {
            ITEM => Ok(Some(Elements { rest: items.value(&head)?.value, encoding: self.encoding })),
            SEQUENCE_END => Ok(None),
            tag => Err(DicomProblem::NoItem(tag)),
        }
    }
}

/// The elements that are left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a> {
    pub(super) rest: &'a [u8],
    pub(super) encoding: Encoding,
}

impl<'a> Elements<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DicomProblem> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(DicomProblem::CutOff)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, tag: Tag, length: u32) -> Result<&'a [u8], DicomProblem> {
        let left = self.rest.len();
        let (value, rest) = self.rest.split_at_checked(length as usize).ok_or(DicomProblem::Length {
            tag,
            length: length.into(),
            left,
        })?;
        self.rest = rest;
        Ok(value)
    }

    /// The tag, kind and length of the next element; `None` at the end.
    pub(super) fn head(&mut self) -> Result<Option<Head>, DicomProblem> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let encoding = self.encoding;
        let tag = Tag(encoding.short(self.array()?), encoding.short(self.array()?));
        // Some writers leave single elements without their kind.
        let vr = self.rest.first_chunk::<2>().copied().filter(|vr| vr.iter().all(u8::is_ascii_uppercase));
        let vr = vr.filter(|_| encoding.explicit && tag.0 != ITEM.0);
        let length = match vr.as_ref() {
            Some(vr) => {
                let [_, _, high, low] = self.array::<4>()?;
                let is_long = matches!(
                    vr,
                    b"OB"
                        | b"OD"
                        | b"OF"
                        | b"OL"
                        | b"OV"
                        | b"OW"
                        | b"SQ"
                        | b"SV"
                        | b"UC"
                        | b"UN"
                        | b"UR"
                        | b"UT"
                        | b"UV"
                );
                if is_long { encoding.long(self.array()?) } else { encoding.short([high, low]).into() }
            }
            None => encoding.long(self.array()?),
        };
        Ok(Some(Head { tag, vr, length: (length != UNDEFINED).then_some(length) }))
    }

    /// The value of the element whose head was read.
    pub(super) fn value(&mut self, head: &Head) -> Result<Element<'a>, DicomProblem> {
        let encoding = within(head, self.encoding);
        let value = match head.length {
            Some(length) => self.take(head.tag, length)?,
            None => self.until_closed(head.tag == ITEM, encoding)?,
        };
        Ok(Element { tag: head.tag, vr: head.vr, value, encoding })
    }

    /// What lies before the delimiter of what was just opened, an item or a sequence.
    fn until_closed(&mut self, is_item: bool, encoding: Encoding) -> Result<&'a [u8], DicomProblem> {
        let start = self.rest;
        let mut inner = Elements { rest: self.rest, encoding };
        let mut open = vec![(is_item, encoding)];
        while let Some(&(is_item, encoding)) = open.last() {
            inner.encoding = encoding;
            let before = inner.rest.len();
            let head = inner.head()?.ok_or(DicomProblem::CutOff)?;
            let closes = head.tag == if is_item { ITEM_END } else { SEQUENCE_END };
            if closes {
                open.pop();
                if open.is_empty() {
                    self.rest = inner.rest;
                    return Ok(&start[..start.len() - before]);
                }
            } else if is_item == (head.tag.0 == ITEM.0) || (!is_item && head.tag != ITEM) {
                return Err(DicomProblem::NoItem(head.tag));
            } else if let Some(length) = head.length {
                inner.take(head.tag, length)?;
            } else if open.len() == MOST_OPEN {
                return Err(DicomProblem::Depth(MOST_OPEN / 2));
            } else {
                open.push((head.tag == ITEM, within(&head, encoding)));
            }
        }
        Err(DicomProblem::CutOff)
    }
}

/// The encoding within an element: a sequence of unknown kind is implicit (PS3.5, 6.2.2).
fn within(head: &Head, encoding: Encoding) -> Encoding {
    match (head.vr, head.length) {
        (Some([b'U', b'N']), None) => Encoding::IMPLICIT,
        _ => encoding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(depth: usize) -> Vec<u8> {
        b"\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF".repeat(depth)
    }

    fn closed(depth: usize) -> Vec<u8> {
        let mut bytes = opened(depth);
        bytes.extend(b"\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0".repeat(depth));
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<Element<'_>>, DicomProblem> {
        let mut elements = Elements { rest: bytes, encoding: Encoding::EXPLICIT };
        let mut found = Vec::new();
        while let Some(head) = elements.head()? {
            found.push(elements.value(&head)?);
        }
        Ok(found)
    }

    #[test]
    fn sequences_are_passed_over_as_deep_as_is_reasonable() {
        let after = b"\x10\0\x20\0LO\x02\0P7";
        let bytes = [&closed(32)[..], after].concat();
        let found = read(&bytes).expect("deep, and closed");
        assert_eq!((found.len(), found[1].tag, found[1].value), (2, Tag(0x10, 0x20), &b"P7"[..]));
        assert_eq!(read(&closed(33)).err(), Some(DicomProblem::Depth(32)));
        assert_eq!(read(&opened(100_000)).err(), Some(DicomProblem::Depth(32)));
        assert_eq!(read(&opened(3)).err(), Some(DicomProblem::CutOff));
    }

    #[test]
    fn a_length_counts_as_far_as_there_are_bytes() {
        let error = read(b"\x10\0\x10\0UN\0\0\xF0\xFF\xFF\xFFx").expect_err("4 GB of one byte");
        assert_eq!(
            error.to_string(),
            "element (0010,0010) should have 4294967280 bytes, and 1 are left in the file"
        );
    }

    #[test]
    fn items_are_found_with_and_without_lengths() {
        let inner = b"\x28\0\x06\x30OW\0\0\x02\0\0\0\x07\0";
        let length = (inner.len() as u32).to_le_bytes();
        let known = [b"\xFE\xFF\x00\xE0", &length[..], inner].concat();
        let unknown = [b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF", &inner[..], b"\xFE\xFF\x0D\xE0\0\0\0\0"].concat();
        for item in [known, unknown] {
            let open =
                [b"\x28\0\x10\x30SQ\0\0\xFF\xFF\xFF\xFF", &item[..], b"\xFE\xFF\xDD\xE0\0\0\0\0"].concat();
            let found = read(&open).expect("a sequence");
            let mut elements = found[0].first_item().expect("readable").expect("an item");
            let head = elements.head().expect("readable").expect("an element");
            assert_eq!(elements.value(&head).expect("readable").value, [7, 0]);
        }
    }
}
