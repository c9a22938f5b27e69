//! Encapsulated pixel data (PS3.5, A.4): an offset table, then fragments of the one frame.

use super::DicomProblem;
use super::elements::{Elements, Tag};
use std::borrow::Cow;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const END: Tag = Tag(0xFFFE, 0xE0DD);

/// The codestream; copied only where it is in several fragments.
pub(super) fn join(mut elements: Elements<'_>) -> Result<Cow<'_, [u8]>, DicomProblem> {
    let mut table = None;
    let mut codestream: Option<Cow<'_, [u8]>> = None;
    // Some writers leave the last delimiter out.
    while let Some(head) = elements.head()? {
        match (head.tag, head.length) {
            (END, _) => break,
            (ITEM, Some(_)) => {}
            (tag, _) => return Err(DicomProblem::NoItem(tag)),
        }
        let fragment = elements.value(&head)?.value;
        match (&mut table, &mut codestream) {
            (None, _) => table = Some(fragment),
            (_, None) => codestream = Some(Cow::Borrowed(fragment)),
            (_, Some(joined)) => joined.to_mut().extend_from_slice(fragment),
        }
    }
    let frames = table.map_or(0, <[u8]>::len) / 4;
    if frames > 1 {
        return Err(DicomProblem::Frames(frames as u64));
    }
    codestream.filter(|codestream| !codestream.is_empty()).ok_or(DicomProblem::Missing("pixel data"))
}
