//! One bit flipped in each kind of file that is read back, 200 times by seed: it is named, or nothing that anybody
//! sees differs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Preprocessing, Split, one_line};
use xray_data::build::{BuildConfig, Encoding, build};
use xray_data::sources::synthetic;
use xray_data::sources::tfrecord::{self, RecordOptions};
use xray_data::stats::Stats;
use xray_data::{Cache, Dataset, Draw, Error, Loader, LoaderConfig, OpenOptions, RecordIndex};
use xray_image::SynthConfig;
use xray_random::Random;

const FLIPS: usize = 200;

/// A small data set, and a cache of all of its images.
struct Good {
    dir: tempfile::TempDir,
    /// What programs see of it.
    seen: String,
    /// The same without the records themselves.
    glimpsed: String,
}

impl Good {
    fn new() -> Good {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let images = SynthConfig { images: 40, size: 32, ..SynthConfig::default() };
        let config = BuildConfig { encoding: Encoding::Png, ..BuildConfig::default() };
        build(&synthetic::read(&images), &config, &dir.path().join("shards"), &|| ()).expect("writable");
        let (shards, cache) = (dir.path().join("shards"), dir.path().join("cache"));
        let seen = seen(&shards, &cache).expect("undamaged");
        let glimpsed = glimpsed(&shards, &cache).expect("undamaged");
        Good { dir, seen, glimpsed }
    }

    fn shards(&self) -> PathBuf {
        self.dir.path().join("shards")
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// The largest file whose name ends so.
    fn file(&self, folder: &Path, end: &str) -> PathBuf {
        let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
        let size = |path: &PathBuf| fs::metadata(path).expect("readable").len();
        files.filter(|path| path.to_string_lossy().ends_with(end)).max_by_key(size).expect("there is one")
    }

    /// Flips bits of a file one at a time, the first bytes' in order, and puts it back. Returns how many were named.
    fn check(&self, path: &Path, first: usize) -> usize {
        let good = fs::read(path).expect("readable");
        let mut random = Random::keyed(&[u64::from_le_bytes(*b"bitflips"), good.len() as u64]);
        let mut named = 0;
        for number in 0..FLIPS {
            let at = if number < first * 8 { number / 8 } else { random.below(good.len()) };
            let bit = if number < first * 8 { number % 8 } else { random.below(8) };
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            fs::write(path, &bytes).expect("writable");
            let place = || format!("{}: bit {bit} of byte {at}", path.display());
            // First without the records, so that the cache is as it was left.
            match glimpsed(&self.shards(), &self.cache()) {
                Ok(glimpsed) => assert!(glimpsed == self.glimpsed, "{}", place()),
                Err(_) => named += 1,
            }
            if let Ok(seen) = seen(&self.shards(), &self.cache()) {
                assert!(seen == self.seen, "{}", place());
            }
        }
        fs::write(path, good).expect("writable");
        assert_eq!(seen(&self.shards(), &self.cache()).as_ref(), Ok(&self.seen));
        named
    }
}

fn open(folder: &Path) -> Result<Arc<Dataset>, String> {
    let dataset = Dataset::open(folder, &OpenOptions::default()).map_err(|error| one_line(&error))?;
    match dataset.warnings() {
        [] => Ok(Arc::new(dataset)),
        warnings => Err(warnings.join("; ")),
    }
}

/// What is read without comparing all of each record: what `stats` counts, and what the batches say whose images come
/// from the cache.
fn glimpsed(folder: &Path, cache: &Path) -> Result<String, String> {
    let one_line = |error: Error| one_line(&error);
    let dataset = open(folder)?;
    let mut seen = format!("{} {:?} {:?}\n", dataset.id(), dataset.labels(), dataset.image_format());
    seen += &format!("{}\n", Stats::read(&dataset).map_err(one_line)?);
    for split in Split::ALL {
        let records = dataset.select(split, &Draw::default()).map_err(one_line)?;
        let preprocessing = Preprocessing { size: 16, ..Preprocessing::default() };
        let config =
            LoaderConfig { threads: 1, cache: Cache::Disk(cache.to_owned()), ..LoaderConfig::default() };
        let loader = Loader::new(dataset.clone(), records, preprocessing, config).map_err(one_line)?;
        for batch in loader.epoch(0, 0) {
            let batch = batch.map_err(one_line)?;
            seen += &format!("{:?} {:?} {:?} {:?}\n", batch.ids, batch.about, batch.labels, batch.images);
        }
    }
    Ok(seen)
}

/// The same, and all of every record.
fn seen(folder: &Path, cache: &Path) -> Result<String, String> {
    let mut seen = glimpsed(folder, cache)?;
    let dataset = open(folder)?;
    for split in Split::ALL {
        for id in dataset.select(split, &Draw::default()).map_err(|error| one_line(&error))? {
            seen += &format!("{:?}\n", dataset.sample(id).map_err(|error| one_line(&error))?);
        }
    }
    Ok(seen)
}

#[test]
fn a_flipped_bit_of_a_shard_is_named() {
    let good = Good::new();
    assert!(good.check(&good.file(&good.shards(), ".tfrecord"), 12) > FLIPS / 4);
}

/// A data set is built from records of whatever features they have: which those are is not believed of a damaged one.
#[test]
fn a_flipped_bit_of_records_to_build_from_is_named() {
    let good = Good::new();
    // As others write them: nothing beside the records says what they are.
    let folder = good.dir.path().join("records");
    fs::create_dir(&folder).expect("writable");
    for entry in fs::read_dir(good.shards()).expect("built") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "tfrecord") {
            fs::copy(&path, folder.join(path.file_name().expect("named"))).expect("writable");
        }
    }
    let read = || tfrecord::read(&folder, &RecordOptions::default()).map_err(|error| one_line(&error));
    let path = good.file(&folder, ".tfrecord");
    let bytes = fs::read(&path).expect("readable");
    read().expect("undamaged");
    // Names of features and their values lie behind the image.
    let find = |what: &[u8]| bytes.windows(what.len()).position(|bytes| bytes == what).expect("it is there");
    let places = find(b"Atelectasis")..bytes.len().min(find(b"Atelectasis") + 600);
    for at in places {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).expect("writable");
        let error = read().expect_err("damaged");
        assert!(error.contains(&path.display().to_string()), "byte {at}: {error}");
    }
}

#[test]
fn a_flipped_bit_of_an_index_changes_nothing() {
    let good = Good::new();
    assert_eq!(good.check(&good.file(&good.shards(), ".idx"), 12), 0);
}

#[test]
fn a_flipped_bit_of_the_cache_changes_nothing() {
    let good = Good::new();
    assert_eq!(good.check(&good.file(&good.cache(), ".cache"), 12), 0);
}

#[test]
fn a_flipped_bit_of_the_manifest_is_named() {
    let good = Good::new();
    assert!(good.check(&good.shards().join("dataset.json"), 0) > FLIPS / 2);
}

/// Whole files under each other's names: their checksums hold, and they are not what the manifest lists.
#[test]
fn whole_shards_of_another_set_are_not_believed() {
    let (good, other) = (Good::new(), Good::new());
    let images = SynthConfig { images: 40, size: 32, seed: 1, ..SynthConfig::default() };
    let config = BuildConfig { encoding: Encoding::Png, overwrite: true, ..BuildConfig::default() };
    build(&synthetic::read(&images), &config, &other.shards(), &|| ()).expect("writable");
    let path = good.file(&good.shards(), ".tfrecord");
    let (shard, index) =
        (fs::read(&path).expect("built"), fs::read(RecordIndex::path_for(&path)).expect("built"));
    let another = with_another_age(&shard);
    let refused = |expected: &str| {
        let error = seen(&good.shards(), &good.cache()).expect_err(expected);
        assert!(error.contains(expected) && error.contains(&path.display().to_string()), "{error}");
        let again = tfrecord::read(&good.shards(), &RecordOptions::default()).expect_err("not built again");
        assert!(matches!(again, Error::Shard { .. }), "{}", one_line(&again));
    };
    // Of the same size, its own checksums right: the index says that it is another.
    fs::write(&path, &another).expect("writable");
    refused("holds other records than those that were built");
    // Without the index, all of it is compared with the list.
    fs::remove_file(RecordIndex::path_for(&path)).expect("there");
    refused("blake3");
    // So it is with an index of the version before, and with one of another shard.
    let old = [&b"XRAYIDX\x01"[..], &index[8..]].concat();
    for index in [old, index.iter().rev().copied().collect()] {
        fs::write(RecordIndex::path_for(&path), &index).expect("writable");
        refused("blake3");
        fs::write(&path, &shard).expect("writable");
        assert_eq!(seen(&good.shards(), &good.cache()).as_ref(), Ok(&good.seen));
        fs::write(&path, &another).expect("writable");
    }
    // One of another build is of another size.
    let theirs = other.file(&other.shards(), ".tfrecord");
    for end in ["", ".idx"] {
        let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        fs::copy(name(&theirs), name(&path)).expect("writable");
    }
    refused("expected");
}

/// The file with another age in its first record, and a checksum that holds.
fn with_another_age(shard: &[u8]) -> Vec<u8> {
    let mut bytes = shard.to_vec();
    let length = usize::try_from(u64::from_le_bytes(*shard.first_chunk().expect("a header"))).expect("small");
    let payload = 12..12 + length;
    let find = |from: usize, what: &[u8]| {
        let found = shard[from..payload.end].windows(what.len()).position(|bytes| bytes == what);
        from + found.expect("the first record has it") + what.len()
    };
    // A list of one number that is packed: field 3, then field 1, with one byte.
    let age = find(find(payload.start, b"patient_age"), &[0x1a, 3, 0x0a, 1]);
    bytes[age] ^= 1;
    let crc = crc32c::crc32c(&bytes[payload.clone()]).rotate_right(15).wrapping_add(0xa282_ead8);
    bytes[payload.end..payload.end + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}
