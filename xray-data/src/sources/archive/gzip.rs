//! What a gzip file holds, all of its members joined, as `gzip -d` gives it: zeros may follow the last, nothing else.

use super::section::Skip;
use super::{ArchiveProblem, largest_inflated};
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// What reading ends with where the gzip file itself is to blame in a way that the decoder does not know.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Refused(pub(super) ArchiveProblem);

/// The content of a gzip file.
pub(super) struct Gzip {
    /// None after the end.
    decoder: Option<GzDecoder<BufReader<File>>>,
    /// How many bytes it may still give.
    left: u64,
    limit: u64,
}

impl Gzip {
    /// Reads a file of this many bytes.
    pub(super) fn new(file: File, size: u64) -> Self {
        let limit = largest_inflated(size);
        let file = BufReader::with_capacity(1 << 18, file);
        Gzip { decoder: Some(GzDecoder::new(file)), left: limit, limit }
    }
}

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                let refused = || io::Error::other(Refused(ArchiveProblem::Inflates { limit: self.limit }));
                self.left = self.left.checked_sub(read as u64).ok_or_else(refused)?;
                return Ok(read);
            }
            let ended = self.decoder.take().map(GzDecoder::into_inner);
            self.decoder = ended.map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

fn next_member(mut file: BufReader<File>) -> io::Result<Option<GzDecoder<BufReader<File>>>> {
    loop {
        let length = match file.fill_buf()? {
            [] => return Ok(None),
            [0x1f, 0x8b, ..] => return Ok(Some(GzDecoder::new(file))),
            more if more.iter().all(|byte| *byte == 0) => more.len(),
            _ => return Err(io::Error::other(Refused(ArchiveProblem::Trailing))),
        };
        file.consume(length);
    }
}

impl Skip for Gzip {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match io::copy(&mut self.take(bytes), &mut io::sink())? {
            skipped if skipped == bytes => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
