//! The members of a tar.gz, which come one after another.

use super::gzip::Gzip;
use super::tar::Entries;
use super::{ArchiveProblem, Method, problem, too_large};
use crate::error::Result;
use crate::regular;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Members of a tar.gz whose names are wanted; all others are passed over.
pub(in crate::sources) struct Stream<W> {
    /// None after the end, or what ended it.
    entries: Option<Entries<Gzip>>,
    is_wanted: W,
    /// How many of those may come.
    most: usize,
    /// Those that came: what comes again would fill the disk before anyone looks it up.
    passed: HashSet<String>,
    path: PathBuf,
}

/// A member that came by: its name, and its content where it is read.
pub(in crate::sources) type Passed = (String, std::result::Result<Vec<u8>, ArchiveProblem>);

impl<W: Fn(&str) -> bool> Stream<W> {
    /// Opens the archive; `is_wanted` is asked for each name, and at most so many are given.
    pub(in crate::sources) fn open(path: &Path, is_wanted: W, most: usize) -> Result<Self> {
        let (file, metadata) = regular::open(path)?;
        let entries = Entries::new(path, Gzip::new(file, metadata.len()));
        Ok(Stream { entries: Some(entries), is_wanted, most, passed: HashSet::new(), path: path.to_owned() })
    }

    fn advance(&mut self) -> Result<Option<Passed>> {
        let Some(entries) = &mut self.entries else { return Ok(None) };
        while let Some(member) = entries.next()? {
            if !(self.is_wanted)(&member.name) {
                continue;
            }
            if !self.passed.insert(member.name.clone()) {
                return Err(problem(&self.path, Some(&member.name), ArchiveProblem::Twice));
            }
            if self.passed.len() > self.most {
                return Err(problem(
                    &self.path,
                    Some(&member.name),
                    ArchiveProblem::TooMany { most: self.most },
                ));
            }
            if let Method::Refused(why) = member.method {
                return Ok(Some((member.name, Err(why))));
            }
            // What a gzip file may inflate to is counted over all of it.
            if let Some(why) = too_large(member.size, u64::MAX) {
                return Ok(Some((member.name, Err(why))));
            }
            let bytes = entries.content(&member)?;
            return Ok(Some((member.name, Ok(bytes))));
        }
        Ok(None)
    }
}

impl<W: Fn(&str) -> bool> Iterator for Stream<W> {
    type Item = Result<Passed>;

    /// After an error there is nothing.
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if !matches!(next, Ok(Some(_))) {
            self.entries = None;
        }
        next.transpose()
    }
}
