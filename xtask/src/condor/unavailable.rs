//! Why there is no pool, of either kind: not a failure of whoever asked, who may go on without.

/// No pool can be had, or none is up. `cargo xtask` exits 3 with it, so that tests can say they are skipped.
#[derive(Debug)]
pub(crate) struct Unavailable {
    what: &'static str,
    why: String,
    hint: &'static str,
}

impl Unavailable {
    /// The exit code of `cargo xtask`.
    pub(crate) const EXIT_CODE: u8 = 3;

    pub(crate) fn new(what: &'static str, why: impl Into<String>, hint: &'static str) -> Self {
        Self { what, why: why.into(), hint }
    }
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no {}: {}\nhint: {}", self.what, self.why, self.hint)
    }
}

impl std::error::Error for Unavailable {}
