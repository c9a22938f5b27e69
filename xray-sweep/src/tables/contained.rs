//! polars panics on some damaged files: that is one bad file, not the end of the program.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs a reader of a file that may hold anything. If it panics, on this thread or on one of polars', the
/// error is the reason, and nothing is printed.
pub(super) fn contained<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    // The hook belongs to the whole process: one reader at a time changes it.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let reason = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&reason);
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let said = info.payload_as_str().unwrap_or("its reader gave up");
        let line = said.lines().next().unwrap_or_default().to_owned();
        seen.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(line);
    }));
    let read = panic::catch_unwind(AssertUnwindSafe(read));
    panic::set_hook(others);
    read.map_err(|_| {
        let said = reason.lock().unwrap_or_else(PoisonError::into_inner).take();
        said.unwrap_or_else(|| "its reader gave up".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_also_from_another_thread() {
        assert_eq!(contained(|| 7), Ok(7));
        assert_eq!(contained(|| -> u8 { panic!("no bytes\nat all") }), Err("no bytes".to_owned()));
        let elsewhere = || std::thread::spawn(|| panic!("far away")).join().expect("it panicked");
        assert_eq!(contained(elsewhere), Err("far away".to_owned()));
    }
}
