//! Tar files, each of whose fields may say something else.

use super::Entry;
use xray_random::Random;

const BLOCK: usize = 512;

/// A header and what follows it.
struct Member {
    name: Vec<u8>,
    size: Vec<u8>,
    kind: u8,
    content: Vec<u8>,
    /// Added to the checksum.
    off_by: u64,
}

impl Member {
    fn of(entry: &Entry) -> Member {
        let size = format!("{:011o}", entry.content.len()).into_bytes();
        Member {
            name: entry.name.clone().into_bytes(),
            size,
            kind: b'0',
            content: entry.content.clone(),
            off_by: 0,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, most: usize, field: &[u8]| {
            let length = field.len().min(most);
            header[at..at + length].copy_from_slice(&field[..length]);
        };
        put(0, 100, &self.name);
        put(100, 8, b"0000644");
        put(124, 12, &self.size);
        put(148, 8, b"        ");
        put(156, 1, &[self.kind]);
        put(257, 8, b"ustar\x0000");
        let sum = header.iter().map(|byte| u64::from(*byte)).sum::<u64>() + self.off_by;
        header[148..155].copy_from_slice(format!("{:06o}\0", sum & 0o777_777).as_bytes());
        bytes.extend(header);
        bytes.extend(&self.content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
}

fn written(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    members.iter().for_each(|member| member.write(&mut bytes));
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

pub(super) fn of(files: &[Entry]) -> Vec<u8> {
    written(&files.iter().map(Member::of).collect::<Vec<_>>())
}

/// What is said of the next member, as pax has it: the length of each record is that of all of it.
const SAID: [&str; 8] = [
    "30 path=../../../etc/passwd01\n",
    "16 size=9999999\n",
    "14 size=-1234\n",
    "9 path=x\n",
    "999 path=x\n",
    "24 GNU.sparse.size=1000\n",
    "0 \n",
    "path=x\n",
];

pub(super) fn lie(files: &[Entry], random: &mut Random) -> Vec<u8> {
    let mut members: Vec<Member> = files.iter().map(Member::of).collect();
    for _ in 0..random.below(4) {
        if members.is_empty() {
            break;
        }
        let at = random.below(members.len());
        let member = &mut members[at];
        match random.below(8) {
            0 => {
                let sizes: [&[u8]; 8] = [
                    b"77777777777",
                    b"00000000000",
                    b"-0000000001",
                    b"99999999999",
                    b"\x80\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
                    b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
                    b"",
                    b"00000000001",
                ];
                member.size = sizes[random.below(sizes.len())].to_vec();
            }
            1 => member.kind = b"\x001234567LKxgSVDMNAX~"[random.below(20)],
            2 => member.off_by = 1 + random.below(1000) as u64,
            3 => member.name = vec![0xFF; 1 + random.below(200)],
            4 => {
                let text = SAID[random.below(SAID.len())].as_bytes().repeat(1 << random.below(12));
                let (name, size) = (b"pax".to_vec(), format!("{:011o}", text.len()).into_bytes());
                members.insert(
                    at,
                    Member { name, size, kind: b"xg"[random.below(2)], content: text, off_by: 0 },
                );
            }
            5 => {
                let long = "b/".repeat(1 << random.below(14)) + "a.png";
                let (name, size) = (b"././@LongLink".to_vec(), format!("{:011o}", long.len()).into_bytes());
                members.insert(at, Member { name, size, kind: b'L', content: long.into_bytes(), off_by: 0 });
            }
            6 => {
                let length = random.below(member.content.len() + 1);
                member.content.truncate(length);
            }
            _ => member.content.extend_from_slice(&[0; BLOCK]),
        }
    }
    let mut bytes = written(&members);
    match random.below(6) {
        0 => bytes.truncate(bytes.len() - 2 * BLOCK),
        1 => bytes.extend(b"more"),
        2 => bytes.truncate(random.below(bytes.len())),
        _ => {}
    }
    bytes
}
