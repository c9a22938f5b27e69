//! Points drawn at random, and the order of cells.

use crate::workplace::{Workplace, assert_exit, stderr};
use serde_json::Value;
use std::collections::BTreeSet;
use xray_artifacts::Exit;

const ONE: [&str; 4] = ["--fractions", "1", "--trials", "1"];
const AXES: [&str; 4] = ["--axis", "schedule.learning_rate=log(1e-4,1e-2)", "--axis", "loss.name=bce,focal"];

fn ids(workplace: &Workplace, dir: &str) -> BTreeSet<String> {
    workplace.cells(dir).iter().map(|cell| cell["id"].to_string()).collect()
}

#[test]
fn a_larger_sample_keeps_the_points_of_a_smaller_one() {
    let Some(workplace) = Workplace::new() else { return };
    let sample = |count: &'static str| [&ONE[..], &AXES, &["--sample", count]].concat();
    assert_exit(&workplace.plan("few", "3", &sample("4")), Exit::Ok);
    assert_exit(&workplace.plan("many", "3", &sample("9")), Exit::Ok);
    let (few, many) = (ids(&workplace, "few"), ids(&workplace, "many"));
    assert_eq!((few.len(), many.len()), (4, 9));
    assert!(few.is_subset(&many), "{few:?} {many:?}");
    // sweep.toml remembers the axes.
    assert_exit(&workplace.sweep(&["plan", "few", "--no-pool", "--sample", "9"]), Exit::Ok);
    assert_eq!(ids(&workplace, "few"), many);
    let seeded = [&sample("4")[..], &["--set", "seed=7"]].concat();
    assert_exit(&workplace.plan("seeded", "3", &seeded), Exit::Ok);
    let axes = |dir: &str| workplace.cells(dir).iter().map(|cell| cell["axes"].clone()).collect::<Vec<_>>();
    assert_ne!(axes("seeded"), axes("many")[..4]);

    let output = workplace.plan("grid", "3", &[&ONE[..], &AXES].concat());
    assert_exit(&output, Exit::Usage);
    assert!(stderr(&output).contains("which has no grid") && stderr(&output).contains("--sample N"));
    assert!(!workplace.path("grid").join("plan.json").exists());
    // What was drawn is trained like any other.
    assert_exit(&workplace.sweep(&["run", "few", "-j", "2"]), Exit::Ok);
}

#[test]
fn trials_come_first_where_that_is_asked_for() {
    let Some(workplace) = Workplace::new() else { return };
    let grid = ["--fractions", "0.5,1", "--trials", "2"];
    let listed = |dir: &str| {
        let place = |cell: &Value| (cell["fraction"].to_string(), cell["trial"].to_string());
        workplace.cells(dir).iter().map(place).collect::<Vec<_>>()
    };
    let expected = |places: [(&str, &str); 4]| places.map(|(f, t)| (f.to_owned(), t.to_owned()));
    assert_exit(&workplace.plan("s", "3", &grid), Exit::Ok);
    assert_eq!(listed("s"), expected([("0.5", "1"), ("0.5", "2"), ("1.0", "1"), ("1.0", "2")]));
    let before = ids(&workplace, "s");
    assert_exit(&workplace.plan("s", "3", &[&grid[..], &["--order", "trial"]].concat()), Exit::Ok);
    assert_eq!(listed("s"), expected([("0.5", "1"), ("1.0", "1"), ("0.5", "2"), ("1.0", "2")]));
    assert_eq!(ids(&workplace, "s"), before, "they are the same cells");
    let rows = std::fs::read_to_string(workplace.path("s").join("cells.csv")).expect("planned");
    let first: Vec<_> = rows.lines().filter_map(|row| row.split(',').next()).collect();
    let cells = workplace.cells("s");
    assert_eq!(first, cells.iter().filter_map(|cell| cell["id"].as_str()).collect::<Vec<_>>());
}
