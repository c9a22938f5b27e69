//! Where a program prints: results to stdout, everything else to stderr.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use xray_artifacts::{Exit, Failure};

/// Prints a result.
///
/// # Errors
/// If stdout cannot be written, such as a file on a full disk. A reader that went away, such as `head`, is not an error.
pub fn print(text: &str) -> Result<(), Failure> {
    written(io::stdout().lock().write_all(text.as_bytes()))
}

/// Prints a line that is not a result: an error, a warning, progress.
pub fn say(line: impl Display) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// What became of a write to stdout, which keeps the end of a line until it is flushed.
pub(crate) fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result.and_then(|()| io::stdout().lock().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Unexpected, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_went_away_is_no_error() {
        let check = |kind: ErrorKind, expected| assert_eq!(written(Err(kind.into())), expected);
        check(ErrorKind::BrokenPipe, Ok(()));
        let full = Failure::new(Exit::Unexpected, "cannot write to stdout: no storage space");
        check(ErrorKind::StorageFull, Err(full));
    }
}
