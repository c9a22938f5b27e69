//! A file as a slice of memory, whose pages can be handed back while the slice stays valid. The only
//! `unsafe` of this crate.
#![expect(unsafe_code, reason = "mapping a file is unsafe; see the comments")]

use memmap2::{Advice, Mmap, UncheckedAdvice};
use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::ops::{Deref, Range};
use std::os::fd::FromRawFd;
use std::sync::Once;
use xray_artifacts::Exit;

/// A fault brings in the pages around it: 64 kB aligned in memory, and since Linux 6.18 the whole of a large
/// folio, up to 2 MB aligned in the file. What is handed back is widened to that, or a pass in random order
/// would leave ever more pages behind.
const AROUND: u64 = 64 << 10;
const FOLIO: u64 = 2 << 20;

/// Maps pages at once instead of one fault at a time, where the kernel can.
#[cfg(target_os = "linux")]
const AHEAD: Advice = Advice::PopulateRead;
#[cfg(not(target_os = "linux"))]
const AHEAD: Advice = Advice::WillNeed;

/// What is said before the process ends, and the code it ends with: that of data that cannot be used.
const VANISHED: &[u8] = b"error: a file of records was cut, or its disk failed, while it was read\n\
\x20hint: copy the file again and start again: what was saved is intact\n";

/// A page that the file has no more, or that the disk does not give, ends the process by a signal without a word.
/// The size is compared before each record ([`super::RecordFile::read`]); what happens between that and the
/// access, or on a disk that fails, is said here. There is no way to go on: the slice is lent out.
fn say_when_pages_vanish() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let end = || {
            // SAFETY: descriptor 2 is not closed here, because the file is never dropped.
            let mut stderr = ManuallyDrop::new(unsafe { File::from_raw_fd(2) });
            let _ = stderr.write_all(VANISHED);
            signal_hook::low_level::exit(i32::from(Exit::BadData.code()));
        };
        // SAFETY: the action does only what a signal handler may: it calls `write` on a descriptor and `_exit`;
        // it takes no lock, allocates nothing and does not return.
        let registered = unsafe { signal_hook::low_level::register(signal_hook::consts::SIGBUS, end) };
        // Without the handler the process ends as it always did.
        drop(registered);
    });
}

/// A read-only map of a whole file.
#[derive(Debug)]
pub(super) struct Mapping(Option<Mmap>);

impl Mapping {
    /// Maps `file`, which may be closed afterwards.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Mapping(None)); // the kernel refuses maps of nothing
        }
        say_when_pages_vanish();
        // SAFETY: the map is read-only and private to this struct. What Rust cannot rule out is that another
        // process changes or cuts the file: shards are written under another name and renamed, so a mapped
        // one never changes; whoever edits a file of records in place while it is read breaks that, and
        // checksums are compared before a payload is believed.
        let map = unsafe { Mmap::map(file)? };
        Ok(Mapping(Some(map)))
    }

    /// Tells the kernel that `range` will be read soon, in order. Returns whether its pages are there; they may be
    /// where this is false: a kernel that does not know the advice brings them in one by one as ever.
    pub(super) fn expect(&self, range: Range<u64>) -> bool {
        let Some((map, range)) = self.clamp(range) else { return true };
        map.advise_range(AHEAD, range.start, range.len()).is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    /// Names a file for the process that is to end.
    const CHILD: &str = "XRAY_CUT_MAP";

    /// The test starts itself again, as the process that ends.
    #[test]
    fn a_map_of_a_file_that_was_cut_ends_with_a_sentence() {
        if let Some(path) = std::env::var_os(CHILD) {
            touch_a_page_that_is_gone(Path::new(&path));
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("cut");
        std::fs::write(&path, vec![7; 1 << 20]).expect("writable");
        let name = "tfrecord::mapping::tests::a_map_of_a_file_that_was_cut_ends_with_a_sentence";
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, &path)
            .output()
            .expect("it starts");
        assert_eq!(child.status.code(), Some(i32::from(Exit::BadData.code())), "{child:?}");
        assert!(child.stderr.ends_with(VANISHED), "{child:?}");
    }

    fn touch_a_page_that_is_gone(path: &Path) -> ! {
        let map = Mapping::new(&File::open(path).expect("just written")).expect("not empty");
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(0))
            .expect("writable");
        panic!("{} is still there", map[1 << 19]);
    }
}
