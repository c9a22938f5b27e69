//! Zip as APPNOTE 6.3 describes it: a directory at the end says where each member is. Large ones have a second end (zip64).

use super::section::Section;
use super::{ArchiveProblem, MOST_MEMBERS, Member, Method, failed, names, problem};
use crate::error::Result;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// The end, and the longest comment after it.
const END: u64 = 22;
const LONGEST_END: u64 = END + u16::MAX as u64;
const LOCATOR: u64 = 20;
const END_64: u64 = 56;
const CENTRAL: usize = 46;
const LOCAL: u64 = 30;

/// Where the directory is.
struct Directory {
    at: u64,
    size: u64,
    members: u64,
}

/// The members, as the directory at the end lists them.
pub(super) fn list(path: &Path, file: &File, length: u64) -> Result<Vec<Member>> {
    let refused = |what| problem(path, None, what);
    let directory = find(path, file, length)?;
    if directory.members > MOST_MEMBERS {
        return Err(refused(ArchiveProblem::Members { limit: MOST_MEMBERS }));
    }
    let section = Section::new(file, directory.at, directory.at + directory.size);
    let mut reader = BufReader::with_capacity(1 << 16, section);
    let mut members = Vec::new();
    for _ in 0..directory.members {
        members.extend(entry(path, &mut reader, directory.at)?);
    }
    match reader.read(&mut [0]) {
        Ok(0) => Ok(members),
        Ok(_) => Err(refused(ArchiveProblem::Damaged("its directory is longer than it says"))),
        Err(source) => Err(failed(path, None, source)),
    }
}

/// Where the content of a member begins: its local header has a name and attributes of its own length.
pub(super) fn content(path: &Path, file: &File, member: &Member) -> Result<u64> {
    let header: [u8; LOCAL as usize] =
        read(Section::new(file, member.at, member.at.saturating_add(LOCAL)), path, Some(&member.name))?;
    if !header.starts_with(b"PK\x03\x04") {
        let what = ArchiveProblem::Damaged("it is not where the directory says");
        return Err(problem(path, Some(&member.name), what));
    }
    Ok(member.at + LOCAL + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28)))
}

fn find(path: &Path, file: &File, length: u64) -> Result<Directory> {
    let refused = |what| problem(path, None, what);
    let start = length.saturating_sub(LONGEST_END);
    let mut tail = Vec::new();
    let read_tail = Section::new(file, start, length).read_to_end(&mut tail);
    read_tail.map_err(|source| failed(path, None, source))?;
    // An end whose comment reaches to the end of the file; bytes of a comment may look like one.
    let whole = |at: usize| END as usize + usize::from(u16_at(&tail, at + 20));
    let ends = || (0..tail.len()).rev().filter(|at| tail[*at..].starts_with(b"PK\x05\x06"));
    let ends = || ends().filter(|at| tail.len() - at >= END as usize);
    let exact = ends().find(|&at| whole(at) == tail.len() - at);
    let at = match (exact, ends().any(|at| whole(at) < tail.len() - at)) {
        (Some(at), _) => at,
        (None, true) => return Err(refused(ArchiveProblem::Trailing)),
        (None, false) if starts_as_zip(path, file)? => return Err(refused(ArchiveProblem::Truncated)),
        (None, false) => return Err(refused(ArchiveProblem::Other { kind: "zip" })),
    };
    let (end, at) = (&tail[at..], start + at as u64);
    let [disk, directory_disk, here, all] = [4, 6, 8, 10].map(|place| u16_at(end, place));
    let (size, offset) = (u32_at(end, 12), u32_at(end, 16));
    let is_64 = [disk, directory_disk, here, all].contains(&u16::MAX) || [size, offset].contains(&u32::MAX);
    // The directory ends where what describes it begins.
    let (directory, ends_at) = match is_64 {
        false if disk != 0 || directory_disk != 0 || here != all => {
            return Err(refused(ArchiveProblem::Parts));
        }
        false => (Directory { at: offset.into(), size: size.into(), members: all.into() }, at),
        true => find_64(path, file, at)?,
    };
    match directory.at.checked_add(directory.size) {
        Some(end) if end == ends_at => Ok(directory),
        _ => Err(refused(ArchiveProblem::Damaged("its directory is not where it says"))),
    }
}

/// The second end of a large zip, which a locator before the first one names, and where it is.
fn find_64(path: &Path, file: &File, end: u64) -> Result<(Directory, u64)> {
    let damaged = || problem(path, None, ArchiveProblem::Damaged("the end of a large zip is missing"));
    let locator_at = end.checked_sub(LOCATOR).ok_or_else(damaged)?;
    let locator: [u8; LOCATOR as usize] = read(Section::new(file, locator_at, end), path, None)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Err(damaged());
    }
    if u32_at(&locator, 4) != 0 || u32_at(&locator, 16) > 1 {
        return Err(problem(path, None, ArchiveProblem::Parts));
    }
    let at = u64_at(&locator, 8);
    if at.checked_add(END_64).is_none_or(|ends| ends > locator_at) {
        return Err(damaged());
    }
    let end: [u8; END_64 as usize] = read(Section::new(file, at, locator_at), path, None)?;
    if !end.starts_with(b"PK\x06\x06") {
        return Err(damaged());
    }
    let [members, size, offset] = [32, 40, 48].map(|place| u64_at(&end, place));
    Ok((Directory { at: offset, size, members }, at))
}

/// What came with the name of a zip and is cut off, as downloads are.
fn starts_as_zip(path: &Path, file: &File) -> Result<bool> {
    let mut magic = Vec::new();
    Section::new(file, 0, 4).read_to_end(&mut magic).map_err(|source| failed(path, None, source))?;
    Ok(magic == b"PK\x03\x04")
}

/// A member of the directory; none for folders and hidden files.
fn entry(path: &Path, reader: &mut impl Read, directory: u64) -> Result<Option<Member>> {
    let header: [u8; CENTRAL] = read(&mut *reader, path, None)?;
    let refused = |what| problem(path, None, what);
    if !header.starts_with(b"PK\x01\x02") {
        return Err(refused(ArchiveProblem::Damaged("its directory has fewer members than it says")));
    }
    let [name, extra, comment] = [28, 30, 32].map(|place| usize::from(u16_at(&header, place)));
    let mut rest = vec![0; name + extra + comment]; // at most 192 KiB
    reader.read_exact(&mut rest).map_err(|source| failed(path, None, source))?;
    let (raw, extra) = (&rest[..name], &rest[name..name + extra]);
    // Windows has written its own separator.
    let raw: Vec<u8> = raw.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    let of_member = |what| problem(path, Some(&String::from_utf8_lossy(&raw)), what);
    let Some(name) = names::path_of(&raw).map_err(of_member)?.filter(|_| !raw.ends_with(b"/")) else {
        return Ok(None);
    };
    let (packed, size, at) =
        sizes(&header, extra).ok_or_else(|| of_member(ArchiveProblem::Damaged("its sizes are missing")))?;
    if at.checked_add(LOCAL).and_then(|at| at.checked_add(packed)).is_none_or(|end| end > directory) {
        return Err(of_member(ArchiveProblem::Damaged("it lies outside the archive")));
    }
    let [flags, method] = [8, 10].map(|place| u16_at(&header, place));
    let crc = u32_at(&header, 16);
    // Of Unix the upper half of the attributes is a file's mode.
    let is_link = header[5] == UNIX && u32_at(&header, 38) >> 16 & 0o170_000 == 0o120_000;
    let method = match method {
        _ if flags & 1 != 0 => Method::Refused(ArchiveProblem::Encrypted),
        _ if is_link => Method::Refused(ArchiveProblem::Link),
        0 if packed != size => return Err(of_member(ArchiveProblem::Damaged("it has two sizes"))),
        0 => Method::Zipped { deflated: false, crc },
        8 => Method::Zipped { deflated: true, crc },
        method => Method::Refused(ArchiveProblem::Method { method }),
    };
    Ok(Some(Member { name, at, packed, size, method }))
}

const UNIX: u8 = 3;

/// Packed size, size and place; what does not fit 32 bits stands, in the order of the header, in an extra field.
fn sizes(header: &[u8; CENTRAL], mut extra: &[u8]) -> Option<(u64, u64, u64)> {
    let [packed, size, at] = [20, 24, 42].map(|place| u32_at(header, place));
    let mut large: &[u8] = &[];
    while let [a, b, c, d, rest @ ..] = extra {
        let (id, length) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        let Some(field) = rest.get(..length) else { break }; // some writers fill up with other bytes
        if id == 1 {
            large = field;
        }
        extra = &rest[length..];
    }
    let mut whole = |short: u32| -> Option<u64> {
        if short != u32::MAX {
            return Some(short.into());
        }
        let (first, rest) = large.split_first_chunk()?;
        large = rest;
        Some(u64::from_le_bytes(*first))
    };
    let size = whole(size)?;
    Some((whole(packed)?, size, whole(at)?))
}

fn read<const N: usize>(mut from: impl Read, path: &Path, member: Option<&str>) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|source| failed(path, member, source))?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
