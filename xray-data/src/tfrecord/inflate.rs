//! Compressed files of records, inflated into a temporary file without a name, so that they are read in
//! place like others.
//!
//! Images in records are compressed already: what inflates to many times its size is damage or malice, and
//! ends before it fills the disk.

use super::frame::{self, RecordProblem};
use super::mapping::Mapping;
use crate::error::{Error, Result};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a file may inflate to: so many times its size. Labels alone reach about ten.
const RATIO: u64 = 32;

/// What all files of a process together may inflate to beyond that.
const FREE: u64 = 64 << 20;
static FREE_LEFT: AtomicU64 = AtomicU64::new(FREE);

/// Takes from what is left for all files; where it is not enough, the error is how much there is.
fn take_free(bytes: u64) -> std::result::Result<(), u64> {
    let take = |left: u64| left.checked_sub(bytes);
    FREE_LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map(drop)
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// TensorFlow's option `GZIP`.
    Gzip,
    /// TensorFlow's option `ZLIB`.
    Zlib,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Gzip => "gzip",
            Compression::Zlib => "zlib",
        })
    }
}

/// How `bytes` are compressed, told by content, not by name. A first record of 0x8b1f bytes begins with
/// gzip's magic number too, so the checksum of the header decides.
pub(super) fn compression(bytes: &[u8]) -> Option<Compression> {
    match bytes {
        _ if frame::payload_length(bytes) != Err(RecordProblem::HeaderCrc) => None,
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        // RFC 1950: method 8, a window of at most 32 kB, no dictionary, and a check of these two bytes.
        &[method, flags, ..]
            if method & 0x0f == 8
                && method >> 4 <= 7
                && flags & 0x20 == 0
                && (u16::from(method) << 8 | u16::from(flags)).is_multiple_of(31) =>
        {
            Some(Compression::Zlib)
        }
        _ => None,
    }
}

/// Maps the content of a compressed file.
///
/// # Errors
/// [`Error::Compressed`] where it ends early, is damaged or followed by something else; [`Error::Inflated`]
/// where it is larger than records can be.
pub(super) fn inflate(path: &Path, mut file: File, size: u64, compression: Compression) -> Result<Mapping> {
    file.rewind().map_err(Error::io(path, "read"))?;
    let damaged = |source| Error::Compressed { path: path.to_owned(), compression, source };
    let limit = size.saturating_mul(RATIO);
    let packed = BufReader::with_capacity(1 << 18, file);
    let inflated = match compression {
        Compression::Gzip => copy(path, MultiGzDecoder::new(packed), limit, damaged)?.0,
        Compression::Zlib => {
            let (inflated, decoder) = copy(path, ZlibDecoder::new(packed), limit, damaged)?;
            if decoder.total_in() != size {
                let message = format!("{} bytes follow its end", size - decoder.total_in());
                return Err(damaged(io::Error::new(io::ErrorKind::InvalidData, message)));
            }
            inflated
        }
    };
    Mapping::new(&inflated).map_err(Error::io(path, "map"))
}

/// Writes what `decoder` gives to a temporary file. Beyond `limit` it takes from what is free for all.
fn copy<R: Read>(
    path: &Path,
    mut decoder: R,
    limit: u64,
    damaged: impl Fn(io::Error) -> Error,
) -> Result<(File, R)> {
    let mut inflated = tempfile::tempfile().map_err(Error::io(path, "make a temporary file to inflate"))?;
    let mut buffer = vec![0; 1 << 18];
    let mut written = 0;
    loop {
        let read = decoder.read(&mut buffer).map_err(&damaged)?;
        if read == 0 {
            return Ok((inflated, decoder));
        }
        let before = written.max(limit);
        written += read as u64;
        take_free(written.saturating_sub(before))
            .map_err(|left| Error::Inflated { path: path.to_owned(), limit: before + left })?;
        inflated
            .write_all(&buffer[..read])
            .map_err(Error::io(path, "write to a temporary file the content of"))?;
    }
}
