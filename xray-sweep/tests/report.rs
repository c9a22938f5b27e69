//! The report of sweeps in all states, from their tables alone.

#[expect(dead_code, reason = "other tests and the example use the rest")]
mod fixture;

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::Exit;
use xray_sweep::cell::Cell;
use xray_sweep::collect::collect;
use xray_sweep::report::{ReportOptions, report};
use xray_sweep::rungs::Climb;
use xray_sweep::signal::ILLEGAL_INSTRUCTION;
use xray_sweep::state::{CellReport, CellState};
use xray_sweep::sweep_dir::SweepDir;

const CHARTS: [&str; 3] = ["auc-by-fraction.svg", "mean-run-time.svg", "run-time-by-job.svg"];

fn cell_report(cell: Cell, state: CellState, reason: Option<&str>) -> CellReport {
    let done = state == CellState::Done;
    CellReport {
        state,
        reason: reason.map(str::to_owned),
        outcome: done.then(|| Box::new(fixture::outcome(&cell))),
        environment: done.then(fixture::environment),
        status: None,
        attempts: if state == CellState::Missing { Vec::new() } else { vec![fixture::attempt(&cell)] },
        lacks_starts: false,
        climb: Climb::default(),
        cell,
    }
}

/// What a report is made of.
struct Reported {
    markdown: String,
    html: String,
    json: Value,
    charts: [String; 3],
}

impl Reported {
    /// The rows of a table, wherever it stands.
    fn rows(&self, table: &str) -> Vec<Value> {
        let sections = self.json["sections"].as_array().expect("sections");
        let found = sections.iter().find_map(|section| section["tables"].get(table));
        found.map_or_else(Vec::new, |table| table["rows"].as_array().expect("rows").clone())
    }

    fn section(&self, id: &str) -> Value {
        let sections = self.json["sections"].as_array().expect("sections");
        sections.iter().find(|section| section["id"] == id).cloned().unwrap_or_default()
    }

    fn card(&self, name: &str) -> Value {
        let cards = self.json["sections"][0]["cards"].as_array().expect("cards");
        cards
            .iter()
            .find(|card| card["name"].as_str().is_some_and(|it| it.starts_with(name)))
            .expect("a card")
            .clone()
    }
}

/// Collects, forgets everything but the tables, and reports.
fn reported(reports: &[CellReport]) -> Reported {
    reported_with(reports, &ReportOptions::default())
}

fn reported_with(reports: &[CellReport], options: &ReportOptions) -> Reported {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path().join("learning_curve"));
    collect(&dir, reports, &dir.collected()).expect("a writable folder");
    read(&report(&dir, options).expect("collected"))
}

fn read([html, markdown, json]: &[PathBuf; 3]) -> Reported {
    let text = |path: &Path| fs::read_to_string(path).expect("a file of the report");
    Reported {
        charts: CHARTS.map(|name| text(&markdown.with_file_name(name))),
        markdown: text(markdown),
        html: text(html),
        json: serde_json::from_str(&text(json)).expect("JSON"),
    }
}

fn grid(trials: u32) -> impl Iterator<Item = Cell> {
    (1..=10)
        .flat_map(move |tenth| (1..=trials).map(move |trial| fixture::cell(f64::from(tenth) / 10.0, trial)))
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

const CROSS: &str = "class=\"cross\"";

#[test]
fn failed_cells_are_counted_named_and_marked() {
    let mut cells: Vec<_> = grid(3).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    let cell = |at: usize, state, reason| cell_report(cells[at].cell.clone(), state, reason);
    let mut ill = cell(4, CellState::Failed, Some("illegal instruction"));
    (ill.attempts[0].exit, ill.attempts[0].signal) = (None, Some(ILLEGAL_INSTRUCTION));
    let mut diverged = cell(9, CellState::Failed, Some("loss is not finite at step 12"));
    diverged.attempts[0].exit = Some(Exit::Diverged.code());
    let missing = cell(29, CellState::Missing, None);
    (cells[4], cells[9], cells[29]) = (ill, diverged, missing);
    let found = reported(&cells);

    assert!(found.markdown.starts_with("# Sweep learning\\_curve\n"), "{}", found.markdown);
    assert_eq!(found.card("Cells done")["text"], "27 of 30");
    let not_done = found.rows("not-done");
    assert_eq!(not_done.len(), 3);
    let row = |id: &str| not_done.iter().find(|row| row["cell"] == id).expect("a row").clone();
    let ill = row(&cells[4].cell.id);
    assert_eq!(
        ["fraction", "state", "reason", "host", "ended_with"].map(|key| ill[key].clone()),
        [json!(0.2), json!("failed"), json!("illegal instruction"), json!("node-1"), json!("signal 4")]
    );
    assert_eq!(row(&cells[9].cell.id)["ended_with"], "exit 6");
    assert_eq!(found.rows("auc-by-fraction")[1]["done"], "2 of 3");
    assert_eq!(found.rows("jobs").len(), 30);
    for (name, chart) in CHARTS.iter().zip(&found.charts) {
        assert!(found.markdown.contains(&format!("]({name})")), "{}", found.markdown);
        assert_eq!(count(chart, "<circle"), 27 + 1, "{name}: every run and the legend");
        assert_eq!(count(chart, CROSS), 2 + 1, "{name}: every failure and the legend");
        assert!(chart.contains("failed (2)"));
    }
    assert!(found.charts[0].contains("no image: 0.5"));
}

/// Whatever the cells' states are, charts, tables, texts and JSON count the same.
#[test]
fn every_mixture_of_states_is_told_once_and_everywhere_alike() {
    const CROSSED: [CellState; 4] = [CellState::Held, CellState::Failed, CellState::Lost, CellState::Stale];
    let number = |what: String| blake3::hash(what.as_bytes()).as_bytes()[0];
    for mixture in 0..48 {
        // Each state alone, then up to five of each.
        let count = |state: CellState| match (mixture, CellState::ALL.iter().position(|it| *it == state)) {
            (alone, Some(at)) if alone < 8 => 3 * usize::from(alone == at),
            _ => usize::from(number(format!("{mixture} {}", state.name())) % 6),
        };
        let states = CellState::ALL.iter().flat_map(|&state| std::iter::repeat_n(state, count(state)));
        let mut states: Vec<CellState> = states.collect();
        states.sort_by_key(|state| number(format!("{mixture} {state:?} in some order")));
        let reports: Vec<_> =
            grid(4).zip(&states).map(|(cell, &state)| cell_report(cell, state, Some("a reason"))).collect();
        let found = reported(&reports);

        let done = count(CellState::Done);
        let value = &found.card("Cells done")["value"];
        assert_eq!((&value["done"], &value["planned"]), (&json!(done), &json!(states.len())), "{mixture}");
        let rows = found.rows("not-done");
        let grid: Vec<Value> = found
            .rows("grid")
            .iter()
            .flat_map(|row| row["trials"].as_array().expect("states").clone())
            .collect();
        for state in CellState::ALL {
            let (count, name) = (count(state), state.name());
            let listed = rows.iter().filter(|row| row["state"] == name).count();
            assert_eq!(listed, if state == CellState::Done { 0 } else { count }, "{mixture} {name}");
            assert_eq!(grid.iter().filter(|it| **it == name).count(), count, "{mixture} {name}");
            assert_eq!(value["states"][name].as_u64().unwrap_or(0), count as u64, "{mixture} {name}");
            let said = format!("{count} {name}");
            for text in [&found.markdown, &found.html, &found.section("cells")["text"].to_string()] {
                assert!(
                    count == 0 || state == CellState::Done || text.contains(&said),
                    "{mixture}: no `{said}`"
                );
            }
            for chart in &found.charts {
                let marked = count > 0 && CROSSED.contains(&state);
                assert_eq!(chart.contains(&format!(">{name} (")), marked, "{mixture} {name}");
                assert!(!marked || chart.contains(&format!(">{name} ({count})<")), "{mixture} {name}");
            }
        }
        let crossed: Vec<usize> = CROSSED.map(count).into_iter().filter(|count| *count > 0).collect();
        for (name, chart) in CHARTS.iter().zip(&found.charts) {
            let crosses = crossed.iter().sum::<usize>() + crossed.len();
            assert_eq!(self::count(chart, CROSS), crosses, "{mixture} {name}: stopped cells, and the legend");
            let dots = if done == 0 { self::count(chart, "<circle") } else { done + 1 };
            assert_eq!(self::count(chart, "<circle"), dots, "{mixture} {name}");
        }
        let cells = states.len();
        let said = format!("{done} of {cells} cells done");
        assert!(
            cells == 0 || found.section("cells")["text"][0].as_str().is_some_and(|it| it.starts_with(&said))
        );
    }
}

/// Three trials far apart, two, one, and none: no interval of fewer than three, no band through them, and a reason.
#[test]
fn there_is_no_interval_of_fewer_than_three_trials() {
    let fractions = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
    let mut cells: Vec<_> = fractions
        .into_iter()
        .flat_map(|fraction| [1, 2, 3].map(|trial| fixture::cell(fraction, trial)))
        .map(|cell| cell_report(cell, CellState::Done, None))
        .collect();
    let mut set = |at: usize, score: f64| {
        let scores = &mut cells[at].outcome.as_mut().expect("done").scores;
        let test = scores.get_mut(&xray_artifacts::Split::Test).expect("scored");
        test.macro_auc = Some(score);
        test.labels.iter_mut().filter(|label| label.auc.is_some()).for_each(|label| label.auc = Some(score));
    };
    for at in 0..21 {
        set(at, 0.7 + 0.001 * (at % 3) as f64);
    }
    // 0.62 and 4.3 times 0.19 to both sides would leave 0 to 1.
    set(6, 0.4716);
    set(7, 0.3864);
    set(8, 0.9990);
    // Two at 40 %, none at 50 %, one at 60 %.
    for at in [9, 12, 13, 14, 15, 17] {
        cells[at] = cell_report(cells[at].cell.clone(), CellState::Failed, None);
    }
    let found = reported(&cells);
    let intervals: Vec<bool> =
        found.rows("auc-by-fraction").iter().map(|row| row["score_interval"].is_array()).collect();
    assert_eq!(intervals, [true, true, true, false, false, false, true]);
    let reason = "Fewer than three trials have none (40 %, 60 %).";
    assert!(found.markdown.contains(reason), "{}", found.markdown);
    // One band through 10 to 30 %, a bar at 70 %.
    assert_eq!(count(&found.charts[0], "<path class=\"band"), 1);
    assert_eq!(count(&found.charts[0], "<path class=\"bar "), 1);
    let outside = |interval: &Value| {
        let ends = interval.as_array().cloned().unwrap_or_default();
        ends.iter().any(|end| end.as_f64().is_some_and(|end| !(0.0..=1.0).contains(&end)))
    };
    for row in found.rows("auc-by-fraction").iter().chain(&found.rows("labels")) {
        let wrong =
            row.as_object().expect("a row").iter().find(|(key, it)| key.contains("interval") && outside(it));
        assert_eq!(wrong, None);
    }
}

#[test]
fn figures_in_the_tables_are_those_of_the_results() {
    let cells = [1, 2].map(|trial| fixture::cell(0.3, trial));
    let outcomes = cells.each_ref().map(fixture::outcome);
    let found = reported(&cells.map(|cell| cell_report(cell, CellState::Done, None)));
    let test = outcomes.each_ref().map(|outcome| &outcome.scores[&xray_artifacts::Split::Test]);
    let mean = |of: fn(&xray_metrics::Evaluation) -> Option<f64>| {
        json!(f64::midpoint(of(test[0]).expect("done"), of(test[1]).expect("done")))
    };
    let row = &found.rows("auc-by-fraction")[0];
    assert_eq!((&row["fraction"], &row["done"]), (&json!(0.3), &json!("2 of 2")));
    assert_eq!(row["score"], mean(|scores| scores.macro_auc));
    assert_eq!(row["micro_auc"], mean(|scores| scores.micro_auc));
    assert_eq!(row["micro_auc_baseline"], mean(|scores| scores.micro_auc_baseline));
    // Of two trials there is none.
    assert_eq!(row["score_interval"], Value::Null);
    assert!(found.markdown.contains("No interval over trials: it needs three finished trials of a fraction"));
}

/// The run with the best validation score is not the one with the best test score.
#[test]
fn validation_chooses_the_run_that_the_headline_is_about() {
    let mut cells: Vec<_> = grid(1).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    let set = |report: &mut CellReport, val: f64, test: f64| {
        let scores = &mut report.outcome.as_mut().expect("done").scores;
        scores.get_mut(&xray_artifacts::Split::Val).expect("scored").macro_auc = Some(val);
        scores.get_mut(&xray_artifacts::Split::Test).expect("scored").macro_auc = Some(test);
    };
    for (at, cell) in cells.iter_mut().enumerate() {
        set(cell, 0.7, 0.7 + at as f64 / 100.0);
    }
    set(&mut cells[3], 0.9, 0.612);
    let value = reported(&cells).card("How good")["text"].as_str().expect("text").to_owned();
    assert!(value.starts_with("0.612"), "{value}");
}

#[test]
fn fewer_steps_on_less_data_are_told_apart_from_less_data() {
    let mut cells: Vec<_> = grid(1).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    let said = |cells: &[CellReport]| reported(cells).section("fractions")["text"].to_string();
    assert!(!said(&cells).contains("of less training"), "all took as many steps");
    for cell in &mut cells {
        let steps = (cell.cell.fraction * 1000.0).round() as u64;
        cell.outcome.as_mut().expect("done").training.steps = steps;
    }
    assert!(said(&cells).contains("The smallest took 100 steps, the largest 1,000"), "{}", said(&cells));
    cells.reverse();
    let rows = reported(&cells).rows("auc-by-fraction");
    assert_eq!((&rows[0]["steps"], &rows[9]["steps"]), (&json!(100), &json!(1000)));
}

#[test]
fn what_trials_differ_in_is_told_beside_their_intervals() {
    let mut cells: Vec<_> = grid(3).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    let found = reported(&cells).markdown;
    assert!(found.contains("Trials of a fraction train on the same images"), "{found}");
    assert!(found.contains("trials of a size share their images, so its mean counts once"), "{found}");
    for cell in &mut cells {
        cell.cell.fraction_offset = f64::from(cell.cell.trial - 1) / 3.0;
    }
    let found = reported(&cells).markdown;
    assert!(found.contains("Trials of a fraction also differ in their training images."), "{found}");
    assert!(!found.contains("so its mean counts once"), "{found}");
}

#[test]
fn what_failures_cost_is_told_beside_the_results() {
    let mut cells: Vec<_> = grid(1).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    assert!(!reported(&cells).markdown.contains("not done took"));
    let mut failed = cell_report(cells[3].cell.clone(), CellState::Failed, Some("evicted"));
    // Twice ten minutes on the four cores that were asked for.
    failed.attempts = vec![fixture::attempt(&failed.cell); 2];
    cells[3] = failed;
    let found = reported(&cells);
    assert!(
        found.markdown.contains("Cells that are not done took a further 1.33 core-hours"),
        "{}",
        found.markdown
    );
}

#[test]
fn every_combination_of_axes_has_its_series() {
    let widths = [16, 32, 64];
    let cells = widths.iter().flat_map(|width| {
        grid(2).map(move |mut cell| {
            cell.id = blake3::hash(format!("{} {width}", cell.id).as_bytes()).to_hex()[..16].to_owned();
            cell.axes = [("model.width".to_owned(), json!(width))].into();
            cell
        })
    });
    let reports: Vec<_> = cells.map(|cell| cell_report(cell, CellState::Done, None)).collect();
    let found = reported(&reports);
    assert!(found.markdown.contains("model.width=64"), "{}", found.markdown);
    for chart in &found.charts[..2] {
        for width in widths {
            assert_eq!(count(chart, &format!(">model.width={width}<")), 1);
        }
    }
    assert_eq!(count(&found.charts[0], "class=\"dot c2\""), 20 + 1, "dots and legend of the third");
    // Widths cost differently, so each has a line of its own.
    let lines = found.rows("run-time-fit");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().zip(widths).all(|(line, width)| {
        line["machine"].as_str().is_some_and(|name| name.ends_with(&format!(", model.width={width}")))
    }));
}

#[test]
fn small_fractions_stand_apart() {
    let fractions = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
    let cells = fractions.map(|fraction| cell_report(fixture::cell(fraction, 1), CellState::Done, None));
    let found = reported(&cells);
    assert!(found.markdown.contains(" 1 % "), "{}", found.markdown);
    for percent in [1, 2, 5, 10, 20, 50, 100] {
        assert!(found.charts[0].contains(&format!(">{percent}</text>")), "{percent}");
    }
}

#[test]
fn a_report_on_one_finding_is_about_its_auc() {
    let cells: Vec<_> = grid(2).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    let label = |name: &str| ReportOptions { label: Some(name.to_owned()), ..ReportOptions::default() };
    let found = reported_with(&cells, &label("Mass"));
    let auc = |report: &CellReport| {
        let scores = &report.outcome.as_ref().expect("done").scores[&xray_artifacts::Split::Test];
        scores.labels.iter().find(|label| label.label == "Mass").and_then(|label| label.auc).expect("an AUC")
    };
    assert_eq!(
        found.rows("auc-by-fraction")[0]["score"],
        json!(f64::midpoint(auc(&cells[0]), auc(&cells[1])))
    );
    assert!(found.html.contains("AUC of Mass"));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path());
    collect(&dir, &cells, &dir.collected()).expect("a writable folder");
    let failure = report(&dir, &label("mas")).expect_err("no such finding");
    assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::Usage, Some("did you mean Mass?")));
}

#[test]
fn two_sweeps_stand_side_by_side() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dirs = ["first", "second"].map(|name| SweepDir::new(folder.path().join(name)));
    let cells: Vec<_> = grid(3).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    for dir in &dirs {
        collect(dir, &cells, &dir.collected()).expect("a writable folder");
    }
    let options = ReportOptions { compare: Some(dirs[1].clone()), ..ReportOptions::default() };
    let found = read(&report(&dirs[0], &options).expect("collected"));
    let rows = found.rows("comparison");
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row["difference"] == 0.0 && row["a"] == row["b"]), "{rows:?}");
    assert!(found.html.contains("Beside second"));
}

#[test]
fn a_sweep_of_which_nothing_or_one_cell_is_done_has_a_report() {
    let missing = |cell| cell_report(cell, CellState::Missing, None);
    let mut one: Vec<_> = grid(1).map(missing).collect();
    one[0] = cell_report(one[0].cell.clone(), CellState::Done, None);
    for (reports, done) in [(Vec::new(), 0), (grid(1).map(missing).collect(), 0), (one, 1)] {
        let found = reported(&reports);
        assert_eq!(found.card("Cells done")["text"], format!("{done} of {}", reports.len()));
        for text in found.charts.iter().chain([&found.html, &found.markdown]) {
            assert!(!text.contains("NaN") && !text.contains("inf<"), "{text}");
        }
        if done == 0 {
            assert!(found.charts.iter().all(|chart| chart.contains("no cell is done yet")));
            assert_eq!(found.card("How good")["text"], "–");
        } else {
            assert_eq!(found.card("How much data")["text"], "–");
        }
    }
}

/// What the page says of itself is checked in a browser elsewhere; this needs none.
#[test]
fn the_page_needs_nothing_from_outside() {
    let cells: Vec<_> = grid(2).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    let html = reported(&cells).html;
    assert!(html.contains("default-src 'none'"));
    for outside in ["<script", "<link", "<img", "url(", "@import", "src=", "http://", "https://"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let links: Vec<&str> =
        html.split("href=\"").skip(1).map(|rest| rest.split('"').next().expect("a link")).collect();
    assert!(!links.is_empty());
    for link in links {
        let id = link.strip_prefix('#').expect("within the page");
        assert!(html.contains(&format!("id=\"{id}\"")), "{link}");
    }
}

#[test]
fn without_tables_the_report_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let failure =
        report(&SweepDir::new(folder.path()), &ReportOptions::default()).expect_err("nothing collected");
    assert_eq!(failure.exit, Exit::NothingMatches);
    assert!(failure.hint.is_some_and(|hint| hint.starts_with("collect first: xray-sweep collect")));
}
