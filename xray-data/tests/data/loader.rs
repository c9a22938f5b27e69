//! The loader: the same batches whatever the threads, from wherever an epoch is entered, cached or not, and
//! with bad records left out.

use crate::shards::{image, preprocessing, sample_labels, write_dataset};
use std::fs::{self, OpenOptions as File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xray_artifacts::{Crop, Exit, Preprocessing, ResizeFilter, Split};
use xray_data::{
    About, Batch, Cache, Dataset, Draw, Error, Images, Label, Loader, LoaderConfig, LoaderProblem,
    OpenOptions, RecordFile, RecordId, RecordIndex, Uncertain,
};
use xray_image::{Augmentation, augment, normalise, normalised_levels, prepare};

fn dataset() -> (TempDir, Arc<Dataset>) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_dataset(dir.path());
    let dataset = open(dir.path());
    (dir, dataset)
}

fn open(dir: &Path) -> Arc<Dataset> {
    Arc::new(Dataset::open(dir, &OpenOptions::default()).expect("a good data set"))
}

fn config() -> LoaderConfig {
    LoaderConfig {
        batch_size: 8,
        seed: 5,
        shuffle: true,
        threads: 2,
        prefetch: 3,
        augmentation: Some(Augmentation::default()),
        ..LoaderConfig::default()
    }
}

fn loader(dataset: &Arc<Dataset>, config: LoaderConfig) -> Loader {
    let records = dataset.select(Split::Train, &Draw::default()).expect("not empty");
    Loader::new(dataset.clone(), records, preprocessing(), config).expect("good settings")
}

fn epoch(loader: &Loader, epoch: u64) -> Vec<Batch> {
    loader.epoch(epoch, 0).collect::<Result<_, _>>().expect("good records")
}

/// Equal to the last bit, unknown labels (NaN) included.
#[track_caller]
fn check_equal(a: &[Batch], b: &[Batch]) {
    let bits = |floats: &[f32]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((a.index, a.size, &a.ids, &a.records), (b.index, b.size, &b.ids, &b.records));
        assert_eq!(a.about, b.about);
        assert!(
            bits(&normalised(a)) == bits(&normalised(b)) && bits(&a.labels) == bits(&b.labels),
            "batch {}",
            a.index
        );
    }
}

/// The pixels of a batch as floats, whichever they are.
fn normalised(batch: &Batch) -> Vec<f32> {
    match &batch.images {
        Images::Normalised(images) => images.clone(),
        Images::Levels(images) => {
            let values = normalised_levels(&preprocessing());
            images.iter().map(|&level| values[usize::from(level)]).collect()
        }
    }
}

/// With the bits that the loader's floats have, augmented or not, and without the damaged records.
#[test]
fn levels_are_what_floats_were_made_of() {
    let (dir, _) = dataset();
    for is_damaged in [false, true] {
        if is_damaged {
            damage(dir.path(), "train-00001-of-00003.tfrecord", 3);
        }
        let dataset = open(dir.path());
        for augmentation in [None, Some(Augmentation::default())] {
            let config = LoaderConfig { augmentation, skip_bad: 1, ..config() };
            let floats = loader(&dataset, config.clone());
            let levels = loader(&dataset, LoaderConfig { as_levels: true, ..config });
            let batches = epoch(&levels, 1);
            check_equal(&epoch(&floats, 1), &batches);
            assert!(batches.iter().all(|batch| matches!(batch.images, Images::Levels(_))));
            assert_eq!(levels.bad().len(), usize::from(is_damaged));
        }
    }
}

#[test]
fn a_batch_is_what_its_records_hold() {
    let (_dir, dataset) = dataset();
    let batches = epoch(&loader(&dataset, config()), 3);
    assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 8, 2]);
    let mut seen = vec![];
    for batch in &batches {
        assert_eq!((batch.images.len(), batch.labels.len()), (batch.len() * 256, batch.len() * 3));
        for (i, (id, record)) in batch.ids.iter().zip(&batch.records).enumerate() {
            let number: usize = id[6..10].parse().expect("image-NUMBER.png");
            let prepared = prepare(&image(number), &preprocessing()).expect("a good image").pixels;
            let mut changed = vec![0; 256];
            augment(&prepared, 16, &Augmentation::default(), 5, 3, record.key(), &mut changed);
            let mut expected = vec![0.0; 256];
            normalise(&changed, &preprocessing(), &mut expected);
            assert_eq!(normalised(batch)[i * 256..][..256], expected);
            let labels: Vec<_> = sample_labels(number)
                .into_iter()
                .map(|label| label.as_f32(Uncertain::Ignore).to_bits())
                .collect();
            assert_eq!(batch.labels[i * 3..][..3].iter().map(|l| l.to_bits()).collect::<Vec<_>>(), labels);
            let (patient_id, view) = (Some(format!("patient-{}", number / 3)), Some("PA".to_owned()));
            assert_eq!(batch.about[i], About { patient_id, view, sex: None, age: Some(50), source: None });
            seen.push(number);
        }
    }
    assert_ne!(seen, (0..50).collect::<Vec<_>>(), "shuffled");
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<_>>(), "each record once");
}

#[test]
fn uncertain_labels_become_what_is_wanted_and_unknown_ones_stay() {
    let (_dir, dataset) = dataset();
    let of = |uncertain| {
        let plain = LoaderConfig { shuffle: false, uncertain, ..config() };
        epoch(&loader(&dataset, plain), 0).into_iter().flat_map(|batch| batch.labels).collect::<Vec<_>>()
    };
    let [ignored, zero, one] = [Uncertain::Ignore, Uncertain::Zero, Uncertain::One].map(of);
    let labels = (0..50).flat_map(sample_labels);
    let mut counts = [0; 2];
    for (place, label) in labels.enumerate() {
        let found = [ignored[place], zero[place], one[place]];
        match label {
            Label::Uncertain => {
                assert!(found[0].is_nan() && found[1..] == [0.0, 1.0], "{found:?}");
                counts[0] += 1;
            }
            Label::Unknown => {
                assert!(found.iter().all(|value| value.is_nan()), "{found:?}");
                counts[1] += 1;
            }
            _ => assert_eq!(found, [label.as_f32(Uncertain::Ignore); 3]),
        }
    }
    assert!(counts[0] > 10 && counts[1] > 10, "{counts:?}");
}

#[test]
fn threads_and_prefetching_change_nothing() {
    let (_dir, dataset) = dataset();
    let make =
        |threads, prefetch| epoch(&loader(&dataset, LoaderConfig { threads, prefetch, ..config() }), 0);
    let one = make(1, 1);
    for (threads, prefetch) in [(2, 1), (4, 1), (1, 5), (2, 2), (4, 20)] {
        check_equal(&make(threads, prefetch), &one);
    }
}

#[test]
fn an_epoch_can_be_entered_anywhere() {
    let (_dir, dataset) = dataset();
    let whole = epoch(&loader(&dataset, config()), 4);
    for first in 0..=whole.len() + 1 {
        // A loader of its own, as after a restart.
        let rest: Vec<_> =
            loader(&dataset, config()).epoch(4, first).collect::<Result<_, _>>().expect("good records");
        check_equal(&rest, &whole[first.min(whole.len())..]);
    }
}

#[test]
fn epochs_and_seeds_differ_and_repeat() {
    let (_dir, dataset) = dataset();
    let ids =
        |loader: &Loader, number| epoch(loader, number).into_iter().flat_map(|b| b.ids).collect::<Vec<_>>();
    let first = loader(&dataset, config());
    let other = loader(&dataset, LoaderConfig { seed: 6, ..config() });
    assert_ne!(ids(&first, 0), ids(&first, 1));
    assert_ne!(ids(&first, 0), ids(&other, 0));
    check_equal(&epoch(&first, 1), &epoch(&loader(&dataset, config()), 1));
    let plain = loader(&dataset, LoaderConfig { shuffle: false, ..config() });
    assert_eq!(ids(&plain, 0), (0..50).map(|i| format!("image-{i:04}.png")).collect::<Vec<_>>());
}

#[test]
fn a_last_batch_that_is_not_full_can_be_left_out() {
    let (_dir, dataset) = dataset();
    let full = loader(&dataset, LoaderConfig { drop_last: true, ..config() });
    assert_eq!((full.batches_per_epoch(), epoch(&full, 0).len()), (6, 6));
    let all = loader(&dataset, config());
    assert_eq!((all.batches_per_epoch(), epoch(&all, 0).len()), (7, 7));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let (_dir, dataset) = dataset();
    let records = dataset.select(Split::Val, &Draw::default()).expect("not empty");
    let check = |config: LoaderConfig, records: &[_], message: &str| {
        let error =
            Loader::new(dataset.clone(), records.to_vec(), preprocessing(), config).expect_err("impossible");
        assert_eq!(error.to_string(), message);
        assert_ne!(error.exit(), Exit::Unexpected);
    };
    check(LoaderConfig { batch_size: 0, ..config() }, &records, "a batch size of 0");
    check(LoaderConfig { prefetch: 0, ..config() }, &records, "prefetching 0 batches");
    check(LoaderConfig { drop_last: true, ..config() }, &records, "6 records do not fill a batch of 8");
    check(config(), &[], "no records to load");
}

#[test]
fn a_cache_changes_nothing() {
    let (_dir, dataset) = dataset();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let expected = loader(&dataset, config());
    for cache in [Cache::Ram, Cache::Disk(folder.path().to_owned())] {
        let cached = loader(&dataset, LoaderConfig { cache, ..config() });
        for number in 0..3 {
            check_equal(&epoch(&cached, number), &epoch(&expected, number));
        }
        assert!(cached.warnings().is_empty());
    }
}

/// Damages the end of a record's image, which nobody reads who only asks what it shows.
fn damage(dir: &Path, shard: &str, record: u64) {
    let path = dir.join(shard);
    let mut file = File::new().read(true).write(true).open(&path).expect("writable");
    let at = {
        let file = RecordFile::open(&path).expect("readable");
        let entry = RecordIndex::load_or_scan(&file).expect("undamaged").get(record).expect("there");
        let payload = file.read(record, entry).expect("undamaged");
        let end = payload.windows(4).position(|bytes| bytes == b"IEND").expect("a PNG");
        entry.offset + 12 + end as u64 - 6
    };
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut byte)).expect("readable");
    byte[0] ^= 0xff;
    file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&byte)).expect("writable");
}

/// Damages every image on disk after a first epoch: a second one that still works read none of them.
#[test]
fn a_full_cache_decodes_nothing() {
    for disk in [false, true] {
        let (dir, dataset) = dataset();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = if disk { Cache::Disk(folder.path().to_owned()) } else { Cache::Ram };
        let cached = loader(&dataset, LoaderConfig { cache: cache.clone(), ..config() });
        let expected = epoch(&cached, 0);
        for record in 0..10 {
            damage(dir.path(), "train-00002-of-00003.tfrecord", record);
        }
        check_equal(&epoch(&cached, 0), &expected);
        if disk {
            // Another run finds the file that the first one left.
            check_equal(&epoch(&loader(&open(dir.path()), LoaderConfig { cache, ..config() }), 0), &expected);
        }
        assert!(loader(&dataset, config()).epoch(0, 0).any(|batch| batch.is_err()), "the damage is real");
    }
}

fn cache_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    let file = files.next().expect("one file");
    assert_eq!(files.next(), None, "one file");
    file
}

/// Every way in which a machine that lost power may leave the file: cut short, or with slots of zeros, of
/// half their bytes, or of another slot.
#[test]
fn a_torn_disk_cache_is_mended() {
    let (_dir, dataset) = dataset();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = || LoaderConfig { cache: Cache::Disk(folder.path().to_owned()), ..config() };
    let expected = epoch(&loader(&dataset, config()), 0);
    let path = cache_file(folder.path());
    let whole = fs::read(&path).expect("readable");
    let slot = 16 * 16 + 8;
    assert_eq!(whole.len(), 65 * slot);
    let check = |tear: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        tear(&mut bytes);
        assert!(bytes != whole);
        fs::write(&path, bytes).expect("writable");
        check_equal(&epoch(&loader(&dataset, config()), 0), &expected);
        assert!(fs::read(&path).expect("readable") == whole, "the slots are written again");
    };
    check(&|bytes| bytes.truncate(10 * slot + 100));
    check(&|bytes| bytes[7 * slot + 150..8 * slot].fill(0));
    check(&|bytes| bytes[7 * slot..7 * slot + 8].fill(0));
    check(&|bytes| bytes.copy_within(3 * slot..4 * slot, 4 * slot));
    check(&|bytes| bytes[49 * slot + 9] ^= 1);
    check(&|bytes| bytes[..50 * slot].fill(0));
}

#[test]
fn runs_that_share_a_disk_cache_do_not_disturb_each_other() {
    let (_dir, dataset) = dataset();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let expected = epoch(&loader(&dataset, config()), 0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let config = LoaderConfig { cache: Cache::Disk(folder.path().to_owned()), ..config() };
                let loader = loader(&dataset, config);
                for _ in 0..3 {
                    check_equal(&epoch(&loader, 0), &expected);
                }
            });
        }
    });
    cache_file(folder.path());
}

/// Other pixels must never come out of a cache: another size, another filter, other data.
#[test]
fn a_disk_cache_belongs_to_its_data_and_preprocessing() {
    let (_dir, dataset) = dataset();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let records = dataset.select(Split::Train, &Draw::default()).expect("not empty");
    let cached = |preprocessing, files| {
        let config = LoaderConfig { cache: Cache::Disk(folder.path().to_owned()), ..config() };
        let loader =
            Loader::new(dataset.clone(), records.clone(), preprocessing, config).expect("good settings");
        epoch(&loader, 0);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), files);
    };
    let base = preprocessing();
    cached(base.clone(), 1);
    cached(Preprocessing { mean: 0.0, std: 1.0, ..base.clone() }, 1);
    cached(Preprocessing { filter: ResizeFilter::Box, ..base.clone() }, 2);
    cached(Preprocessing { crop: Crop::Pad, ..base }, 3);
}

#[test]
fn a_bad_record_ends_the_epoch_unless_it_may_be_skipped() {
    let (dir, dataset) = dataset();
    let whole = epoch(&loader(&dataset, config()), 0);
    damage(dir.path(), "train-00000-of-00003.tfrecord", 7);
    damage(dir.path(), "train-00001-of-00003.tfrecord", 3);
    let dataset = open(dir.path());
    let first_bad = whole.iter().position(|batch| batch.records.iter().any(|r| dataset.sample(*r).is_err()));

    for threads in [1, 2, 4] {
        let strict = loader(&dataset, LoaderConfig { threads, ..config() });
        let batches: Vec<_> = strict.epoch(0, 0).collect();
        assert_eq!(Some(batches.len() - 1), first_bad, "the good ones before, the error, and nothing more");
        let Some(Err(error @ Error::TooManyBad { limit: 0, bad })) = batches.last() else {
            panic!("{batches:?}")
        };
        assert_eq!((bad.len(), error.exit()), (1, Exit::BadData));

        let lenient = loader(&dataset, LoaderConfig { threads, skip_bad: 2, ..config() });
        for number in 0..2 {
            let expected: Vec<_> =
                epoch_without(&loader(&dataset, LoaderConfig { skip_bad: 2, ..config() }), number);
            check_equal(&epoch(&lenient, number), &expected);
        }
        let bad = lenient.bad();
        assert_eq!(
            bad.iter().map(|bad| (bad.record.shard, bad.record.record)).collect::<Vec<_>>(),
            [(0, 7), (1, 3)]
        );
        assert!(bad[0].problem.contains("train-00000-of-00003.tfrecord: record 7 at byte "), "{bad:?}");
        assert!(bad[0].problem.ends_with("the checksum of the payload differs"), "{bad:?}");
    }

    let one = loader(&dataset, LoaderConfig { skip_bad: 1, ..config() });
    let error = one.epoch(0, 0).find_map(Result::err).expect("two are bad");
    let message = error.to_string();
    assert!(message.starts_with("2 bad records, at most 1 may be skipped: "), "{message}");
    assert!(message.contains("record 7 at byte") && message.contains("record 3 at byte"), "{message}");
}

/// The epoch of a loader over undamaged data, with the two damaged records taken out by hand.
fn epoch_without(loader: &Loader, number: u64) -> Vec<Batch> {
    let batches = epoch(loader, number);
    let (_dir, undamaged) = dataset();
    let mut whole = epoch(&self::loader(&undamaged, config()), number);
    for batch in &mut whole {
        while let Some(at) = batch.ids.iter().position(|id| id == "image-0007.png" || id == "image-0023.png")
        {
            batch.ids.remove(at);
            batch.about.remove(at);
            batch.records.remove(at);
            match &mut batch.images {
                Images::Normalised(images) => drop(images.drain(at * 256..(at + 1) * 256)),
                Images::Levels(images) => drop(images.drain(at * 256..(at + 1) * 256)),
            }
            batch.labels.drain(at * 3..(at + 1) * 3);
        }
    }
    check_equal(&batches, &whole);
    whole
}

/// Large images, one thread, and an epoch that is dropped after the first of 50: few of the others are made.
#[test]
fn an_epoch_that_is_dropped_stops_its_work() {
    let (_dir, dataset) = dataset();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = Cache::Disk(folder.path().to_owned());
    let config = LoaderConfig { batch_size: 1, prefetch: 50, threads: 1, shuffle: false, cache, ..config() };
    let records = dataset.select(Split::Train, &Draw::default()).expect("not empty");
    let size = 1024;
    let preprocessing = Preprocessing { size, ..preprocessing() };
    let loader = Loader::new(dataset, records, preprocessing, config).expect("good settings");
    let mut epoch = loader.epoch(0, 0);
    epoch.next().expect("a batch").expect("good records");
    drop(epoch);
    // The only thread comes to this batch once it is done with those of the dropped epoch.
    loader.epoch(1, 49).next().expect("a batch").expect("good records");
    let slots = fs::read(cache_file(folder.path())).expect("readable");
    let made = slots.chunks((size * size) as usize + 8).filter(|slot| slot[4..8] == *b"slot").count();
    assert!((2..25).contains(&made), "{made} images were made");
}

#[test]
fn a_panic_reaches_the_consumer() {
    let (_dir, dataset) = dataset();
    let nowhere = RecordId { shard: 99, record: 0 };
    let loader = Loader::new(dataset, vec![nowhere; 20], preprocessing(), config()).expect("good settings");
    let batches: Vec<_> = loader.epoch(0, 0).collect();
    let [Err(error @ Error::Loader(LoaderProblem::Panic { message }))] = &batches[..] else {
        panic!("{batches:?}")
    };
    assert!(message.contains("index out of bounds"), "{message}");
    assert_eq!(error.exit(), Exit::Unexpected);
}

/// A consumer that is faster than reading waits; one that is slower does not.
#[test]
fn waiting_is_measured() {
    let (_dir, dataset) = dataset();
    let fast = loader(&dataset, LoaderConfig { threads: 1, ..config() });
    let start = Instant::now();
    epoch(&fast, 0);
    let took = start.elapsed();
    assert!(fast.waited() > took / 4 && fast.waited() <= took, "{:?} of {took:?}", fast.waited());

    let slow = loader(&dataset, config());
    let mut batches = slow.epoch(0, 0);
    batches.next().expect("a batch").expect("good records");
    let first = slow.waited();
    for batch in batches {
        batch.expect("good records");
        std::thread::sleep(Duration::from_millis(30));
    }
    assert!(slow.waited() - first < Duration::from_millis(60), "{:?}", slow.waited() - first);
}
