//! A small data set in a temporary folder, for tests.

use std::collections::BTreeMap;
use std::path::Path;
use xray_artifacts::{
    DatasetManifest, ImageFormat, Preprocessing, ShardEntry, Source, Split, SplitRule, SplitSummary,
    write_json,
};
use xray_data::{Label, RecordWriter, Sample, encode_sample};
use xray_image::{GrayImage, encode_png};

pub(crate) const LABELS: [&str; 3] = ["Mass", "Nodule", "Edema"];

pub(crate) fn labels() -> Vec<String> {
    LABELS.map(str::to_owned).to_vec()
}

/// An image of its own for each number: a slope with a fine texture and a bright spot.
pub(crate) fn image(number: usize) -> GrayImage {
    let (width, height) = (40, 32);
    let spot = (number * 37) % (40 * 32);
    let slope = |i: usize| (i / 8 + number * 3) as u8 % 200 + (i * i * i % 11) as u8;
    let pixel = |i: usize| if i.abs_diff(spot) < 5 { 255 } else { slope(i) };
    GrayImage { width, height, pixels: (0..40 * 32).map(pixel).collect() }
}

/// Label `l` of record `n` is positive when `n` is divisible by `l + 2`; unknown when `n` is 3 below that.
pub(crate) fn sample_labels(number: usize) -> Vec<Label> {
    let label = |divisor| match number % divisor {
        0 => Label::Positive,
        3 => Label::Unknown,
        2 => Label::Uncertain,
        _ => Label::Negative,
    };
    (2..5).map(label).collect()
}

/// One record; three in a row are of one patient.
pub(crate) fn record(number: usize, image: &[u8]) -> Vec<u8> {
    let sample = Sample {
        no_finding: None,
        image,
        image_id: format!("image-{number:04}.png"),
        patient_id: Some(format!("patient-{}", number / 3)),
        labels: sample_labels(number),
        view: Some("PA".to_owned()),
        sex: None,
        age: Some(50),
        split: None,
        source: None,
    };
    encode_sample(&sample, &labels())
}

/// Writes a shard of the records with these numbers.
pub(crate) fn write_shard(path: &Path, numbers: impl IntoIterator<Item = usize>) -> ShardEntry {
    let mut writer = RecordWriter::create(path).expect("a writable folder");
    for number in numbers {
        writer.write(&record(number, &encode_png(&image(number)))).expect("room on the disk");
    }
    writer.finish().expect("room on the disk")
}

/// 50 train records in three shards, 6 val records and 9 test records, numbered through.
pub(crate) fn write_dataset(folder: &Path) {
    let shard = |name: &str, numbers| write_shard(&folder.join(name), numbers);
    let train = vec![
        shard("train-00000-of-00003.tfrecord", 0..20),
        shard("train-00001-of-00003.tfrecord", 20..40),
        shard("train-00002-of-00003.tfrecord", 40..50),
    ];
    let val = vec![shard("val-00000-of-00001.tfrecord", 50..56)];
    let test = vec![shard("test-00000-of-00001.tfrecord", 56..65)];
    let manifest = DatasetManifest {
        labels: labels(),
        image: ImageFormat {
            encoding: "png".into(),
            size: Some([40, 32]),
            resized: false,
            white_level: None,
        },
        splits: BTreeMap::from([
            (Split::Train, summary(train)),
            (Split::Val, summary(val)),
            (Split::Test, summary(test)),
        ]),
        split_rule: SplitRule::Patient,
        seed: 0,
        source: Source { kind: "synthetic".into(), labels_blake3: String::new(), notes: Vec::new() },
    };
    write_json(&folder.join(DatasetManifest::FILE_NAME), &manifest).expect("a writable folder");
}

fn summary(shards: Vec<ShardEntry>) -> SplitSummary {
    SplitSummary { images: shards.iter().map(|shard| shard.records).sum(), shards, ..SplitSummary::default() }
}

/// Small images, whatever else is usual.
pub(crate) fn preprocessing() -> Preprocessing {
    Preprocessing { size: 16, ..Preprocessing::default() }
}
