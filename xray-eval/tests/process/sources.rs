//! Records of several sources: their names travel from the shards into every table, and figures within them stand beside
//! those over all.

use crate::workplace::{Workplace, assert_exit, stdout};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use xray_artifacts::{Exit, Split};
use xray_data::build::{BuildConfig, build};
use xray_data::sources::{combine, synthetic};
use xray_image::SynthConfig;
use xray_train::run::RunOptions;

/// Phantoms of two places in `shards/`, and a finished run on them.
fn two_places() -> Workplace {
    let workplace = Workplace::empty();
    let place = |name: &str, images, seed| {
        let config = SynthConfig { images, size: 32, seed, ..SynthConfig::default() };
        (name.to_owned(), synthetic::read(&config))
    };
    let set = combine(vec![place("north", 150, 1), place("south", 150, 2)]);
    build(&set, &BuildConfig::default(), &workplace.path("shards"), &|| ()).expect("a writable folder");
    workplace.train("run", &[], RunOptions::default()).expect("a run of good settings");
    workplace
}

fn found(workplace: &Workplace, arguments: &[&str]) -> Value {
    let output = workplace.eval(&[arguments, &["--format", "json"]].concat());
    assert_exit(&output, Exit::Ok);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn the_sources_of_a_set_are_known_to_runs_and_to_every_table() {
    let workplace = two_places();
    let own = workplace.predictions(Split::Test);
    let sources: BTreeSet<&str> = own.sources.iter().map(String::as_str).collect();
    assert_eq!(sources, BTreeSet::from(["north", "south"]));
    let named = own.patients.iter().zip(&own.sources);
    assert!(named.into_iter().all(|(patient, source)| patient.starts_with(&format!("{source}:"))));

    let of_run = found(&workplace, &["run", "run"]);
    assert_eq!(of_run["by_source"]["sources"], json!(["north", "south"]));
    assert!(of_run["by_source"]["within_macro_auc"].is_number(), "{}", of_run["by_source"]);
    let groups = of_run["subgroups"].as_array().expect("a list");
    assert!(groups.iter().any(|of| of["by"] == "source" && of["group"] == "south"), "{groups:?}");
    let there = found(&workplace, &["run", "run", "--data", "shards", "--split", "test", "--other-patients"]);
    assert_eq!(there["appraisal"]["by_source"]["labels"], of_run["by_source"]["labels"]);

    assert_exit(
        &workplace.eval(&["predict", "run", "shards", "--split", "test", "--out", "p.csv"]),
        Exit::Ok,
    );
    let mut table = csv::Reader::from_path(workplace.path("p.csv")).expect("written");
    let at = table.headers().expect("a header").iter().position(|name| name == "source").expect("the column");
    let column: Vec<String> = table.records().map(|row| row.expect("a row")[at].to_owned()).collect();
    assert_eq!(column, own.sources);

    workplace.train("other", &["seed=1"], RunOptions::default()).expect("a run of good settings");
    assert_exit(&workplace.eval(&["ensemble", "run", "other", "--out", "both.csv"]), Exit::Ok);
    let both = found(&workplace, &["score", "both.csv"]);
    assert_eq!(both["by_source"]["sources"], json!(["north", "south"]));
    assert_eq!(both["by_source"]["labels"][0]["by_source"][0]["positives"], {
        of_run["by_source"]["labels"][0]["by_source"][0]["positives"].clone()
    });
}

/// A score that knows the hospital and nothing else: three of four in the first have it, one of four in the second.
#[test]
fn a_model_that_only_tells_hospitals_apart_is_seen_through() {
    let workplace = Workplace::empty();
    let rows = |with_source: bool| {
        let mut rows =
            format!("id,patient,split,Mass,score_Mass{}\n", if with_source { ",source" } else { "" });
        for split in ["val", "test"] {
            for at in 0..160 {
                let north = at % 2 == 0;
                let sick = u8::from((at / 2 % 4 == 0) != north);
                let (name, score) = if north { ("north", 0.8) } else { ("south", 0.2) };
                let source = if with_source { format!(",{name}") } else { String::new() };
                rows += &format!("{split}{at},{split}{at},{split},{sick},{score}{source}\n");
            }
        }
        rows
    };
    std::fs::write(workplace.path("a.csv"), rows(true)).expect("writable");
    let of = found(&workplace, &["score", "a.csv"]);
    let mass = &of["by_source"]["labels"][0];
    assert_eq!((&of["test"]["macro_auc"], &mass["auc"]), (&json!(0.75), &json!(0.75)));
    assert_eq!((&mass["within_auc"], &mass["source_alone_auc"]), (&json!(0.5), &json!(0.75)));
    assert_eq!(mass["missing_within_interval"], "same_score");
    let positives: Vec<&Value> =
        mass["by_source"].as_array().expect("a list").iter().map(|one| &one["positives"]).collect();
    assert_eq!(positives, [60, 20]);
    let text = stdout(&workplace.eval(&["score", "a.csv"]));
    for part in ["within sources", "source alone", "positives of north", "60 (75 %)", "source south"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }

    std::fs::write(workplace.path("b.csv"), rows(false)).expect("writable");
    assert_eq!(found(&workplace, &["score", "b.csv"])["by_source"], Value::Null);
    assert!(!stdout(&workplace.eval(&["score", "b.csv"])).contains("within sources"));
}
