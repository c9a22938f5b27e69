//! Files of records, their manifest and single records, mutated by seed: whatever they become, they are read
//! or refused; nothing panics, and memory does not grow with what they say.

use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::{DatasetManifest, Split, one_line};
use xray_data::build::{BuildConfig, build};
use xray_data::check::check;
use xray_data::sources::synthetic;
use xray_data::{Dataset, Draw, Example, FeatureNames, OpenOptions, Preset, RecordFile, RecordIndex};
use xray_image::SynthConfig;
use xray_random::Random;

/// Numbers that a length, a count or a label could be.
const NUMBERS: [u64; 10] = [0, 1, 2, 255, 1 << 16, 1 << 31, 1 << 32, 1 << 62, 1 << 63, u64::MAX];

/// Texts that a field of JSON could be.
const TOKENS: [&str; 12] = [
    "-1",
    "1e999",
    "18446744073709551615",
    "null",
    "[]",
    "{}",
    "\"\"",
    "\"../x\"",
    "0.5",
    "[[[[",
    "true",
    ",",
];

struct Mutator(Random);

impl Mutator {
    fn below(&mut self, end: usize) -> usize {
        self.0.below(end.max(1))
    }

    /// One to four changes: a byte, a length, a piece cut out, repeated or put elsewhere, or the end cut off.
    fn bytes(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let piece = at..bytes.len().min(at + self.below(64));
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(piece)),
                2 => {
                    let copy = bytes[piece].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copy);
                }
                3 if at + 8 <= bytes.len() => {
                    let number = NUMBERS[self.below(NUMBERS.len())];
                    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
                }
                _ if at < bytes.len() => bytes[at] = self.0.bits() as u8,
                _ => {}
            }
        }
        bytes
    }

    /// A number or text of JSON in the place of another.
    fn json(&mut self, good: &str) -> String {
        let digits: Vec<usize> = good.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at).collect();
        let at = digits[self.below(digits.len())];
        let end = good[at..].find(|c: char| !c.is_ascii_digit()).map_or(good.len(), |length| at + length);
        format!("{}{}{}", &good[..at], TOKENS[self.below(TOKENS.len())], &good[end..])
    }

    /// The payload of a record, and a header and checksums that hold.
    fn framed(&mut self, payload: &[u8]) -> Vec<u8> {
        let checksum = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8);
        let payload = self.bytes(payload);
        let length = (payload.len() as u64).to_le_bytes();
        let header = [&length[..], &checksum(&length).to_le_bytes()].concat();
        [&header[..], &payload, &checksum(&payload).to_le_bytes()].concat()
    }
}

fn shards(folder: &Path) {
    let source = synthetic::read(&SynthConfig { images: 24, size: 32, ..SynthConfig::default() });
    build(&source, &BuildConfig::default(), folder, &|| ()).expect("a writable folder");
}

fn first_shard(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("just built").flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|e| e == "tfrecord")).min().expect("there is one")
}

/// Opens and reads all of a data set, as training does.
fn read_all(folder: &Path, names: Option<FeatureNames>) -> Result<u64, String> {
    let options = OpenOptions { names, ..OpenOptions::default() };
    let dataset = Dataset::open(folder, &options).map_err(|error| one_line(&error))?;
    let mut read = 0;
    for split in Split::ALL {
        for id in dataset.select(split, &Draw::default()).unwrap_or_default() {
            read += u64::from(dataset.sample(id).is_ok());
        }
    }
    Ok(read)
}

fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
fn mutated_records_are_read_or_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    shards(&dir.path().join("good"));
    let shard = first_shard(&dir.path().join("good"));
    let good = fs::read(&shard).expect("just built");
    let payload = RecordFile::open(&shard)
        .expect("just built")
        .iter()
        .next()
        .expect("one")
        .expect("good")
        .payload
        .to_vec();
    let folder = dir.path().join("mutated");
    fs::create_dir(&folder).expect("writable");
    let (mut mutator, names) = (Mutator(Random::keyed(&[1])), Preset::KaggleNih.feature_names());
    let before = peak_mib();
    let (mut read, mut refused) = (0, 0);
    for round in 0..3000 {
        let bytes = match round % 3 {
            0 => mutator.bytes(&good),
            _ => mutator.framed(&payload),
        };
        fs::write(folder.join("train_0.tfrec"), &bytes).expect("writable");
        let named = (round % 2 == 0).then(|| names.clone());
        match read_all(&folder, named.clone()) {
            Ok(_) => read += 1,
            Err(message) => {
                assert!(message.contains("train_0.tfrec") || message.contains("no record"), "{message}");
                refused += 1;
            }
        }
        if round % 10 == 0 {
            // An error of the whole is fine too: what features mean may be unclear.
            let _ = check(&folder, named, &|| ());
        }
        let mutated = mutator.bytes(&payload);
        if let Ok(example) = Example::parse(&mutated) {
            let _ = names.read(&example);
        }
    }
    assert!(read > 100 && refused > 1000, "{read} read, {refused} refused");
    let grown = peak_mib() - before;
    assert!(grown < 100, "{grown} MiB more");
}

#[test]
fn mutated_manifests_and_indices_are_read_or_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    shards(dir.path());
    let path = dir.path().join(DatasetManifest::FILE_NAME);
    let sealed = fs::read_to_string(&path).expect("just built");
    // As the version before wrote it: what is damaged is believed as far as it can be true.
    let mut good: serde_json::Value = serde_json::from_str(&sealed).expect("JSON");
    good["format"] = 1.into();
    good.as_object_mut().expect("an object").remove("blake3").expect("a hash");
    let good = serde_json::to_string_pretty(&good).expect("JSON");
    let mut mutator = Mutator(Random::keyed(&[2]));
    let before = peak_mib();
    let (mut read, mut refused) = (0, 0);
    for round in 0..3000 {
        let text = match round % 2 {
            0 => mutator.json(&good).into_bytes(),
            _ => mutator.bytes(good.as_bytes()),
        };
        fs::write(&path, text).expect("writable");
        match read_all(dir.path(), None) {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
        if round % 20 == 0 {
            let _ = check(dir.path(), None, &|| ());
        }
    }
    assert!(read > 10 && refused > 1000, "{read} read, {refused} refused");

    fs::write(&path, &good).expect("writable");
    let shard = first_shard(dir.path());
    let (index, expected) = (RecordIndex::path_for(&shard), read_all(dir.path(), None));
    let good = fs::read(&index).expect("just built");
    for _ in 0..1000 {
        fs::write(&index, mutator.bytes(&good)).expect("writable");
        assert_eq!(read_all(dir.path(), None), expected, "an index that does not fit is not used");
    }
    let grown = peak_mib() - before;
    assert!(grown < 100, "{grown} MiB more");
}
