//! A last sentence where memory runs out. Rust then says how much it wanted and aborts: without this, the process ends
//! by a signal, as if it had a fault.
#![expect(unsafe_code, reason = "a signal handler may do little; see the comment")]

use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use xray_artifacts::Exit;

const LAST_WORDS: &[u8] = b"error: this program had to stop: the line above says why\n\
\x20hint: if memory could not be had, work with fewer threads or smaller batches, or allow it more; what was saved \
is intact\n";

/// From now on an abort says so and ends with exit code 1.
pub(crate) fn say_why() {
    let end = || {
        // SAFETY: descriptor 2 is not closed here, because the file is never dropped.
        let mut stderr = ManuallyDrop::new(unsafe { File::from_raw_fd(2) });
        let _ = stderr.write_all(LAST_WORDS);
        signal_hook::low_level::exit(i32::from(Exit::Unexpected.code()));
    };
    // SAFETY: the action does only what a signal handler may: it calls `write` on a descriptor and `_exit`; it takes no
    // lock, allocates nothing and does not return.
    let registered = unsafe { signal_hook::low_level::register(signal_hook::consts::SIGABRT, end) };
    // Without the handler the process ends as it always did.
    drop(registered);
}
