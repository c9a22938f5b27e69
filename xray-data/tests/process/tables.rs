//! Tables as people have them, through the whole program: built, and counted against counts made here.

use crate::workbench::Workbench;
use serde_json::Value;
use std::fs;
use xray_image::{GrayImage, encode_jpeg};

/// A gradient that differs for each number.
fn jpeg(number: u32) -> Vec<u8> {
    let pixels = (0..32 * 32).map(|i: u32| ((i % 32) * 5 + (i / 32) * (number + 1) * 3) as u8).collect();
    encode_jpeg(&GrayImage { width: 32, height: 32, pixels }, 90)
}

/// Positives and unknown of a label over all splits.
fn counts(stats: &Value, label: &str) -> (u64, u64) {
    let place =
        stats["labels"].as_array().expect("a list").iter().position(|name| name == label).expect(label);
    let of = |split: &Value, what: &str| split["labels"][place][what].as_u64().expect("a count");
    let splits = stats["splits"].as_array().expect("a list");
    (splits.iter().map(|s| of(s, "positives")).sum(), splits.iter().map(|s| of(s, "unknown")).sum())
}

fn total(stats: &Value, what: &str) -> u64 {
    stats["splits"].as_array().expect("a list").iter().map(|split| split[what].as_u64().expect(what)).sum()
}

const CHEXPERT: [&str; 4] = ["Lung Opacity", "Edema", "Pleural Effusion", "Support Devices"];

/// CheXpert's layout: the archive's folder in the paths, patients in the paths only, blanks, -1.
fn chexpert(bench: &Workbench, folder: &str) -> Vec<[&'static str; 5]> {
    let cells = ["1.0", "", "-1.0", "0.0", "", "", "1.0"];
    let mut table = format!("Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,{}\n", CHEXPERT.join(","));
    let mut rows = Vec::new();
    for number in 0..40 {
        let place = format!("train/patient{number:05}/study1/view1_frontal.jpg");
        bench.write(&format!("{folder}/{place}"), jpeg(number));
        let mut row = ["", "", "", "", ""];
        for (column, cell) in row[1..].iter_mut().enumerate() {
            *cell = cells[(number as usize * (column + 2) + column) % cells.len()];
        }
        // A device is compatible with no finding.
        row[0] = if row[1..4].iter().all(|cell| *cell != "1.0" && *cell != "-1.0") { "1.0" } else { "" };
        table += &format!("CheXpert-v1.0-small/{place},Female,61,Frontal,PA,{}\n", row.join(","));
        rows.push(row);
    }
    bench.write(&format!("{folder}/train.csv"), table);
    rows
}

#[test]
fn chexpert_as_downloaded_is_counted_as_its_table_has_it() {
    for folder in ["CheXpert-v1.0-small", "renamed"] {
        let bench = Workbench::new();
        let rows = chexpert(&bench, folder);
        let message = bench.refused(5, &format!("build --csv {folder}/train.csv --out shards"));
        let offer = "--labels 'Lung Opacity,Edema,Pleural Effusion,Support Devices'";
        assert!(
            message.contains("`Lung Opacity`, `Pleural Effusion`") && message.contains(offer),
            "{message}"
        );

        for (blank, is_unknown) in [("unknown", true), ("negative", false)] {
            let labels = CHEXPERT.join(",");
            let built = bench.run_with(&[
                "build",
                "--csv",
                &format!("{folder}/train.csv"),
                "--labels",
                &labels,
                "--blank",
                blank,
                "--out",
                blank,
            ]);
            assert_eq!(built.code, 0, "{}", built.stderr);
            assert!(built.stderr.contains("patients are taken from the paths"), "{}", built.stderr);
            let stats = bench.json(&format!("stats {blank}"));
            assert_eq!((total(&stats, "images"), total(&stats, "patients")), (40, 40));
            let healthy = rows.iter().filter(|row| row[0] == "1.0").count() as u64;
            assert_eq!(total(&stats, "no_finding"), healthy);
            for (place, label) in CHEXPERT.iter().enumerate() {
                let count = |cell: &str| rows.iter().filter(|row| row[place + 1] == cell).count() as u64;
                let unknown = count("-1.0") + if is_unknown { count("") } else { 0 };
                assert_eq!(counts(&stats, label), (count("1.0"), unknown), "{label} {blank}");
            }
        }
        bench.good("check negative");
    }
}

/// A table whose column `split` disagrees with what would be drawn.
fn with_splits(bench: &Workbench) {
    let mut table = "path,patient,Mass,Covid,split\n".to_owned();
    for number in 0..30 {
        bench.write(&format!("images/{number:02}.jpg"), jpeg(number));
        let split = ["train", "VALID", "Test"][number as usize % 3];
        table += &format!("images/{number:02}.jpg,{number},{},{},{split}\n", number % 2, number % 5 / 4);
    }
    bench.write("labels.csv", table);
}

#[test]
fn a_split_column_is_kept_unless_another_is_asked_for() {
    let bench = Workbench::new();
    with_splits(&bench);
    let images =
        |built: &Value, split: &str| built["manifest"]["splits"][split]["images"].as_u64().unwrap_or(0);
    let kept = bench.json("build --csv labels.csv --labels Covid,Mass --out kept");
    assert_eq!(["train", "val", "test"].map(|split| images(&kept, split)), [10, 10, 10]);
    assert_eq!(kept["manifest"]["labels"], serde_json::json!(["Covid", "Mass"]));
    let stats = bench.json("stats kept");
    assert_eq!((counts(&stats, "Covid"), counts(&stats, "Mass")), ((6, 0), (15, 0)));

    let drawn = bench.run("build --csv labels.csv --labels Covid --redraw-splits --out drawn");
    assert_eq!(drawn.code, 0, "{}", drawn.stderr);
    assert!(drawn.stderr.contains("test images of the source are not in test any more"), "{}", drawn.stderr);
    assert!(drawn.stderr.contains("look like labels: `Mass`"), "{}", drawn.stderr);
    let split = bench.run("split --csv labels.csv --labels Covid --out split.csv");
    assert!(
        split.stderr.contains("split `split`"),
        "what is said of a table is said here too: {}",
        split.stderr
    );
    let text = fs::read_to_string(bench.path("split.csv")).expect("written");
    assert_eq!(text.lines().filter(|line| line.ends_with(",test")).count(), 10);

    let leaking =
        fs::read_to_string(bench.path("labels.csv")).expect("written").replace("/01.jpg,1,", "/01.jpg,0,");
    bench.write("leaking.csv", leaking);
    let message = bench.refused(5, "build --csv leaking.csv --labels Covid --out leaking");
    assert!(message.contains("patient `0` is in train"), "{message}");
}

#[test]
fn lists_and_tables_may_begin_with_a_byte_order_mark() {
    let bench = Workbench::new();
    with_splits(&bench);
    let names = |range: std::ops::Range<u32>| range.map(|n| format!("{n:02}.jpg\r\n")).collect::<String>();
    bench.write("train.txt", format!("\u{feff}{}", names(0..20)));
    let utf_16: Vec<u8> =
        format!("\u{feff}{}", names(20..30)).encode_utf16().flat_map(u16::to_le_bytes).collect();
    bench.write("test.txt", utf_16);
    let split = bench.json(
        "split --csv labels.csv --labels Covid --train-list train.txt --test-list test.txt --out split.csv",
    );
    assert_eq!(split["splits"][2]["images"], 10);
    let text = fs::read_to_string(bench.path("split.csv")).expect("written");
    bench.write("marked.csv", format!("\u{feff}{text}"));
    bench.good("build --csv labels.csv --labels Covid --split-file marked.csv --out shards");
}

#[test]
fn an_option_that_cannot_act_is_refused() {
    let bench = Workbench::new();
    with_splits(&bench);
    bench.good("build --csv labels.csv --labels Covid,Mass --out shards");
    for option in
        ["--blank negative", "--rows any", "--separator ;", "--findings-column x", "--path-column x"]
    {
        let message = bench.refused(2, &format!("build --tfrecord shards {option} --out no"));
        assert!(message.contains("is for tables of labels"), "{message}");
        bench.refused(2, &format!("build --nih . {option} --out no"));
    }
    bench.refused(2, "build --csv labels.csv --separator ;; --out no");
}

/// Links in a circle, a link to itself, a pipe and a device: nothing is waited for.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_image_file_is_skipped_or_refused_at_once() {
    use std::os::unix::fs::symlink;
    let bench = Workbench::new();
    with_splits(&bench);
    for number in 0..20 {
        symlink(".", bench.path(&format!("images/circle{number}"))).expect("a link");
    }
    symlink("self.jpg", bench.path("images/self.jpg")).expect("a link");
    let made =
        std::process::Command::new("mkfifo").arg(bench.path("images/pipe.jpg")).status().expect("mkfifo");
    assert!(made.success());
    bench.good("build --csv labels.csv --labels Covid,Mass --out shards");
    for name in ["images/pipe.jpg", "/dev/zero", "images"] {
        bench.write("other.csv", format!("path,Mass\n{name},1\n"));
        let message = bench.refused(5, "build --csv other.csv --out no");
        assert!(message.contains(&format!("line 2: `{name}` is a folder, pipe or device")), "{message}");
    }
    bench.write("other.csv", "path,Mass\nimages/self.jpg,1\n");
    let message = bench.refused(5, "build --csv other.csv --out no");
    assert!(message.contains("no image file for `images/self.jpg`"), "{message}");
    bench.refused(5, "build --csv /dev/zero --out no");
}
