//! What stands in for a reader's data: small trees of the same layout as the real ones, phantoms in place of X-rays, and
//! settings that make every training short.

use crate::page::Page;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use xray_image::{SynthConfig, SynthImage, encode_png, synthesise};

/// A folder that pages begin with.
pub(crate) struct StandIns(TempDir);

/// The nearest `xray.toml` of every command: networks are narrow, images small, trainings short.
const SETTINGS: &str = "threads = 1\n[preprocessing]\nsize = 32\n[model]\nwidth = 4\n[training]\nduration = \"1 epochs\"\n\
                        batch_size = 16\n";

/// As many as there are in the shards, which are of the same phantoms.
const IMAGES: u64 = 240;

/// What the programs themselves make of it.
const MADE: [&str; 11] = [
    "xray-data synth --images 240 --size 32 --out shards",
    "xray-data synth --images 240 --size 32 --seed 5 --out own-shards",
    "xray-data build --csv hospital.csv --images hospital --patient-column subject --out shards-hospital",
    "mkdir kaggle && cp shards/*.tfrecord kaggle/",
    "xray-train --data shards --run runs/first --quiet > first.txt",
    "xray-train --data shards --run runs/second --seed 1 --quiet > second.txt",
    "xray-train --data shards --model densenet-121 --run runs/dense --steps 1 --quiet > dense.txt",
    "cp runs/dense/model/model.safetensors densenet121.pth",
    "cp images/00000001_000.png chest.png",
    "cp images/00000001_000.png chest.jpg",
    "mkdir web",
];

impl StandIns {
    /// Makes them, with `run` for what the programs make.
    pub(crate) fn make(run: impl Fn(&Path, &str)) -> StandIns {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        let write = |name: &str, content: &[u8]| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("below the root")).expect("writable");
            fs::write(path, content).expect("writable");
        };
        write("xray.toml", SETTINGS.as_bytes());
        let config = SynthConfig { images: IMAGES, size: 48, ..SynthConfig::default() };
        let images: Vec<SynthImage> = synthesise(&config).collect();
        for image in &images {
            let bytes = encode_png(&image.image);
            for place in ["nih/images", "images", "hospital"] {
                write(&format!("{place}/{}", image.image_id), &bytes);
            }
        }
        write("nih/Data_Entry_2017.csv", nih_table(&images).as_bytes());
        write("Data_Entry_2017.csv", nih_table(&images).as_bytes());
        write("downloads/Data_Entry_2017.csv", nih_table(&images).as_bytes());
        for (number, half) in images.chunks(images.len() / 2).enumerate() {
            write(&format!("downloads/images_00{}.tar.gz", number + 1), &packed(half));
        }
        let is_test = |image: &SynthImage| image.patient_id.ends_with(['3', '7']);
        for (name, wanted) in [("train_val_list.txt", false), ("test_list.txt", true)] {
            let lines = images.iter().filter(|image| is_test(image) == wanted);
            write(name, lines.map(|image| format!("{}\n", image.image_id)).collect::<String>().as_bytes());
        }
        write("BBox_List_2017.csv", boxes(&images).as_bytes());
        write("labels.csv", own_table(&images, "path,subject,Effusion,Mass").as_bytes());
        write("findings.csv", own_table(&images, "Image,Patient,Pleural Effusion,Mass").as_bytes());
        write("hospital.csv", hospital_table(&images).as_bytes());
        write("studies.csv", own_table(&images[..9], "path,subject,Effusion,Mass").as_bytes());
        write("set.zip", &zipped(&images, Some(&own_table(&images, "path,subject,Effusion,Mass"))));
        write("studies.zip", &zipped(&images[..9], None));
        write("scores.csv", scores(&images).as_bytes());
        chexpert(&images, &write);
        for name in ["recipes", "results"] {
            let _ = std::os::unix::fs::symlink(crate::page::root().join(name), root.join(name));
        }
        for command in MADE {
            run(root, command);
        }
        StandIns(folder)
    }

    /// A copy for one page, without what its commands make themselves.
    pub(crate) fn copy(&self, page: &Page) -> TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy(self.0.path(), folder.path());
        for (_, command) in &page.commands {
            for option in ["--out ", "--run "] {
                let made = command.split_once(option).and_then(|(_, rest)| rest.split_whitespace().next());
                let made = made.map(|name| folder.path().join(name)).filter(|path| path.is_dir());
                made.map_or(Ok(()), fs::remove_dir_all).expect("writable");
            }
        }
        folder
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("readable");
        if kind.is_symlink() {
            let leads_to = fs::read_link(&source).expect("readable");
            std::os::unix::fs::symlink(leads_to, target).expect("writable");
        } else if kind.is_dir() {
            fs::create_dir(&target).expect("writable");
            copy(&source, &target);
        } else {
            fs::copy(source, target).expect("writable");
        }
    }
}

const FINDINGS: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
];

fn has(image: &SynthImage, finding: &str) -> bool {
    let at = FINDINGS.iter().position(|name| *name == finding).expect("one of the fourteen");
    image.labels[at]
}

fn nih_table(images: &[SynthImage]) -> String {
    let mut table =
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
                     OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
            .to_owned();
    for image in images {
        let found: Vec<_> = FINDINGS.into_iter().filter(|finding| has(image, finding)).collect();
        let found = if found.is_empty() { "No Finding".to_owned() } else { found.join("|") };
        let SynthImage { image_id, patient_id, age, sex, view, .. } = image;
        table += &format!("{image_id},{found},0,{patient_id},{age},{sex},{view},2500,2048,0.168,0.168\n");
    }
    table
}

/// The header names path, patient, effusion and mass.
fn own_table(images: &[SynthImage], header: &str) -> String {
    let rows = images.iter().map(|image| {
        let [effusion, mass] = ["Effusion", "Mass"].map(|finding| u8::from(has(image, finding)));
        format!("{},p{},{effusion},{mass}\n", image.image_id, image.patient_id)
    });
    format!("{header}\n") + &rows.collect::<String>()
}

/// All findings, of patients who are in no other table.
fn hospital_table(images: &[SynthImage]) -> String {
    let rows = images.iter().map(|image| {
        let cells: Vec<_> = image.labels.iter().map(|&label| u8::from(label).to_string()).collect();
        format!("{},h{},{}\n", image.image_id, image.patient_id, cells.join(","))
    });
    format!("path,subject,{}\n", FINDINGS.join(",")) + &rows.collect::<String>()
}

fn boxes(images: &[SynthImage]) -> String {
    let rows = images.iter().filter(|image| has(image, "Effusion"));
    let rows = rows.map(|image| format!("{},Effusion,4.0,20.0,18.0,20.0,,,\n", image.image_id));
    "Image Index,Finding Label,Bbox [x,y,w,h],,,\n".to_owned() + &rows.collect::<String>()
}

fn scores(images: &[SynthImage]) -> String {
    let rows = images.iter().enumerate().map(|(number, image)| {
        let split = if number % 2 == 0 { "val" } else { "test" };
        let truth = u8::from(has(image, "Infiltration"));
        let score = (number * 37 % 100) as f64 / 200.0 + 0.4 * f64::from(truth);
        format!("{},{},{split},{truth},{score}\n", image.image_id, image.patient_id)
    });
    "id,patient,split,Infiltration,score_Infiltration\n".to_owned() + &rows.collect::<String>()
}

fn chexpert(images: &[SynthImage], write: &impl Fn(&str, &[u8])) {
    const OBSERVATIONS: &str = "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,\
                                Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,\
                                Support Devices";
    for (table, first, some) in [("train", 0, &images[..60]), ("valid", 60, &images[60..100])] {
        let mut text = format!("Path,Sex,Age,Frontal/Lateral,AP/PA,{OBSERVATIONS}\n");
        for (number, image) in (first..).zip(some) {
            let place = format!("{table}/patient{number:05}/study1/view1_frontal.jpg");
            write(&format!("CheXpert-v1.0-small/{place}"), &encode_png(&image.image));
            let cells = (1..14).map(|at| ["1.0", "0.0", "", "0.0"][(number + at) % 4]).collect::<Vec<_>>();
            text += &format!(
                "CheXpert-v1.0-small/{place},Female,{},Frontal,{},,{}\n",
                image.age,
                image.view,
                cells.join(",")
            );
        }
        write(&format!("CheXpert-v1.0-small/{table}.csv"), text.as_bytes());
    }
}

fn packed(images: &[SynthImage]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for image in images {
        let bytes = encode_png(&image.image);
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, format!("images/{}", image.image_id), &bytes[..]).expect("memory");
    }
    archive.into_inner().expect("memory").finish().expect("memory")
}

fn zipped(images: &[SynthImage], table: Option<&str>) -> Vec<u8> {
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| {
        archive.start_file(name, SimpleFileOptions::default()).expect("memory");
        archive.write_all(bytes).expect("memory");
    };
    for image in images {
        add(&image.image_id, &encode_png(&image.image));
    }
    if let Some(table) = table {
        add("labels.csv", table.as_bytes());
    }
    archive.finish().expect("memory").into_inner()
}
