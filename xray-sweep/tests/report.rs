//! The report of sweeps in all states, from their tables alone.

#[expect(dead_code, reason = "other tests and the example use the rest")]
mod fixture;

use serde_json::json;
use std::fs;
use xray_artifacts::Exit;
use xray_sweep::cell::Cell;
use xray_sweep::collect::collect;
use xray_sweep::report::report;
use xray_sweep::state::{CellReport, CellState};
use xray_sweep::sweep_dir::SweepDir;

const CHARTS: [&str; 3] = ["auc-by-fraction.svg", "mean-run-time.svg", "run-time-by-job.svg"];

fn cell_report(cell: Cell, state: CellState, reason: Option<&str>) -> CellReport {
    let done = state == CellState::Done;
    CellReport {
        state,
        reason: reason.map(str::to_owned),
        outcome: done.then(|| Box::new(fixture::outcome(&cell))),
        environment: None,
        status: None,
        attempts: if state == CellState::Missing { Vec::new() } else { vec![fixture::attempt(&cell)] },
        cell,
    }
}

/// Collects, forgets everything but the tables, and reports: the markdown and the charts.
fn reported(reports: &[CellReport]) -> (String, [String; 3]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path().join("learning_curve"));
    collect(&dir, reports).expect("a writable folder");
    let path = report(&dir).expect("collected");
    let read = |name: &str| fs::read_to_string(path.with_file_name(name)).expect("a chart");
    let text = fs::read_to_string(&path).expect("a report");
    if let Some(keep) = std::env::var_os("XRAY_KEEP_REPORT") {
        let keep = std::path::Path::new(&keep).join(std::thread::current().name().unwrap_or("report"));
        fs::create_dir_all(&keep).expect("a writable folder");
        for name in CHARTS.into_iter().chain(["report.md"]) {
            fs::copy(path.with_file_name(name), keep.join(name)).expect("a writable folder");
        }
    }
    (text, CHARTS.map(read))
}

fn grid(trials: u32) -> impl Iterator<Item = Cell> {
    (1..=10)
        .flat_map(move |tenth| (1..=trials).map(move |trial| fixture::cell(f64::from(tenth) / 10.0, trial)))
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

const CROSS: &str = "l9 9m0 -9l-9 9";

#[test]
fn failed_cells_are_counted_named_and_marked() {
    let mut cells: Vec<_> = grid(3).map(|cell| cell_report(cell, CellState::Done, None)).collect();
    let cell = |at: usize, state, reason| cell_report(cells[at].cell.clone(), state, reason);
    let mut ill = cell(4, CellState::Failed, Some("illegal instruction"));
    (ill.attempts[0].exit, ill.attempts[0].signal) = (None, Some(4));
    let mut diverged = cell(9, CellState::Failed, Some("loss is not finite at step 12"));
    diverged.attempts[0].exit = Some(6);
    let missing = cell(29, CellState::Missing, None);
    (cells[4], cells[9], cells[29]) = (ill, diverged, missing);
    let (text, charts) = reported(&cells);

    assert!(text.starts_with("# Sweep learning\\_curve\n\n**27 of 30 planned cells are done.**\n"), "{text}");
    let row = |id: &str| text.lines().find(|line| line.contains(id)).expect("a row").to_owned();
    let ill = row(&cells[4].cell.id);
    assert!(
        ["20 %", "failed", "illegal instruction", "node-1", "signal 4"].iter().all(|t| ill.contains(t)),
        "{ill}"
    );
    assert!(row(&cells[9].cell.id).contains("exit 6"));
    assert!(text.contains("2 of 3"), "{text}");
    for (name, chart) in CHARTS.iter().zip(&charts) {
        assert!(text.contains(&format!("]({name})")), "{text}");
        assert_eq!(count(chart, "<circle"), 27 + 1, "{name}: every run and the legend");
        assert_eq!(count(chart, CROSS), 2 + 1, "{name}: every failure and the legend");
        assert!(chart.contains("failed (2)"));
    }
    assert!(charts[0].contains("no image: 0.5"));
}

#[test]
fn figures_in_the_tables_are_those_of_the_results() {
    let cells = [1, 2].map(|trial| fixture::cell(0.3, trial));
    let outcomes = cells.each_ref().map(fixture::outcome);
    let (text, _) = reported(&cells.map(|cell| cell_report(cell, CellState::Done, None)));
    let test = outcomes.each_ref().map(|outcome| &outcome.scores[&xray_artifacts::Split::Test]);
    let mean =
        |a: Option<f64>, b: Option<f64>| format!("{:.3}", f64::midpoint(a.expect("done"), b.expect("done")));
    let row = text.lines().find(|line| line.starts_with("| ") && line.contains("2 of 2")).expect("a row");
    let fields: Vec<_> = row.split('|').map(str::trim).collect();
    assert_eq!(fields[2], "30 %");
    assert_eq!(fields[4], mean(test[0].macro_auc, test[1].macro_auc));
    assert_eq!(fields[9], mean(test[0].micro_auc, test[1].micro_auc));
    assert_eq!(fields[10], mean(test[0].micro_auc_baseline, test[1].micro_auc_baseline));
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
    let (text, charts) = reported(&reports);
    assert!(text.contains("model.width=64"), "{text}");
    for chart in &charts {
        for width in widths {
            assert_eq!(count(chart, &format!(">model.width={width}<")), 1);
        }
    }
    assert_eq!(count(&charts[0], "#009E73"), 20 + 1 + 2, "dots, line, legend of the third");
}

#[test]
fn small_fractions_stand_apart() {
    let fractions = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
    let cells = fractions.map(|fraction| cell_report(fixture::cell(fraction, 1), CellState::Done, None));
    let (text, charts) = reported(&cells);
    assert!(text.contains(" 1 % "), "{text}");
    for percent in [1, 2, 5, 10, 20, 50, 100] {
        assert!(charts[0].contains(&format!(">{percent}</text>")), "{percent}");
    }
}

#[test]
fn a_sweep_of_which_nothing_is_done_has_a_report() {
    for cells in [Vec::new(), grid(1).collect()] {
        let reports: Vec<_> =
            cells.into_iter().map(|cell| cell_report(cell, CellState::Missing, None)).collect();
        let (text, charts) = reported(&reports);
        assert!(text.contains(&format!("**0 of {} planned cells are done.**", reports.len())), "{text}");
        for chart in &charts {
            assert!(
                chart.contains("no cell is done yet") && !chart.contains("NaN") && !chart.contains("inf")
            );
        }
    }
}

#[test]
fn without_tables_the_report_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let failure = report(&SweepDir::new(folder.path())).expect_err("nothing collected");
    assert_eq!(failure.exit, Exit::NothingMatches);
    assert!(failure.hint.is_some_and(|hint| hint.starts_with("collect first: xray-sweep collect")));
}
