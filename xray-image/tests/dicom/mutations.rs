//! Thousands of damaged files of every coding: each is shown or refused, in little memory and time, and no decoder fails.

use crate::codings::golden;
use std::time::{Duration, Instant};
use xray_image::{GrayImage, ImageProblem, decode_gray, mean_chroma, read_dicom_patient, read_header};
use xray_random::Random;

const NAMES: [&str; 17] = [
    "implicit",
    "big-endian",
    "deflated",
    "rle",
    "jpeg-baseline",
    "jpeg-extended",
    "jpeg-lossless-1",
    "jpeg-lossless-4",
    "jpeg-ls",
    "jpeg-ls-near",
    "jpeg-ls-colour-scans",
    "jpeg-ls-colour-pixels",
    "palette",
    "jpeg-2000",
    "jpeg-2000-lossy",
    "jpeg-2000-signed",
    "gray-12-bit",
];

/// Enough for the largest that the tests of other files in this process hold.
const MEMORY: u64 = 600 << 20;

fn below(random: &mut Random, end: usize) -> usize {
    (random.bits() % end.max(1) as u64) as usize
}

/// Bits flipped, bytes and lengths set, parts cut out, doubled and moved, the end cut off.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=below(random, 4) {
        let at = 128 + below(random, bytes.len().saturating_sub(128));
        let length = below(random, 40);
        let Some(rest) = bytes.get_mut(at..) else { return };
        match below(random, 8) {
            0 | 1 => rest.iter_mut().take(1).for_each(|byte| *byte ^= 1 << (random.bits() % 8)),
            2 => rest.iter_mut().take(1).for_each(|byte| *byte = random.bits() as u8),
            3 => rest.iter_mut().take(4).for_each(|byte| *byte = 0xFF),
            4 => rest
                .iter_mut()
                .take(2)
                .for_each(|byte| *byte = [0, 0xFF, 0x7F, 0x80][(random.bits() % 4) as usize]),
            5 => {
                let part: Vec<u8> = rest.iter().copied().take(length).collect();
                bytes.splice(at..at, part);
            }
            6 => drop(bytes.drain(at..bytes.len().min(at + length))),
            _ if random.bits().is_multiple_of(4) => bytes.truncate(at),
            _ => rest.iter_mut().take(length).for_each(|byte| *byte = 0),
        }
    }
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn check(name: &str, number: u64, bytes: &[u8]) {
    let start = Instant::now();
    match decode_gray(bytes) {
        Ok(GrayImage { width, height, pixels }) => assert_eq!(pixels.len(), width as usize * height as usize),
        Err(problem) => {
            assert!(!matches!(problem, ImageProblem::Decoder(_)), "{name} {number}: {problem}");
            assert!(!problem.to_string().is_empty());
        }
    }
    let _ = (read_header(bytes), read_dicom_patient(bytes), mean_chroma(bytes, &Default::default()));
    assert!(start.elapsed() < Duration::from_secs(20), "{name} {number} took {:?}", start.elapsed());
}

#[test]
fn damaged_files_are_shown_or_refused() {
    for name in NAMES {
        let whole = golden(name);
        for number in 0..400 {
            let mut random = Random::named(number, name);
            let mut bytes = whole.clone();
            damage(&mut bytes, &mut random);
            check(name, number, &bytes);
        }
    }
    assert!(peak() < MEMORY, "{} MB", peak() >> 20);
}

#[test]
fn every_truncation_is_refused_or_whole() {
    for name in NAMES {
        let whole = golden(name);
        for length in (0..whole.len()).step_by(13) {
            check(name, length as u64, &whole[..length]);
        }
    }
}
