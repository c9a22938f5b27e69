//! A decoder that panics is one bad file, not the end of a program.

use crate::ImageProblem;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// Whether this thread decodes at the moment.
    static DECODING: Cell<bool> = const { Cell::new(false) };
    /// Why it panicked.
    static REASON: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a decoder on bytes that may be anything. If it panics, that is the file's problem: nothing is printed, and
/// nothing of the decoder is used again.
pub(super) fn contain<T>(decode: impl FnOnce() -> Result<T, ImageProblem>) -> Result<T, ImageProblem> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| if DECODING.get() { remember(info) } else { others(info) }));
    });
    let outer = DECODING.replace(true);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(outer);
    decoded.unwrap_or_else(|_| Err(ImageProblem::Decoder(REASON.take())))
}

fn remember(info: &PanicHookInfo<'_>) {
    let reason = info.payload_as_str().unwrap_or("it panicked");
    let place = info.location().map_or(String::new(), |place| {
        let file = place.file().rsplit('/').next().unwrap_or_default();
        format!(" ({file}:{})", place.line())
    });
    REASON.set(format!("{}{place}", reason.lines().next().unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_problem_and_others_stay_panics() {
        let bytes: &[u8] = &[];
        let problem = contain(|| Ok(*bytes.first().expect("a byte"))).expect_err("it panics");
        let ImageProblem::Decoder(reason) = problem else { panic!("{problem:?}") };
        assert!(reason.starts_with("a byte (failure.rs:"), "{reason}");
        assert_eq!(contain(|| Ok(1)), Ok(1));
        assert_eq!(contain::<u8>(|| Err(ImageProblem::Empty)), Err(ImageProblem::Empty));
        assert!(!DECODING.get());
    }
}
