//! A part of a file, read without moving the file's own position: several threads read one archive at once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// The bytes of a file from one place to another.
pub(super) struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> Section<'a> {
    pub(super) fn new(file: &'a File, at: u64, end: u64) -> Self {
        Section { file, at, end }
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Passing over bytes.
pub(super) trait Skip: Read {
    /// Goes on after so many bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` where there are fewer.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

impl Skip for Section<'_> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match self.at.checked_add(bytes).filter(|at| *at <= self.end) {
            Some(at) => self.at = at,
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }
}
