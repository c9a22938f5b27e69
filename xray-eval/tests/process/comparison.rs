//! `xray-eval compare`: two models on the same test records.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::{Value, json};
use xray_artifacts::{Exit, Split};

fn write(workplace: &Workplace, name: &str, header: &str, rows: impl IntoIterator<Item = String>) {
    let rows: String = rows.into_iter().map(|row| row + "\n").collect();
    std::fs::write(workplace.path(name), format!("{header}\n{rows}")).expect("writable");
}

fn compared(workplace: &Workplace, a: &str, b: &str) -> Value {
    let output = workplace.eval(&["compare", a, b, "--format", "json"]);
    assert_exit(&output, Exit::Ok);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn models_are_compared_record_by_record_in_whatever_order() {
    let workplace = Workplace::empty();
    let rows = ["a,1,0.9", "b,0,0.4", "c,1,0.3", "d,0,0.2"].map(str::to_owned);
    let header = "id,Mass,score_Mass";
    write(&workplace, "a.csv", header, rows.clone());
    write(&workplace, "turned.csv", header, rows.iter().rev().cloned());
    let with = |last: &str| rows[..3].iter().cloned().chain([last.to_owned()]);
    write(&workplace, "others.csv", header, with("e,0,0.2"));
    write(&workplace, "twice.csv", header, with("c,1,0.3"));
    write(&workplace, "more.csv", header, with("d,0,0.2").chain(["e,0,0.2".to_owned()]));
    write(&workplace, "truth.csv", header, with("d,1,0.2"));
    write(&workplace, "edema.csv", "id,Edema,score_Edema", rows.clone());
    let same = workplace.eval(&["compare", "a.csv", "turned.csv"]);
    assert_exit(&same, Exit::Ok);
    assert!(stdout(&same).contains("0.750  0.750  +0.000"), "{}", stdout(&same));
    let why = "no test for Mass, macro: only 2 records with it and 2 without; an interval needs 5 of each";
    assert!(stdout(&same).contains(why), "{}", stdout(&same));
    let check = |a: &str, b: &str, message: &str| {
        let output = workplace.eval(&["compare", a, b]);
        assert_exit(&output, Exit::BadData);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    check("a.csv", "others.csv", "the second model has no score of d");
    check("a.csv", "more.csv", "the first model has no score of e");
    check("a.csv", "twice.csv", "twice.csv: line 5: the id c is that of line 4 already");
    check("twice.csv", "a.csv", "twice.csv: line 5: the id c is that of line 4 already");
    check("a.csv", "truth.csv", "they differ at record 3, label 0");
    check("a.csv", "edema.csv", "only one of the two models scores Mass");
}

/// Forty records of twenty patients, ten of them with the finding; `sharp` follows the truth more than `blunt`.
fn row(at: usize, sharp: bool) -> (String, String) {
    let truth = at / 2 % 2;
    let noise = (at * (if sharp { 7 } else { 5 }) % 17) as f64 / 17.0;
    let score = if sharp { 0.3 } else { 0.05 } * truth as f64 + 0.6 * noise;
    (format!("{truth},{score}"), format!("p{}", at / 2))
}

#[test]
fn patients_that_one_side_names_are_those_of_both() {
    let workplace = Workplace::empty();
    let (named, unnamed) = ("id,patient,Mass,score_Mass", "id,Mass,score_Mass");
    for (name, sharp) in [("sharp", true), ("blunt", false)] {
        let with = (0..40).map(|at| format!("r{at},{},{}", row(at, sharp).1, row(at, sharp).0));
        write(&workplace, &format!("{name}.csv"), named, with);
        // In another order, so that patients are found by id.
        let without = (0..40).rev().map(|at| format!("r{at},{}", row(at, sharp).0));
        write(&workplace, &format!("{name}-unnamed.csv"), unnamed, without);
    }
    let both = compared(&workplace, "sharp.csv", "blunt.csv");
    assert_eq!(both["comparison"]["method"], "paired_delong");
    assert_eq!((&both["comparison"]["unit"], &both["comparison"]["units"]), (&json!("patient"), &json!(20)));
    for (a, b, who) in [("sharp.csv", "blunt-unnamed.csv", "B"), ("sharp-unnamed.csv", "blunt.csv", "A")] {
        let one = compared(&workplace, a, b);
        assert_eq!(one["comparison"]["unit"], "patient");
        let close = |key: &str| {
            let [of_one, of_both] = [&one, &both].map(|found| found["comparison"]["labels"][0][key].clone());
            let [of_one, of_both] = [of_one, of_both].map(|value| value.as_f64().expect("defined"));
            assert!((of_one - of_both).abs() < 1e-12, "{key}: {of_one} is not {of_both}");
        };
        ["a", "b", "p_value"].into_iter().for_each(close);
        let notes = one["notes"].to_string();
        assert!(notes.contains(&format!("{who} names no patients")), "{notes}");
        // Nothing is said of baselines and probabilities, of which none are shown.
        assert!(!notes.contains("baseline") && !notes.contains("taken for"), "{notes}");
        let text = stdout(&workplace.eval(&["compare", a, b]));
        assert!(text.contains("intervals and p-values: DeLong's paired test with Student's t"), "{text}");
        assert!(text.contains("40 test records of 20 patients"), "{text}");
    }
    let others = (0..40).map(|at| format!("r{at},p{},{}", at / 4, row(at, false).0));
    write(&workplace, "others.csv", named, others);
    let output = workplace.eval(&["compare", "sharp.csv", "others.csv"]);
    assert_exit(&output, Exit::BadData);
    assert!(
        stderr(&output).contains("the two files name different patients for record r2"),
        "{}",
        stderr(&output)
    );
    let text = stdout(&workplace.eval(&["compare", "sharp-unnamed.csv", "blunt-unnamed.csv"]));
    assert!(text.contains("40 test records, taken as independent because patients are unknown"), "{text}");

    // Every record twice, by the same patient, is not new evidence.
    for (name, sharp) in [("sharp", true), ("blunt", false)] {
        let twice = (0..80).map(|at| format!("r{at},{},{}", row(at % 40, sharp).1, row(at % 40, sharp).0));
        write(&workplace, &format!("{name}-twice.csv"), named, twice);
    }
    let twice = compared(&workplace, "sharp-twice.csv", "blunt-twice.csv");
    for place in ["/macro_auc/interval/0", "/macro_auc/interval/1", "/macro_auc/p_value", "/labels/0/p_value"]
    {
        let [once, twice] = [&both, &twice].map(|found| found["comparison"].pointer(place).cloned());
        let [once, twice] =
            [once, twice].map(|value| value.and_then(|value| value.as_f64()).expect("defined"));
        assert!((once - twice).abs() < 1e-12, "{place}: {twice} is not {once}");
    }
}

/// The same ranks as probabilities that f32 does not tell apart, percentages, logits and denormals.
#[test]
fn ranks_are_those_of_the_numbers_in_the_file() {
    let workplace = Workplace::empty();
    let scales: [(&str, &dyn Fn(u32) -> f64); 6] = [
        ("close.csv", &|rank| 0.9 + 1e-15 * f64::from(rank)),
        ("one.csv", &|rank| 1.0 - f64::from(40 - rank) * f64::EPSILON / 2.0),
        ("denormal.csv", &|rank| f64::from(rank) * 5e-324),
        ("percent.csv", &|rank| 2.5 * f64::from(rank)),
        ("logits.csv", &|rank| f64::from(rank) - 20.0),
        ("huge.csv", &|rank| f64::from(rank) * 1e30),
    ];
    for (name, score) in scales {
        let rank = |at: u32| at * 7 % 41 * u32::from(!at.is_multiple_of(3));
        let rows = (0..40).map(|at| format!("r{at},{},{:?}", at / 2 % 2, score(rank(at))));
        write(&workplace, name, "id,Mass,score_Mass", rows);
    }
    let auc = |found: &Value, model: &str| found["comparison"]["labels"][0][model].as_f64().expect("defined");
    let mut expected = None;
    for (name, _) in scales {
        let found = compared(&workplace, name, "logits.csv");
        let [a, b] = ["a", "b"].map(|model| auc(&found, model));
        assert_eq!((a, found["comparison"]["labels"][0]["difference"].as_f64()), (b, Some(0.0)), "{name}");
        assert!(a > 0.3 && a < 0.7 && a == *expected.get_or_insert(a), "{name}: {a}");
    }
    let scored = workplace.eval(&["score", "close.csv", "--format", "json", "--resamples", "0"]);
    let scored: Value = serde_json::from_slice(&scored.stdout).expect("JSON");
    assert_eq!(scored["test"]["labels"][0]["auc"].as_f64(), expected);
}

#[test]
fn rows_without_an_id_are_known_by_their_line_and_it_says_so() {
    let workplace = Workplace::empty();
    write(&workplace, "a.csv", "Mass,score_Mass", ["1,0.9", "0,0.4"].map(str::to_owned));
    let found = compared(&workplace, "a.csv", "a.csv");
    assert!(found["notes"].to_string().contains("B: there is no column `id`"), "{found}");
}

#[test]
fn runs_on_other_records_are_not_compared() {
    let workplace = Workplace::with_run();
    std::fs::create_dir(workplace.path("other")).expect("writable");
    for file in ["result.json", "predictions-val.safetensors", "predictions-test.safetensors"] {
        let to = workplace.path(&format!("other/{file}"));
        std::fs::copy(workplace.path(&format!("run/{file}")), to).expect("writable");
    }
    let found = compared(&workplace, "run", "other");
    assert_eq!(found["comparison"]["macro_auc"]["difference"], 0.0);
    let id = workplace.predictions(Split::Test).ids[0].clone();
    workplace.edit(Split::Test, |test| test.ids[0] = "elsewhere.png".into());
    let output = workplace.eval(&["compare", "run", "other"]);
    assert_exit(&output, Exit::BadData);
    assert!(
        stderr(&output).contains("the second model has no score of elsewhere.png"),
        "{}",
        stderr(&output)
    );
    let output = workplace.eval(&["compare", "other", "run"]);
    assert_exit(&output, Exit::BadData);
    assert!(
        stderr(&output).contains(&format!("the second model has no score of {id}")),
        "{}",
        stderr(&output)
    );
}
