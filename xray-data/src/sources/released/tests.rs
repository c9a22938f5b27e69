//! Tables as they are downloaded, and as they come when something is wrong with them.

use super::*;
use crate::labels::position;
use crate::schema::Label::{self, Negative as N, Positive as P, Uncertain as U, Unknown as X};
use std::fs;
use xray_artifacts::{Exit, Split, one_line};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("below")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    dir
}

fn read(release: Release, files: &[(&str, &str)], options: &ReleaseOptions) -> Result<Listing> {
    release.read(folder(files).path(), options)
}

fn good(release: Release, files: &[(&str, &str)]) -> Listing {
    read(release, files, &ReleaseOptions::default()).expect("good tables")
}

/// The whole text of a refusal, hint and all, holds these parts; the exit code is that of bad data.
fn refused(release: Release, files: &[(&str, &str)], parts: &[&str]) {
    let error = read(release, files, &ReleaseOptions::default()).expect_err("should be refused");
    let text = format!("{} | {}", one_line(&error), error.hint().unwrap_or_default());
    for part in parts {
        assert!(text.contains(part), "`{part}` in: {text}");
    }
    assert_eq!(error.exit(), Exit::BadData, "{text}");
}

/// The labels of a row, by name.
fn labels(listing: &Listing, row: usize, names: &[&str]) -> Vec<Label> {
    let place = |name: &&str| position(&listing.labels, name).expect("a label");
    names.iter().map(|name| listing.rows[row].row.labels[place(name)]).collect()
}

fn notes(listing: &Listing) -> String {
    [listing.notes.as_slice(), &listing.warnings].concat().join("\n")
}

const CHEXPERT_HEADER: &str = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged \
Cardiomediastinum,Cardiomegaly,Lung \
     Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support \
     Devices\n";

fn chexpert(rows: &[&str]) -> String {
    let rows: String = rows.iter().map(|row| format!("CheXpert-v1.0-small/train/{row}\n")).collect();
    format!("{CHEXPERT_HEADER}{rows}")
}

#[test]
fn chexpert_is_read_as_it_is_downloaded() {
    let train = chexpert(&[
        "patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
        "patient00002/study2/view1_frontal.jpg,Female,87,Frontal,LL,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,",
        "patient00002/study1/view2_lateral.jpg,Unknown,83,Lateral,,,,,1.0,,,-1.0,,,,,,1.0,",
    ]);
    let valid = train.replace("train/patient0000", "valid/patient6454").replace("Unknown", "Male");
    let listing = good(Release::Chexpert, &[("train.csv", &train), ("valid.csv", &valid)]);
    assert_eq!(listing.labels.len(), 13);
    assert_eq!(listing.rows.len(), 6);
    assert_eq!(labels(&listing, 0, &["Pneumothorax", "Support Devices", "Edema"]), [N, P, X]);
    assert_eq!(labels(&listing, 1, &["Cardiomegaly", "Lung Opacity", "Fracture"]), [U, P, P]);
    let row = &listing.rows[0].row;
    assert_eq!(row.image_id, "patient00001_study1_view1_frontal.jpg");
    assert_eq!((row.patient_id.as_deref(), row.split), (Some("patient00001"), Some(Split::Train)));
    assert_eq!((row.sex.as_deref(), row.age, row.no_finding), (Some("F"), Some(68), Some(P)));
    let views: Vec<_> = listing.rows.iter().filter_map(|listed| listed.row.view.as_deref()).collect();
    assert_eq!(views, ["AP", "FRONTAL", "LATERAL", "AP", "FRONTAL", "LATERAL"]);
    assert_eq!(listing.rows[5].row.split, Some(Split::Val));
    let said = notes(&listing);
    for part in [
        "train.csv: columns used: path and patient `Path`",
        "2 frontal images whose `AP/PA` is `LL`",
        "rows whose sex cannot be read and is left out: 1",
        "label cells are blank: taken for unknown",
    ] {
        assert!(said.contains(part), "`{part}` in: {said}");
    }
}

#[test]
fn labels_are_translated_with_a_source_for_each_line() {
    let train =
        chexpert(&["patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,,,,,,0.0,,,,0.0,1.0,,,1.0"]);
    let options = ReleaseOptions { label_set: LabelSet::Nih, ..ReleaseOptions::default() };
    let listing = read(Release::Chexpert, &[("train.csv", &train)], &options).expect("good");
    assert_eq!(
        listing.labels,
        ["Atelectasis", "Cardiomegaly", "Effusion", "Pneumonia", "Pneumothorax", "Consolidation", "Edema"]
    );
    assert_eq!(labels(&listing, 0, &["Effusion", "Edema", "Atelectasis"]), [P, N, X]);
    let said = notes(&listing);
    for part in [
        "label `Effusion` is `Pleural Effusion`: ",
        "findings of ChestX-ray14 that CheXpert does not have: `Infiltration`, `Mass`, `Nodule`, `Emphysema`, \
         `Fibrosis`",
        "labels of CheXpert that stand for none of the fourteen: `Enlarged Cardiomediastinum`, `Lung Opacity`",
    ] {
        assert!(said.contains(part), "`{part}` in: {said}");
    }
    let chosen = ReleaseOptions { labels: vec!["Effusion".into(), "Edema".into()], ..options.clone() };
    let error = read(Release::Chexpert, &[("train.csv", &train)], &chosen).expect_err("no positive");
    assert!(one_line(&error).contains("no row is positive for `Edema`"), "{error}");
    let listing =
        read(Release::Chexpert, &[("train.csv", &train)], &ReleaseOptions { allow_empty: true, ..chosen });
    assert_eq!(listing.expect("allowed").rows[0].row.labels, [P, N]);
    let other = ReleaseOptions { labels: vec!["Pleural Efusion".into()], ..ReleaseOptions::default() };
    let error = read(Release::Chexpert, &[("train.csv", &train)], &other).expect_err("misspelt");
    assert!(one_line(&error).contains("nearest is `Pleural Effusion`"), "{error}");
}

#[test]
fn what_is_wrong_with_a_table_of_chexpert_is_named() {
    let row = "patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0";
    let refused = |text: &str, parts: &[&str]| refused(Release::Chexpert, &[("train.csv", text)], parts);
    let table = chexpert(&[row]);
    refused(&table.replace("AP/PA", "Direction"), &["no column `AP/PA`", "CheXpert", "--csv FILE"]);
    refused(&table.replace("Edema", "Oedema"), &["no column `Edema`", "nearest is `Oedema`"]);
    let wider = |extra: &str, cell: &str| {
        let mut lines = table.lines().map(str::to_owned).collect::<Vec<_>>();
        lines[0] += &format!(",{extra}");
        lines[1] += &format!(",{cell}");
        lines.join("\n") + "\n"
    };
    refused(&wider("Covid", "1"), &["line 1: columns that CheXpert does not have: `Covid`", "remove them"]);
    assert!(
        read(Release::Chexpert, &[("train.csv", &wider("Unnamed: 19", "7"))], &ReleaseOptions::default())
            .is_ok()
    );
    refused(&chexpert(&[row, row]), &["line 3: image", "listed a second time, first on line 2"]);
    refused(
        &table.replace(",1.0,,", ",1.0,1.0,"),
        &["`No Finding` and `Enlarged Cardiomediastinum` at once"],
    );
    refused(
        &table.replace("0.0", "0.7"),
        &["line 2: `0.7` in column `Pneumothorax` is not a valid label value"],
    );
    refused(
        &table.replace("patient00001/", ""),
        &["is not a path of CheXpert, which ends as patient00001/study1/"],
    );
    let error = read(Release::Chexpert, &[], &ReleaseOptions::default()).expect_err("nothing there");
    assert!(one_line(&error).contains("no train.csv, valid.csv or test_labels.csv in"), "{error}");
}

const MIMIC_LABELS: &str = "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged \
     Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural \
     Other,Pneumonia,Pneumothorax,Support Devices\n";
const MIMIC_METADATA: &str = "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,\
     StudyDate,StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,\
     PatientOrientationCodeSequence_CodeMeaning\n";

/// Three tables of two patients with three images.
fn mimic() -> [(&'static str, String); 3] {
    [
        (
            "mimic-cxr-2.0.0-metadata.csv",
            format!(
                "{MIMIC_METADATA}aa-1,10000032,50414267,CHEST (PA AND LAT),PA,3056,2544,21800506,213014.531,CHEST (PA \
                 AND \
                 LAT),postero-anterior,Erect\naa-2,10000032,50414267,CHEST (PA AND LAT),LATERAL,3056,2544,21800506,213014.531,\
                 CHEST (PA AND LAT),lateral,Erect\nbb-1,10000764,57375967,,,2544,3056,21321015,92935.75,CHEST,,\n"
            ),
        ),
        (
            "mimic-cxr-2.0.0-chexpert.csv",
            format!(
                "{MIMIC_LABELS}10000032,50414267,,,,,,,,,1.0,,,,,\n10000764,57375967,,,1.0,,,,,,,,,-1.0,0.0,1.0\n"
            ),
        ),
        (
            "mimic-cxr-2.0.0-split.csv",
            "dicom_id,study_id,subject_id,split\naa-1,50414267,10000032,train\naa-2,50414267,10000032,train\n\
             bb-1,57375967,10000764,validate\n"
                .to_owned(),
        ),
    ]
}

fn mimic_with(table: usize, from: &str, to: &str) -> Vec<(&'static str, String)> {
    let mut tables = mimic().to_vec();
    assert!(tables[table].1.contains(from), "{from}");
    tables[table].1 = tables[table].1.replacen(from, to, 1);
    tables
}

fn borrowed<'a>(tables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    tables.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

#[test]
fn the_three_tables_of_mimic_are_joined() {
    let listing = good(Release::Mimic, &borrowed(&mimic()));
    let files: Vec<_> = listing.rows.iter().map(|listed| listed.file.as_str()).collect();
    assert_eq!(files[0], "files/p10/p10000032/s50414267/aa-1.jpg");
    let row = &listing.rows[2].row;
    assert_eq!((row.patient_id.as_deref(), row.split), (Some("10000764"), Some(Split::Val)));
    assert_eq!(row.view, None);
    assert_eq!(labels(&listing, 2, &["Consolidation", "Pneumonia", "Pneumothorax", "Edema"]), [P, U, N, X]);
    assert_eq!(listing.rows[1].row.no_finding, Some(P));
    let said = notes(&listing);
    assert!(said.contains("`Rows`, `Columns` (the image tells its size)"), "{said}");
    assert!(said.contains("not used: `study_id` (the metadata tell the study)"), "{said}");
}

#[test]
fn tables_of_mimic_that_do_not_fit_each_other_are_refused() {
    let refused = |table, from: &str, to: &str, parts: &[&str]| {
        refused(Release::Mimic, &borrowed(&mimic_with(table, from, to)), parts);
    };
    refused(
        0,
        "aa-1,10000032,",
        "aa-1,10000032.0,",
        &["line 2: `10000032.0` in column `subject_id` is not digits only", "lose digits"],
    );
    refused(1, "10000032,50414267", "1.0000032e7,50414267", &["chexpert.csv line 2: `1.0000032e7`"]);
    refused(
        1,
        "10000032,",
        "10000033,",
        &["image `aa-1` is of patient `10000032` and of patient `10000033`"],
    );
    refused(
        2,
        "aa-2,",
        "aa-3,",
        &["metadata.csv line 3: image `aa-2` is not in the table of splits", "one download"],
    );
    refused(2, "validate", "fold1", &["`fold1` in column `split` is not a split"]);
    refused(2, "bb-1,", "aa-1,", &["image `aa-1` is in train and in val"]);
    refused(0, "ViewPosition", "View", &["no column `ViewPosition`"]);
    refused(1, "10000764,57375967", "10000764,50414267", &["image `s50414267` is listed a second time"]);
    refused(1, ",1.0,,,,,\n", ",1.0,1.0,,,,\n", &["`No Finding` and `Pleural Effusion` at once"]);
    // A study without a report.
    let tables = mimic_with(1, "10000764,57375967", "10000764,57375968");
    let listing = good(Release::Mimic, &borrowed(&tables));
    assert!(listing.rows[2].row.labels.iter().all(|label| *label == X));
    assert!(notes(&listing).contains("1 image of studies without a row of labels"));
    let tables = mimic();
    let error =
        read(Release::Mimic, &borrowed(&tables)[..2], &ReleaseOptions::default()).expect_err("no splits");
    assert!(error.hint().is_some_and(|hint| hint.contains("--redraw-splits")), "{error}");
    let redrawn = ReleaseOptions { other_splits: true, ..ReleaseOptions::default() };
    assert!(read(Release::Mimic, &borrowed(&tables)[..2], &redrawn).is_ok());
}

fn padchest(cells: &[&str]) -> String {
    let rows: String = cells
        .iter()
        .enumerate()
        .map(|(n, cell)| {
            format!("{n},2168401113669640{n}_k.png,{n},2014091{n},1,83986{n},1930.0,F,POSTEROANTERIOR,PA,Physician,\"{cell}\"\n")
        })
        .collect();
    let header = ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,\
                  Projection,MethodLabel,Labels\n";
    format!("{header}{rows}")
}

const PADCHEST: &str = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv";

#[test]
fn lists_of_padchest_are_read_and_what_is_not_listed_is_negative_unless_it_is_not_known() {
    let check = |cell: &str, expected: [Label; 3], no_finding| {
        let listing = good(Release::Padchest, &[(PADCHEST, &padchest(&[cell]))]);
        assert_eq!(labels(&listing, 0, &["pneumonia", "pleural effusion", "nodule"]), expected, "{cell}");
        assert_eq!(listing.rows[0].row.no_finding, Some(no_finding), "{cell}");
    };
    check("['pneumonia', ' pleural effusion']", [P, P, N], N);
    check("['normal']", [N, N, N], P);
    check("['normal', 'unchanged']", [N, N, N], P);
    check("['nodule', 'normal']", [N, N, P], N);
    check("['nodule', 'unchanged']", [X, X, P], N);
    check("['nodule', 'suboptimal study', '']", [N, N, P], N);
    for untold in
        ["['unchanged']", "['exclude']", "['suboptimal study']", "['']", "[]", "nan", "['normal', 'exclude']"]
    {
        check(untold, [X, X, X], X);
    }
}

#[test]
fn padchest_is_read_as_it_is_downloaded() {
    let listing = good(Release::Padchest, &[(PADCHEST, &padchest(&["['nodule']", "['normal']"]))]);
    assert_eq!(listing.labels.len(), 189);
    let row = &listing.rows[1];
    assert_eq!(row.file, "1/21684011136696401_k.png");
    assert_eq!(
        (row.row.age, row.row.sex.as_deref(), row.row.view.as_deref()),
        (Some(84), Some("F"), Some("PA"))
    );
    assert_eq!(row.row.patient_id.as_deref(), Some("839861"));
    let options = ReleaseOptions { label_set: LabelSet::Nih, ..ReleaseOptions::default() };
    let cells = ["['calcified pleural thickening', 'hydropneumothorax']", "['air bronchogram', 'unchanged']"];
    let listing = read(Release::Padchest, &[(PADCHEST, &padchest(&cells))], &options).expect("good");
    assert_eq!(listing.labels.len(), 14);
    let names = ["Pleural_Thickening", "Effusion", "Pneumothorax", "Consolidation", "Infiltration"];
    assert_eq!(labels(&listing, 0, &names), [P, P, P, N, N]);
    assert_eq!(labels(&listing, 1, &names), [X, X, X, P, X]);
    let table = padchest(&["['nodule']"]);
    let refused = |text: &str, parts: &[&str]| refused(Release::Padchest, &[(PADCHEST, text)], parts);
    refused(&table.replace("nodule", "nodul"), &["line 2: unknown finding `nodul`", "nearest is `nodule`"]);
    refused(&table.replace("['nodule']", "['nodule"), &["unknown finding `['nodule`"]);
    refused(
        &table.replace(",839860,", ",8.39860488694292e+35,"),
        &["`8.39860488694292e+35` in column `PatientID`"],
    );
    refused(
        &table.replace("Projection", "Projektion"),
        &["no column `Projection`", "nearest is `Projektion`"],
    );
}

/// `cells` are the values of all labels but one that is zero for all the others.
fn vindr_labels(rows: &[(&str, &str, &str)]) -> String {
    let header = "image_id,rad_id,Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle \
                  fracture,Consolidation,Edema,Emphysema,Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung \
                  cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib \
                  fracture,Other lesion,COPD,Lung tumor,Pneumonia,Tuberculosis,Other diseases,No finding";
    let columns: Vec<&str> = header.split(',').collect();
    let row = |(image, reader, shown): &(&str, &str, &str)| {
        let cells = columns[2..].iter().map(|column| if column == shown { "1" } else { "0" });
        format!("{image},{reader},{}\n", cells.collect::<Vec<_>>().join(","))
    };
    format!("{header}\n{}", rows.iter().map(row).collect::<String>())
}

#[test]
fn readers_of_vindr_vote() {
    let rows = [
        ("a", "R1", "Atelectasis"),
        ("a", "R2", "Atelectasis"),
        ("a", "R3", "No finding"),
        ("b", "R1", "Pneumonia"),
        ("b", "R4", "No finding"),
        ("b", "R5", "No finding"),
    ];
    let train = vindr_labels(&rows);
    let test = vindr_labels(&[("c", "R1", "Cardiomegaly")]).replace("rad_id,", "").replace("c,R1,", "c,");
    let test = test.replace("Other diseases", "Other disease");
    let files = [
        ("annotations/image_labels_train.csv", train.as_str()),
        ("annotations/image_labels_test.csv", test.as_str()),
        ("annotations/annotations_train.csv", "nobody reads this"),
    ];
    let listing = good(Release::Vindr, &files);
    assert_eq!(listing.labels.len(), 27);
    assert_eq!(listing.rows.len(), 3);
    assert_eq!(labels(&listing, 0, &["Atelectasis", "Pneumonia"]), [P, N]);
    assert_eq!((listing.rows[0].row.no_finding, listing.rows[1].row.no_finding), (Some(N), Some(P)));
    assert_eq!(labels(&listing, 2, &["Cardiomegaly", "Other diseases"]), [P, N]);
    assert_eq!(listing.rows[2].row.split, Some(Split::Test));
    assert_eq!(listing.rows[0].row.patient_id, None);
    assert!(
        notes(&listing).contains("6 readings of 2 images are joined: what more rows say"),
        "{}",
        notes(&listing)
    );
    let any = ReleaseOptions { join: Some(Join::Any), ..ReleaseOptions::default() };
    let listing = read(Release::Vindr, &files, &any).expect("good");
    assert_eq!(labels(&listing, 1, &["Pneumonia"]), [P]);
    let twice = vindr_labels(&[rows[0], ("a", "R1", "No finding")]);
    refused(
        Release::Vindr,
        &[("image_labels_train.csv", &twice)],
        &["line 3: image `a`: reader `R1` reads it a second time, first on line 2"],
    );
    refused(
        Release::Vindr,
        &[("image_labels_train.csv", &train.replace("ILD,", "Interstitial,"))],
        &["no column `ILD`"],
    );
}

#[test]
fn boxes_of_the_challenge_are_readings_of_readers() {
    let header = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n";
    let rows = "a,Cardiomegaly,3,R10,691.0,1375.0,1653.0,1831.0\na,Aortic enlargement,0,R10,1,2,3,4\n\
                a,Cardiomegaly,3,R8,690.0,1375.0,1653.0,1831.0\na,Cardiomegaly,3,R8,690.0,1375.0,1653.0,1831.0\n\
                a,No finding,14,R9,,,,\nb,No finding,14,R1,,,,\nb,No finding,14,R2,,,,\nb,Nodule/Mass,8,R3,1,2,3,4\n";
    let table = format!("{header}{rows}");
    let listing = good(Release::Vindr, &[("train.csv", &table)]);
    assert_eq!(listing.labels.len(), 14);
    assert_eq!(labels(&listing, 0, &["Cardiomegaly", "Aortic enlargement"]), [P, N]);
    assert_eq!(labels(&listing, 1, &["Nodule/Mass"]), [N]);
    assert_eq!((listing.rows[0].row.no_finding, listing.rows[1].row.no_finding), (Some(N), Some(P)));
    let refused = |from: &str, to: &str, parts: &[&str]| {
        assert!(table.contains(from));
        refused(Release::Vindr, &[("train.csv", &table.replace(from, to))], parts);
    };
    refused(
        "a,No finding,14,R9",
        "a,No finding,14,R8",
        &["line 6: image `a` has `No Finding` and `Cardiomegaly` at once"],
    );
    refused(
        "b,Nodule/Mass,8,R3",
        "b,Nodule/Mass,8,R2",
        &["image `b` has `No Finding` and `Nodule/Mass` at once"],
    );
    refused("b,Nodule/Mass", "b,Tumour", &["unknown finding `Tumour`"]);
    assert_eq!(Release::recognise(folder(&[("train.csv", &table)]).path()), Some(Release::Vindr));
}

#[test]
fn rows_per_box_and_mask_are_one_image() {
    let labels_of = "patientId,x,y,width,height,Target\nu-1,264.0,152.0,213.0,379.0,1\nu-1,562.0,152.0,256.0,453.0,1\n\
                     u-2,,,,,0\nu-3,,,,,0\n";
    let classes =
        "patientId,class\nu-1,Lung Opacity\nu-1,Lung Opacity\nu-2,Normal\nu-3,No Lung Opacity / Not Normal\n";
    let files = [("stage_2_train_labels.csv", labels_of), ("stage_2_detailed_class_info.csv", classes)];
    let listing = good(Release::Rsna, &files);
    let said: Vec<_> =
        listing.rows.iter().map(|l| (l.row.labels[0], l.row.no_finding, &l.row.patient_id)).collect();
    assert_eq!(said, [(P, Some(N), &None), (N, Some(P), &None), (N, Some(N), &None)]);
    let alone = good(Release::Rsna, &files[..1]);
    assert_eq!(alone.rows[1].row.no_finding, Some(X));
    let both = labels_of.replace("u-1,562.0,152.0,256.0,453.0,1", "u-1,,,,,0");
    refused(
        Release::Rsna,
        &[("stage_2_train_labels.csv", &both)],
        &["line 3: image `u-1`: its target is `0` here"],
    );
    let other = classes.replacen("u-1,Lung Opacity\nu-1,Lung Opacity", "u-1,Lung Opacity\nu-1,Normal", 1);
    let files =
        [("stage_2_train_labels.csv", labels_of), ("stage_2_detailed_class_info.csv", other.as_str())];
    refused(Release::Rsna, &files, &["class_info.csv line 3: image `u-1`: its class is `Normal` here"]);

    let masks = "ImageId, EncodedPixels\n1.2.3.4,-1\n1.2.3.5,557374 2 1015 8\n1.2.3.5,100 2\n";
    let listing = good(Release::Siim, &[("train-rle.csv", masks)]);
    let said: Vec<_> = listing.rows.iter().map(|l| (l.row.labels[0], l.row.no_finding)).collect();
    assert_eq!(said, [(N, Some(X)), (P, Some(N))]);
    let refused = |from: &str, to: &str, part| {
        refused(Release::Siim, &[("train-rle.csv", &masks.replace(from, to))], &[part]);
    };
    refused(
        "1.2.3.5,100 2",
        "1.2.3.5,-1",
        "line 4: image `1.2.3.5`: its mask is `none` here and `a mask` on line 3",
    );
    refused("100 2", "100", "`100` in column `EncodedPixels` is not a mask");
}

#[test]
fn expert_labels_take_the_place_of_nihs() {
    let header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View \
                  Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],Fracture,Pneumothorax,Airspace \
                  opacity,Nodule or mass\n";
    let test =
        format!("{header}00000013_008.png,No Finding,8,13,60,M,AP,3056,2544,0.139,0.139,NO,YES,YES,NO\n");
    let validation =
        format!("{header}00000032_002.png,Mass,2,32,55,F,AP,2500,2048,0.168,0.168,NO,NO,HEDGE,\n");
    let files = [("test_labels.csv", test.as_str()), ("validation_labels.csv", validation.as_str())];
    let listing = good(Release::NihExperts, &files);
    assert_eq!(
        labels(&listing, 1, &["Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass"]),
        [N, P, P, N]
    );
    assert_eq!(labels(&listing, 0, &["Airspace opacity", "Nodule or mass"]), [U, X]);
    let splits: Vec<_> = listing.rows.iter().map(|listed| listed.row.split).collect();
    assert_eq!(splits, [Some(Split::Val), Some(Split::Test)]);
    assert!(notes(&listing).contains("`Finding Labels` (ChestX-ray14's own labels"), "{}", notes(&listing));
    let fourteen = NIH_14.join(",");
    let all = format!("Image ID,Patient ID,Abnormal,{fourteen},Other\n1_1.png,1,NO{},NO\n", ",NO".repeat(14));
    let listing = good(Release::NihExperts, &[("all_findings_expert_labels_test_labels.csv", &all)]);
    assert_eq!((listing.labels.len(), listing.rows[0].row.no_finding), (14, Some(P)));
}

#[test]
fn what_single_experts_said_is_joined_by_the_rule() {
    let readers = "Image ID,Patient ID,Reader ID,Airspace opacity,Fracture,Nodule/mass,Pneumothorax,Set ID\n\
                   1_0.png,1,4,YES,NO,YES,NO,test\n1_0.png,1,5,NO,NO,HEDGE,NO,test\n1_0.png,1,6,YES,NO,NO,HEDGE,test\n\
                   2_0.png,2,4,YES,NO,HEDGE,NO,validation\n2_0.png,2,7,NO,NO,HEDGE,NO,validation\n";
    let test = "Image Index,Patient ID,Fracture,Pneumothorax,Airspace opacity,Nodule or mass\n1_0.png,1,YES,NO,NO,NO\n";
    let order = ["Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass"];
    let both = [("individual_readers.csv", readers), ("test_labels.csv", test)];
    let said = |files: &[(&str, &str)], rule: Option<Join>| {
        let options = ReleaseOptions { join: rule, ..ReleaseOptions::default() };
        let listing = read(Release::NihExperts, files, &options).expect("good tables");
        let rows: Vec<_> = (0..listing.rows.len()).map(|row| labels(&listing, row, &order)).collect();
        let splits: Vec<_> = listing.rows.iter().map(|listed| listed.row.split).collect();
        (rows, splits, notes(&listing))
    };
    let splits = [Some(Split::Test), Some(Split::Val)];
    let (rows, of, notes) = said(&both[..1], None);
    // Two readers of two, and two of three, one of them without an opinion.
    assert_eq!((rows, &of[..]), (vec![vec![N, N, P, U], vec![N, N, U, U]], &splits[..]));
    assert!(notes.contains("5 readings of 2 images are joined: what more rows say"), "{notes}");
    assert!(notes.contains("(--rows any, majority or all); a hedge is uncertain"), "{notes}");
    assert!(notes.contains("reader `Reader ID`") && notes.contains("split `Set ID`"), "{notes}");
    assert_eq!(said(&both, Some(Join::Any)).0, [[N, U, P, P], [N, N, P, U]]);
    assert_eq!(said(&both, Some(Join::All)).0, [[N, N, N, N], [N, N, N, U]]);
    let (rows, of, notes) = said(&both, None);
    assert_eq!((rows, of), (vec![vec![P, N, N, N]], vec![Some(Split::Test)]), "what they agreed on");
    assert!(notes.contains("test_labels.csv test") && !notes.contains("readings"), "{notes}");

    let fourteen = NIH_14.join(",");
    let row = |reader: u32, abnormal: &str, first: &str| {
        format!("1_1.png,1,{reader},{abnormal},{first}{},NO\n", ",NO".repeat(13))
    };
    let all = format!("Image ID,Patient ID,Reader ID,Abnormal,{fourteen},Other\n");
    let all = all + &row(4, "YES", "YES") + &row(5, "NO", "NO") + &row(6, "YES", "YES");
    let files = [("all_findings_expert_labels_test_individual_readers.csv", all.as_str())];
    let listing = good(Release::NihExperts, &files);
    let row = &listing.rows[0].row;
    assert_eq!((row.labels[0], row.no_finding, row.split), (P, Some(N), Some(Split::Test)));

    let refused = |from: &str, to: &str, parts: &[&str]| {
        let text = readers.replace(from, to);
        refused(Release::NihExperts, &[("individual_readers.csv", &text)], parts);
    };
    refused(
        "1_0.png,1,5",
        "1_0.png,1,4",
        &["line 3: image `1_0.png`: reader `4` reads it a second time, first on line 2"],
    );
    refused(
        "1_0.png,1,5",
        "1_0.png,9,5",
        &["line 3: image `1_0.png`: its patient is `9` here and `1` on line 2"],
    );
    refused(",validation", ",later", &["line 5: `later` in column `Set ID` is not a split"]);
    refused("Reader ID", "Reader", &["no column `Reader ID`"]);
    let options = ReleaseOptions { join: Some(Join::Any), ..ReleaseOptions::default() };
    let error = read(Release::NihExperts, &both[1..], &options).expect_err("no readers");
    assert!(
        error.to_string().starts_with("no individual_readers.csv or test_individual_readers.csv in"),
        "{error}"
    );
}

#[test]
fn folders_are_recognised_by_their_tables() {
    let check = |files: &[(&str, &str)], expected| {
        assert_eq!(Release::recognise(folder(files).path()), expected, "{files:?}");
    };
    check(&[("train.csv", &chexpert(&[]))], Some(Release::Chexpert));
    check(&borrowed(&mimic()), Some(Release::Mimic));
    check(&[(PADCHEST, "")], Some(Release::Padchest));
    check(&[("stage_2_train_labels.csv", "")], Some(Release::Rsna));
    check(&[("train-rle.csv", "")], Some(Release::Siim));
    check(&[("Data_Entry_2017.csv", "")], Some(Release::Nih));
    check(&[("test_labels.csv", "Image ID,Patient ID,Abnormal\n")], Some(Release::NihExperts));
    check(&[("individual_readers.csv", "Image ID,Airspace opacity\n")], Some(Release::NihExperts));
    check(&[("individual_readers.csv", "Image ID,Reader\n")], None);
    check(&[("train.csv", "path,label\n")], None);
    check(&[], None);
}
