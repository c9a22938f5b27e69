//! What `xray-data check` finds, one damage at a time.

use crate::workbench::Workbench;
use std::fs;
use std::path::PathBuf;
use xray_data::{ExampleBuilder, RecordFile, RecordIndex, RecordWriter};
use xray_image::{GrayImage, encode_png};

fn picture(number: u8) -> Vec<u8> {
    let pixels = (0..=255).map(|i: u8| i.wrapping_mul(number)).collect();
    encode_png(&GrayImage { width: 16, height: 16, pixels })
}

/// Sixty images of twenty patients, built.
fn shards(bench: &Workbench) {
    let mut table = "path,patient,Mass\n".to_owned();
    for number in 0..60 {
        bench.write(&format!("images/{number}.png"), picture(number + 1));
        table += &format!("images/{number}.png,{},{}\n", number / 3, number % 2);
    }
    bench.write("labels.csv", table);
    bench.good("build --csv labels.csv --val 0.2 --test 0.2 --records-per-shard 8 --out shards");
    assert!(bench.good("check shards").starts_with("good: 60 records of 20 patients in "));
}

fn check_finds(bench: &Workbench, expected: &[&str]) {
    let message = bench.refused(5, "check shards");
    for part in expected {
        assert!(message.contains(part), "`{part}` is not in\n{message}");
    }
}

fn shard(bench: &Workbench, name: &str) -> PathBuf {
    let files = bench.files("shards");
    let found = files.iter().find(|(file, _)| file.starts_with(name) && file.ends_with(".tfrecord"));
    bench.path("shards").join(&found.expect("every split has shards").0)
}

/// Where record `number` of a shard begins.
fn offset(path: &std::path::Path, number: u64) -> usize {
    let index = RecordIndex::load_or_scan(&RecordFile::open(path).expect("a shard")).expect("a good shard");
    index.get(number).expect("it has so many records").offset as usize
}

#[test]
fn a_changed_byte_is_found_by_file_and_record() {
    let bench = Workbench::new();
    shards(&bench);
    let path = shard(&bench, "train-00001");
    let mut bytes = fs::read(&path).expect("readable");
    let at = offset(&path, 3);
    bytes[at + 60] ^= 0x10;
    fs::write(&path, bytes).expect("writable");
    let place =
        format!("train-00001-of-00004.tfrecord: record 3 at byte {at}: the checksum of the payload differs");
    check_finds(&bench, &[&place, "the blake3 differs", "bad: 2 problems in 60 records"]);
}

#[test]
fn a_cut_file_and_an_absent_one_are_found() {
    let bench = Workbench::new();
    shards(&bench);
    let path = shard(&bench, "train-00000");
    let bytes = fs::read(&path).expect("readable");
    fs::write(&path, &bytes[..bytes.len() - 5]).expect("writable");
    fs::remove_file(shard(&bench, "val-00000")).expect("was built");
    check_finds(
        &bench,
        &["record 7 at byte", "bytes where dataset.json says", "val-00000", "cannot be read"],
    );
}

#[test]
fn an_index_of_other_records_is_found() {
    let bench = Workbench::new();
    shards(&bench);
    // The index of a file of the same size whose records are cut differently.
    let path = shard(&bench, "train-00000");
    let index = RecordIndex::path_for(&path);
    let mut bytes = fs::read(&index).expect("built with the shard");
    let (first, second) = (56..64, 80..88);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let length = number(&bytes[64..72]);
    assert_eq!((number(&bytes[first]), number(&bytes[second.clone()])), (0, length + 16));
    bytes[64..72].copy_from_slice(&(length - 1).to_le_bytes());
    bytes[second].copy_from_slice(&(length + 15).to_le_bytes());
    let third = number(&bytes[88..96]) + 1;
    bytes[88..96].copy_from_slice(&third.to_le_bytes());
    let body = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&crc);
    fs::write(&index, bytes).expect("writable");
    check_finds(&bench, &["train-00000", "delete the .idx file"]);
}

#[test]
fn counts_that_differ_from_the_manifest_are_found() {
    let bench = Workbench::new();
    shards(&bench);
    let path = bench.path("shards/dataset.json");
    let mut manifest = bench.unsealed_manifest("shards");
    manifest["splits"]["train"]["positives"][0] = 1.into();
    manifest["splits"]["val"]["patients"] = 99.into();
    fs::write(&path, manifest.to_string()).expect("writable");
    check_finds(&bench, &["images with Mass where it says 1", "patients where it says 99"]);
    fs::write(&path, "{\"format\": 9}").expect("writable");
    check_finds(&bench, &["format 9, this build knows 2"]);
}

/// One record as somebody else could have written it.
struct Handmade {
    id: &'static str,
    patient: &'static str,
    picture: u8,
    mass: i64,
    no_finding: i64,
}

impl Handmade {
    fn encode(&self) -> Vec<u8> {
        ExampleBuilder::new()
            .bytes("image", &picture(self.picture))
            .bytes("image_id", self.id.as_bytes())
            .bytes("patient_id", self.patient.as_bytes())
            .int64("Mass", self.mass)
            .int64("No Finding", self.no_finding)
            .encode()
    }
}

/// Writes shards of these records, a manifest that agrees with them, and checks.
fn handmade(bench: &Workbench, train: &[Handmade], test: &[Handmade]) {
    fs::create_dir_all(bench.path("shards")).expect("writable");
    let split = |name: &str, records: &[Handmade]| {
        let path = bench.path(&format!("shards/{name}-00000-of-00001.tfrecord"));
        let mut writer = RecordWriter::create(&path).expect("writable");
        records.iter().for_each(|record| writer.write(&record.encode()).expect("writable"));
        let entry = writer.finish().expect("writable");
        let patients: std::collections::HashSet<_> = records.iter().map(|record| record.patient).collect();
        let positives = records.iter().filter(|record| record.mass == 1).count();
        serde_json::json!({"images": records.len(), "patients": patients.len(), "positives": [positives],
                           "unknown": [0], "shards": [entry]})
    };
    let manifest = serde_json::json!({
        "format": 1, "labels": ["Mass"], "image": {"encoding": "png", "size": [16, 16]},
        "splits": {"train": split("train", train), "test": split("test", test)},
        "split_rule": "column", "seed": 0, "source": {"kind": "csv", "labels_blake3": ""},
    });
    bench.write("shards/dataset.json", manifest.to_string());
}

/// As if someone else had written them.
fn leave_records_alone(bench: &Workbench) {
    for (name, _) in bench.files("shards").into_iter().filter(|(name, _)| !name.ends_with(".tfrecord")) {
        fs::remove_file(bench.path("shards").join(name)).expect("was built");
    }
}

fn good(id: &'static str, patient: &'static str, picture: u8) -> Handmade {
    Handmade { id, patient, picture, mass: 1, no_finding: 0 }
}

#[test]
fn a_patient_on_two_sides_is_found() {
    let bench = Workbench::new();
    handmade(&bench, &[good("a", "7", 1), good("b", "8", 3)], &[good("c", "7", 5)]);
    check_finds(&bench, &["patient `7` is in test and, with ", "(`a`), in train", "bad: 1 problem"]);
}

#[test]
fn the_same_picture_on_two_sides_is_found() {
    let bench = Workbench::new();
    handmade(&bench, &[good("a", "7", 1), good("b", "8", 3)], &[good("c", "9", 3)]);
    check_finds(&bench, &["(`c`): the same picture is in another split", "(`b`)", "bad: 1 problem"]);
}

#[test]
fn the_same_picture_in_one_split_is_a_warning() {
    let bench = Workbench::new();
    handmade(&bench, &[good("a", "7", 1), good("b", "8", 1)], &[good("c", "9", 3)]);
    let ran = bench.run("check shards");
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stderr.contains("(`b`) is the same picture as"), "{}", ran.stderr);
}

#[test]
fn an_image_name_that_is_taken_is_found() {
    let bench = Workbench::new();
    handmade(&bench, &[good("a", "7", 1), good("a", "7", 3)], &[good("c", "9", 5)]);
    check_finds(&bench, &["the image name is taken by", "bad: 1 problem"]);
}

#[test]
fn labels_that_contradict_or_mean_nothing_are_found() {
    let bench = Workbench::new();
    let both = Handmade { no_finding: 1, ..good("a", "7", 1) };
    let odd = Handmade { mass: 4, ..good("b", "8", 3) };
    let empty = Handmade { mass: -1, ..good("c", "9", 5) };
    handmade(&bench, &[both, odd, empty], &[good("d", "10", 7)]);
    check_finds(
        &bench,
        &["`No Finding` is 1 and so is a finding", "feature `Mass` has the value 4", "bad: 2 problems"],
    );
    // A set of ours may hold records that its table says nothing of; one of others should not.
    leave_records_alone(&bench);
    check_finds(&bench, &["no label is known", "bad: 3 problems"]);
}

#[test]
fn a_picture_that_is_black_or_broken_is_found() {
    let bench = Workbench::new();
    handmade(&bench, &[good("a", "7", 0), good("b", "8", 3)], &[good("c", "9", 5)]);
    check_finds(
        &bench,
        &["train-00000-of-00001.tfrecord: record 0 at byte 0: every pixel is 0", "bad: 1 problem"],
    );
}

#[test]
fn records_of_others_are_checked_without_a_manifest() {
    let bench = Workbench::new();
    shards(&bench);
    leave_records_alone(&bench);
    assert!(bench.good("check shards").starts_with("good: 60 records of 20 patients in "));
    // Their names say the splits, so the same picture on two sides is found.
    let shard = shard(&bench, "train-00000");
    fs::copy(&shard, bench.path("shards/val.tfrecord")).expect("writable");
    check_finds(&bench, &["the same picture is in another split", "the image name is taken by"]);
}

/// A blank row of a table is a record that no figure counts: building it told of it, and the set can be used.
#[test]
fn a_record_of_ours_without_a_label_is_a_warning() {
    let bench = Workbench::new();
    for number in 0..3 {
        bench.write(&format!("{number}.png"), picture(2 * number + 1));
    }
    bench.write("labels.csv", "path,patient,Mass\n0.png,1,1\n1.png,2,0\n2.png,3,\n");
    bench.good("build --csv labels.csv --val 0 --test 0 --out shards");
    let ran = bench.run("check shards");
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stderr.contains("1 record of 3: no label is known"), "{}", ran.stderr);
}
