//! Zip files, each of whose numbers may be another.

use super::Entry;
use flate2::{Compression, Crc, write::DeflateEncoder};
use std::io::Write;
use xray_random::Random;

/// What stands in both headers of a member, and what only the directory says.
struct Member {
    name: Vec<u8>,
    packed: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed_size: u32,
    size: u32,
    /// Where the directory says that it begins; none for where it does.
    at: Option<u32>,
    attributes: u32,
}

impl Member {
    fn of(entry: &Entry, deflated: bool) -> Member {
        let packed = if deflated { deflate(&entry.content) } else { entry.content.clone() };
        let mut crc = Crc::new();
        crc.update(&entry.content);
        Member {
            name: entry.name.clone().into_bytes(),
            packed_size: packed.len() as u32,
            packed,
            flags: 0,
            method: if deflated { 8 } else { 0 },
            crc: crc.sum(),
            size: entry.content.len() as u32,
            at: None,
            attributes: 0,
        }
    }

    /// What follows the versions in either header, up to the lengths.
    fn common(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        [self.flags, self.method, 0, 0].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        [self.crc, self.packed_size, self.size].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).and_then(|()| packed.finish()).expect("memory does not fail")
}

/// The end: how many members, how large the directory is and where; a comment.
struct End {
    members: [u16; 2],
    size: u32,
    at: u32,
    comment: Vec<u8>,
}

fn written(members: &[Member], change: impl FnOnce(&mut End)) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let at = member.at.unwrap_or(bytes.len() as u32);
        bytes.extend(b"PK\x03\x04\x14\0");
        bytes.extend(member.common());
        bytes.extend([0; 2]);
        bytes.extend(&member.name);
        bytes.extend(&member.packed);
        directory.extend(b"PK\x01\x02\x14\x03\x14\0");
        directory.extend(member.common());
        directory.extend([0; 8]); // no extra field, no comment, disk 0, no internal attributes
        directory.extend(member.attributes.to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(&member.name);
    }
    let count = members.len() as u16;
    let (size, at) = (directory.len() as u32, bytes.len() as u32);
    let mut end = End { members: [count; 2], size, at, comment: Vec::new() };
    change(&mut end);
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    end.members.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend(end.size.to_le_bytes());
    bytes.extend(end.at.to_le_bytes());
    bytes.extend((end.comment.len() as u16).to_le_bytes());
    bytes.extend(end.comment);
    bytes
}

pub(super) fn of(files: &[Entry], deflated: bool) -> Vec<u8> {
    let members: Vec<Member> = files.iter().map(|entry| Member::of(entry, deflated)).collect();
    written(&members, |_| ())
}

/// Numbers that a file does not bear out.
const NUMBERS: [u32; 10] =
    [0, 1, 0xFFFF, 0x0001_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, u32::MAX, 22, 46];

pub(super) fn lie(files: &[Entry], random: &mut Random) -> Vec<u8> {
    let mut members: Vec<Member> =
        files.iter().map(|entry| Member::of(entry, random.below(2) == 0)).collect();
    let number = |random: &mut Random| NUMBERS[random.below(NUMBERS.len())];
    for _ in 0..random.below(4) {
        let count = members.len();
        let Some(member) = members.get_mut(random.below(count.max(1))) else { break };
        match random.below(9) {
            0 => member.flags = 1 << random.below(16),
            1 => member.method = [0, 1, 8, 9, 12, 14, 93, 99][random.below(8)],
            2 => member.crc ^= 1 << random.below(32),
            3 => member.packed_size = number(random),
            4 => member.size = number(random),
            5 => member.at = Some(number(random)),
            6 => member.attributes = 0o120_777 << 16, // a link
            7 => {
                // Far more than its packed size.
                member.packed = deflate(&vec![0; 1 << (16 + random.below(11))]);
                (member.method, member.packed_size) = (8, member.packed.len() as u32);
                member.size = if random.below(2) == 0 { 1 << 26 } else { number(random) };
            }
            _ => member.name = vec![b'x'; 1 << random.below(16)],
        }
    }
    written(&members, |end| match random.below(8) {
        0 => end.members = [number(random) as u16; 2],
        1 => end.members[random.below(2)] = number(random) as u16,
        2 => end.size = number(random),
        3 => end.at = number(random),
        4 => end.comment = b"PK\x05\x06".repeat(1 + random.below(40)),
        _ => {}
    })
}
