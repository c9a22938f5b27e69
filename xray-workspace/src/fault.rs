//! What must not happen to a program, whatever is done to it, and how often it did.

use std::collections::BTreeMap;
use std::fmt;

/// The kinds of things that must not happen.
pub trait What: Copy + Ord {
    /// In a word.
    fn name(self) -> &'static str;
}

/// One thing that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault<W> {
    /// Of which kind.
    pub what: W,
    /// What was seen.
    pub said: String,
}

impl<W> Fault<W> {
    /// Something of a kind, as it was seen.
    pub fn new(what: W, said: impl Into<String>) -> Self {
        Fault { what, said: said.into() }
    }
}

impl<W: What> fmt::Display for Fault<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what.name(), self.said)
    }
}

/// How often each kind of thing happened under `heading`, with the first trials that did it.
pub fn list_faults<'a, W: What + 'a>(
    heading: &str,
    faults: impl IntoIterator<Item = (u64, &'a Fault<W>)>,
) -> String {
    const SHOWN: usize = 5;
    const LONGEST: usize = 600;
    let mut by_what: BTreeMap<W, Vec<(u64, &str)>> = BTreeMap::new();
    for (number, fault) in faults {
        by_what.entry(fault.what).or_default().push((number, &fault.said));
    }
    let mut text = String::new();
    for (what, faults) in by_what {
        text += &format!("\n{heading}: {} x {}\n", faults.len(), what.name());
        for (number, said) in faults.iter().take(SHOWN) {
            text += &format!("  {number}: {}\n", said.chars().take(LONGEST).collect::<String>());
        }
    }
    text
}
