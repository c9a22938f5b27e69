//! What a device's driver says when it fails. burn returns a part of that as errors of reads and panics with the rest,
//! partly on a thread of its own, so the panics of one piece of work are caught in one place.

use crate::{Error, Result};
use burn::tensor::ExecutionError;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Arc, Mutex, PoisonError};

/// The first panic of a device: the cause of what follows.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Runs work on a device. Where the driver fails in it and burn panics, the driver's words are returned, and no panic's
/// are written to stderr. Any other panic goes on.
///
/// # Errors
/// What the driver said.
pub fn catch_device_failure<T>(work: impl FnOnce() -> T) -> Result<T> {
    let hook = Arc::new(panic::take_hook());
    let others = hook.clone();
    panic::set_hook(Box::new(move |what| {
        if !take_note(what) {
            others(what)
        }
    }));
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(Box::new(move |what| hook(what)));
    outcome.or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        match words.or(panic.downcast_ref::<&str>().copied()) {
            Some(words) if is_of_device(words) => Err(Error::of_device(words)),
            _ => panic::resume_unwind(panic),
        }
    })
}

/// Whether a panic is a device's; the first one is kept.
fn take_note(what: &PanicHookInfo<'_>) -> bool {
    let Some(words) = what.payload_as_str().filter(|words| is_of_device(words)) else { return false };
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| words.to_owned());
    true
}

/// How the panics of burn (a read that failed) and wgpu (an error that nobody awaited) begin, and what those say who
/// waited for a thread that had one.
fn is_of_device(words: &str) -> bool {
    let marks =
        ["An error happened during execution", "The device is poisoned", "wgpu error", "device runner"];
    marks.iter().any(|mark| words.contains(mark))
}

impl Error {
    /// The failure of a read.
    pub(crate) fn of_read(error: &ExecutionError) -> Self {
        Error::of_device(error.reason())
    }

    pub(crate) fn of_device(words: &str) -> Self {
        let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).take();
        Error::said(first.as_deref().unwrap_or(words))
    }

    fn said(words: &str) -> Self {
        let reason = root(words);
        let lower = reason.to_lowercase();
        let marks =
            ["out of memory", "out of device memory", "out-of-memory", "not enough memory", "allocat"];
        let of_memory = marks.iter().any(|mark| lower.contains(mark));
        if of_memory { Error::DeviceMemory { reason, fits: None } } else { Error::Device { reason } }
    }
}

/// The innermost cause in one line, without the trace of calls after it.
fn root(words: &str) -> String {
    let cause = words.rsplit("Caused by:").next().unwrap_or(words);
    let lines = cause.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_trace = |line: &&str| {
        line.starts_with("0: ") || line.to_lowercase().contains("backtrace") || line.starts_with("Asked at")
    };
    let lines: Vec<_> = lines.take_while(|line| !is_trace(line)).collect();
    lines.join(" ").trim_end_matches(')').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of burn 0.22.1 and wgpu 30.
    const TOO_LARGE: &str = "Error while reading data: use `try_into_scalar` instead to catch the error at runtime: \
         Execution(An error happened during execution\nCaused by:\n  Several failures at once\nCaused by:\n  \
         The bytes were never written (failure #104, still claiming 10 buffer(s))\nCaused by:\n  \
         An IO error happened\nCaused by:\n  can't allocate buffer of size: 360710144\nNo backtrace available\n\
         Asked at:\nNo backtrace available)";
    const LOST: &str =
        "Error while reading data: Execution(The device is poisoned\nCaused by:\n  Unknown: reset)";
    const SHADER: &str =
        "wgpu error: Validation Error\n\nCaused by:\n  In Device::create_shader_module\n    unknown type\n\n";

    #[test]
    fn a_drivers_words_become_one_sentence() {
        let check = |words: &str, expected: &str| assert_eq!(Error::said(words).to_string(), expected);
        check(TOO_LARGE, "the device has too little memory: can't allocate buffer of size: 360710144");
        check("wgpu error: Out of Memory\n", "the device has too little memory: wgpu error: Out of Memory");
        let shared =
            "Too much shared memory requested.\n  Requested 65536 bytes, maximum 32768 bytes available.";
        check(
            shared,
            "the device failed: Too much shared memory requested. Requested 65536 bytes, maximum 32768 bytes available.",
        );
        check(LOST, "the device failed: Unknown: reset");
        check(SHADER, "the device failed: In Device::create_shader_module unknown type");
        let traced = "Caused by:\n  out of device memory allocating 12 bytes\n   0: std::backtrace::create";
        check(traced, "the device has too little memory: out of device memory allocating 12 bytes");
    }

    /// One test, because a process has one hook.
    #[test]
    fn panics_of_a_device_are_errors_and_others_are_not() {
        let message = |words: &'static str| {
            let caught = catch_device_failure(|| panic!("{words}"));
            caught.map(|()| String::new()).expect_err("a device failed").to_string()
        };
        assert_eq!(message(LOST), "the device failed: Unknown: reset");
        assert_eq!(message(TOO_LARGE), Error::said(TOO_LARGE).to_string());
        // What a thread of burn died of says more than what its caller then missed.
        let caught = catch_device_failure(|| {
            let runner = std::thread::spawn(|| panic!("wgpu error: Out of Memory"));
            runner.join().expect_err("it panics");
            panic!("device runner channel disconnected before producing a result");
        });
        let caught = caught.map(|()| String::new()).expect_err("a device failed");
        assert!(matches!(caught, Error::DeviceMemory { .. }), "{caught}");
        assert_eq!(catch_device_failure(|| 5).expect("no failure"), 5);
        let mistake = panic::catch_unwind(|| catch_device_failure(|| panic!("index out of bounds")));
        assert!(mistake.is_err());
    }
}
