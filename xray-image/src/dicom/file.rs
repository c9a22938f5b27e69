//! From the bytes of a file to its data set: preamble, meta information, transfer syntax (PS3.10, 7.1).

use super::DicomProblem;
use super::elements::{Elements, Encoding, Tag};
use super::syntax::{self, Coding};
use flate2::read::DeflateDecoder;
use std::borrow::Cow;
use std::io::Read;

const TRANSFER_SYNTAX: Tag = Tag(2, 0x10);

/// Whether bytes are a DICOM file: 128 of anything, then `DICM`; or, without these, elements that every file of images
/// begins with: the group of meta information, or the character set, the image type or the class of the object.
pub(crate) fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(128..132) == Some(b"DICM") || starts_bare(bytes)
}

fn starts_bare(bytes: &[u8]) -> bool {
    match *bytes {
        [2, 0, 0, 0, b'U', b'L', 4, 0, ..] | [2, 0, 1, 0, b'O', b'B', ..] | [2, 0, 2, 0, b'U', b'I', ..] => {
            true
        }
        [8, 0, 5 | 8, 0, b'C', b'S', ..] | [8, 0, 0x16 | 0x18, 0, b'U', b'I', ..] => true,
        // Implicit: four bytes of length instead of the kind.
        [8, 0, 0, 0, 4, 0, 0, 0, ..] => true,
        [8, 0, 5 | 8 | 0x16 | 0x18, 0, length, 0, 0, 0, ..] => length.is_multiple_of(2),
        _ => false,
    }
}

/// The elements of the picture, and how its pixels are coded.
pub(super) struct DataSet<'a> {
    bytes: Cow<'a, [u8]>,
    encoding: Encoding,
    pub(super) coding: Coding,
    /// There is more than was unpacked.
    pub(super) is_cut: bool,
}

impl DataSet<'_> {
    pub(super) fn elements(&self) -> Elements<'_> {
        Elements { rest: &self.bytes, encoding: self.encoding }
    }
}

/// Finds the data set; a deflated one is unpacked to at most `limit` bytes, and what is beyond is missing.
pub(super) fn open(bytes: &[u8], limit: u64) -> Result<DataSet<'_>, DicomProblem> {
    let start = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
    let mut meta = Elements { rest: &bytes[start..], encoding: Encoding::EXPLICIT };
    let mut syntax = None;
    while meta.rest.starts_with(&[2, 0]) {
        let Some(head) = meta.head()? else { break };
        let element = meta.value(&head)?;
        if head.tag == TRANSFER_SYNTAX {
            syntax = Some(String::from_utf8_lossy(element.value).trim_matches(['\0', ' ']).to_owned());
        }
    }
    let syntax = syntax::of(syntax.as_deref());
    let bytes = match syntax.deflated {
        true => Cow::Owned(inflate(meta.rest, limit)?),
        false => Cow::Borrowed(meta.rest),
    };
    // Writers that name the wrong one of the two little-endian encodings are known by their first element.
    let names_kinds = bytes.get(4..6).is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
    let explicit = names_kinds || syntax.encoding.big_endian;
    let is_cut = syntax.deflated && bytes.len() as u64 == limit;
    Ok(DataSet { encoding: Encoding { explicit, ..syntax.encoding }, bytes, coding: syntax.coding, is_cut })
}

/// Raw deflate (RFC 1951). The first `limit` bytes; a stream that breaks off gives what came before.
fn inflate(packed: &[u8], limit: u64) -> Result<Vec<u8>, DicomProblem> {
    let mut bytes = Vec::new();
    let result = DeflateDecoder::new(packed).take(limit).read_to_end(&mut bytes);
    if result.is_err() && bytes.is_empty() { Err(DicomProblem::Deflated) } else { Ok(bytes) }
}
