//! What `--version` says: which version, of which commit, for which processors, with which parts.

use clap::Command;
use std::env::consts::{ARCH, OS};
use std::ffi::OsString;

/// A topic of `--help`, and what makes its text.
type Topic = (&'static str, fn() -> String);

/// A program as it was built. [`build!`](crate::build!) makes one.
#[derive(Clone, Debug)]
pub struct Build {
    name: &'static str,
    version: String,
    is_static: bool,
    parts: Vec<(&'static str, String)>,
    topics: Vec<Topic>,
}

/// The [`Build`] of the program in whose `main.rs` this stands.
///
/// Only there: the commit comes from the variable `XRAY_STAMP`, and whatever reads it is compiled anew for every
/// commit. `cargo xtask` sets it; without it `--version` names no commit. Whether a program is static is decided when
/// it is linked, so that no library knows.
#[macro_export]
macro_rules! build {
    () => {
        $crate::Build::new(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"))
            .commit(option_env!("XRAY_STAMP"))
            .linked_statically(cfg!(target_feature = "crt-static"))
    };
}

impl Build {
    /// A program that needs the system's libraries, of an unknown commit.
    pub fn new(name: &'static str, version: &str) -> Self {
        Build { name, version: version.to_owned(), is_static: false, parts: Vec::new(), topics: Vec::new() }
    }

    /// Puts the commit behind the version, where it is known.
    #[must_use]
    pub fn commit(mut self, commit: Option<&str>) -> Self {
        if let Some(commit) = commit.filter(|commit| !commit.is_empty()) {
            self.version = format!("{} ({commit})", self.version);
        }
        self
    }

    /// Whether the program brings its C library along.
    #[must_use]
    pub fn linked_statically(mut self, is_static: bool) -> Self {
        self.is_static = is_static;
        self
    }

    /// Replaces version and commit, for a program that learns its commit in a way of its own.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Adds a line on what this build has of something: `.with("backends", "cpu, flex")`.
    #[must_use]
    pub fn with(mut self, what: &'static str, parts: impl Into<String>) -> Self {
        self.parts.push((what, parts.into()));
        self
    }

    /// Adds a page of help, which `--help NAME` prints.
    #[must_use]
    pub fn topic(mut self, name: &'static str, text: fn() -> String) -> Self {
        self.topics.push((name, text));
        self
    }

    /// The page of help that a command line asks for, which is `--help NAME` and nothing else.
    pub(crate) fn asked_for(&self, words: &[OsString]) -> Option<String> {
        let [_, help, name] = words else { return None };
        let (_, text) = self.topics.iter().find(|(topic, _)| name == topic)?;
        (help == "--help" || help == "-h").then(text)
    }

    /// The program's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The version and the commit, one line.
    pub(crate) fn short(&self) -> &str {
        &self.version
    }

    /// The same, and lines on what was built.
    fn long(&self) -> String {
        let linked = if self.is_static { "static" } else { "dynamic" };
        let mut text = format!("{}\nbuilt for {}, {OS}, {linked}", self.version, level());
        for (what, parts) in &self.parts {
            text += &format!("\n{what}: {parts}");
        }
        text
    }

    /// Gives a command the program's name and its versions, for `-V` and `--version`.
    pub(crate) fn described(&self, command: Command) -> Command {
        // A program has one command, which lives as long as it does.
        let forever = |text: String| -> &'static str { text.leak() };
        command.name(self.name).version(forever(self.version.clone())).long_version(forever(self.long()))
    }
}

/// The lowest processor that runs this build, as HTCondor names it: on x86-64 the level that has every feature which
/// the compiler may use.
fn level() -> &'static str {
    const V4: bool = cfg!(any(
        target_feature = "avx512bw",
        target_feature = "avx512cd",
        target_feature = "avx512dq",
        target_feature = "avx512f",
        target_feature = "avx512vl",
    ));
    const V3: bool = cfg!(any(
        target_feature = "avx",
        target_feature = "avx2",
        target_feature = "bmi1",
        target_feature = "bmi2",
        target_feature = "f16c",
        target_feature = "fma",
        target_feature = "lzcnt",
        target_feature = "movbe",
    ));
    const V2: bool = cfg!(any(
        target_feature = "cmpxchg16b",
        target_feature = "popcnt",
        target_feature = "sse3",
        target_feature = "sse4.1",
        target_feature = "sse4.2",
        target_feature = "ssse3",
    ));
    match (cfg!(target_arch = "x86_64"), V4, V3, V2) {
        (false, ..) => ARCH,
        (_, true, ..) => "x86_64-v4",
        (_, _, true, _) => "x86_64-v3",
        (.., true) => "x86_64-v2",
        _ => "x86_64-v1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> Build {
        Build::new("xray-some", "1.2.3").commit(Some("4b8acd1c2d3e")).with("parts", "one, two")
    }

    #[test]
    fn the_long_version_says_what_was_built() {
        let expected = format!("1.2.3 (4b8acd1c2d3e)\nbuilt for {}, {OS}, dynamic\nparts: one, two", level());
        assert_eq!(build().long(), expected);
        assert!(build().linked_statically(true).long().contains(", static\n"));
    }

    #[test]
    fn both_are_printed_behind_the_name() {
        let command = build().described(Command::new("other"));
        assert_eq!(command.render_version(), "xray-some 1.2.3 (4b8acd1c2d3e)\n");
        assert_eq!(command.render_long_version(), format!("xray-some {}\n", build().long()));
    }

    #[test]
    fn an_unknown_commit_is_left_out() {
        let check = |commit, expected| {
            assert_eq!(Build::new("xray-some", "1.2.3").commit(commit).short(), expected);
        };
        check(None, "1.2.3");
        check(Some(""), "1.2.3");
        check(Some("4b8acd1c2d3e-dirty"), "1.2.3 (4b8acd1c2d3e-dirty)");
        assert_eq!(build().version("1.2.3 (of its own)").short(), "1.2.3 (of its own)");
    }
}
