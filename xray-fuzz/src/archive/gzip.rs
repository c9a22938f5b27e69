//! Gzip files of one member or several, whole ones and others.

use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use xray_random::Random;

pub(super) fn of(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).and_then(|()| packed.finish()).expect("memory does not fail")
}

pub(super) fn in_two(bytes: &[u8]) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    [of(first), of(second)].concat()
}

pub(super) fn lie(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut packed = if random.below(2) == 0 { of(bytes) } else { in_two(bytes) };
    let end = packed.len();
    match random.below(8) {
        0 => packed[end - 1 - random.below(8)] ^= 1, // checksum or length
        1 => packed.truncate(2 + random.below(end - 2)),
        2 => packed.extend(b"more"),
        3 => packed.extend([0; 700]),
        4 => packed.extend(of(&[]).repeat(1 << random.below(12))),
        // Zeros without end, before or behind what is there.
        5 => packed.extend(of(&vec![0; 1 << (20 + random.below(8))])),
        6 => packed = [of(&vec![0; 1 << (20 + random.below(8))]), packed].concat(),
        _ => {}
    }
    packed
}
