//! TensorFlow's own files: fixtures that TensorFlow wrote, and, where a Python with TensorFlow is named by
//! `XRAY_PYTHON`, TensorFlow reading what we write.

#![expect(clippy::print_stderr, reason = "a test that skips says so")]

use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use xray_artifacts::Split;
use xray_data::build::{BuildConfig, build};
use xray_data::sources::tfrecord::{self, RecordOptions};
use xray_data::{
    Dataset, Draw, Example, ExampleBuilder, Feature, FeatureNames, Label, NIH_14, OpenOptions, Preset,
    RecordFile, RecordId, RecordWriter, Sample, encode_sample, nih_14,
};
use xray_image::{GrayImage, decode_gray, encode_jpeg};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Every feature of every record, in the form that the Python script prints.
fn dump(path: &Path) -> Value {
    let file = RecordFile::open(path).expect("readable");
    file.iter().map(|record| dump_example(record.expect("undamaged").payload)).collect()
}

fn dump_example(payload: &[u8]) -> Value {
    let example = Example::parse(payload).expect("an example");
    let features = example.names().map(|name| {
        let feature = example.get(name).expect("listed");
        let values: Vec<Value> = match feature {
            Feature::Bytes(list) => list.iter().map(|bytes| hex(bytes).into()).collect(),
            Feature::Float(list) => list.iter().map(|float| hex(&float.to_le_bytes()).into()).collect(),
            Feature::Int64(list) => list.iter().map(Value::from).collect(),
            Feature::Empty => vec![],
        };
        (name.to_owned(), json!({ feature.kind(): values }))
    });
    Value::Object(features.collect::<Map<_, _>>())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON")
}

#[test]
fn what_tensorflow_wrote_is_read() {
    assert_eq!(dump(&golden("kaggle.tfrec")), read_json(&golden("kaggle.tfrec.json")));
    assert_eq!(dump(&golden("odd.tfrecord")), read_json(&golden("odd.tfrecord.json")));
    assert_eq!(dump(&golden("scalar.tfrecord")), read_json(&golden("scalar.tfrecord.json")));
    assert_eq!(dump(&golden("odd.tfrecord.gz")), read_json(&golden("odd.tfrecord.json")));
}

/// Taken apart and built again, TensorFlow's file comes out byte for byte: framing, checksums and encoding.
#[test]
fn what_tensorflow_wrote_is_written() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("scalar.tfrecord");
    let mut writer = RecordWriter::create(&path).expect("a writable folder");
    let file = RecordFile::open(&golden("scalar.tfrecord")).expect("readable");
    for record in file.iter() {
        let payload = record.expect("undamaged").payload;
        let example = Example::parse(payload).expect("an example");
        let rebuilt = example.names().fold(ExampleBuilder::new(), |built, name| {
            match example.get(name).expect("listed") {
                Feature::Bytes(list) => built.bytes(name, list.first().expect("one value")),
                Feature::Int64(list) => built.int64(name, list.first().expect("one value")),
                Feature::Float(list) => built.float(name, list.first().expect("one value")),
                other => panic!("{name} is {other:?}"),
            }
        });
        writer.write(&rebuilt.encode()).expect("room");
    }
    writer.finish().expect("room");
    let read = |path: &Path| std::fs::read(path).expect("readable");
    assert!(read(&path) == read(&golden("scalar.tfrecord")));
}

#[test]
fn the_kaggle_schema_is_recognised() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // All but the first, which has `No Finding` beside a finding.
    let file = RecordFile::open(&golden("kaggle.tfrec")).expect("readable");
    let mut writer = RecordWriter::create(&dir.path().join("kaggle.tfrec")).expect("a writable folder");
    for record in file.iter().skip(1) {
        writer.write(record.expect("undamaged").payload).expect("room");
    }
    writer.finish().expect("room");
    let dataset = Dataset::open(dir.path(), &OpenOptions::default()).expect("readable");
    assert_eq!(dataset.feature_names(), &Preset::KaggleNih.feature_names());
    let sample = dataset.sample(RecordId { shard: 0, record: 0 }).expect("a sample");
    assert_eq!(sample.image_id, "00000001_001.png");
    let image = decode_gray(sample.image).expect("a JPEG");
    assert_eq!((image.width, image.height), (12, 8));
    // (1 + place of the label in the script) divisible by 5: Pneumothorax, Pneumonia and Hernia.
    let positive: Vec<_> = NIH_14
        .iter()
        .zip(&sample.labels)
        .filter(|(_, label)| **label == Label::Positive)
        .map(|(n, _)| *n)
        .collect();
    assert_eq!(positive, ["Pneumonia", "Pneumothorax", "Hernia"]);
}

fn python(arguments: &[&str]) -> Option<Vec<u8>> {
    let Some(python) = std::env::var_os("XRAY_PYTHON") else {
        eprintln!("skipped: XRAY_PYTHON names no Python with TensorFlow");
        return None;
    };
    let output = Command::new(python).arg(golden("make_tensorflow_shards.py")).args(arguments).output();
    let output = output.expect("XRAY_PYTHON runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn python_json(arguments: &[&str]) -> Option<Value> {
    python(arguments).map(|stdout| serde_json::from_slice(&stdout).expect("JSON"))
}

#[test]
fn this_tensorflow_and_we_read_the_same() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    if python(&["write", &dir.path().to_string_lossy()]).is_none() {
        return;
    }
    for name in ["kaggle.tfrec", "odd.tfrecord", "odd.tfrecord.gz", "scalar.tfrecord"] {
        let path = dir.path().join(name);
        assert_eq!(Some(dump(&path)), python_json(&["dump", &path.to_string_lossy()]), "{name}");
    }
}

/// Records of every length up to 299 bytes, with every byte.
#[test]
fn tensorflow_reads_records_of_any_length() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("lengths.tfrecord");
    let mut writer = RecordWriter::create(&path).expect("a writable folder");
    for length in 0..300_usize {
        let bytes: Vec<u8> = (0..length).map(|place| (place * 31 + length * 7) as u8).collect();
        let number = (length as i64 - 150) << (length % 56);
        let record = ExampleBuilder::new().bytes("bytes", &bytes).int64("number", number);
        writer.write(&record.float("float", number as f32 / 3.0).encode()).expect("room");
    }
    writer.finish().expect("room");
    let Some(theirs) = python_json(&["dump", &path.to_string_lossy()]) else { return };
    assert_eq!(theirs.as_array().map(Vec::len), Some(300));
    assert_eq!(theirs, dump(&path));
}

#[test]
fn tensorflow_reads_our_shards() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("train-00000-of-00001.tfrecord");
    let pixels = (0..30 * 20).map(|i| (i % 251) as u8).collect();
    let image = encode_jpeg(&GrayImage { width: 30, height: 20, pixels }, 90);
    let labels = |positive: usize| {
        (0..14).map(|i| if i == positive { Label::Positive } else { Label::Negative }).collect::<Vec<_>>()
    };
    let sample = |number: usize| Sample {
        no_finding: Some(if number == 2 { Label::Positive } else { Label::Negative }),
        image: &image,
        image_id: format!("{number:08}_000.png"),
        patient_id: Some(number.to_string()),
        labels: labels(number * 7),
        view: (number == 0).then(|| "PA".to_owned()),
        sex: Some("F".to_owned()),
        age: Some(61),
        split: None,
        source: None,
    };
    let samples = [sample(0), sample(1), sample(2)];
    let mut writer = RecordWriter::create(&path).expect("a writable folder");
    for sample in &samples {
        writer.write(&encode_sample(sample, &nih_14())).expect("room");
    }
    writer.finish().expect("room");

    // What we read of it is what went in.
    let file = RecordFile::open(&path).expect("readable");
    for (record, sample) in file.iter().zip(&samples) {
        let example = Example::parse(record.expect("undamaged").payload).expect("an example");
        assert_eq!(&FeatureNames::xray(&nih_14()).read(&example).expect("a sample"), sample);
    }

    let path = path.to_string_lossy();
    let Some(theirs) = python_json(&["dump", &path]) else { return };
    assert_eq!(theirs, dump(file.path()));
    // The third sample has no positive label among the fourteen: `No Finding`, the first column, is 1.
    let kaggle = python_json(&["kaggle", &path]).expect("it ran before");
    let row = |number: usize, positive: usize| {
        let labels: Vec<_> = (0..15).map(|i| i64::from(i == positive)).collect();
        json!({ "image_id": format!("{number:08}_000.png"), "labels": labels, "shape": [20, 30, 1] })
    };
    // Label 0 is Atelectasis, column 1 of the Kaggle order; label 7 is Pneumothorax, column 4.
    assert_eq!(kaggle, json!([row(0, 1), row(1, 4), row(2, 0)]));
}

/// Files as people name and pack them, through `build`: who is where, and what they have, is what TensorFlow counts.
#[test]
fn a_set_with_splits_is_built_as_tensorflow_counts_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().join("set");
    std::fs::create_dir(&folder).expect("writable");
    let Some(theirs) = python_json(&["splits", &folder.to_string_lossy()]) else { return };
    let source = tfrecord::read(&folder, &RecordOptions::default()).expect("readable");
    let built = dir.path().join("built");
    build(&source, &BuildConfig::default(), &built, &|| ()).expect("a good source");
    for folder in [folder, built] {
        let dataset = Dataset::open(&folder, &OpenOptions::default()).expect("readable");
        let count = |split: Split| {
            let records = dataset.select(split, &Draw::default()).expect("not empty");
            let counts = dataset.label_counts(&records).expect("undamaged");
            assert!(counts.iter().all(|count| count.unknown == 0));
            let positives = counts.iter().map(|count| count.positives);
            let positives = dataset.labels().iter().cloned().zip(positives);
            let own = [("images".to_owned(), records.len() as u64)];
            own.into_iter().chain(positives).map(|(name, count)| (name, count.into())).collect()
        };
        for split in Split::ALL {
            let ours: Map<String, Value> = count(split);
            for (name, count) in &ours {
                assert_eq!(count, &theirs[split.name()][name], "{split} {name} in {}", folder.display());
            }
            assert_eq!(ours.len(), 15);
        }
    }
}
