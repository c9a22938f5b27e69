use super::*;
use crate::schema::Label::{Negative, Positive, Uncertain, Unknown};
use crate::sources::Join;
use std::fs;
use xray_artifacts::one_line;

fn read_text(text: &str, columns: &CsvColumns) -> Result<Listing> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("rows.csv");
    fs::write(&path, text).expect("writable");
    read(&path, columns)
}

fn check_refused(text: &str, columns: &CsvColumns, expected: &str) {
    let message = one_line(&read_text(text, columns).expect_err(expected));
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn label_cells_are_read_in_every_spelling() {
    let text =
        "path,patient,Mass,Effusion,Nodule\na.png,1,1,0,-1\nb.png,1,true,FALSE,\nc.png,2,1.0,0.0,-1.0\n";
    let columns = CsvColumns { allow_empty: true, ..CsvColumns::default() };
    let listing = read_text(text, &columns).expect("a good table");
    assert_eq!(listing.labels, ["Effusion", "Mass", "Nodule"]); // the usual order, not the table's
    for listed in &listing.rows {
        let last = if listed.file == "b.png" { Unknown } else { Uncertain };
        assert_eq!(listed.row.labels, [Negative, Positive, last], "{}", listed.file);
    }
}

#[test]
fn named_columns_and_a_joined_one_are_read() {
    let columns = CsvColumns {
        path: Some("where".into()),
        findings: Some("what".into()),
        split: Some("split".into()),
        labels: vec!["Fracture".into(), "Mass".into()],
        ..CsvColumns::default()
    };
    let text = "where,what,subject_id,split\nx/a.png,Mass|Fracture,7,valid\nb.png,Hernia,7,val\n";
    let listing = read_text(text, &columns).expect("a good table");
    assert_eq!(listing.rows[0].row.labels, [Positive, Positive]);
    assert_eq!(listing.rows[1].row.labels, [Negative, Negative]); // known, but not asked for
    assert_eq!(listing.rows[0].row.split, Some(Split::Val));
    assert_eq!(listing.rows[0].row.patient_id.as_deref(), Some("7"));
}

#[test]
fn images_are_named_by_file_or_else_by_path() {
    let check = |paths: [&str; 2], expected: [&str; 2]| {
        let text = format!("path,Mass\n{},1\n{},1\n", paths[0], paths[1]);
        let listing = read_text(&text, &CsvColumns::default()).expect("a good table");
        let ids: Vec<_> = listing.rows.iter().map(|listed| listed.row.image_id.as_str()).collect();
        assert_eq!(ids, expected);
    };
    check(["x/a.png", "x/b.png"], ["a.png", "b.png"]);
    check(["p1/view.jpg", "./p2/view.jpg"], ["p1_view.jpg", "p2_view.jpg"]);
}

#[test]
fn a_bad_cell_or_column_is_named() {
    let usual = CsvColumns::default();
    check_refused("path,Mass\na.png,2\n", &usual, "line 2: `2` in column `Mass` is not a valid label value");
    let split = CsvColumns { split: Some("split".into()), ..CsvColumns::default() };
    check_refused(
        "path,Mass,split\na.png,1,trian\n",
        &split,
        "line 2: `trian` in column `split` is not a split",
    );
    check_refused("path,Massive\na.png,heavy\n", &usual, "line 1: no column holds labels");
    let effusion = CsvColumns { labels: vec!["Efusion".into()], ..CsvColumns::default() };
    check_refused(
        "path,Effusion\na.png,1\n",
        &effusion,
        "line 1: no column `Efusion`; nearest is `Effusion`",
    );
}

fn text_of(result: &Result<Listing>) -> String {
    match result {
        Ok(Listing { notes, warnings, .. }) => [notes.as_slice(), warnings].concat().join("\n"),
        Err(error) => format!("{}\n{}", one_line(error), error.hint().unwrap_or_default()),
    }
}

/// `change` is done to the usual columns; `expected` are parts of what is said.
fn check(text: &str, change: impl FnOnce(&mut CsvColumns), expected: &[&str]) -> Option<Listing> {
    let mut columns = CsvColumns::default();
    change(&mut columns);
    let result = read_text(text, &columns);
    let said = text_of(&result);
    for part in expected {
        assert!(said.contains(part), "`{part}` in: {said}");
    }
    result.ok()
}

fn labels(names: &[&str]) -> impl FnOnce(&mut CsvColumns) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    move |columns| columns.labels = names
}

#[test]
fn columns_that_look_like_labels_are_asked_about() {
    let refused = |text, parts: &[&str]| assert!(check(text, |_| (), parts).is_none(), "{text}");
    refused(
        "path,Mass,Covid\na,1,0\nb,0,1\n",
        &["beside those of ChestX-ray14: `Covid`", "--labels Mass,Covid"],
    );
    refused("path,TB\na,1\nb,0\n", &["`TB`", "take them with --labels TB"]);
    refused("path,\"Nodule, calcified\"\na,1\nb,0\n", &["--labels '\"Nodule, calcified\"'"]);
    refused(
        "path,Mass,Lung Opacity,Fracture,Other\na,1,yes,,0\nb,0,no,,\n",
        &["--labels 'Mass,Lung Opacity'", "`Other`, `Fracture`"],
    );
    refused("path,Good\na,0\nb,0\n", &["--labels Good --allow-empty-labels"]);
    refused("path,labels,Covid\na,free text,1\n", &["`Covid`"]);
    let listing = check("path,Mass,Covid\na,1,0\nb,0,1\n", labels(&["Covid", "Mass"]), &[]).expect("named");
    assert_eq!(
        (listing.labels, &listing.rows[1].row.labels),
        (vec!["Covid".into(), "Mass".into()], &vec![Positive, Negative])
    );
    // What is not kept is named, and an image that shows it is not healthy.
    let listing = check(
        "path,Mass,Covid,note\na,1,0,x\nb,0,1,y\nc,0,0,z\n",
        labels(&["Mass"]),
        &["look like labels: `Covid`; not used: `note`"],
    )
    .expect("named");
    assert_eq!(
        listing.rows.iter().map(|l| l.row.no_finding).collect::<Vec<_>>(),
        [None, Some(Unknown), None]
    );
}

#[test]
fn labels_that_no_row_shows_are_refused_unless_allowed() {
    let text = "path,Mass,Covid\na,1,0\nb,0,-1\n";
    assert!(
        check(text, labels(&["Mass", "Covid"]), &["no row is positive for `Covid`", "--allow-empty-labels"])
            .is_none()
    );
    let all = |columns: &mut CsvColumns| {
        labels(&["Mass", "Covid"])(columns);
        columns.allow_empty = true;
    };
    assert!(check(text, all, &["1 of 4 label cells are -1"]).is_some());
    let lists = "path,findings\na,Mass\n";
    assert!(check(lists, |_| (), &[]).is_some(), "the fourteen are nobody's choice");
    assert!(check(lists, labels(&["Mass", "Hernia"]), &["no row is positive for `Hernia`"]).is_none());
}

#[test]
fn no_finding_is_what_the_table_says() {
    let text = "path,Mass,Support Devices,No Finding\na,1,0,0\nb,,1,1\nc,,,\nd,,,1\n";
    let listing = check(
        text,
        labels(&["Mass", "Support Devices"]),
        &["no finding `No Finding`", "a device, which is not a finding: 1"],
    );
    let said = |listing: Listing| listing.rows.iter().map(|l| l.row.no_finding).collect::<Vec<_>>();
    assert_eq!(said(listing.expect("a good table")), [Negative, Positive, Unknown, Positive].map(Some));
    let lists = check(
        "path,findings\na,Mass\nb,No Finding\nc,Hernia\nd,\n",
        labels(&["Mass"]),
        &["left out: `Hernia`"],
    );
    assert_eq!(said(lists.expect("a good table")), [Negative, Positive, Negative, Unknown].map(Some));
    for text in [
        "path,Mass,No finding\na,1,1\n",
        "path,findings\na,Mass|No Finding\n",
        "path,findings\na,\"['mass', 'normal']\"\n",
    ] {
        assert!(check(text, |_| (), &["image `a` has `No Finding` and `"]).is_none(), "{text}");
    }
    // As a label of its own.
    let own =
        check("path,Mass,No Finding\na,1,0\nb,0,1\n", labels(&["No Finding", "Mass"]), &[]).expect("named");
    assert_eq!(own.rows[1].row.labels, [Positive, Negative]);
}

#[test]
fn blanks_have_a_policy() {
    let text = "path,Mass,Edema\na,1,\nb,NaN,1\nc,,\n";
    let listing = check(
        text,
        |_| (),
        &["4 of 6 label cells are blank: taken for unknown", "no label is known: 1 of 3"],
    );
    assert_eq!(listing.expect("a good table").rows[0].row.labels, [Positive, Unknown]);
    let listing = check(
        text,
        |columns| columns.blank = Blank::Negative,
        &["4 of 6 label cells are blank: taken for negative"],
    );
    assert_eq!(listing.expect("a good table").rows[2].row.labels, [Negative, Negative]);
}

#[test]
fn a_split_column_is_kept() {
    let text = "path,Mass,Split\na,1,TRAIN\nb,0,valid\nc,0,Testing\nd,0,dev\n";
    let listing = check(text, |_| (), &["split `Split`"]).expect("a good table");
    let splits: Vec<_> = listing.rows.iter().filter_map(|listed| listed.row.split).collect();
    assert_eq!(splits, [Split::Train, Split::Val, Split::Test, Split::Val]);
    let fold = "path,Mass,split\na,1,train\nb,0,fold 2\n";
    assert!(
        check(fold, |_| (), &["line 3: `fold 2` in column `split` is not a split", "--redraw-splits"])
            .is_none()
    );
    let listing =
        check(fold, |columns| columns.other_splits = true, &["not used: `split`"]).expect("redrawn");
    assert_eq!(listing.rows[0].row.split, None);
}

#[test]
fn contradictions_are_refused() {
    let refused = |text, parts: &[&str]| assert!(check(text, |_| (), parts).is_none(), "{text}");
    refused(
        "path,Mass,mass\na,1,1\nb,1,0\n",
        &["line 3: column 2, `Mass`, says `1` and column 3, `mass`, says `0`"],
    );
    refused("path,patient_id,Patient ID,Mass\na,1,2,1\n", &["column 2, `patient_id`, says `1`"]);
    refused(
        "path,patient_id,subject_id,Mass\na,1,x,1\nb,1,y,1\n",
        &["line 3: `patient_id` and `subject_id` tell different patients apart", "--patient-column"],
    );
    refused("path,Path,Mass\na,b,1\n", &["column 1, `path`"]);
    refused("path,Mass\na,1\na,1\n", &["image `a` is listed a second time, first on line 2", "--rows any"]);
    refused(
        "path,Mass,Finding Labels\na,1,Effusion\n",
        &["`Finding Labels` does not list `Mass` and the column `Mass` says 1"],
    );
    refused("path,Mass,Finding Labels\na,1,Mass\nb,0,Mass\n", &["line 3: `Finding Labels` lists `Mass`"]);
    assert!(check("path,Mass,mass\na,1,1\nb,0,0\n", |_| (), &[]).is_some(), "they agree");
    assert!(
        check("path,Mass,findings\na,1,A dense lesion.\n", |_| (), &["not used: `findings`"]).is_some(),
        "a report"
    );
    assert!(
        check("path,Mass\na,1\n", labels(&["Mass", "mass"]), &["the label `mass` is named twice"]).is_none()
    );
    assert!(
        check("path,image_id\na,1\n", labels(&["image_id"]), &["`image_id` cannot be a label"]).is_none()
    );
}

#[test]
fn rows_of_an_image_are_joined_by_a_rule() {
    let text = "image_id,rad_id,Mass,Effusion,No finding\na,R1,1,0,0\na,R2,0,0,1\na,R3,1,0,0\nb,R1,0,0,1\nb,R2,0,1,0\n";
    let join = |rule, text| {
        let listing = check(
            text,
            |columns| (columns.join, columns.allow_empty) = (Some(rule), true),
            &["5 rows of 2 images are joined"],
        );
        let rows = listing.expect("a good table").rows;
        rows.into_iter().map(|listed| (listed.row.labels, listed.row.no_finding)).collect::<Vec<_>>()
    };
    let (no, yes) = (Some(Negative), Some(Positive));
    // Effusion comes first, as in the fourteen.
    assert_eq!(join(Join::Any, text), [(vec![Negative, Positive], no), (vec![Positive, Negative], no)]);
    assert_eq!(
        join(Join::Majority, text),
        [(vec![Negative, Positive], no), (vec![Uncertain, Negative], Some(Uncertain))]
    );
    assert_eq!(join(Join::All, text), [(vec![Negative, Negative], yes), (vec![Negative, Negative], yes)]);
    let lists = "image_id,class_name\na,Mass\na,Hernia\n";
    let any = check(
        lists,
        |columns| (columns.findings, columns.join) = (Some("class_name".into()), Some(Join::Any)),
        &[],
    );
    assert_eq!(any.expect("a good table").rows.len(), 1);
    let all = |columns: &mut CsvColumns| {
        (columns.findings, columns.join) = (Some("class_name".into()), Some(Join::All))
    };
    assert!(check(lists, all, &["can only be joined with --rows any"]).is_none());
    let two = "image_id,patient,Mass\na,1,1\na,2,0\n";
    assert!(
        check(
            two,
            |columns| columns.join = Some(Join::Any),
            &["line 3: image `a`: its patient is `2` here and `1` on line 2"]
        )
        .is_none()
    );
}

#[test]
fn lists_are_read_however_they_are_joined() {
    let lists = |cells: &str| format!("path,Labels\na,{cells}\nb,No Finding\n");
    for cells in ["Mass|Effusion", "Mass;Effusion", "\"Mass, Effusion\"", "\"['mass', 'effusion']\""] {
        let listing = check(&lists(cells), |_| (), &[]).expect("a good table");
        assert_eq!(
            listing.rows[0].row.labels.iter().filter(|label| **label == Positive).count(),
            2,
            "{cells}"
        );
    }
    let padchest = lists("\"['pleural effusion', 'nodule']\"");
    assert!(
        check(
            &padchest,
            |_| (),
            &["unknown finding `pleural effusion`", "Python", "--labels 'pleural effusion,nodule'"]
        )
        .is_none()
    );
    assert!(check(&padchest, labels(&["pleural effusion"]), &["left out: `nodule`"]).is_some());
    assert!(
        check(&lists("Efusion|Mass"), labels(&["Effusion", "Mass"]), &["nearest is `Effusion`"]).is_none()
    );
    assert!(check(&lists("Mass/Covid"), |_| (), &["joined by `|`"]).is_none());
}

#[test]
fn patients_of_one_number_are_one() {
    let listing =
        check("path,patient_id,Mass\na,1.0,1\nb,1,0\nc,001,0\nd,nan,0\ne,1.50,0\n", |_| (), &["1 row"])
            .expect("good");
    let patients: Vec<_> = listing.rows.iter().map(|listed| listed.row.patient_id.as_deref()).collect();
    assert_eq!(patients, [Some("1"), Some("1"), Some("001"), None, Some("1.50")]);
    let text =
        "Path,Mass\nd/train/patient00001/study1/view1.jpg,1\nd/train/patient00002/study1/view1.jpg,0\n";
    let listing = check(text, |_| (), &["taken from the paths, as `patient00001`"]).expect("good");
    assert_eq!(listing.rows[1].row.patient_id.as_deref(), Some("patient00002"));
    let listing = check("Path,Mass\npatient1/a.jpg,1\nb.jpg,0\n", |_| (), &[]).expect("good");
    assert_eq!(listing.rows[0].row.patient_id, None);
}

#[test]
fn ages_views_and_sexes_are_read_or_counted() {
    let text = "path,Age,Sex,AP/PA,Frontal/Lateral,Mass\na,018M,Male,AP,Frontal,1\nb,411,2,,Lateral,0\n";
    let listing = check(
        text,
        |_| (),
        &["rows whose age cannot be read, as `411`, and is left out: 1", "whose sex cannot be read, as `2`"],
    );
    let rows = listing.expect("good").rows;
    let said =
        |place: usize| (rows[place].row.age, rows[place].row.sex.as_deref(), rows[place].row.view.as_deref());
    assert_eq!((said(0), said(1)), ((Some(1), Some("M"), Some("AP")), (None, None, Some("LATERAL"))));
}

#[test]
fn thousands_of_columns_take_linear_time_and_are_no_labels() {
    let names: Vec<String> = (0..20_000).map(|number| format!("c{number}")).collect();
    let row = |cell: &str| format!("a{cell},{}\n", vec![cell; names.len()].join(","));
    let text = format!("path,{}\n{}{}", names.join(","), row("1"), row("0"));
    let start = std::time::Instant::now();
    check(&text, |_| (), &["`c0`, `c1`", "and 19960 more", "name those to keep with --labels"]);
    let all = names.clone();
    check(&text, |columns| columns.labels = all, &["20000 labels, at most 1000 are possible"]);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// Hundreds of tables, each damaged in a few places: no panic, and of what is read every row that is not blank
/// is there.
#[test]
fn damaged_tables_are_refused_or_read_whole() {
    let good = "path,patient_id,age,Mass,Effusion,split,note\n".to_owned()
        + &(0..12)
            .map(|n| format!("p{n}/v.png,{n}.0,{n}M,{},{},train,\"x, {n}\"\n", n % 2, (n + 1) % 2))
            .collect::<String>();
    let pieces = [
        "\"",
        ",",
        ";",
        "\n",
        "\r",
        "\t",
        "|",
        "\u{feff}",
        "\0",
        "-1",
        "NaN",
        "1.000000",
        "Mass",
        "path",
        "[",
        "]",
        "'",
        "train",
        "test",
        "\u{e9}",
        "\u{1}",
        "../",
        "\\",
        "No Finding",
        ",,,,,,\n",
        "\"\"",
        "999999999999999999999",
        "sep=;\n",
    ];
    let mut state = 7u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..1500 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..=draw(3) {
            let at = draw(bytes.len().max(1)).min(bytes.len());
            match draw(4) {
                0 if at < bytes.len() => bytes[at] = draw(256) as u8,
                1 => drop(bytes.splice(at..at, pieces[draw(pieces.len())].bytes()).count()),
                2 => drop(bytes.drain(at..(at + draw(40)).min(bytes.len()))),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("rows.csv");
        fs::write(&path, &bytes).expect("writable");
        let join = [None, Some(Join::Any)][draw(2)];
        match super::read(&path, &CsvColumns { join, allow_empty: true, ..CsvColumns::default() }) {
            Err(error) => {
                assert!(one_line(&error).contains("rows.csv"), "{error}");
                refused += 1;
            }
            Ok(listing) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let lines = text
                    .lines()
                    .flat_map(|line| line.split('\r'))
                    .filter(|line| !line.trim_matches(|c: char| !c.is_alphanumeric()).is_empty());
                // Two stray quotes make one cell of the lines between them, which is said.
                let inside = join.is_some()
                    || listing.warnings.iter().any(|note| note.contains("line breaks in quotes"));
                assert!(
                    inside || listing.rows.len() + 1 + usize::from(text.starts_with("sep=")) >= lines.count(),
                    "{text}"
                );
                read += 1;
            }
        }
    }
    assert!(read > 50 && refused > 300, "{read} {refused}");
}

/// A column of any other name than `split` may hold splits, and a new one would be drawn without a word.
#[test]
fn splits_that_are_not_used_are_told() {
    let said = |header: &str, cells: [&str; 3], columns: &CsvColumns| {
        let rows = cells.iter().enumerate().map(|(at, cell)| format!("{at}.png,{at},{},{cell}\n", at % 2));
        let text = format!("path,patient,Mass,{header}\n") + &rows.collect::<String>();
        let listing = read_text(&text, columns).expect("a good table");
        listing.warnings.iter().any(|note| note.contains(&format!("--split-column '{header}' keeps them")))
    };
    let plain = CsvColumns::default();
    assert!(said("fold", ["train", "Valid", "test"], &plain));
    assert!(said("partition", ["training", "train", "dev"], &plain));
    assert!(!said("fold", ["train", "train", "train"], &plain), "nothing would be kept apart");
    assert!(!said("fold", ["1", "2", "3"], &plain));
    assert!(!said("fold", ["train", "", "test"], &plain));
    assert!(!said("split", ["train", "val", "test"], &plain), "it is used");
    let named = CsvColumns { split: Some("fold".into()), ..CsvColumns::default() };
    assert!(!said("fold", ["train", "val", "test"], &named));
    assert!(!said(
        "fold",
        ["train", "val", "test"],
        &CsvColumns { other_splits: true, ..CsvColumns::default() }
    ));
}

#[test]
fn what_stands_between_is_named_where_it_is_not_read() {
    let hint = |text: &str| {
        let error = read_text(text, &CsvColumns::default()).expect_err(text);
        error.hint().expect("what to do")
    };
    let joined = |cell: &str| hint(&format!("path,Finding Labels\na.png,Mass\nb.png,{cell}\n"));
    assert!(joined("Mass/Nodule").contains("these seem to be joined by `/`"));
    assert!(joined("Mass and Effusion").contains("these seem to be joined by ` and `"));
    assert!(joined("Mass/Shadow").contains("or name all findings"));
    assert!(hint("path:Mass\na.png:1\n").contains("one cell, `path:Mass`: say what stands between"));
}
