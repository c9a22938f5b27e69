//! From nothing to a data set and through every command.

use crate::workbench::Workbench;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use xray_image::decode_gray;

#[test]
fn synthetic_images_go_through_every_command() {
    let bench = Workbench::new();
    let built = bench.json("synth --images 120 --size 32 --seed 3 --threads 1 --out shards");
    assert_eq!(built["manifest"]["source"]["kind"], "synthetic");
    assert_eq!(built["manifest"]["image"]["size"], serde_json::json!([32, 32]));
    bench.good("synth --images 120 --size 32 --seed 3 --threads 2 --out again");
    assert_eq!(bench.files("shards"), bench.files("again"), "the threads change nothing");

    let report = bench.json("check shards");
    assert_eq!((&report["records"], &report["problems"]), (&120.into(), &serde_json::json!([])));

    let stats = bench.json("stats shards");
    for split in stats["splits"].as_array().expect("a list") {
        let name = split["split"].as_str().expect("a name");
        let said = &built["manifest"]["splits"][name];
        assert_eq!((&split["images"], &split["patients"]), (&said["images"], &said["patients"]));
        for (label, positives) in said["positives"].as_array().expect("a list").iter().enumerate() {
            assert_eq!(&split["labels"][label]["positives"], positives, "{name}");
        }
    }
    let text = bench.good("stats shards");
    assert!(text.contains("image sizes: 32x32 (120 images)"), "{text}");

    let shown = bench.json("show shards --label infiltration --count 3 --tile 64 --out sheet.png");
    assert_eq!(shown["shown"], 3);
    let sheet = decode_gray(&fs::read(bench.path("sheet.png")).expect("written")).expect("a PNG");
    assert!(sheet.width > 3 * 64 && sheet.pixels.contains(&235), "tiles and text");
    bench.good("show shards --label infiltration --count 3 --tile 64 --out same.png");
    assert!(fs::read(bench.path("sheet.png")).ok() == fs::read(bench.path("same.png")).ok(), "seeded");
}

/// Patients per split, as a split table says.
fn sides(table: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut sides: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let [_, patient, split] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("three fields: {line}")
        };
        sides.entry(split.to_owned()).or_default().insert(patient.to_owned());
    }
    sides
}

#[test]
fn a_data_set_is_split_again_and_built_so() {
    let bench = Workbench::new();
    bench.good("synth --images 150 --size 32 --out first");
    bench.good("split --tfrecord first --redraw-splits --seed 9 --val 0.3 --test 0.3 --out split.csv");
    let table = fs::read_to_string(bench.path("split.csv")).expect("written");
    assert!(table.starts_with("image_id,patient_id,split\n"), "{table}");
    let sides = sides(&table);
    assert_eq!(sides.len(), 3);
    assert!(sides["train"].is_disjoint(&sides["test"]) && sides["train"].is_disjoint(&sides["val"]));

    let built = bench.json("build --tfrecord first --split-file split.csv --out second");
    for (split, patients) in &sides {
        assert_eq!(built["manifest"]["splits"][split]["patients"], patients.len(), "{split}");
    }
    assert_eq!(built["manifest"]["split_rule"], "column");
    bench.good("check second");

    // Move one of a patient's images to another side.
    let lines: Vec<&str> = table.lines().collect();
    let patient = |line: &str| line.split(',').nth(1).map(str::to_owned);
    let pair =
        (2..lines.len()).find(|&i| patient(lines[i]) == patient(lines[i - 1])).expect("several images");
    let moved = if lines[pair].ends_with("test") { ",train" } else { ",test" };
    let edited = lines[pair].rsplit_once(',').expect("three fields").0.to_owned() + moved;
    bench.write("edited.csv", table.replace(lines[pair], &edited));
    let message = bench.refused(5, "build --tfrecord first --split-file edited.csv --out third");
    assert!(message.contains("patient `") && message.contains("` is in "), "{message}");
    assert!(!bench.path("third").exists(), "nothing was made");
}

#[test]
fn what_cannot_be_shown_is_said_with_its_own_exit_code() {
    let bench = Workbench::new();
    bench.good("synth --images 30 --size 32 --val 0 --out shards");
    let check = |code, arguments: &str, expected: &str| {
        let message = bench.refused(code, arguments);
        assert!(message.contains(expected), "{message}");
    };
    check(2, "show shards --label Efusion", "no label `Efusion`; nearest is `Effusion`");
    check(3, "show shards --split val", "the val split of shards is empty");
    check(3, "stats .", "no record in a *.tfrec");
    check(2, "frobnicate", "unrecognized subcommand");
    check(2, "", "Usage: xray-data");
}
