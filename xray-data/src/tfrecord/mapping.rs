//! A file as a slice of memory, whose pages can be handed back while the slice stays valid. The only
//! `unsafe` of this crate.
#![expect(unsafe_code, reason = "mapping a file is unsafe; see the comments")]

use memmap2::{Advice, Mmap, UncheckedAdvice};
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};

/// A fault brings in the pages around it: 64 kB aligned in memory, and since Linux 6.18 the whole of a large
/// folio, up to 2 MB aligned in the file. What is handed back is widened to that, or a pass in random order
/// would leave ever more pages behind.
const AROUND: u64 = 64 << 10;
const FOLIO: u64 = 2 << 20;

/// A read-only map of a whole file.
#[derive(Debug)]
pub(super) struct Mapping(Option<Mmap>);

impl Mapping {
    /// Maps `file`, which may be closed afterwards.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Mapping(None)); // the kernel refuses maps of nothing
        }
        // SAFETY: the map is read-only and private to this struct. What Rust cannot rule out is that another
        // process changes or cuts the file: shards are written under another name and renamed, so a mapped
        // one never changes; whoever edits a file of records in place while it is read breaks that, and
        // checksums are compared before a payload is believed.
        let map = unsafe { Mmap::map(file)? };
        Ok(Mapping(Some(map)))
    }

    /// Tells the kernel that `range` will be read soon, in order.
    pub(super) fn expect(&self, range: Range<u64>) {
        let Some((map, range)) = self.clamp(range) else { return };
        // Advice only: when the kernel does not know it, pages come in one by one as ever.
        let _ = map.advise_range(Advice::PopulateRead, range.start, range.len());
    }

    /// Hands the memory of `range` back: the pages stay in the page cache, the process no longer holds them.
    /// Without this, a pass over the data grows the process by the size of the files.
    pub(super) fn release(&self, range: Range<u64>) {
        let start = range.start.saturating_sub(AROUND) / FOLIO * FOLIO;
        let end = range.end.saturating_add(AROUND).checked_next_multiple_of(FOLIO).unwrap_or(range.end);
        let Some((map, range)) = self.clamp(start..end) else { return };
        // SAFETY: on a shared map of a file, dropped pages are read from the file again at the next access,
        // so slices that other threads hold stay valid and equal. (`DontNeed` is unchecked because it would
        // zero anonymous and private maps.)
        let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
    }

    fn clamp(&self, range: Range<u64>) -> Option<(&Mmap, Range<usize>)> {
        let map = self.0.as_ref()?;
        let end = range.end.min(map.len() as u64) as usize;
        let start = range.start as usize;
        (start < end).then_some((map, start..end))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
