//! `xray-eval predict` on whatever is given.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use xray_artifacts::{Exit, Split};
use xray_data::{ExampleBuilder, RecordWriter};
use xray_image::{GrayImage, SynthConfig, encode_jpeg, encode_png, synthesise};

/// A table by its columns.
struct Csv {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn csv(path: &Path) -> Csv {
    let mut reader =
        csv::Reader::from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let header = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect();
    Csv { header, rows }
}

impl Csv {
    fn column(&self, name: &str) -> Vec<&str> {
        let at = self.header.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name}"));
        self.rows.iter().map(|row| row[at].as_str()).collect()
    }
}

fn phantoms(count: u64) -> Vec<GrayImage> {
    let config = SynthConfig { images: count, size: 48, seed: 3, ..SynthConfig::default() };
    synthesise(&config).map(|drawn| drawn.image).collect()
}

/// A folder of pictures at several depths, `count` of them.
fn folder(workplace: &Workplace, name: &str, count: u64) {
    for (number, image) in phantoms(count).iter().enumerate() {
        let folder = workplace.path(name).join(if number % 3 == 0 { "a/b" } else { "c" });
        fs::create_dir_all(&folder).expect("writable");
        let (extension, bytes) =
            if number % 2 == 0 { ("png", encode_png(image)) } else { ("jpg", encode_jpeg(image, 95)) };
        fs::write(folder.join(format!("{number:03}.{extension}")), bytes).expect("writable");
    }
}

#[test]
fn a_runs_own_test_records_get_the_bits_of_its_own_predictions() {
    let workplace = Workplace::with_run();
    assert_exit(&workplace.eval(&["calibrate", "run"]), Exit::Ok);
    let own = workplace.predictions(Split::Test);
    let mut texts = Vec::new();
    for (model, batch, threads) in [("run", "32", "1"), ("run/model", "1", "3"), ("run", "7", "2")] {
        let out = ["--out", "p.csv", "--overwrite", "--batch-size", batch, "--threads", threads];
        let output =
            workplace.eval(&[&["predict", model, "shards", "--split", "test"][..], &out[..]].concat());
        assert_exit(&output, Exit::Ok);
        texts.push(fs::read(workplace.path("p.csv")).expect("written"));
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "batches and threads change nothing");
    let table = csv(&workplace.path("p.csv"));
    assert_eq!(table.column("id"), own.ids);
    assert_eq!(table.column("patient"), own.patients);
    assert_eq!(table.column("view"), own.views);
    let card = workplace.json("run/model/model.json");
    for (at, label) in own.labels.iter().enumerate() {
        let logits: Vec<f32> = table
            .column(&format!("logit_{label}"))
            .iter()
            .map(|cell| cell.parse().expect("a number"))
            .collect();
        let expected: Vec<f32> =
            own.logits.iter().skip(at).step_by(own.labels.len()).map(|l| *l as f32).collect();
        assert_eq!(logits, expected, "{label}");
        let threshold = card["thresholds"][at]["logit"].as_f64();
        for (logit, call) in logits.iter().zip(table.column(&format!("positive_{label}"))) {
            let expected = threshold.map_or(String::new(), |t| u8::from(f64::from(*logit) >= t).to_string());
            assert_eq!(call, expected, "{label}");
        }
        for (logit, said) in logits.iter().zip(table.column(&format!("probability_{label}"))) {
            let said: f64 = said.parse().expect("a number");
            assert!((said - 1.0 / (1.0 + (-f64::from(*logit)).exp())).abs() < 1e-12);
        }
        let is_calibrated = card["calibration"][at]["calibrator"].is_object();
        let calibrated = table.column(&format!("calibrated_{label}"));
        assert!(calibrated.iter().all(|cell| cell.is_empty() != is_calibrated), "{label}: {calibrated:?}");
    }
}

#[test]
fn what_cannot_be_read_is_a_row_with_its_reason() {
    let workplace = Workplace::with_run();
    folder(&workplace, "given", 8);
    let broken = workplace.path("given/c");
    let whole = fs::read(broken.join("001.jpg")).expect("there");
    fs::write(broken.join("cut.jpg"), &whole[..whole.len() / 2]).expect("writable");
    fs::write(broken.join("empty.png"), "").expect("writable");
    fs::write(broken.join("page.png"), "<html>not found</html>").expect("writable");
    fs::write(broken.join("scan.tiff"), b"II*\0rest").expect("writable");
    let dark = GrayImage { width: 9, height: 9, pixels: (0..81).map(|at| u8::from(at % 2 == 0)).collect() };
    fs::write(broken.join("scaled.png"), encode_png(&dark)).expect("writable");
    fs::write(broken.join("notes.txt"), "of the study").expect("writable");
    let output = workplace.eval(&["predict", "run", "given", "--out", "p.csv"]);
    assert_exit(&output, Exit::Ok);
    assert!(
        stderr(&output).contains("note: given: not images by their names, and not read: 1 file"),
        "{}",
        stderr(&output)
    );
    assert!(
        stdout(&output).contains("13 rows") && stdout(&output).contains("5 without figures"),
        "{}",
        stdout(&output)
    );
    let table = csv(&workplace.path("p.csv"));
    let names = [
        "000.png",
        "003.jpg",
        "006.png",
        "001.jpg",
        "002.png",
        "004.png",
        "005.jpg",
        "007.jpg",
        "cut.jpg",
        "empty.png",
        "page.png",
        "scaled.png",
        "scan.tiff",
    ];
    assert_eq!(table.column("id"), names);
    let errors = table.column("error");
    assert!(errors[..8].iter().all(|error| error.is_empty()), "{errors:?}");
    for (error, part) in errors[8..].iter().zip([
        "broken JPEG",
        "the image is empty",
        "not JPEG or PNG",
        "the brightest pixel is 1 of 255",
        "a TIFF",
    ]) {
        assert!(error.contains(part), "{error}");
    }
    let logits = table.column("logit_Mass");
    assert!(logits.iter().zip(&errors).all(|(logit, error)| logit.is_empty() != error.is_empty()));
    assert!(stderr(&output).contains("not read: given/c/cut.jpg: broken JPEG"), "{}", stderr(&output));
    // Each row is what the image alone gets.
    let alone = workplace.eval(&["predict", "run", "given/c/004.png", "--out", "alone.csv"]);
    assert_exit(&alone, Exit::Ok);
    assert_eq!(csv(&workplace.path("alone.csv")).column("logit_Mass"), [logits[5]]);

    let none =
        workplace.eval(&["predict", "run", "given/c/cut.jpg", "given/c/page.png", "--out", "none.csv"]);
    assert_exit(&none, Exit::BadData);
    assert!(stderr(&none).contains("none of 2 images can be read: given/c/cut.jpg"), "{}", stderr(&none));
    assert_eq!(csv(&workplace.path("none.csv")).rows.len(), 2);
}

#[test]
fn a_table_says_whose_images_they_are() {
    let workplace = Workplace::with_run();
    folder(&workplace, "given", 4);
    let rows = "image,subject,Patient Gender,age,Fracture\n\
                c/001.jpg,75.0,Male,58,1\nc/002.png,76.0,F,,2\nc/gone.png,,F,044Y,\na/b/000.png,n/a,O,7,x\n";
    fs::write(workplace.path("given/studies.csv"), rows).expect("writable");
    let out = ["--patient-column", "subject", "--out", "p.csv"];
    let output = workplace.eval(&[&["predict", "run", "given/studies.csv"][..], &out[..]].concat());
    assert_exit(&output, Exit::Ok);
    let said = stderr(&output);
    assert!(
        said.contains("not used: `Fracture`") && said.contains("`75.0` are taken for `75`: 2 rows"),
        "{said}"
    );
    let table = csv(&workplace.path("p.csv"));
    assert_eq!(table.column("id"), ["001.jpg", "002.png", "gone.png", "000.png"]);
    assert_eq!(table.column("patient"), ["75", "76", "", ""]);
    assert_eq!(table.column("sex"), ["M", "F", "F", ""]);
    assert_eq!(table.column("age"), ["58", "", "44", "7"]);
    assert!(table.column("error")[2].contains("No such file"), "{:?}", table.column("error"));

    let refused = |text: &[u8], part: &str| {
        fs::write(workplace.path("given/bad.csv"), text).expect("writable");
        let output = workplace.eval(&["predict", "run", "given/bad.csv", "--out", "bad.csv"]);
        assert_exit(&output, Exit::BadData);
        let said = stderr(&output);
        assert!(said.contains(part) && said.contains("bad.csv line") && said.contains("hint: "), "{said}");
        assert!(!workplace.path("bad.csv").exists());
    };
    refused(b"path,patient\nc/001.jpg,1\nc/001.jpg,2\n", "line 3");
    refused(b"path,patient\nc/001.jpg,K\xf6ln\n", "line 2: not UTF-8 text");
    refused(b"picture,patient\nc/001.jpg,1\n", "no column `path`");
}

/// Stopped when all rows were found and the table could not be written, and cut back to a part of them.
#[test]
fn an_interrupted_prediction_goes_on_to_the_same_bytes() {
    let workplace = Workplace::with_run();
    workplace.train("other", &["seed=1"], xray_train::run::RunOptions::default()).expect("a second model");
    folder(&workplace, "given", 40);
    fs::write(workplace.path("given/c/page.png"), "<html>").expect("writable");
    let predict = |model: &str, input: &str, more: &[&str]| {
        workplace.eval(&[&["predict", model, input, "--out", "p.csv"][..], more].concat())
    };
    assert_exit(&predict("run", "given", &[]), Exit::Ok);
    let whole = fs::read(workplace.path("p.csv")).expect("written");
    assert_exit(&predict("run", "given", &[]), Exit::Usage);
    fs::remove_file(workplace.path("p.csv")).expect("there");

    let obstacle = workplace.path(".p.csv.tmp");
    fs::create_dir(&obstacle).expect("writable");
    let output = predict("run", "given", &[]);
    assert_exit(&output, Exit::Unexpected);
    assert!(stderr(&output).contains("cannot write p.csv"), "{}", stderr(&output));
    fs::remove_dir(&obstacle).expect("empty");
    let rows = workplace.path("p.csv.part");
    let lines = fs::read_to_string(&rows).expect("kept");
    let some: String = lines.split_inclusive('\n').take(18).collect();
    fs::write(&rows, &some[..some.len() - 9]).expect("writable");

    for (model, input, what) in [
        ("other", "given", "another model"),
        ("run", "given/c", "other images"),
        ("run", "shards", "other images"),
    ] {
        let output = predict(model, input, &[]);
        assert_exit(&output, Exit::ModelMismatch);
        let said = stderr(&output);
        assert!(
            said.contains(&format!("p.csv.part holds the rows of {what}")) && said.contains("--overwrite"),
            "{said}"
        );
    }
    let output = predict("run", "given", &["--batch-size", "5"]);
    assert_exit(&output, Exit::Ok);
    assert!(stderr(&output).contains("going on after 16 of 41 images"), "{}", stderr(&output));
    assert_eq!(fs::read(workplace.path("p.csv")).expect("written"), whole);
    assert!(!rows.exists());
    assert_exit(&predict("other", "given", &["--overwrite"]), Exit::Ok);
    assert_ne!(fs::read(workplace.path("p.csv")).expect("written"), whole);
}

#[test]
fn parquet_holds_what_csv_holds() {
    let workplace = Workplace::with_run();
    folder(&workplace, "given", 5);
    fs::write(workplace.path("given/c/page.png"), "<html>").expect("writable");
    for out in ["p.csv", "p.parquet"] {
        assert_exit(&workplace.eval(&["predict", "run", "given", "--out", out]), Exit::Ok);
    }
    let table = csv(&workplace.path("p.csv"));
    let file = fs::File::open(workplace.path("p.parquet")).expect("written");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let rows: Vec<_> = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), table.rows.len());
    for (row, cells) in rows.iter().zip(&table.rows) {
        for ((name, field), (header, cell)) in row.get_column_iter().zip(table.header.iter().zip(cells)) {
            use parquet::record::Field;
            assert_eq!(name, header);
            let text = match field {
                Field::Null => String::new(),
                Field::Str(text) => text.clone(),
                Field::Int(value) => value.to_string(),
                Field::Float(value) => value.to_string(),
                Field::Double(value) => value.to_string(),
                Field::Bool(value) => u8::from(*value).to_string(),
                other => panic!("{name}: {other}"),
            };
            assert_eq!(text, *cell, "{name}");
        }
    }
}

#[test]
fn a_damaged_record_is_a_row_and_the_next_one_is_read() {
    let workplace = Workplace::with_run();
    let folder = workplace.path("records");
    fs::create_dir(&folder).expect("writable");
    let path = folder.join("test-0.tfrecord");
    let mut writer = RecordWriter::create(&path).expect("writable");
    for (number, image) in phantoms(4).iter().enumerate() {
        let record = ExampleBuilder::new()
            .bytes("image", &encode_png(image))
            .bytes("image_id", format!("{number}.png").as_bytes())
            .int64("Covid", 1)
            .encode();
        writer.write(&record).expect("writable");
    }
    writer.finish().expect("writable");
    let predict = || {
        let output = workplace.eval(&["predict", "run", "records", "--out", "p.csv", "--overwrite"]);
        assert_exit(&output, Exit::Ok);
        csv(&workplace.path("p.csv"))
    };
    let good = predict();
    assert_eq!(good.column("id"), ["0.png", "1.png", "2.png", "3.png"]);
    assert_eq!(good.column("split"), ["test"; 4]);
    let mut bytes = fs::read(&path).expect("there");
    let second = bytes.len() / 4 + 300;
    bytes[second] ^= 1;
    fs::write(&path, bytes).expect("writable");
    let table = predict();
    assert!(
        table.column("error")[1].contains("the checksum of the payload differs"),
        "{:?}",
        table.column("error")
    );
    assert_eq!(table.column("id")[2..], ["2.png", "3.png"]);
    assert_eq!(table.column("logit_Mass")[2..], good.column("logit_Mass")[2..]);
}

#[test]
fn what_is_no_model_no_image_or_no_table_is_named() {
    let workplace = Workplace::with_run();
    let check = |arguments: &[&str], exit: Exit, part: &str| {
        let output = workplace.eval(arguments);
        assert_exit(&output, exit);
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    };
    check(
        &["predict", "shards", "shards", "--out", "p.csv"],
        Exit::NothingMatches,
        "there is no bundle in shards",
    );
    check(
        &["predict", "run", "shards", "--out", "p.txt"],
        Exit::Usage,
        "p.txt is named neither .csv nor .parquet",
    );
    check(&["predict", "run", "nowhere", "--out", "p.csv"], Exit::Unexpected, "cannot open nowhere");
    fs::create_dir(workplace.path("none")).expect("writable");
    check(&["predict", "run", "none", "--out", "p.csv"], Exit::NothingMatches, "no image in none");
    check(
        &["predict", "run", "run/model/model.json", "--split", "val", "--out", "p.csv"],
        Exit::NothingMatches,
        "the val split of",
    );
    check(
        &["predict", "run", "shards", "--split", "all", "--out", "p.csv"],
        Exit::Usage,
        "one of train, val, test",
    );
    assert!(!workplace.path("p.csv").exists() && !workplace.path("p.csv.part").exists());
}

/// Copies `xray-eval` into a folder of its own, with `program` as `xray-train-gpu` beside it, and predicts there.
#[cfg(unix)]
fn beside(workplace: &Workplace, name: &str, program: &[u8], arguments: &[&str]) -> std::process::Output {
    use std::os::unix::fs::PermissionsExt;
    let folder = workplace.path(name);
    fs::create_dir_all(&folder).expect("writable");
    fs::copy(env!("CARGO_BIN_EXE_xray-eval"), folder.join("xray-eval")).expect("the program can be copied");
    if !program.is_empty() {
        let path = folder.join("xray-train-gpu");
        fs::write(&path, program).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let command = [&["predict", "run", "given", "--overwrite"][..], arguments].concat();
    let program = folder.join("xray-eval");
    std::process::Command::new(program)
        .args(command)
        .current_dir(workplace.path(""))
        .output()
        .expect("it starts")
}

#[cfg(unix)]
#[test]
fn a_gpu_is_asked_of_the_program_that_has_one() {
    let workplace = Workplace::with_run();
    folder(&workplace, "given", 4);
    let output = beside(&workplace, "alone", b"", &["--out", "p.csv", "--backend", "wgpu"]);
    assert_exit(&output, Exit::CannotRunHere);
    assert!(stderr(&output).contains("which is not beside this program"), "{}", stderr(&output));
    let output = beside(&workplace, "alone", b"", &["--out", "p.csv", "--backend", "auto"]);
    assert_exit(&output, Exit::Ok);
    assert!(stderr(&output).contains("using the CPU (auto:"), "{}", stderr(&output));
    let failing = b"#!/bin/sh\necho \"error: no device, $*\" >&2\nexit 78\n";
    let output = beside(&workplace, "failing", failing, &["--out", "q.csv", "--backend", "wgpu"]);
    assert_exit(&output, Exit::CannotRunHere);
    let said = stderr(&output);
    assert!(
        said.contains("no device, --logits run/model --backend wgpu") && said.contains("gave no logits"),
        "{said}"
    );
    assert!(!workplace.path("q.csv").exists());
}

/// The program with a GPU backend, where it was built.
#[cfg(unix)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[test]
fn a_gpu_gives_the_processors_logits_but_for_rounding() {
    let Some(program) = std::env::var_os("XRAY_GPU_TRAINER") else {
        eprintln!("skipped: XRAY_GPU_TRAINER names no xray-train-gpu (cargo xtask test builds it)");
        return;
    };
    let program = fs::read(program).expect("the program that is named");
    let workplace = Workplace::with_run();
    folder(&workplace, "given", 40);
    for (backend, out) in [("cpu", "cpu.csv"), ("wgpu", "gpu.csv")] {
        let arguments = ["--out", out, "--backend", backend, "--batch-size", "7"];
        assert_exit(&beside(&workplace, "both", &program, &arguments), Exit::Ok);
    }
    let [cpu, gpu] = ["cpu.csv", "gpu.csv"].map(|out| csv(&workplace.path(out)));
    for (cpu, gpu) in cpu.column("logit_Mass").iter().zip(gpu.column("logit_Mass")) {
        let [cpu, gpu]: [f32; 2] = [cpu, gpu].map(|cell| cell.parse().expect("a number"));
        assert!((cpu - gpu).abs() < 1e-3 * (1.0 + cpu.abs()), "{cpu} {gpu}");
    }
}

/// Images get the same rows in an archive as in a folder, in the same order.
#[test]
fn archives_are_folders() {
    let workplace = Workplace::with_run();
    folder(&workplace, "given", 12);
    fs::write(workplace.path("given/notes.txt"), "of the study").expect("writable");
    fs::write(workplace.path("given/c/cut.jpg"), b"\xff\xd8\xff").expect("writable");
    let mut files = Vec::new();
    for name in ["a/b", "c", ""] {
        for entry in fs::read_dir(workplace.path("given").join(name)).expect("there") {
            let path = entry.expect("readable").path();
            if path.is_file() {
                let name = path.strip_prefix(workplace.path("given")).expect("below").display().to_string();
                files.push((name, fs::read(&path).expect("readable")));
            }
        }
    }
    files.reverse(); // An archive may hold them in any order.
    let tar = tar_of(&files);
    fs::write(workplace.path("given.tar"), &tar).expect("writable");
    fs::write(workplace.path("given.tar.gz"), gzip(&tar)).expect("writable");
    fs::write(workplace.path("given.zip"), zip_of(&files)).expect("writable");
    fs::create_dir(workplace.path("downloads")).expect("writable");
    fs::write(workplace.path("downloads/given.tgz"), gzip(&tar)).expect("writable");
    let rows = |input: &str, more: &[&str]| {
        let out = ["--out", "out/p.csv", "--overwrite"];
        let output = workplace.eval(&[&["predict", "run", input][..], &out, more].concat());
        assert_exit(&output, Exit::Ok);
        let table = csv(&workplace.path("out/p.csv"));
        let prefix = format!("{input}/");
        let without = |place: &str| place.strip_prefix(&prefix).expect(input).to_owned();
        let places: Vec<String> = table.column("file").into_iter().map(without).collect();
        let rest = table.rows.iter().map(|row| [&row[..1], &row[2..]].concat()).collect::<Vec<_>>();
        (places, rest, stderr(&output))
    };
    fs::create_dir(workplace.path("out")).expect("writable");
    let (places, expected, said) = rows("given", &[]);
    assert_eq!(places.len(), 13);
    assert!(said.contains("not images by their names, and not read: 1 file"), "{said}");
    for archive in ["given.zip", "given.tar", "given.tar.gz"] {
        let (found, of, said) = rows(archive, &["--batch-size", "5"]);
        assert_eq!(found, places, "{archive}");
        assert!(of == expected, "{archive}");
        assert!(said.contains("not images by their names, and not read: 1 file"), "{said}");
    }
    let (found, of, _) = rows("downloads", &[]);
    assert_eq!(found, places.iter().map(|place| format!("given.tgz/{place}")).collect::<Vec<_>>());
    assert!(of == expected, "a folder that has archives only");
    // Beside images an archive may hold the same ones.
    fs::write(workplace.path("downloads/own.png"), encode_png(&phantoms(1)[0])).expect("writable");
    let (found, _, said) = rows("downloads", &[]);
    assert_eq!(found, ["own.png"]);
    assert!(
        said.contains("not opened, because images lie beside: 1 archive, such as downloads/given.tgz"),
        "{said}"
    );

    // A table names what is in them.
    fs::write(workplace.path("studies.csv"), "path,patient\nc/002.png,7\na/b/000.png,8\n").expect("writable");
    for archive in ["given", "given.zip", "given.tar.gz"] {
        let out = ["--images", archive, "--out", "out/t.csv", "--overwrite"];
        assert_exit(&workplace.eval(&[&["predict", "run", "studies.csv"][..], &out].concat()), Exit::Ok);
        let table = csv(&workplace.path("out/t.csv"));
        assert_eq!(
            (table.column("patient"), table.column("error")),
            (vec!["7", "8"], vec!["", ""]),
            "{archive}"
        );
    }
    let left: Vec<_> = fs::read_dir(workplace.path("out")).expect("there").collect();
    assert_eq!(left.len(), 2, "nothing is left of what was kept: {left:?}");

    let refused = |name: &str, bytes: &[u8], part: &str| {
        fs::write(workplace.path(name), bytes).expect("writable");
        let output = workplace.eval(&["predict", "run", name, "--out", "no.csv"]);
        assert_exit(&output, Exit::BadData);
        let said = stderr(&output);
        assert!(said.contains(&format!("{name}: {part}")) && said.contains("hint: "), "{said}");
        assert!(!workplace.path("no.csv").exists() && !workplace.path("no.csv.part").exists());
    };
    refused("bad.zip", b"no zip", "not a zip archive");
    refused("bad.tar", &tar[..700], "it ends too early");
    let packed = gzip(&tar);
    refused("bad.tgz", &packed[..packed.len() - 9], "it ends too early");
}

pub(crate) fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, &content[..]).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn zip_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).expect("memory");
        writer.write_all(content).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}
