//! The page of a report in a real browser: nothing overlaps, is cut or faint, at any width, light, dark and printed.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

#[expect(dead_code, reason = "other tests and the example use the rest")]
mod fixture;

use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;
use xray_sweep::cell::Cell;
use xray_sweep::collect::collect;
use xray_sweep::report::{ReportOptions, report};
use xray_sweep::rungs::Climb;
use xray_sweep::state::{CellReport, CellState, survey};
use xray_sweep::sweep_dir::SweepDir;

fn check(page: &Path) {
    let Some(checker) = std::env::var_os("XRAY_PAGE_CHECK") else {
        eprintln!("skipped: XRAY_PAGE_CHECK is not set, so there may be no Chromium");
        return;
    };
    let output = Command::new(checker).arg("page").arg(page).output().expect("the checker starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// A sweep of these cells, of which the first `done` came to their end.
fn sweep(folder: &Path, name: &str, cells: &[Cell], done: usize) -> SweepDir {
    let dir = SweepDir::new(folder.join(name));
    fixture::plan(&dir, cells);
    for cell in &cells[..done] {
        fixture::finish(&dir, cell);
        fixture::write_predictions(&dir, cell, 400);
    }
    collect(&dir, &survey(&dir).expect("a sweep"), &dir.collected()).expect("a writable folder");
    dir
}

/// Cells in all states side by side.
fn troubled(folder: &Path) -> SweepDir {
    let dir = SweepDir::new(folder.join("troubled"));
    let report = |(cell, &state): (Cell, &CellState)| CellReport {
        state,
        reason: (state != CellState::Done)
            .then(|| "exit code 1 on a-host-with-a-long-name.example".to_owned()),
        outcome: (state == CellState::Done).then(|| Box::new(fixture::outcome(&cell))),
        environment: None,
        status: None,
        attempts: vec![fixture::attempt(&cell)],
        lacks_starts: false,
        climb: Climb::default(),
        cell,
    };
    let states = CellState::ALL.iter().chain([&CellState::Done; 3]).cycle();
    let cells = grid(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], 5).into_iter();
    collect(&dir, &cells.zip(states).map(report).collect::<Vec<_>>(), &dir.collected()).expect("writable");
    dir
}

fn grid(fractions: &[f64], trials: u32) -> Vec<Cell> {
    fractions
        .iter()
        .flat_map(|&fraction| (1..=trials).map(move |trial| fixture::cell(fraction, trial)))
        .collect()
}

#[test]
fn a_whole_report_can_be_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fractions = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
    let dir = sweep(folder.path(), "a-sweep-with-a-rather-long-name-of-its-own", &grid(&fractions, 3), 37);
    let [page, ..] = report(&dir, &ReportOptions::default()).expect("collected");
    let html = fs::read_to_string(&page).expect("a page");
    for part in ["How many images does it take?", "Rule youden", "Patients in both validation and test: 0"] {
        assert!(html.contains(part), "no `{part}`");
    }
    check(&page);
}

#[test]
fn reports_of_many_settings_of_one_finding_of_one_cell_and_of_trouble_can_be_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let widths = [16, 32].into_iter().flat_map(|width| {
        grid(&[0.1, 0.5, 1.0], 2).into_iter().map(move |mut cell| {
            cell.id = blake3::hash(format!("{} {width}", cell.id).as_bytes()).to_hex()[..16].to_owned();
            cell.axes =
                [("model.width".to_owned(), json!(width)), ("loss.name".to_owned(), json!("focal"))].into();
            cell
        })
    });
    let axes = sweep(folder.path(), "axes", &widths.collect::<Vec<_>>(), 12);
    let one = sweep(folder.path(), "one", &grid(&[0.1, 0.5], 2), 1);
    let label = ReportOptions {
        label: Some("Pleural_Thickening".into()),
        compare: Some(one.clone()),
        ..ReportOptions::default()
    };
    let troubled = troubled(folder.path());
    let all = ReportOptions::default();
    for (dir, options) in [(&axes, &all), (&axes, &label), (&one, &all), (&troubled, &all)] {
        check(&report(dir, options).expect("collected")[0]);
    }
}
