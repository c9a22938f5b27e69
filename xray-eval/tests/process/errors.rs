//! `xray-eval errors`: a page of mistakes and of labels that may be wrong.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::Value;
use std::fs;
use xray_artifacts::{Exit, Split};
use xray_train::run::RunOptions;

fn page(workplace: &Workplace, arguments: &[&str]) -> (Value, String) {
    let output = workplace
        .eval(&[&["errors"], arguments, &["--out", "page.html", "--overwrite", "--format", "json"]].concat());
    assert_exit(&output, Exit::Ok);
    let html = fs::read_to_string(workplace.path("page.html")).expect("written");
    (serde_json::from_slice(&output.stdout).expect("JSON"), html)
}

fn figures(html: &str) -> usize {
    html.matches("<figure class=\"xray\"").count()
}

#[test]
fn the_page_shows_the_worst_mistakes_and_loads_nothing() {
    let workplace = Workplace::with_run();
    let (found, html) = page(&workplace, &["run", "--images", "2", "--suspects", "5"]);
    let val = workplace.predictions(Split::Val);
    let mut shown = found["suspects"].as_array().expect("a list").len();
    assert!(shown <= 5, "{found}");
    let suspects = found["suspects"].as_array().expect("a list").clone();
    for (at, label) in val.labels.iter().enumerate() {
        let row = &found["labels"][at];
        // Scores that may know nothing of a finding know nothing of its labels.
        let told_apart = row["auc_interval"][0].as_f64().is_some_and(|low| low > 0.5);
        assert!(told_apart || row["suspected"].is_null(), "{row}");
        assert!(told_apart || suspects.iter().all(|suspect| suspect["label"] != **label), "{row}");
        assert_eq!(row["label"], **label);
        let truth = |place: usize| val.truth[place * val.labels.len() + at];
        let logit = |place: usize| val.logits[place * val.labels.len() + at];
        for (list, count, is_positive) in [
            ("worst_false_positives", "false_positives", 0.0),
            ("worst_false_negatives", "false_negatives", 1.0),
        ] {
            let worst = row[list].as_array().expect("a list");
            shown += worst.len();
            let all = row[count].as_u64().unwrap_or(0);
            assert_eq!(worst.len() as u64, all.min(2), "{row}");
            let places = worst.iter().map(|mistake| {
                val.ids
                    .iter()
                    .position(|id| *id == *mistake["id"].as_str().expect("a text"))
                    .expect("a record")
            });
            let places: Vec<usize> = places.collect();
            assert!(places.iter().all(|&place| truth(place) == is_positive), "{row}");
            // No record of the same truth is further on the wrong side than the first.
            if let Some(&first) = places.first() {
                let same = (0..val.ids.len()).filter(|&place| truth(place) == is_positive).map(logit);
                let worst = same.reduce(if is_positive == 0.0 { f64::max } else { f64::min }).expect("one");
                assert_eq!(logit(first), worst, "{row}");
            }
        }
    }
    assert!(shown > 0, "the short run makes mistakes");
    assert_eq!(figures(&html), shown);
    assert!(html.contains("img-src data:"), "{}", &html[..500]);
    for part in ["<script", "http://", "https://", " src=\"/"] {
        assert!(!html.contains(part), "{part}");
    }
    // Of 32 pixels: an image and a map are a few kB.
    assert!(html.len() < 20_000 * (shown + 1), "{} bytes for {shown} pictures", html.len());
    let (again, same) = page(&workplace, &["run", "--images", "2", "--suspects", "5"]);
    assert!(again == found && same == html, "the same each time");

    let text = workplace.eval(&["errors", "run", "--out", "page.html"]);
    assert_exit(&text, Exit::Usage);
    assert!(stderr(&text).contains("page.html is there already"), "{}", stderr(&text));
    let text = workplace.eval(&["errors", "run", "--out", "other.html", "--images", "1"]);
    assert_exit(&text, Exit::Ok);
    let text = stdout(&text);
    assert!(text.contains("called at thresholds by youden"), "{text}");
    // The table, here and on the page: what is missed of those with a finding, and called of those without.
    let html = fs::read_to_string(workplace.path("other.html")).expect("written");
    let header =
        ["finding", "with it", "missed", "without it", "called", "AUC (95 % interval)", "labels suspected"];
    let of_text = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|")
    };
    let of_page = |line: &str| {
        let cells = line.split("</t").map(|cell| cell.rsplit('>').next().unwrap_or_default());
        cells.take(header.len()).collect::<Vec<_>>().join("|")
    };
    assert!(text.lines().any(|line| of_text(line) == header.join("|")), "{text}");
    for row in found["labels"].as_array().expect("a list") {
        let count = |key: &str| row[key].as_u64().map_or("–".to_owned(), |count| count.to_string());
        let auc = row["auc"].as_f64().map_or("–".to_owned(), |auc| format!("{auc:.3}"));
        let counts = ["positives", "false_negatives", "negatives", "false_positives"].map(count).join("|");
        let label = row["label"].as_str().expect("a text");
        let suspected = format!("|{}", count("suspected"));
        let is_it = |row: String, label: &str| {
            row.starts_with(&format!("{label}|{counts}|{auc}")) && row.ends_with(&suspected)
        };
        assert!(text.lines().any(|line| is_it(of_text(line), label)), "{row} is not in\n{text}");
        let spaced = label.replace('_', " ");
        assert!(html.split("<tr").any(|line| is_it(of_page(line), &spaced)), "{row} is not on the page");
    }
}

#[test]
fn of_a_cross_validation_each_record_is_shown_by_its_own_run() {
    let workplace = Workplace::new();
    for fold in ["0", "1"] {
        let settings = ["data.folds=2", &format!("data.fold={fold}")];
        workplace
            .train(&format!("fold-{fold}"), &settings, RunOptions::default())
            .expect("a run of good settings");
    }
    let (found, html) = page(&workplace, &["fold-0", "fold-1", "--images", "1"]);
    let manifest = workplace.json("shards/dataset.json");
    let images = |split: &str| manifest["splits"][split]["images"].as_u64().expect("a number");
    assert_eq!(found["records"].as_u64(), Some(images("train") + images("val")));
    assert!(html.contains("Errors of a cross-validation of 2 runs"), "{}", &html[..500]);
    let alone = workplace.eval(&["errors", "fold-0", "fold-0", "--out", "x.html"]);
    assert_exit(&alone, Exit::Usage);
    assert!(stderr(&alone).contains("are both fold 0"), "{}", stderr(&alone));
}

#[test]
fn a_page_that_cannot_be_is_refused() {
    let workplace = Workplace::with_run();
    let refused = |exit: Exit, arguments: &[&str], part: &str| {
        let output = workplace.eval(&[&["errors"], arguments].concat());
        assert_exit(&output, exit);
        assert!(stderr(&output).contains(part), "{part} is not in {}", stderr(&output));
        assert!(!workplace.path("x.html").exists());
    };
    refused(Exit::Usage, &["run", "--out", "x.png"], "x.png is not named .html");
    refused(Exit::Usage, &["run", "--out", "x.html", "--images", "0"], "0 is not in 1..=50");
    refused(Exit::NothingMatches, &["nowhere", "--out", "x.html"], "nowhere is not a run directory");
    fs::rename(workplace.path("shards"), workplace.path("moved")).expect("there");
    refused(
        Exit::Unexpected,
        &["run", "--out", "x.html"],
        "say where the data of this run lie now with --data DIR",
    );
    let output = workplace.eval(&["errors", "run", "--out", "x.html", "--data", "moved"]);
    assert_exit(&output, Exit::Ok);
}
