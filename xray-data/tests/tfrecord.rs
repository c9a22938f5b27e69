//! The record files: framing against the format's definition, examples against prost's protocol buffers, damage.
//! `tensorflow.rs` compares both with TensorFlow.

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use prost::Message;
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use xray_data::{Error, Example, ExampleBuilder, RecordFile, RecordIndex, RecordProblem, RecordWriter};

/// `tf.train.Example` as TensorFlow defines it in `example.proto` and `feature.proto`.
mod proto {
    use std::collections::HashMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Example {
        #[prost(message, optional, tag = "1")]
        pub(crate) features: Option<Features>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Features {
        #[prost(map = "string, message", tag = "1")]
        pub(crate) feature: HashMap<String, Feature>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Feature {
        #[prost(oneof = "Kind", tags = "1, 2, 3")]
        pub(crate) kind: Option<Kind>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Kind {
        #[prost(message, tag = "1")]
        Bytes(BytesList),
        #[prost(message, tag = "2")]
        Float(FloatList),
        #[prost(message, tag = "3")]
        Int64(Int64List),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct BytesList {
        #[prost(bytes = "vec", repeated, tag = "1")]
        pub(crate) value: Vec<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct FloatList {
        #[prost(float, repeated, tag = "1")]
        pub(crate) value: Vec<f32>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Int64List {
        #[prost(int64, repeated, tag = "1")]
        pub(crate) value: Vec<i64>,
    }
}

use proto::Kind;

/// A file by the definition: `length (8 bytes) · its checksum (4) · payload · its checksum (4)`, little-endian, where a
/// checksum is CRC-32C, rotated right by 15 bits, plus 0xa282ead8.
fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let checksum =
        |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let frame = |payload: &Vec<u8>| {
        let length = (payload.len() as u64).to_le_bytes();
        [&length[..], &checksum(&length), payload, &checksum(payload)].concat()
    };
    payloads.iter().flat_map(frame).collect()
}

fn write(path: &Path, payloads: &[Vec<u8>]) {
    let mut writer = RecordWriter::create(path).expect("a writable folder");
    payloads.iter().for_each(|payload| writer.write(payload).expect("room on the disk"));
    writer.finish().expect("room on the disk");
}

fn read(path: &Path) -> Vec<Vec<u8>> {
    let file = RecordFile::open(path).expect("readable");
    file.iter().map(|record| record.expect("undamaged").payload.to_vec()).collect()
}

/// Payloads of 40, 41 and 42 bytes; record 1 begins at byte 56, record 2 at byte 113.
fn three(folder: &Path) -> PathBuf {
    let path = folder.join("three.tfrecord");
    write(&path, &(0..3u8).map(|i| vec![i; 40 + usize::from(i)]).collect::<Vec<_>>());
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn files_are_framed_as_defined(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..12)
    ) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("a.tfrecord");
        write(&path, &payloads);
        prop_assert_eq!(fs::read(&path).expect("readable"), framed(&payloads));
        prop_assert_eq!(read(&path), payloads.clone());
        let index = RecordIndex::load_or_scan(&RecordFile::open(&path).expect("readable")).expect("undamaged");
        prop_assert_eq!(index.entries().iter().map(|e| e.length as usize).collect::<Vec<_>>(),
            payloads.iter().map(Vec::len).collect::<Vec<_>>());
    }

    #[test]
    fn protocol_buffers_read_our_examples(image: Vec<u8>, number: i64, float in -1e30f32..1e30) {
        let record = ExampleBuilder::new().bytes("image", &image).int64("Mass", number).float("age", float).encode();
        let example = proto::Example::decode(&record[..]).expect("a message");
        let found = example.features.expect("features").feature;
        let kind = |name: &str| found[name].kind.clone();
        prop_assert_eq!(found.len(), 3);
        prop_assert_eq!(kind("image"), Some(Kind::Bytes(proto::BytesList { value: vec![image] })));
        prop_assert_eq!(kind("Mass"), Some(Kind::Int64(proto::Int64List { value: vec![number] })));
        prop_assert_eq!(kind("age"), Some(Kind::Float(proto::FloatList { value: vec![float] })));
    }

    #[test]
    fn we_read_protocol_buffers(
        bytes: Vec<Vec<u8>>, numbers: Vec<i64>, floats in proptest::collection::vec(-1e30f32..1e30, 0..9)
    ) {
        let features = [
            ("b", Kind::Bytes(proto::BytesList { value: bytes.clone() })),
            ("i", Kind::Int64(proto::Int64List { value: numbers.clone() })),
            ("f", Kind::Float(proto::FloatList { value: floats.clone() })),
        ];
        let feature: HashMap<_, _> =
            features.map(|(name, kind)| (name.to_owned(), proto::Feature { kind: Some(kind) })).into();
        let record = proto::Example { features: Some(proto::Features { feature }) }.encode_to_vec();
        let example = Example::parse(&record).expect("an example");
        let (Some(xray_data::Feature::Bytes(b)), Some(xray_data::Feature::Int64(i)), Some(xray_data::Feature::Float(f))) =
            (example.get("b"), example.get("i"), example.get("f")) else { panic!("{example:?}") };
        prop_assert_eq!(b.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), bytes);
        prop_assert_eq!(i.iter().collect::<Vec<_>>(), numbers);
        prop_assert_eq!(f.iter().collect::<Vec<_>>(), floats);
    }

    /// Whatever byte is flipped, an intact record is never invented: each payload that is read was written.
    #[test]
    fn a_flipped_bit_is_found(at in 0usize..171, bit in 0u8..8) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = three(dir.path());
        let before = read(&path);
        let mut bytes = fs::read(&path).expect("readable");
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).expect("writable");
        let file = RecordFile::open(&path).expect("readable");
        let (good, bad): (Vec<_>, Vec<_>) = file.iter().partition(|record| record.is_ok());
        prop_assert_eq!(bad.len(), 1);
        prop_assert!(good.iter().flatten().all(|record| before[record.number as usize] == record.payload));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("a.tfrecord");
        fs::write(&path, bytes).expect("writable");
        if let Ok(file) = RecordFile::open(&path) {
            prop_assert!(file.iter().count() <= 2);
            prop_assert!(RecordIndex::load_or_scan(&file).is_err() || file.iter().next().is_none());
        }
    }
}

/// Reads a damaged copy of [`three`]: the numbers of the good records, and the error.
#[track_caller]
fn check_damage(damage: impl FnOnce(&mut Vec<u8>), good: &[u64], expected: &str, hint: &str) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = three(dir.path());
    let mut bytes = fs::read(&path).expect("readable");
    damage(&mut bytes);
    fs::write(&path, bytes).expect("writable");
    let file = RecordFile::open(&path).expect("readable");
    let (read, errors): (Vec<_>, Vec<_>) = file.iter().partition(|record| record.is_ok());
    assert_eq!(read.into_iter().flatten().map(|record| record.number).collect::<Vec<_>>(), good);
    let [Err(error)] = &errors[..] else { panic!("{errors:?}") };
    let message = xray_artifacts::one_line(error);
    assert_eq!(message.replace(&*dir.path().to_string_lossy(), "DIR"), expected);
    assert!(error.hint().is_some_and(|found| found.contains(hint)), "{:?}", error.hint());
    assert_eq!(error.exit(), xray_artifacts::Exit::BadData);
}

#[test]
fn damage_is_reported_with_its_place() {
    check_damage(
        |bytes| bytes[56 + 20] ^= 1,
        &[0, 2],
        "DIR/three.tfrecord: record 1 at byte 56: the checksum of the payload differs",
        "skip bad records",
    );
    check_damage(
        |bytes| bytes[56] ^= 1,
        &[0],
        "DIR/three.tfrecord: record 1 at byte 56: the checksum of the length differs",
        "not a TFRecord",
    );
    check_damage(
        |bytes| bytes.truncate(150),
        &[0, 1],
        "DIR/three.tfrecord: record 2 at byte 113: the record needs 58 bytes, the file holds 37 more",
        "cut off",
    );
    check_damage(
        |bytes| bytes.truncate(113 + 5),
        &[0, 1],
        "DIR/three.tfrecord: record 2 at byte 113: the record needs 16 bytes, the file holds 5 more",
        "cut off",
    );
}

/// The length asks for 2^63 bytes and its checksum is right: no allocation, no overflow, an error.
#[test]
fn an_absurd_length_with_a_valid_checksum_is_a_cut_file() {
    let length = (1u64 << 63).to_le_bytes();
    let crc = crc32c::crc32c(&length).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.tfrecord");
    fs::write(&path, [&length[..], &crc, b"payload"].concat()).expect("writable");
    let file = RecordFile::open(&path).expect("readable");
    let error = file.iter().next().expect("one").expect_err("absurd");
    let needed = (1 << 63) + 16;
    assert!(
        matches!(error, Error::Record { problem: RecordProblem::Truncated { needed: n, left: 19 }, .. } if n == needed)
    );
    assert!(file.iter().nth(1).is_none());
}

#[test]
fn an_empty_file_has_no_records() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.tfrecord");
    fs::write(&path, "").expect("writable");
    assert!(read(&path).is_empty());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

#[test]
fn a_compressed_file_is_told_by_its_content() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let plain = three(dir.path());
    let bytes = fs::read(&plain).expect("readable");
    let zipped = dir.path().join("zipped.tfrecord"); // no .gz
    fs::write(&zipped, gzip(&bytes)).expect("writable");
    assert_eq!(read(&zipped), read(&plain));
    // Two members, as `cat a.gz b.gz` makes.
    fs::write(&zipped, [gzip(&bytes), gzip(&bytes)].concat()).expect("writable");
    assert_eq!(read(&zipped).len(), 6);

    fs::write(&zipped, &gzip(&bytes)[..30]).expect("writable");
    let error = RecordFile::open(&zipped).expect_err("cut off");
    assert!(
        matches!(error, Error::Compressed { compression: xray_data::Compression::Gzip, .. }),
        "{error:?}"
    );
}

/// The length 0x088b1f is written as gzip's magic number.
#[test]
fn a_record_that_begins_like_gzip_is_no_gzip() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.tfrecord");
    let payload = vec![7; 0x08_8b1f];
    write(&path, std::slice::from_ref(&payload));
    assert!(fs::read(&path).expect("readable").starts_with(&[0x1f, 0x8b, 8]));
    assert_eq!(read(&path), [payload]);
}

#[test]
fn a_shard_entry_describes_the_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.tfrecord");
    let mut writer = RecordWriter::create(&path).expect("a writable folder");
    writer.write(b"one").expect("room");
    writer.write(b"two!").expect("room");
    let entry = writer.finish().expect("room");
    let bytes = fs::read(&path).expect("readable");
    assert_eq!((entry.file.as_str(), entry.records, entry.bytes), ("a.tfrecord", 2, bytes.len() as u64));
    assert_eq!(entry.blake3, blake3::hash(&bytes).to_hex().as_str());
}

#[test]
fn an_unfinished_file_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut writer = RecordWriter::create(&dir.path().join("a.tfrecord")).expect("a writable folder");
    writer.write(b"one").expect("room");
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 1);
    drop(writer);
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
}

#[test]
fn records_are_read_by_number() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = RecordFile::open(&three(dir.path())).expect("readable");
    let index = RecordIndex::load_or_scan(&file).expect("undamaged");
    for number in [2, 0, 1] {
        let entry = index.get(number).expect("three records");
        let payload = file.read(number, entry).expect("undamaged");
        assert_eq!(payload, vec![number as u8; 40 + number as usize]);
        file.release(entry);
        assert_eq!(payload, vec![number as u8; 40 + number as usize], "released pages are read again");
    }
    assert_eq!(index.get(3), None);
}

/// Whatever is wrong with the index, what is read is what the file holds.
#[test]
fn an_index_that_does_not_fit_is_not_used() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = three(dir.path());
    let index_path = RecordIndex::path_for(&path);
    let good = fs::read(&index_path).expect("written beside the file");
    let open = || {
        let index = RecordIndex::load_or_scan(&RecordFile::open(&path).expect("readable"));
        index.expect("undamaged").entries().to_vec()
    };
    let expected = open();
    let check = |bytes: &[u8]| {
        fs::write(&index_path, bytes).expect("writable");
        assert_eq!(open(), expected);
    };
    check(b"");
    check(b"0 56\n56 57\n113 58\n"); // as DALI writes it
    check(&[&b"XRAYIDX\x01"[..], &good[8..]].concat()); // as the version before did
    check(&good[..good.len() - 1]);
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        check(&bytes);
    }
    fs::remove_file(&index_path).expect("there");
    assert_eq!(open(), expected);

    // The index of the old file beside a longer new one.
    write(&path, &[vec![9; 40], vec![9; 41], vec![9; 43]]);
    fs::write(&index_path, &good).expect("writable");
    assert_eq!(open()[2].length, 43);
}

/// A stale index of a file with the same length is found when a record is read.
#[test]
fn an_index_of_other_records_is_an_error_with_advice() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = three(dir.path());
    let index = fs::read(RecordIndex::path_for(&path)).expect("written beside the file");
    write(&path, &[vec![9; 41], vec![9; 40], vec![9; 42]]);
    fs::write(RecordIndex::path_for(&path), index).expect("writable");
    let file = RecordFile::open(&path).expect("readable");
    let stale = RecordIndex::load_or_scan(&file).expect("it fits the length");
    let error = file.read(0, stale.get(0).expect("three records")).expect_err("another length");
    assert!(error.hint().is_some_and(|hint| hint.contains("delete the .idx file")), "{error:?}");
}
