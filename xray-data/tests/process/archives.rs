//! Data sets in the archives that they are downloaded as: whatever they lie in, the same shards come out, byte for byte.

use crate::build::{picture, png_of_bits};
use crate::dicom::xray;
use crate::workbench::Workbench;
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::{Cursor, Write};
use xray_data::Label;
use xray_data::sources::{GivenImage, LabelledOptions, labelled};
use xray_image::{encode_jpeg, encode_png};
use zip::write::{SimpleFileOptions, ZipWriter};

/// Files by their paths.
type Tree = Vec<(String, Vec<u8>)>;

fn is_table(name: &str) -> bool {
    name.ends_with(".csv") || name.ends_with(".csv.gz")
}

fn jpeg(number: u32) -> Vec<u8> {
    encode_jpeg(&picture(32, number), 90)
}

fn dicom(number: u32) -> Vec<u8> {
    let (sex, age) = if number.is_multiple_of(2) { ("M", "045Y") } else { ("F", "061Y") };
    xray(32, &picture(32, number).pixels, sex, age)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

fn zip_of<'a>(files: impl IntoIterator<Item = &'a (String, Vec<u8>)>, top: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (number, (name, content)) in files.into_iter().enumerate() {
        let method = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated][number % 2];
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(format!("{top}{name}"), options).expect("memory");
        writer.write_all(content).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

fn tar_of<'a>(files: impl IntoIterator<Item = &'a (String, Vec<u8>)>, top: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, format!("{top}{name}"), &content[..]).expect("memory");
    }
    builder.into_inner().expect("memory")
}

const HEADER_NIH: &str = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
                          OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n";

fn nih() -> Tree {
    let mut table = HEADER_NIH.to_owned();
    let mut tree = Tree::new();
    for number in 0..20u32 {
        let image = format!("{number:08}_000.png");
        let findings = ["Effusion|Mass", "No Finding", "Mass", "Hernia"][number as usize % 4];
        table += &format!("{image},{findings},0,{},58,M,PA,2500,2048,0.168,0.168\n", number / 2);
        tree.push((format!("images/{image}"), encode_png(&picture(40, number))));
    }
    tree.push(("Data_Entry_2017.csv".into(), table.into_bytes()));
    tree
}

const OBSERVATIONS: &str = "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,\
                            Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices";

fn chexpert() -> Tree {
    let mut tree = Tree::new();
    for (table, patients) in [("train", 0..8u32), ("valid", 8..10)] {
        let mut text = format!("Path,Sex,Age,Frontal/Lateral,AP/PA,{OBSERVATIONS}\n");
        for patient in patients {
            let place = format!("{table}/patient{patient:05}/study1/view1_frontal.jpg");
            let effusion = ["1.0", "0.0", "-1.0"][patient as usize % 3];
            text += &format!("CheXpert-v1.0-small/{place},Female,61,Frontal,AP,,,,,,0.0,,,,,{effusion},,,\n");
            tree.push((place, jpeg(patient)));
        }
        tree.push((format!("{table}.csv"), text.into_bytes()));
    }
    tree
}

fn mimic() -> Tree {
    let mut tree = Tree::new();
    let mut metadata = "dicom_id,subject_id,study_id,ViewPosition\n".to_owned();
    let mut labels = format!("subject_id,study_id,{OBSERVATIONS}\n");
    let mut splits = "dicom_id,study_id,subject_id,split\n".to_owned();
    for number in 0..12u32 {
        let (subject, study, image) = (10_000_000 + number, 50_000_000 + number, format!("{number:08x}-00"));
        metadata += &format!("{image},{subject},{study},PA\n");
        labels += &format!("{subject},{study},,,,,,{},,,,,,,,\n", number % 2);
        splits +=
            &format!("{image},{study},{subject},{}\n", ["train", "validate", "test"][number as usize % 3]);
        tree.push((format!("files/p10/p{subject}/s{study}/{image}.jpg"), jpeg(number)));
    }
    let table = |kind: &str, text: &str| (format!("mimic-cxr-2.0.0-{kind}.csv.gz"), gzip(text.as_bytes()));
    tree.extend([table("metadata", &metadata), table("chexpert", &labels), table("split", &splits)]);
    tree
}

fn padchest() -> Tree {
    let mut tree = Tree::new();
    let mut table = "ImageID,ImageDir,PatientID,Projection,Labels\n".to_owned();
    for number in 0..12u32 {
        let (image, folder) = (format!("{number}_00.png"), number % 3);
        let label = ["'pneumonia'", "'nodule', 'mass'", "'normal'"][number as usize % 3];
        table += &format!("{image},{folder},{},PA,\"[{label}]\"\n", number / 2);
        // Of one detector, and some that were brought to 8 bits.
        let bytes = if number % 4 == 3 { encode_png(&picture(32, number)) } else { bits(number) };
        tree.push((format!("{folder}/{image}"), bytes));
    }
    tree.push(("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv".into(), table.into_bytes()));
    tree
}

fn bits(number: u32) -> Vec<u8> {
    png_of_bits(&picture(32, number), 12)
}

fn vindr() -> Tree {
    let names = "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,\
                 Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,\
                 Pleural effusion,Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,\
                 Lung tumor,Pneumonia,Tuberculosis,Other diseases,No finding";
    let mut tree = Tree::new();
    let mut table = format!("image_id,rad_id,{names}\n");
    for number in 0..8u32 {
        let image = format!("{number:032x}");
        for reader in 8..11 {
            let (first, healthy) = if (number + reader) % 2 == 0 { ("1", "0") } else { ("0", "1") };
            table += &format!("{image},R{reader},{first}{},{healthy}\n", ",0".repeat(26));
        }
        tree.push((format!("train/{image}.dicom"), dicom(number)));
    }
    tree.push(("annotations/image_labels_train.csv".into(), table.into_bytes()));
    tree
}

fn rsna() -> Tree {
    let mut tree = Tree::new();
    let mut table = "patientId,x,y,width,height,Target\n".to_owned();
    let mut classes = "patientId,class\n".to_owned();
    for number in 0..10u32 {
        let image = format!("{number:08x}-0000");
        let (target, class) = [("1", "Lung Opacity"), ("0", "Normal")][number as usize % 2];
        table += &format!("{image},,,,,{target}\n");
        classes += &format!("{image},{class}\n");
        tree.push((format!("stage_2_train_images/{image}.dcm"), dicom(number)));
    }
    tree.push(("stage_2_train_labels.csv".into(), table.into_bytes()));
    tree.push(("stage_2_detailed_class_info.csv".into(), classes.into_bytes()));
    tree
}

fn siim() -> Tree {
    let mut tree = Tree::new();
    let mut table = "ImageId,EncodedPixels\n".to_owned();
    for number in 0..10u32 {
        let image = format!("1.2.276.{number}");
        table += &format!("{image},{}\n", ["-1", "3 4 9 2"][number as usize % 2]);
        tree.push((format!("dicom-images-train/1.2.{number}/1.3/{image}.dcm"), dicom(number)));
    }
    tree.push(("train-rle.csv".into(), table.into_bytes()));
    tree
}

fn lay(bench: &Workbench, folder: &str, tree: &[(String, Vec<u8>)]) {
    for (name, content) in tree {
        bench.write(&format!("{folder}/{name}"), content);
    }
}

/// Tables as they are, the images in two archives that `pack` makes.
fn halves(
    bench: &Workbench,
    folder: &str,
    tree: &Tree,
    extension: &str,
    pack: impl Fn(&[(String, Vec<u8>)]) -> Vec<u8>,
) {
    let (tables, images): (Tree, Tree) = tree.iter().cloned().partition(|(name, _)| is_table(name));
    lay(bench, folder, &tables);
    let (first, second) = images.split_at(images.len() / 3);
    bench.write(&format!("{folder}/images_001.{extension}"), pack(first));
    bench.write(&format!("{folder}/more/images_002.{extension}"), pack(second));
}

/// Builds from files, then from all kinds of archives, with `arguments` beside the option that names the source.
fn check_all(option: &str, tree: &Tree, arguments: &str) {
    let bench = Workbench::new();
    lay(&bench, "open", tree);
    bench.good(&format!("build --{option} open {arguments} --out expected"));
    let expected = bench.files("expected");
    assert!(expected.len() > 4, "{option}");
    let whole = |name: &str, bytes: Vec<u8>| {
        bench.write(name, &bytes);
        bench.write(&format!("in-{name}/{name}"), bytes);
        vec![name.to_owned(), format!("in-{name}")]
    };
    let mut sources = Vec::new();
    sources.extend(whole("download.zip", zip_of(tree, "")));
    sources.extend(whole("topped.zip", zip_of(tree, "Download 1.0/")));
    sources.extend(whole("download.tar", tar_of(tree, "")));
    sources.extend(whole("topped.tar", tar_of(tree, "./top/")));
    sources.extend(whole("download.tar.gz", gzip(&tar_of(tree, ""))));
    sources.extend(whole("topped.tgz", gzip(&tar_of(tree, "./top/"))));
    halves(&bench, "zips", tree, "zip", |files| zip_of(files, ""));
    halves(&bench, "tars", tree, "tar", |files| tar_of(files, ""));
    halves(&bench, "streams", tree, "tar.gz", |files| gzip(&tar_of(files, "./")));
    halves(&bench, "members", tree, "tgz", |files| {
        let tar = tar_of(files, "");
        [gzip(&tar[..tar.len() / 2]), gzip(&tar[tar.len() / 2..])].concat()
    });
    sources.extend(["zips", "tars", "streams", "members"].map(str::to_owned));
    for source in sources {
        bench.good(&format!("build --{option} {source} {arguments} --out packed --overwrite"));
        for ((name, bytes), (expected_name, expected)) in bench.files("packed").iter().zip(&expected) {
            assert_eq!(name, expected_name, "{option} in {source}");
            assert!(bytes == expected, "{name} of {option} in {source}");
        }
        let left = fs::read_dir(bench.path("")).expect("a folder");
        let hidden =
            left.filter(|entry| entry.as_ref().expect("readable").file_name().as_encoded_bytes()[0] == b'.');
        assert_eq!(hidden.count(), 0, "nothing is left beside the shards");
    }
}

#[test]
fn nih_in_archives_is_nih() {
    check_all("nih", &nih(), "");
    check_all("nih", &nih(), "--size 24 --encoding png --redraw-splits --seed 3 --records-per-shard 3");
}

#[test]
fn chexpert_and_mimic_in_archives_are_the_same() {
    check_all("chexpert", &chexpert(), "--blank negative");
    check_all("mimic", &mimic(), "--label-set nih --size 24");
}

#[test]
fn padchest_in_archives_has_one_white_level() {
    check_all("padchest", &padchest(), "");
    check_all("padchest", &padchest(), "--white-level 8191 --encoding png");
}

/// Headers of DICOM files tell sex and age, whatever they lie in.
#[test]
fn dicom_files_in_archives_keep_what_their_headers_say() {
    check_all("vindr", &vindr(), "--rows any");
    check_all("rsna", &rsna(), "--size 24");
    check_all("siim", &siim(), "");
}

#[test]
fn images_of_other_data_sets_lie_in_archives_too() {
    let bench = Workbench::new();
    let tree = nih();
    lay(&bench, "nih", &tree);
    halves(&bench, "packed", &tree, "tar.gz", |files| gzip(&tar_of(files, "")));
    let mut table =
        "Image Index,Patient ID,Fracture,Pneumothorax,Airspace opacity,Nodule or mass\n".to_owned();
    for number in 0..9 {
        table += &format!("{number:08}_000.png,{},NO,YES,NO,YES\n", number / 2);
    }
    bench.write("experts/test_labels.csv", table);
    let same = |arguments: [&str; 2]| {
        for (arguments, out) in arguments.iter().zip(["open", "archived"]) {
            bench.good(&format!("build {arguments} --out {out} --overwrite"));
        }
        assert!(bench.files("open") == bench.files("archived"), "{arguments:?}");
    };
    same(["--nih-experts experts --images nih", "--nih-experts experts --images packed"]);
    bench.write("whole.zip", zip_of(&chexpert(), "top/"));
    lay(&bench, "chexpert", &chexpert());
    same(["--nih nih --chexpert chexpert", "--nih packed --chexpert whole.zip"]);
    let mut table = "file,subject,Mass\n".to_owned();
    (0..20).for_each(|number| table += &format!("images/{number:08}_000.png,{number},{}\n", number % 2));
    bench.write("labels.csv", table);
    bench.write("flat/images.tar.gz", gzip(&tar_of(&tree, "./")));
    same(["--csv labels.csv --images nih", "--csv labels.csv --images flat"]);
    same(["--csv labels.csv --images nih", "--csv labels.csv --images flat/images.tar.gz"]);
}

/// Evaluation reads the same images and labels out of a zip or a tar as out of a folder.
#[test]
fn labelled_images_are_read_out_of_archives() {
    let bench = Workbench::new();
    for (option, tree) in [("nih", nih()), ("chexpert", chexpert()), ("rsna", rsna())] {
        lay(&bench, option, &tree);
        bench.write(&format!("{option}.zip"), zip_of(&tree, "top/"));
        bench.write(&format!("{option}.tar"), tar_of(&tree, ""));
        let read = |name: &str| {
            let labelled = labelled::read(&bench.path(name), &LabelledOptions::default());
            let labelled = labelled.unwrap_or_else(|error| panic!("{name}: {error}"));
            let image = |(image, labels): (GivenImage, Vec<Label>)| {
                let bytes = image.bytes().expect("readable").expect("an image");
                (image.id.clone(), image.about.sex.clone(), image.split, labels, bytes, image.length())
            };
            (labelled.labels, labelled.images.into_iter().map(image).collect::<Vec<_>>())
        };
        let expected = read(option);
        assert!(expected.1.len() >= 10);
        for packed in ["zip", "tar"] {
            assert!(read(&format!("{option}.{packed}")) == expected, "{option}.{packed}");
        }
    }
    let lists = [("train.txt", 0..14), ("test.txt", 14..20)];
    let lists = lists.map(|(name, numbers)| {
        let lines: String = numbers.map(|number| format!("{number:08}_000.png\n")).collect();
        (name.to_owned(), lines.into_bytes())
    });
    bench.write("lists.zip", zip_of(&lists, ""));
    let split = bench.json(
        "split --nih nih.zip --train-list lists.zip/train.txt --test-list lists.zip/test.txt --val 0 --out split.csv",
    );
    assert_eq!(split["splits"][2]["images"], 6);
}

/// A table of any layout lies in the archive of its images, and is named by it or in it.
#[test]
fn a_table_is_found_in_the_archive_of_its_images() {
    let bench = Workbench::new();
    let table = |front: &str| {
        let row = |number| format!("{front}{number:08}_000.png,{number},{}\n", number % 2);
        "file,subject,Mass\n".to_owned() + &(0..20).map(row).collect::<String>()
    };
    let (_, images): (Tree, Tree) = nih().into_iter().partition(|(name, _)| is_table(name));
    let with =
        |name: &str, text: String| [images.clone(), vec![(name.to_owned(), text.into_bytes())]].concat();
    let tree = with("labels.csv", table("images/"));
    lay(&bench, "open", &tree);
    bench.good("build --csv open/labels.csv --out expected");
    let expected = bench.files("expected");
    let same = |source: &str| {
        bench.good(&format!("build --csv {source} --out packed --overwrite"));
        assert!(bench.files("packed") == expected, "{source}");
    };
    bench.write("a.zip", zip_of(&tree, ""));
    bench.write("b.tar", tar_of(&tree, "./top/"));
    bench.write("c.tar.gz", gzip(&tar_of(&tree, "top/")));
    for source in ["a.zip", "a.zip/labels.csv", "b.tar", "c.tar.gz", "c.tar.gz/top/labels.csv"] {
        same(source);
    }
    // Paths start from the table, which lies below the top here and is packed itself.
    let mut below: Tree =
        images.iter().map(|(name, bytes)| (format!("data/{name}"), bytes.clone())).collect();
    below.push(("data/labels.csv.gz".to_owned(), gzip(table("./images/").as_bytes())));
    below.push(("read.me".to_owned(), Vec::new()));
    bench.write("d.zip", zip_of(&below, ""));
    bench.write("e.tgz", gzip(&tar_of(&below, "")));
    same("d.zip");
    same("e.tgz");

    let two = [tree, vec![("more/labels.csv".to_owned(), table("images/").into_bytes())]].concat();
    bench.write("two.tgz", gzip(&tar_of(&two, "")));
    let message = bench.refused(5, "build --csv two.tgz --out no");
    assert!(
        message.contains("two.tgz: it holds several tables: labels.csv, more/labels.csv")
            && message.contains("hint: name one"),
        "{message}"
    );
    same("two.tgz/labels.csv");
    bench.write("none.zip", zip_of(&images, ""));
    let message = bench.refused(5, "build --csv none.zip --out no");
    assert!(message.contains("none.zip: it holds no table, a .csv or .tsv"), "{message}");
    let message = bench.refused(1, "build --csv c.tar.gz/labels.csv --out no");
    assert!(message.contains("cannot read c.tar.gz/labels.csv"), "{message}");
}

/// What is missing, cannot be decoded or lies there twice is said or left out as in a folder.
#[test]
fn what_is_wrong_with_images_is_said_as_in_a_folder() {
    let bench = Workbench::new();
    let mut tree = nih();
    tree.remove(3);
    tree[7].1.truncate(100);
    lay(&bench, "open", &tree);
    halves(&bench, "tgz", &tree, "tgz", |files| gzip(&tar_of(files, "")));
    halves(&bench, "zip", &tree, "zip", |files| zip_of(files, ""));
    bench.good("build --nih open --skip-missing --skip-bad --out expected");
    for source in ["tgz", "zip"] {
        bench.good(&format!("build --nih {source} --skip-missing --skip-bad --out out --overwrite"));
        assert!(bench.files("out") == bench.files("expected"), "{source}");
        let message = bench.refused(5, &format!("build --nih {source} --skip-bad --out no"));
        assert!(message.contains("no image file for `00000003_000.png` below"), "{message}");
        let message = bench.refused(5, &format!("build --nih {source} --skip-missing --out no"));
        assert!(
            message.contains(&format!("{source}/more/images_002.{source}/images/00000008_000.png: ")),
            "{message}"
        );
        assert!(!bench.path("no").exists() && !bench.path(".no.building").exists());
    }
    // A file in the folder is taken before one in an archive, which then need not be opened.
    let tree = nih();
    lay(&bench, "both", &tree);
    bench.write("both/images.zip", b"no zip");
    bench.write("both/images.tar.gz", b"no gzip");
    bench.good("build --nih both --out both-out");
    fs::remove_file(bench.path("both/images/00000004_000.png")).expect("there");
    let message = bench.refused(5, "build --nih both --out no");
    assert!(
        message.contains("both/images.zip: not a zip archive") && message.contains("hint: "),
        "{message}"
    );
    bench.write("both/images.zip", zip_of(&tree, ""));
    fs::remove_file(bench.path("both/images.tar.gz")).expect("there");
    bench.good("build --nih both --out both-out --overwrite");
    bench.write("both/copy.tgz", gzip(&tar_of(&tree, "")));
    let message = bench.refused(5, "build --nih both --out no");
    assert!(
        message.contains("fits both both/images.zip/images/00000004_000.png and both/copy.tgz/images/"),
        "{message}"
    );
}

#[test]
fn what_is_wrong_with_an_archive_is_said_with_its_name() {
    let bench = Workbench::new();
    let tree = nih();
    let (tables, images): (Tree, Tree) = tree.iter().cloned().partition(|(name, _)| is_table(name));
    lay(&bench, "nih", &tables);
    let packed = gzip(&tar_of(&images, ""));
    let refused = |bytes: &[u8], parts: &[&str]| {
        bench.write("nih/images.tar.gz", bytes);
        let message = bench.refused(5, "build --nih nih --out no");
        for part in parts {
            assert!(message.contains(part), "`{part}` in {message}");
        }
        assert!(message.contains("hint: ") && !bench.path("no").exists(), "{message}");
    };
    refused(&packed[..packed.len() - 9], &["nih/images.tar.gz", "it ends too early", "download it again"]);
    refused(&packed[..packed.len() / 2], &["nih/images.tar.gz/images/", "it ends too early"]);
    let twice: Tree = images.iter().chain(&images[..1]).cloned().collect();
    refused(
        &gzip(&tar_of(&twice, "")),
        &["nih/images.tar.gz/images/00000000_000.png", "a second member of this name"],
    );
    fs::remove_file(bench.path("nih/images.tar.gz")).expect("there");

    // Where images are wanted in any order a tar.gz is no help, but what stands in tables is.
    bench.write("nih/images.tar.gz", &packed);
    bench.good("split --nih nih --out split.csv");
    bench.write("rsna/images.tar.gz", gzip(&tar_of(&rsna()[..10], "")));
    lay(&bench, "rsna", &rsna()[10..]);
    let message = bench.refused(5, "split --rsna rsna --view frontal --out split.csv");
    assert!(
        message.contains("rsna/images.tar.gz: a tar.gz can only be read from front to back"),
        "{message}"
    );
    bench.write("images.tgz", gzip(&tar_of(&images, "")));
    let message = bench.refused(5, "build --nih images.tgz --out no");
    assert!(message.contains("in the top folder of an archive: put them beside it"), "{message}");
    // Of a folder with a table of its own no tar.gz is read for another one.
    bench.write("other/labels.csv", "path,Mass\na.png,1\n");
    bench.write("other/images.tar.gz", &packed[..packed.len() / 2]);
    let message = bench.refused(5, "build --chexpert other --out no");
    assert!(message.contains("no train.csv"), "{message}");
    for name in ["a.zip", "b.zip"] {
        bench.write(&format!("two/{name}"), zip_of(&chexpert(), "top/"));
    }
    let message = bench.refused(5, "build --chexpert two --out no");
    assert!(message.contains("two/b.zip/top/train.csv: two/a.zip holds the same table"), "{message}");

    // The folder for the shards is looked at before an archive is read.
    bench.write("full/notes.txt", "");
    let message = bench.refused(2, "build --nih nih --out full");
    assert!(message.contains("full is not empty"), "{message}");
}
