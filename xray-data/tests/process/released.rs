//! Published data sets in miniature, as they are downloaded: built by one command each, and counted against counts that
//! are made here of the same cells by string operations.

use crate::build::{picture, png_of_bits};
use crate::dicom::xray;
use crate::workbench::Workbench;
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use xray_artifacts::Split;
use xray_data::{Dataset, Draw, OpenOptions};
use xray_image::encode_jpeg;

/// Numbers that look drawn, the same in every run.
struct Drawn(u64);

impl Drawn {
    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        choices[(self.0 >> 33) as usize % choices.len()]
    }
}

fn jpeg(number: u32) -> Vec<u8> {
    encode_jpeg(&picture(32, number), 90)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).expect("memory");
    packed.finish().expect("memory")
}

/// Positives and unknown of each label over all splits.
fn counts(stats: &Value) -> BTreeMap<String, (u64, u64)> {
    let mut counts = BTreeMap::new();
    for split in stats["splits"].as_array().expect("a list") {
        for label in split["labels"].as_array().expect("a list") {
            let of = |what: &str| label[what].as_u64().expect("a count");
            let (positives, unknown): &mut (u64, u64) =
                counts.entry(label["label"].as_str().expect("a name").to_owned()).or_default();
            *positives += of("positives");
            *unknown += of("unknown");
        }
    }
    counts
}

fn total(stats: &Value, what: &str) -> u64 {
    stats["splits"].as_array().expect("a list").iter().map(|split| split[what].as_u64().expect(what)).sum()
}

fn source(bench: &Workbench, folder: &str) -> (String, String) {
    let text = fs::read(bench.path(folder).join("dataset.json")).expect("built");
    let manifest: Value = serde_json::from_slice(&text).expect("JSON");
    let notes = manifest["source"]["notes"].as_array().expect("a list").iter();
    let notes: Vec<&str> = notes.map(|note| note.as_str().expect("text")).collect();
    (manifest["source"]["kind"].as_str().expect("a name").to_owned(), notes.join("\n"))
}

const OBSERVATIONS: [&str; 13] = [
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
];

/// Thirteen cells that do not contradict `No Finding`, which comes first.
fn cells(drawn: &mut Drawn) -> Vec<&'static str> {
    let mut cells: Vec<&str> = (0..13).map(|_| drawn.of(&["", "", "", "1.0", "0.0", "-1.0"])).collect();
    let healthy = cells[..12].iter().all(|cell| !["1.0", "-1.0"].contains(cell));
    cells.insert(0, if healthy { "1.0" } else { "" });
    cells
}

/// Positives and unknown per observation: -1 and blanks are unknown.
fn expected(rows: &[Vec<&str>]) -> BTreeMap<String, (u64, u64)> {
    let of = |place: usize| {
        let count = |cell: &str| rows.iter().filter(|row| row[place + 1] == cell).count() as u64;
        (count("1.0"), count("-1.0") + count(""))
    };
    OBSERVATIONS.iter().enumerate().map(|(place, name)| ((*name).to_owned(), of(place))).collect()
}

#[test]
fn chexpert_is_built_by_one_command_and_views_are_chosen() {
    let bench = Workbench::new();
    let mut drawn = Drawn(1);
    let (mut rows, mut frontal) = (Vec::new(), Vec::new());
    for (table, patients) in [("train", 1..13), ("valid", 13..16)] {
        let mut text = format!("Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,{}\n", OBSERVATIONS.join(","));
        for patient in patients {
            for (view, side, direction) in
                [("view1_frontal", "Frontal", "PA"), ("view2_lateral", "Lateral", "")]
            {
                let place = format!("{table}/patient{patient:05}/study1/{view}.jpg");
                // Of those who want frontal images few have the others.
                if side == "Frontal" || table == "train" {
                    bench.write(&format!("CheXpert-v1.0-small/{place}"), jpeg(patient));
                }
                let row = cells(&mut drawn);
                text +=
                    &format!("CheXpert-v1.0-small/{place},Female,61,{side},{direction},{}\n", row.join(","));
                if side == "Frontal" {
                    frontal.push(row.clone());
                }
                rows.push(row);
            }
        }
        bench.write(&format!("CheXpert-v1.0-small/{table}.csv"), text);
    }
    let message = bench.refused(5, "build --chexpert CheXpert-v1.0-small --out shards");
    assert!(message.contains("no image file for `CheXpert-v1.0-small/valid/patient00013"), "{message}");

    bench.good("build --chexpert CheXpert-v1.0-small --view frontal --out shards");
    bench.good("check shards");
    let stats = bench.json("stats shards");
    assert_eq!((total(&stats, "images"), total(&stats, "patients")), (15, 15));
    assert_eq!(counts(&stats), expected(&frontal));
    let healthy = frontal.iter().filter(|row| row[0] == "1.0").count() as u64;
    assert_eq!(total(&stats, "no_finding"), healthy);
    let val = &stats["splits"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|s| s["split"] == "val")
        .expect("kept")["images"];
    assert_eq!(*val, 3, "valid.csv is val");
    let (kind, notes) = source(&bench, "shards");
    assert_eq!(kind, "chexpert");
    assert!(notes.contains("--view frontal leaves out 15 images of 30: 15 `LATERAL`"), "{notes}");
    assert!(notes.contains("train.csv: columns used: path and patient `Path`, sex `Sex`"), "{notes}");

    for patient in 13..16 {
        let place = format!("CheXpert-v1.0-small/valid/patient{patient:05}/study1/view2_lateral.jpg");
        bench.write(&place, jpeg(patient));
    }
    bench.good("build --chexpert CheXpert-v1.0-small --label-set nih --blank negative --out nih");
    let stats = bench.json("stats nih");
    let of_nih = counts(&stats);
    assert_eq!(of_nih.len(), 7);
    let positives = |label: &str| expected(&rows)[label].0;
    assert_eq!(of_nih["Effusion"].0, positives("Pleural Effusion"));
    assert_eq!(of_nih["Edema"].0, positives("Edema"));
    let place = OBSERVATIONS.iter().position(|name| *name == "Edema").expect("listed") + 1;
    assert_eq!(of_nih["Edema"].1, rows.iter().filter(|row| row[place] == "-1.0").count() as u64);
    assert!(source(&bench, "nih").1.contains("label `Effusion` is `Pleural Effusion`: "));
}

#[test]
fn mimic_is_joined_from_packed_tables() {
    let bench = Workbench::new();
    let mut drawn = Drawn(2);
    // The table has its own order.
    let mut names = [&OBSERVATIONS[..], &["No Finding"]].concat();
    names.sort_unstable();
    let mut labels = format!("subject_id,study_id,{}\n", names.join(","));
    let mut metadata =
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,\
                        StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,\
                        PatientOrientationCodeSequence_CodeMeaning\n"
            .to_owned();
    let mut splits = "dicom_id,study_id,subject_id,split\n".to_owned();
    let mut rows = Vec::new();
    for number in 0..24u32 {
        let (subject, study) = (10_000_000 + number / 2, 50_000_000 + number);
        let row = cells(&mut drawn);
        let cell = |name: &&str| match OBSERVATIONS.iter().position(|known| known == name) {
            Some(place) => row[place + 1],
            None => row[0],
        };
        labels += &format!("{subject},{study},{}\n", names.iter().map(cell).collect::<Vec<_>>().join(","));
        let split = ["train", "train", "validate", "test"][number as usize / 2 % 4];
        for view in ["PA", "LATERAL"] {
            let dicom = format!("{number:08x}-{view}");
            metadata += &format!(
                "{dicom},{subject},{study},\"CHEST (PA, LAT)\",{view},3056,2544,21800506,213014.5,CHEST,x,Erect\n"
            );
            splits += &format!("{dicom},{study},{subject},{split}\n");
            let file = format!("mimic/files/p10/p{subject}/s{study}/{dicom}.jpg");
            bench.write(&file, jpeg(number * 2 + u32::from(view == "PA")));
            rows.push(row.clone());
        }
    }
    bench.write("mimic/mimic-cxr-2.0.0-metadata.csv.gz", gzip(&metadata));
    bench.write("mimic/mimic-cxr-2.0.0-chexpert.csv.gz", gzip(&labels));
    bench.write("mimic/mimic-cxr-2.0.0-split.csv", &splits);
    bench.good("build --mimic mimic --out shards");
    bench.good("check shards");
    let stats = bench.json("stats shards");
    assert_eq!((total(&stats, "images"), total(&stats, "patients")), (48, 12));
    assert_eq!(counts(&stats), expected(&rows));
    let images = |place: usize| stats["splits"][place]["images"].as_u64().expect("a count");
    assert_eq!((images(0), images(1), images(2)), (24, 12, 12), "the splits are the table's");
    assert_eq!(source(&bench, "shards").0, "mimic");

    let packed = gzip(&labels);
    bench.write("mimic/mimic-cxr-2.0.0-chexpert.csv.gz", &packed[..packed.len() - 20]);
    let message = bench.refused(5, "build --mimic mimic --out no");
    assert!(message.contains("chexpert.csv.gz is gzip-compressed and does not inflate"), "{message}");
    let message = bench.refused(2, "build --mimic mimic --rows any --out no");
    assert!(message.contains("--rows does not act on --mimic"), "{message}");
    let latin: Vec<u8> = labels.replace("Edema", "\u{d6}dem").chars().map(|c| c as u8).collect();
    bench.write("mimic/mimic-cxr-2.0.0-chexpert.csv.gz", latin);
    let message = bench.refused(5, "build --mimic mimic --out no");
    assert!(message.contains("line 1: not UTF-8 text") && message.contains("hint"), "{message}");
}

#[test]
fn padchest_is_read_with_lists_projections_and_sixteen_bits() {
    let bench = Workbench::new();
    let mut drawn = Drawn(3);
    let mut table = ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,\
                     Projection,MethodProjection,Pediatric,Report,MethodLabel,Labels,Localizations,\
                     LabelsLocalizationsBySentence,labelCUIS,LocalizationsCUIS\n"
        .to_owned();
    let terms = ["pneumonia", "pleural effusion", "loculated pleural effusion", "nodule", "hiatal hernia"];
    let mut lists: Vec<Vec<&str>> = Vec::new();
    let mut kept = 0;
    for number in 0..30u32 {
        let mut list: Vec<&str> =
            terms.iter().filter(|_| drawn.of(&["yes", "no", "no"]) == "yes").copied().collect();
        if list.is_empty() {
            list.push("normal");
        }
        let projection = ["PA", "L", "AP_horizontal", "AP", "COSTAL"][number as usize % 5];
        let image = format!("2168401113669{number:03}_00-01.png");
        let folder = number % 3;
        bench.write(&format!("padchest/{folder}/{image}"), png_of_bits(&picture(32, number), 12));
        let printed: Vec<String> = list.iter().map(|term| format!("'{term}'")).collect();
        table += &format!(
            "{number},{image},{folder},20140915,1,{},1930.0,F,POSTEROANTERIOR,{projection},Manual,No,se\u{f1}al . \
             ,Physician,\"[{}]\",[],\"[['normal'], ['normal']]\",[],[]\n",
            10 + number / 2,
            printed.join(", ")
        );
        if ["PA", "AP", "AP_horizontal"].contains(&projection) {
            kept += 1;
            lists.push(list);
        }
    }
    bench.write("padchest/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz", gzip(&table));
    bench.good("build --padchest padchest --view frontal --out shards");
    bench.good("check shards");
    let stats = bench.json("stats shards");
    assert_eq!(total(&stats, "images"), kept);
    let found = counts(&stats);
    assert_eq!(found.len(), 189);
    for (label, (positives, unknown)) in &found {
        let listed = lists.iter().filter(|list| list.contains(&label.as_str())).count() as u64;
        assert_eq!((*positives, *unknown), (listed, 0), "{label}");
    }
    assert_eq!(
        total(&stats, "no_finding"),
        lists.iter().filter(|list| list.contains(&"normal")).count() as u64
    );
    let text = fs::read_to_string(bench.path("shards/dataset.json")).expect("built");
    assert!(text.contains("\"white_level\": 4095"), "12 bits of 16: {text}");

    bench.good(
        "build --padchest padchest --view frontal --label-set nih --labels Effusion,Hernia,Mass \
    --allow-empty-labels --out nih",
    );
    let found = counts(&bench.json("stats nih"));
    let any = |names: [&str; 2]| {
        lists.iter().filter(|list| names.iter().any(|name| list.contains(name))).count() as u64
    };
    assert_eq!(found["Effusion"], (any(["pleural effusion", "loculated pleural effusion"]), 0));
    assert_eq!(found["Hernia"], (any(["hiatal hernia", "hiatal hernia"]), 0));
    assert_eq!(found["Mass"], (0, 0));
}

const VINDR: [&str; 28] = [
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Clavicle fracture",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Enlarged PA",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Lung cavity",
    "Lung cyst",
    "Mediastinal shift",
    "Nodule/Mass",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "Rib fracture",
    "Other lesion",
    "COPD",
    "Lung tumor",
    "Pneumonia",
    "Tuberculosis",
    "Other diseases",
    "No finding",
];

#[test]
fn readers_of_vindr_are_counted_by_majority_or_as_asked() {
    let bench = Workbench::new();
    let mut drawn = Drawn(4);
    let header = |reader: &str| format!("image_id,{reader}{}\n", VINDR.join(","));
    let (mut train, mut test) = (header("rad_id,"), header("").replace("Other diseases", "Other disease"));
    let mut votes: Vec<[u64; 27]> = Vec::new();
    let readings = |drawn: &mut Drawn, image: &str, readers: &[&str], text: &mut String| {
        let mut sums = [0; 27];
        for reader in readers {
            let mut cells: Vec<&str> = (0..27).map(|_| drawn.of(&["0", "0", "0", "1"])).collect();
            cells.push(if cells.contains(&"1") { "0" } else { "1" });
            sums.iter_mut().zip(&cells).for_each(|(sum, cell)| *sum += u64::from(*cell == "1"));
            *text += &format!("{image},{reader}{}\n", cells.join(","));
        }
        sums
    };
    for number in 0..16u32 {
        let image = format!("{number:032x}");
        let pixels = picture(32, number).pixels;
        let folder = if number < 12 { "train" } else { "test" };
        bench.write(&format!("vindr/{folder}/{image}.dicom"), xray(32, &pixels, "M", "045Y"));
        if number < 12 {
            votes.push(readings(&mut drawn, &image, &["R8,", "R9,", "R10,"], &mut train));
        } else {
            let one = readings(&mut drawn, &image, &[""], &mut test);
            votes.push(one.map(|vote| vote * 3));
        }
    }
    bench.write("vindr/annotations/image_labels_train.csv", train);
    bench.write("vindr/annotations/image_labels_test.csv", test);
    bench.write(
        "vindr/annotations/annotations_train.csv",
        "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n",
    );
    for (rule, least) in [("", 2), ("--rows any", 1), ("--rows all", 3)] {
        let built = bench.run(&format!("build --vindr vindr {rule} --out shards --overwrite"));
        assert_eq!(built.code, 0, "{}", built.stderr);
        assert!(built.stderr.contains("16 of 16 images without a patient"), "{}", built.stderr);
        let stats = bench.json("stats shards");
        let found = counts(&stats);
        for (place, label) in VINDR[..27].iter().enumerate() {
            let positive = votes.iter().filter(|sums| sums[place] >= least).count() as u64;
            assert_eq!(found[*label], (positive, 0), "{label} {rule}");
        }
        let of_test =
            stats["splits"].as_array().expect("a list").iter().find(|split| split["split"] == "test");
        assert_eq!(of_test.expect("kept")["images"], 4);
    }
    bench.good("check shards");
    let (kind, notes) = source(&bench, "shards");
    assert_eq!(kind, "vindr");
    assert!(notes.contains("36 readings of 12 images are joined: positive where every row"), "{notes}");
    let dataset = Dataset::open(&bench.path("shards"), &OpenOptions::default()).expect("just built");
    for id in dataset.select(Split::Train, &Draw::default()).expect("some are in train") {
        let sample = dataset.sample(id).expect("just built");
        let said = (sample.sex.as_deref(), sample.age, sample.view.as_deref(), sample.patient_id);
        assert_eq!(said, (Some("M"), Some(45), Some("PA"), None), "of the header, but for the patient");
    }
    let message = bench.refused(3, "build --vindr vindr --view lateral --out no");
    assert!(message.contains("no image is lateral: 16 `PA`"), "{message}");
}

/// Twenty images of ten patients, of ChestX-ray14: every second has an effusion, every fifth a mass.
fn small_nih(bench: &Workbench) {
    let mut table =
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
                     OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
            .to_owned();
    for number in 0..20u32 {
        let findings = match (number % 2, number % 5) {
            (0, 0) => "Effusion|Mass",
            (0, _) => "Effusion",
            (_, 0) => "Mass",
            _ => "No Finding",
        };
        let image = format!("{number:08}_000.png");
        bench.write(&format!("nih/images/{image}"), png_of_bits(&picture(32, number + 50), 8));
        table += &format!("{image},{findings},0,{},58,M,PA,2500,2048,0.168,0.168\n", number / 2);
    }
    bench.write("nih/Data_Entry_2017.csv", table);
}

/// Ten patients of CheXpert with one image each, two of them in valid.csv; every third has an effusion.
fn small_chexpert(bench: &Workbench) {
    for (table, patients) in [("train", 0..8u32), ("valid", 8..10)] {
        let mut text = format!("Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,{}\n", OBSERVATIONS.join(","));
        for patient in patients {
            let place = format!("{table}/patient{patient:05}/study1/view1_frontal.jpg");
            bench.write(&format!("chexpert/{place}"), jpeg(patient));
            let cell = |name: &&str| match *name {
                "Pleural Effusion" => ["1.0", "0.0", "-1.0"][patient as usize % 3],
                "Edema" => "0.0",
                _ => "",
            };
            let cells: Vec<&str> = OBSERVATIONS.iter().map(cell).collect();
            text += &format!("CheXpert-v1.0/{place},Female,61,Frontal,AP,,{}\n", cells.join(","));
        }
        bench.write(&format!("chexpert/{table}.csv"), text);
    }
}

#[test]
fn several_sources_become_one_set() {
    let bench = Workbench::new();
    small_nih(&bench);
    small_chexpert(&bench);
    let built = bench.run("build --nih nih --chexpert chexpert --out shards");
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(
        built.stderr.contains("chexpert: the source assigns patients to splits: kept"),
        "{}",
        built.stderr
    );
    bench.good("check shards");
    let stats = bench.json("stats shards");
    assert_eq!((total(&stats, "images"), total(&stats, "patients")), (30, 20), "patient 1 is two people");
    let found = counts(&stats);
    assert_eq!(found.len(), 14);
    assert_eq!(found["Effusion"], (10 + 4, 3), "three of CheXpert are uncertain");
    assert_eq!(found["Mass"], (4, 10), "CheXpert has no label for masses");
    assert_eq!(found["Cardiomegaly"], (0, 10), "blank in CheXpert");
    let sources = stats["sources"].as_array().expect("a list");
    let place = |label: &str| {
        stats["labels"].as_array().expect("a list").iter().position(|l| l == label).expect("a label")
    };
    let of = |source: usize, what: &str, label: &str| {
        sources[source][what][place(label)].as_u64().expect("a count")
    };
    assert_eq!([&sources[0]["source"], &sources[1]["source"]], ["chexpert", "nih"]);
    assert_eq!((of(0, "positives", "Effusion"), of(0, "known", "Effusion")), (4, 7));
    assert_eq!((of(1, "positives", "Effusion"), of(1, "known", "Effusion")), (10, 20));
    assert_eq!((of(0, "known", "Mass"), of(1, "positives", "Mass")), (0, 4));
    // Half of NIH's 20 and 4 of CheXpert's 7 have it.
    let alone = |label: &str| stats["source_alone"][place(label)].as_f64();
    assert!((alone("Effusion").expect("two sources") - 96.0 / 182.0).abs() < 1e-12, "{stats}");
    assert_eq!(alone("Mass"), None, "one source knows it");
    let text = bench.good("stats shards");
    assert!(text.contains("positives by source") && text.contains("  0.527"), "{text}");
    let (kind, notes) = source(&bench, "shards");
    assert_eq!(kind, "several");
    assert!(notes.contains("chexpert: label `Effusion` is `Pleural Effusion`"), "{notes}");
    assert!(
        notes.contains("chexpert: labels that it does not have and that are unknown: `Infiltration`"),
        "{notes}"
    );

    let dataset = Dataset::open(&bench.path("shards"), &OpenOptions::default()).expect("just built");
    let val = dataset.select(Split::Val, &Draw::default()).expect("some are in val");
    let names: Vec<String> = val.iter().map(|&id| dataset.sample(id).expect("just built").image_id).collect();
    assert!(names.contains(&"chexpert:patient00008_study1_view1_frontal.jpg".to_owned()), "{names:?}");
    for id in val {
        let sample = dataset.sample(id).expect("just built");
        let (of, patient) = (sample.source.expect("said"), sample.patient_id.expect("said"));
        assert!(patient.starts_with(&format!("{of}:")), "{patient} of {of}");
    }

    // A set that was built is a source too, and keeps its names when it is of several.
    bench.good("build --chexpert chexpert --label-set nih --out built/hospital");
    bench.good("build --tfrecord shards --tfrecord built/hospital --labels Effusion,Edema --allow-empty-labels --out \
    again");
    let stats = bench.json("stats again");
    let names: Vec<&str> = stats["sources"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|s| s["source"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["chexpert", "hospital", "nih"]);
    assert_eq!(counts(&stats).keys().collect::<Vec<_>>(), ["Edema", "Effusion"]);
    assert_eq!(counts(&stats)["Effusion"], (10 + 4 + 4, 6));

    let lists = |range: std::ops::Range<u32>| range.map(|n| format!("{n:08}_000.png\n")).collect::<String>();
    bench.write("train.txt", lists(0..14));
    bench.write("test.txt", lists(14..20));
    let split = bench.json(
        "split --nih nih --chexpert chexpert --train-list train.txt --test-list test.txt --val 0 --out split.csv",
    );
    assert_eq!(split["splits"][2]["images"], 6, "NIH's lists say nothing of CheXpert");

    for (arguments, part) in [
        ("--nih nih --csv x.csv", "--csv cannot be read together with another source"),
        ("--nih nih --chexpert chexpert --rows any", "--rows acts on none of these sources"),
        ("--nih nih --chexpert chexpert --images x", "--images does not say of which source it is"),
        ("--tfrecord shards --tfrecord ./shards", "two sources are named `shards`"),
        ("--nih nih --chexpert chexpert --labels Efusion", "no label `Efusion`; nearest is `Effusion`"),
    ] {
        let message = bench.refused(2, &format!("build {arguments} --out no"));
        assert!(message.contains(part), "{message}");
    }
}
