//! What a program says when it cannot go on: one line with the place, a hint, and the exit code.

use crate::Exit;
use std::fmt;

/// An error as a person and a scheduler need it. Library errors turn into it by `From`, so that a binary's
/// functions return `Result<_, Failure>` and `?` does the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code the process ends with.
    pub exit: Exit,
    /// One line, lower case, that finishes "failed: ...": what is wrong, and where.
    pub message: String,
    /// What to do about it, where something can be said.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), hint: None }
    }

    /// The same failure with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `error: MESSAGE`, then `hint: HINT` on a line of its own.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Message and causes in one line, `outer: inner: innermost`.
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_as_an_error_line_and_a_hint_line() {
        let failure = Failure::new(Exit::BadData, "a.tfrecord: record 7 at byte 812: payload CRC differs")
            .hint("copy the shard again");
        assert_eq!(
            failure.to_string(),
            "error: a.tfrecord: record 7 at byte 812: payload CRC differs\n hint: copy the shard again"
        );
    }
}
