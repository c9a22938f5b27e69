//! Tar as POSIX (ustar, pax) and GNU write it: 512 bytes about each member, then its content, filled up to 512.

use super::section::{Section, Skip};
use super::{ArchiveProblem, MOST_MEMBERS, Member, Method, failed, names, problem};
use crate::error::Result;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const BLOCK: usize = 512;

/// A header of extended attributes is shorter; a longer one is not read.
const LONGEST_PAX: u64 = 1 << 20;

/// The members of a tar that can be read in any order.
pub(super) fn list(path: &Path, section: Section<'_>) -> Result<Vec<Member>> {
    let mut entries = Entries::new(path, section);
    let mut members = Vec::new();
    while let Some(member) = entries.next()? {
        members.push(member);
    }
    Ok(members)
}

/// Members one after another.
pub(super) struct Entries<R> {
    path: PathBuf,
    inner: R,
    /// Bytes that were read or passed over.
    at: u64,
    /// Unread bytes of the last member, with its padding.
    unread: u64,
    headers: u64,
}

/// What comes before a member's own header and is said of it.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl<R: Skip> Entries<R> {
    pub(super) fn new(path: &Path, inner: R) -> Self {
        Entries { path: path.to_owned(), inner, at: 0, unread: 0, headers: 0 }
    }

    /// The next file or link; folders, devices and hidden files are passed over.
    pub(super) fn next(&mut self) -> Result<Option<Member>> {
        let mut said = Said::default();
        loop {
            self.pass_over_rest()?;
            let Some(header) = self.header()? else {
                let is_alone = said.name.is_some() || said.size.is_some();
                return if is_alone { Err(self.problem(ArchiveProblem::Truncated)) } else { Ok(None) };
            };
            self.headers += 1;
            if self.headers > MOST_MEMBERS {
                return Err(self.problem(ArchiveProblem::Members { limit: MOST_MEMBERS }));
            }
            let own_size = number(&header[124..136]);
            let kind = header[156];
            let for_next = matches!(kind, b'L' | b'x');
            // Links, devices and folders have no content, whatever size old writers give them.
            let is_empty = (b'1'..=b'6').contains(&kind);
            let size = if is_empty { Some(0) } else { said.size.filter(|_| !for_next).or(own_size) };
            let size = size.ok_or_else(|| self.problem(ArchiveProblem::Damaged("a size is not a number")))?;
            let padded = size.checked_next_multiple_of(BLOCK as u64);
            self.unread = padded
                .ok_or_else(|| self.problem(ArchiveProblem::Damaged("a size is not a size of a file")))?;
            match kind {
                b'L' => {
                    let mut name =
                        self.short_content(size, names::LONGEST as u64 + 1, ArchiveProblem::Name)?;
                    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                    said.name = Some(name);
                }
                b'x' => {
                    let long = ArchiveProblem::Damaged("the description of a member is too long");
                    let records = self.short_content(size, LONGEST_PAX, long)?;
                    said.take(&records).map_err(|what| self.problem(what))?;
                }
                // Files; links, hard and symbolic.
                0 | b'0' | b'7' | b'1' | b'2' => {
                    let raw = said.name.take().unwrap_or_else(|| name_of(&header));
                    let name = names::path_of(&raw)
                        .map_err(|what| problem(&self.path, Some(&String::from_utf8_lossy(&raw)), what))?;
                    let is_folder = raw.ends_with(b"/"); // as the oldest tars say it
                    let method = match kind {
                        b'1' | b'2' => Method::Refused(ArchiveProblem::Link),
                        _ if said.is_sparse => Method::Refused(ArchiveProblem::Sparse),
                        _ => Method::Stored,
                    };
                    said = Said::default();
                    if let Some(name) = name.filter(|_| !is_folder) {
                        return Ok(Some(Member { name, at: self.at, packed: size, size, method }));
                    }
                }
                b'K' | b'g' => {}
                b'S' => return Err(self.problem(ArchiveProblem::Sparse)),
                _ => said = Said::default(),
            }
        }
    }

    /// The content of the member that came last.
    pub(super) fn content(&mut self, member: &Member) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.inner.by_ref().take(member.size).read_to_end(&mut bytes);
        let read = read.map_err(|source| failed(&self.path, Some(&member.name), source))? as u64;
        self.at += read;
        self.unread -= read;
        if read < member.size {
            return Err(problem(&self.path, Some(&member.name), ArchiveProblem::Truncated));
        }
        Ok(bytes)
    }

    fn short_content(&mut self, size: u64, most: u64, what: ArchiveProblem) -> Result<Vec<u8>> {
        if size > most {
            return Err(self.problem(what));
        }
        let mut bytes = vec![0; size as usize];
        self.inner.read_exact(&mut bytes).map_err(|source| failed(&self.path, None, source))?;
        self.at += size;
        self.unread -= size;
        Ok(bytes)
    }

    fn pass_over_rest(&mut self) -> Result<()> {
        self.inner.skip(self.unread).map_err(|source| failed(&self.path, None, source))?;
        self.at += self.unread;
        self.unread = 0;
        Ok(())
    }

    /// The next header; none at the end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut read = 0;
        while read < BLOCK {
            match self.inner.read(&mut block[read..]) {
                Ok(0) if read == 0 => return Ok(None),
                Ok(0) => return Err(self.problem(ArchiveProblem::Truncated)),
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(failed(&self.path, None, source)),
            }
        }
        self.at += BLOCK as u64;
        if block == [0; BLOCK] {
            self.refuse_more()?;
            return Ok(None);
        }
        match (is_header(&block), self.headers) {
            (true, _) => Ok(Some(block)),
            (false, 0) => Err(self.problem(ArchiveProblem::Other { kind: "tar" })),
            (false, _) => Err(self.problem(ArchiveProblem::Damaged("a header's checksum differs"))),
        }
    }

    /// After the end there are zeros, and of a compressed archive the checksum, which is read so.
    fn refuse_more(&mut self) -> Result<()> {
        let mut rest = vec![0; 1 << 16];
        loop {
            match self.inner.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(read) if rest[..read].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(self.problem(ArchiveProblem::Trailing)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(failed(&self.path, None, source)),
            }
        }
    }

    fn problem(&self, what: ArchiveProblem) -> crate::Error {
        problem(&self.path, None, what)
    }
}

impl Said {
    /// Records of pax: `LENGTH KEY=VALUE` and the end of a line, the length being that of all of it.
    fn take(&mut self, mut records: &[u8]) -> std::result::Result<(), ArchiveProblem> {
        let damaged = || ArchiveProblem::Damaged("the description of a member cannot be read");
        while records.first().is_some_and(|byte| *byte != 0) {
            let blank = records.iter().take(10).position(|byte| *byte == b' ').ok_or_else(damaged)?;
            let length: usize =
                str::from_utf8(&records[..blank]).ok().and_then(|n| n.parse().ok()).ok_or_else(damaged)?;
            let record = records.get(blank + 1..length).ok_or_else(damaged)?;
            let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => {
                    let size = str::from_utf8(value).ok().and_then(|n| n.parse().ok()).ok_or_else(damaged)?;
                    self.size = Some(size);
                }
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
            records = &records[length..];
        }
        Ok(())
    }
}

/// Whether the checksum is that of the bytes. Some old writers took bytes for signed.
fn is_header(block: &[u8; BLOCK]) -> bool {
    let bytes =
        || block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    let unsigned: u64 = bytes().map(u64::from).sum();
    let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
    let said = number(&block[148..156]);
    said.is_some_and(|said| said == unsigned || i64::try_from(said) == Ok(signed))
}

/// A number in octal digits among blanks and zeros, or, where the first bit is set, in bytes.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, bytes @ ..] = field {
        return bytes.iter().try_fold(0u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let text = str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// The name in a header, with what of POSIX stands before it.
fn name_of(header: &[u8; BLOCK]) -> Vec<u8> {
    let text = |field: &[u8]| field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let (name, before) = (text(&header[..100]), text(&header[345..500]));
    match &header[257..263] == b"ustar\0" && !before.is_empty() {
        true => [&before[..], b"/", &name].concat(),
        false => name,
    }
}
