//! Memory does not grow with the data: neither by mapped files nor by what the loader keeps. One test alone in
//! its process, because the peak is the process's.
#![cfg(target_os = "linux")]

#[path = "data/shards.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod shards;

use shards::{labels, preprocessing};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use xray_artifacts::Split;
use xray_data::{
    Dataset, Draw, FeatureNames, Loader, LoaderConfig, OpenOptions, RecordFile, RecordIndex, RecordWriter,
};
use xray_image::{GrayImage, encode_png};
use xray_random::Random;

const MEGABYTE: usize = 1 << 20;

/// Incompressible images of about 64 kB, so that the files are large and decoding is cheap. Of every ten shards
/// seven are smaller than the reader's window and three are larger.
fn write(folder: &Path, shards: usize) {
    let mut noise = Random::keyed(&[1]);
    for shard in 0..shards {
        let mut writer = RecordWriter::create(&folder.join(format!("{shard:03}.tfrec"))).expect("writable");
        for number in 0..(if shard % 10 < 7 { 30 } else { 100 }) {
            let pixels = (0..256 * 256).map(|_| noise.bits() as u8).collect();
            let image = encode_png(&GrayImage { width: 256, height: 256, pixels });
            writer.write(&shards::record(shard * 100 + number, &image)).expect("room");
        }
        writer.finish().expect("room");
        fs::remove_file(RecordIndex::path_for(&folder.join(format!("{shard:03}.tfrec")))).expect("there");
    }
}

/// Peak resident memory of this process since the last [`reset`], in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).expect("kB") * 1024
}

fn reset() {
    fs::write("/proc/self/clear_refs", "5").expect("one's own process");
}

/// What a training run does: index, split, count, and two shuffled epochs.
fn use_all(folder: &Path) -> usize {
    reset();
    for shard in fs::read_dir(folder).expect("readable") {
        let file = RecordFile::open(&shard.expect("readable").path()).expect("readable");
        let records = RecordIndex::scan(&file).expect("undamaged").len();
        assert_eq!(file.iter().filter(|record| record.is_ok()).count() as u64, records);
    }
    let options = OpenOptions { names: Some(FeatureNames::xray(&labels())), ..OpenOptions::default() };
    let dataset = Arc::new(Dataset::open(folder, &options).expect("good data"));
    let records = dataset.select(Split::Train, &Draw::default()).expect("not empty");
    dataset.label_counts(&records).expect("undamaged");
    let config = LoaderConfig { threads: 2, shuffle: true, ..LoaderConfig::default() };
    let loader = Loader::new(dataset, records, preprocessing(), config).expect("good settings");
    for epoch in 0..2 {
        assert!(loader.epoch(epoch, 0).all(|batch| batch.is_ok()));
    }
    peak()
}

#[test]
fn ten_times_the_data_need_no_more_memory() {
    let (small, large) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    write(small.path(), 3);
    write(large.path(), 30);
    use_all(large.path()); // fills the allocator's pools
    let (small, large) = (use_all(small.path()), use_all(large.path()));
    assert!(
        large < small + 16 * MEGABYTE,
        "peak {} MB with 6 MB of data, {} MB with 98 MB",
        small / MEGABYTE,
        large / MEGABYTE
    );
}
