//! TFRecords that someone else wrote, as they come: whose splits they carry, what they offer beside what is
//! read, and what is wrong with them.

use crate::workbench::Workbench;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Command;
use xray_data::{ExampleBuilder, RecordFile, RecordWriter};
use xray_image::{GrayImage, encode_png};

fn picture(number: usize) -> Vec<u8> {
    let pixels = (0..=255).map(|i: u8| i.wrapping_mul(number as u8 + 1).wrapping_add(number as u8)).collect();
    encode_png(&GrayImage { width: 16, height: 16, pixels })
}

/// Record `number`: a patient for every three, `Mass` in every fifth and `Hernia` in every seventh.
fn with(number: usize, more: impl Fn(ExampleBuilder<'_>) -> ExampleBuilder<'_>) -> Vec<u8> {
    let (image, id, patient) = (picture(number), format!("{number}.png"), (number / 3).to_string());
    let record = ExampleBuilder::new()
        .bytes("image", &image)
        .bytes("image_id", id.as_bytes())
        .bytes("patient_id", patient.as_bytes())
        .int64("Mass", i64::from(number.is_multiple_of(5)))
        .int64("Hernia", i64::from(number.is_multiple_of(7)));
    more(record).encode()
}

fn plain(number: usize) -> Vec<u8> {
    with(number, |record| record)
}

fn write(bench: &Workbench, file: &str, records: impl IntoIterator<Item = Vec<u8>>) {
    let path = bench.path(file);
    fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
    let mut writer = RecordWriter::create(&path).expect("writable");
    records.into_iter().for_each(|record| writer.write(&record).expect("writable"));
    writer.finish().expect("writable");
    fs::remove_file(xray_data::RecordIndex::path_for(&path)).expect("just written");
}

/// A list of two numbers, which `ExampleBuilder` does not make: `[1, 0]`.
fn one_hot(name: &str) -> Vec<u8> {
    let wrap = |tag: u8, inner: &[u8]| [&[tag, inner.len() as u8], inner].concat();
    let list = wrap(0x1a, &wrap(0x0a, &[1, 0]));
    wrap(0x0a, &wrap(0x0a, &[wrap(0x0a, name.as_bytes()), wrap(0x12, &list)].concat()))
}

/// Images and positives of each split as `stats` counts them.
fn counted(bench: &Workbench, folder: &str) -> BTreeMap<String, (u64, Vec<u64>)> {
    let stats = bench.json(&format!("stats {folder}"));
    let splits = stats["splits"].as_array().expect("a list").iter().map(|split| {
        let labels = split["labels"].as_array().expect("a list");
        let positives = labels.iter().map(|label| label["positives"].as_u64().expect("a count"));
        let name = split["split"].as_str().expect("a name").to_owned();
        (name, (split["images"].as_u64().expect("a count"), positives.collect()))
    });
    splits.collect()
}

/// The same of records with these numbers, by the rule they were made by. Hernia comes second: the order of
/// labels is that of ChestX-ray14.
fn expected(numbers: std::ops::Range<usize>) -> (u64, Vec<u64>) {
    let count = |every: usize| numbers.clone().filter(|number| number.is_multiple_of(every)).count() as u64;
    (numbers.len() as u64, vec![count(5), count(7)])
}

fn check_refused(bench: &Workbench, arguments: &str, expected: &[&str]) {
    let message = bench.refused(5, arguments);
    for part in expected {
        assert!(message.contains(part), "`{part}` is not in\n{message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn splits_in_the_names_of_files_and_folders_are_kept() {
    let bench = Workbench::new();
    write(&bench, "a/train_0.tfrec", (0..60).map(plain));
    write(&bench, "a/valid/0.tfrec", (60..75).map(plain));
    write(&bench, "a/nih-testing.tfrecord-00000-of-00002", (75..90).map(plain));
    write(&bench, "a/nih-testing.tfrecord-00001-of-00002", (90..99).map(plain));
    let ran = bench.run("build --tfrecord a --out built");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("kept (60 train, 15 val, 24 test)"), "{}", ran.stderr);
    let by_rule = BTreeMap::from([
        ("train".to_owned(), expected(0..60)),
        ("val".to_owned(), expected(60..75)),
        ("test".to_owned(), expected(75..99)),
    ]);
    assert_eq!(counted(&bench, "built"), by_rule);
    assert_eq!(counted(&bench, "a"), by_rule, "training on the files themselves keeps them too");
    assert!(bench.good("check a").starts_with("good: 99 records of 33 patients in 4 files"));
}

#[test]
fn our_own_shards_keep_their_splits_with_and_without_their_manifest() {
    let bench = Workbench::new();
    bench.good("synth --images 150 --size 32 --seed 3 --out first");
    bench.good("build --tfrecord first --out second");
    let splits = counted(&bench, "first");
    assert_eq!(counted(&bench, "second"), splits);
    bench.good("build --tfrecord first --size 24 --out small");
    bench.good("build --tfrecord small --out again");
    assert_eq!(counted(&bench, "again"), splits);
    let manifest = fs::read_to_string(bench.path("again/dataset.json")).expect("was built");
    assert!(manifest.contains("\"resized\": true"), "what a build did stays known: {manifest}");
    fs::remove_file(bench.path("second/dataset.json")).expect("was built");
    for command in
        ["check second", "stats second", "show second", "bench second", "build --tfrecord second --out third"]
    {
        let message = bench.refused(5, command);
        assert!(
            message.contains("second holds shards of `xray-data build` without their dataset.json"),
            "{message}"
        );
    }
    // Without the index beside each they are anybody's.
    for (name, _) in bench.files("second").into_iter().filter(|(name, _)| name.ends_with(".idx")) {
        fs::remove_file(bench.path("second").join(name)).expect("was built");
    }
    bench.good("build --tfrecord second --out third");
    assert_eq!(counted(&bench, "third"), splits);

    let redrawn = bench.run("build --tfrecord first --redraw-splits --seed 5 --out fourth");
    assert_eq!(redrawn.code, 0, "{}", redrawn.stderr);
    assert!(
        redrawn.stderr.contains("test images of the source are not in test any more"),
        "{}",
        redrawn.stderr
    );
    bench.good("split --tfrecord first --redraw-splits --seed 5 --out split.csv");
    let by_table = bench.run("build --tfrecord first --split-file split.csv --out fifth");
    assert!(
        by_table.stderr.contains("test images of the source are not in test any more"),
        "{}",
        by_table.stderr
    );

    // Without one of its shards, the folder is not the set.
    let shard = bench.files("second").into_iter().find(|(name, _)| name.starts_with("test-00000-of-"));
    let (shard, _) = shard.expect("there is one");
    fs::remove_file(bench.path("second").join(shard)).expect("was built");
    check_refused(&bench, "build --tfrecord second --out sixth", &["files are here; number 0 is not"]);
}

#[test]
fn what_of_the_splits_is_not_carried_is_drawn_from_train_by_patient() {
    let bench = Workbench::new();
    write(&bench, "a/train_0.tfrec", (0..120).map(plain));
    write(&bench, "a/test_0.tfrec", (120..150).map(plain));
    let ran = bench.run("build --tfrecord a --out built");
    assert!(ran.stderr.contains("kept, and val is drawn from train by patient"), "{}", ran.stderr);
    let splits = counted(&bench, "built");
    assert_eq!(splits["test"], expected(120..150));
    assert_eq!(splits["train"].0 + splits["val"].0, 120);
    bench.good("check built"); // nobody on two sides
    write(&bench, "a/more.tfrec", (150..160).map(plain));
    check_refused(&bench, "build --tfrecord a --out other", &["image `150.png` has none", "--redraw"]);
    fs::remove_file(bench.path("a/more.tfrec")).expect("just written");
    write(&bench, "a/val_0.tfrec", (119..120).map(|number| with(number, |r| r.bytes("image_id", b"x.png"))));
    check_refused(&bench, "build --tfrecord a --out other", &["patient `39` is in train", "and in val"]);
}

#[test]
fn a_split_in_the_records_is_kept_and_must_agree_with_the_name() {
    let bench = Workbench::new();
    let split = |number: usize| if number < 90 { b"Train" as &[u8] } else { b"test" };
    write(&bench, "a/0.tfrec", (0..120).map(|number| with(number, |r| r.bytes("split", split(number)))));
    bench.good("build --tfrecord a --val 0 --out built");
    assert_eq!(counted(&bench, "built")["test"], expected(90..120));
    fs::rename(bench.path("a/0.tfrec"), bench.path("a/test.tfrec")).expect("writable");
    check_refused(
        &bench,
        "build --tfrecord a --out other",
        &["in train by its record and in test by the name"],
    );
}

#[test]
fn labels_of_ones_own_are_taken_when_they_are_named() {
    let bench = Workbench::new();
    let own = |number: usize| with(number, |r| r.float("Covid", f32::from(number.is_multiple_of(4))));
    write(&bench, "a/0.tfrec", (0..60).map(own));
    check_refused(
        &bench,
        "build --tfrecord a --out built",
        &["`Covid` looks like a label that nobody named", "--labels Mass,Hernia,Covid"],
    );
    check_refused(&bench, "check a", &["`Covid` looks like a label", "bad: 1 problem in 60 records"]);
    check_refused(&bench, "stats a", &["`Covid` looks like a label"]);
    let built = bench.run("build --tfrecord a --labels Covid,Mass --out built --format json");
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(
        built.stderr.contains("features that are not used: Hernia (1 in 9 of 60 records)"),
        "{}",
        built.stderr
    );
    let manifest: serde_json::Value = serde_json::from_str(&built.stdout).expect("JSON");
    assert_eq!(manifest["manifest"]["labels"], serde_json::json!(["Covid", "Mass"]));
    let positives = |place: usize| counted(&bench, "built").values().map(|split| split.1[place]).sum::<u64>();
    assert_eq!((positives(0), positives(1)), (15, 12));
    // Built shards say what their labels are; one of them can be left out by name, and is then named.
    let again = bench.run("build --tfrecord built --labels Mass --out again");
    assert!(again.stderr.contains("not used: Covid (1 in 15 of 60 records)"), "{}", again.stderr);
    let never = |number: usize| with(number, |r| r.int64("Covid", 0));
    write(&bench, "b/0.tfrec", (0..60).map(never));
    check_refused(
        &bench,
        "build --tfrecord b --labels Covid,Mass --out x",
        &["no record in b is positive for Covid"],
    );
    check_refused(&bench, "build --tfrecord a --labels Cavid --out x", &["no feature `Cavid`", "`Covid`"]);
}

#[test]
fn records_that_contradict_themselves_are_refused() {
    let check = |record: Vec<u8>, expected: &str| {
        let bench = Workbench::new();
        write(&bench, "a/0.tfrec", (0..60).map(plain).chain([record]));
        check_refused(&bench, "build --tfrecord a --out built", &["record 60 at byte", expected]);
        check_refused(&bench, "check a", &[expected]);
    };
    // A record without this feature, and a list of two values in its place.
    let several = |name: &str| {
        let image = picture(60);
        let record = ExampleBuilder::new().bytes("image_id", b"60.png").int64("Hernia", 0);
        let record = if name == "image" { record } else { record.bytes("image", &image) };
        [record.encode(), one_hot(name)].concat()
    };
    check(several("Mass"), "feature `Mass` holds 2 values, expected one");
    check(several("patient_id"), "feature `patient_id` holds 2 values, expected one");
    check(several("image"), "feature `image` holds int64, expected bytes");
    check(
        [plain(60), one_hot("Mass")].concat(),
        "feature `Mass` appears twice in the record, with different values",
    );
    check(ExampleBuilder::new().int64("Mass", 1).encode(), "there is no feature `image`");
    check(ExampleBuilder::new().bytes("image_id", b"x").encode(), "there is no feature `image`");
}

#[test]
fn two_answers_to_one_question_are_refused() {
    let check = |records: Vec<Vec<u8>>, expected: &[&str]| {
        let bench = Workbench::new();
        write(&bench, "a/0.tfrec", records);
        check_refused(&bench, "build --tfrecord a --out built", expected);
    };
    let both = |mass: i64| {
        (0..60).map(move |n| {
            with(n, |r| r.int64("MASS", if n == 7 { mass } else { i64::from(n.is_multiple_of(5)) }))
        })
    };
    check(both(1).collect(), &["record 7 at byte", "features `Mass` and `MASS` disagree on"]);
    check(
        (0..60).map(|n| with(n, |r| r.int64("No Finding", i64::from(n == 5)))).collect(),
        &["record 5 at byte", "`No Finding` is 1 and so is `Mass`"],
    );
    check((0..60).chain([3]).map(plain).collect(), &["two images are named `3.png`", "record 60 at byte"]);
    let bench = Workbench::new();
    write(&bench, "a/0.tfrec", both(0).take(60));
    let ran = bench.run("build --tfrecord a --out built");
    assert!(ran.code == 0 && ran.stderr.contains("`MASS` repeats `Mass`"), "{}", ran.stderr);
}

/// As CheXpert has it: the same file name in the folder of every patient.
#[test]
fn images_of_one_file_name_are_named_by_their_paths() {
    let bench = Workbench::new();
    let id = |number: usize| format!("CheXpert/train/patient{}/study{number}/view1.jpg", number / 2);
    let record = |number: usize| {
        let (image, id) = (picture(number), id(number));
        let record = ExampleBuilder::new().bytes("image", &image).bytes("image_id", id.as_bytes());
        record.int64("Mass", i64::from(number.is_multiple_of(5))).encode()
    };
    write(&bench, "a/0.tfrec", (0..60).map(record));
    let rows: String = (0..60).map(|number| format!("./{},p{}\n", id(number), number / 2)).collect();
    bench.write("whose.csv", format!("path,patient_id\n{rows}"));
    let built = bench.json("build --tfrecord a --labels-csv whose.csv --out built");
    let patients =
        ["train", "val", "test"].map(|split| built["manifest"]["splits"][split]["patients"].as_u64());
    assert_eq!(patients.iter().flatten().sum::<u64>(), 30);
    bench.good("check built");
    // File names alone do not tell whose images they are.
    bench.write("whose.csv", "path,patient_id\nview1.jpg,p0\nx/view1.jpg,p1\n");
    check_refused(
        &bench,
        "build --tfrecord a --labels-csv whose.csv --out x",
        &["line 3", "`p0` and of patient `p1`"],
    );
    write(&bench, "a/1.tfrec", [record(7)]);
    check_refused(
        &bench,
        "build --tfrecord a --out x",
        &["named `CheXpert_train_patient3_study7_view1.jpg`"],
    );
}

#[test]
fn a_table_of_other_patients_than_the_records_is_refused() {
    let bench = Workbench::new();
    write(&bench, "a/0.tfrec", (0..60).map(plain));
    bench.write("whose.csv", "path,patient_id\n0.png,0\n1.png,9\n");
    check_refused(
        &bench,
        "build --tfrecord a --labels-csv whose.csv --out x",
        &["line 3", "image `1.png` is of patient `0` and of patient `9`"],
    );
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

#[test]
fn zlib_is_read_and_damage_of_it_is_named() {
    let bench = Workbench::new();
    write(&bench, "a/0.tfrec", (0..60).map(plain));
    let stats = counted(&bench, "a");
    let packed = zlib(&fs::read(bench.path("a/0.tfrec")).expect("readable"));
    bench.write("a/0.tfrec", &packed);
    assert_eq!(counted(&bench, "a"), stats);
    bench.write("a/0.tfrec", &packed[..packed.len() - 9]);
    check_refused(&bench, "stats a", &["a/0.tfrec is zlib-compressed and does not inflate"]);
    check_refused(&bench, "check a", &["a/0.tfrec is zlib-compressed and does not inflate"]);
    bench.write("a/0.tfrec", [&packed[..], b"more"].concat());
    check_refused(&bench, "stats a", &["does not inflate: 4 bytes follow its end"]);
}

#[test]
fn what_inflates_without_end_is_given_up() {
    let bench = Workbench::new();
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..100 {
        out.write_all(&[0; 1 << 20]).expect("memory");
    }
    bench.write("a/0.tfrec.gz", out.finish().expect("memory"));
    check_refused(&bench, "stats a", &["a/0.tfrec.gz inflates to more than 70", "bytes"]);
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let bench = Workbench::new();
    write(&bench, "a/0.tfrec", (0..60).map(plain));
    let made = Command::new("mkfifo").arg(bench.path("a/1.tfrec")).status().expect("a system with mkfifo");
    assert!(made.success());
    for arguments in ["stats a", "check a", "build --tfrecord a --out x", "bench a --repeats 1"] {
        check_refused(&bench, arguments, &["a/1.tfrec is a pipe, socket or device, not a file"]);
    }
    fs::remove_file(bench.path("a/1.tfrec")).expect("just made");
    std::os::unix::fs::symlink("/dev/zero", bench.path("a/1.tfrec")).expect("writable");
    check_refused(&bench, "stats a", &["not a file"]);
    fs::remove_file(bench.path("a/1.tfrec")).expect("just made");
    std::os::unix::fs::symlink("1.tfrec", bench.path("a/1.tfrec")).expect("writable");
    assert!(bench.refused(1, "stats a").contains("cannot open a/1.tfrec"));
    fs::remove_file(bench.path("a/1.tfrec")).expect("just made");
    // An index that never ends is not an index.
    std::os::unix::fs::symlink("/dev/zero", bench.path("a/0.tfrec.idx")).expect("writable");
    assert_eq!(counted(&bench, "a").values().map(|split| split.0).sum::<u64>(), 60);
    fs::remove_file(bench.path("a/0.tfrec.idx")).expect("just made");
    fs::create_dir(bench.path("a/0.tfrec.idx")).expect("writable");
    bench.good("stats a");
}

/// What a manifest says is compared with itself before memory is made for it.
#[test]
fn a_manifest_that_cannot_be_true_is_refused() {
    let bench = Workbench::new();
    bench.good("synth --images 60 --size 32 --out shards");
    let good = bench.unsealed_manifest("shards");
    let check = |pointer: &str, value: serde_json::Value, expected: &str| {
        let mut manifest = good.clone();
        *manifest.pointer_mut(pointer).expect(pointer) = value;
        bench.write("shards/dataset.json", manifest.to_string());
        for arguments in
            ["stats shards", "check shards", "build --tfrecord shards --out x", "show shards --out x.png"]
        {
            check_refused(&bench, arguments, &[expected]);
        }
    };
    let shard = |field: &str| format!("/splits/train/shards/1/{field}");
    check("/labels", serde_json::json!([]), "it lists no labels");
    for records in [1u64 << 32, 1 << 63, u64::MAX] {
        check(&shard("records"), records.into(), &format!("listed with {records} records in"));
        check("/splits/train/images", records.into(), &format!("train is listed with {records} images"));
    }
    check(&shard("file"), "/etc/passwd".into(), "`/etc/passwd` is not the name of a file");
    let test = good["splits"]["test"]["shards"].clone();
    check("/splits/train/shards/1", test[0].clone(), "is listed in train and again in test");
    check("/splits/train/shards", serde_json::json!({}), "is not a dataset manifest");
}

/// Anything may stand in a file of records: it is read, or refused with a sentence.
#[test]
fn damaged_files_of_records_end_with_a_sentence() {
    let bench = Workbench::new();
    write(&bench, "a/0.tfrec", (0..12).map(plain));
    let good = fs::read(bench.path("a/0.tfrec")).expect("just written");
    for (round, length) in [0, 1, 7, 11, 12, 13, 40, good.len() - 1].into_iter().enumerate() {
        bench.write("a/0.tfrec", &good[..length]);
        let ran = bench.run(["stats a", "check a", "build --tfrecord a --out x"][round % 3]);
        assert!([3, 5].contains(&ran.code), "{length}: {} {}", ran.code, ran.stderr);
        assert!(
            ran.stderr.contains("hint:") || ran.stdout.contains("problem"),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    bench.write("a/0.tfrec", "<html><body>404</body></html>");
    check_refused(&bench, "stats a", &["record 0 at byte 0: it is a web page (HTML), not a TFRecord"]);
    bench.write("a/0.tfrec", "another kind of file, which nobody knows");
    check_refused(&bench, "stats a", &["the checksum of the length differs"]);
}

/// A file that is cut after it was opened is an error, not a signal.
#[test]
fn a_shard_that_is_cut_while_it_is_read_is_an_error() {
    let bench = Workbench::new();
    write(&bench, "a/0.tfrec", (0..200).map(plain));
    let path = bench.path("a/0.tfrec");
    let file = RecordFile::open(&path).expect("readable");
    let index = xray_data::RecordIndex::load_or_scan(&file).expect("undamaged");
    fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(5000)).expect("writable");
    let read = file.read(199, index.get(199).expect("200 records")).expect_err("cut");
    assert!(
        xray_artifacts::one_line(&read).contains("the file was cut to 5000 bytes while it was read"),
        "{read:?}"
    );
    let errors: Vec<_> = file.iter().filter_map(Result::err).collect();
    assert!(matches!(errors[..], [xray_data::Error::Record { .. }]), "{errors:?}");
}
