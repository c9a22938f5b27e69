//! The tables against what they were made of, read back from the Parquet files.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

#[expect(dead_code, reason = "other tests and the example use the rest")]
mod fixture;

use polars::prelude::*;
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use xray_artifacts::{Exit, Failure, Split, State};
use xray_sweep::attempt::{Attempt, Ending};
use xray_sweep::cell::Cell;
use xray_sweep::collect::{Collected, collect};
use xray_sweep::report::{ReportOptions, report};
use xray_sweep::rungs::Climb;
use xray_sweep::signal::ILLEGAL_INSTRUCTION;
use xray_sweep::state::{CellReport, CellState};
use xray_sweep::sweep_dir::SweepDir;
use xray_sweep::tables::{FILES, LIST, SCHEMA_KEY};

fn done(cell: Cell) -> CellReport {
    CellReport {
        state: CellState::Done,
        reason: None,
        outcome: Some(Box::new(fixture::outcome(&cell))),
        environment: Some(fixture::environment()),
        status: Some(fixture::status(State::Finished)),
        attempts: vec![fixture::attempt(&cell)],
        lacks_starts: false,
        climb: Climb::default(),
        cell,
    }
}

fn missing(cell: Cell) -> CellReport {
    CellReport {
        cell,
        state: CellState::Missing,
        reason: None,
        outcome: None,
        environment: None,
        status: None,
        attempts: Vec::new(),
        lacks_starts: false,
        climb: Climb::default(),
    }
}

/// Evicted once, then killed by an illegal instruction with the placeholder left in its folder.
fn killed(cell: Cell) -> CellReport {
    let evicted = Attempt { ending: Some(Ending::Evicted), exit: None, ..fixture::attempt(&cell) };
    let ill = Attempt {
        host: Some("node-2".into()),
        microarch: Some("x86_64-v2".into()),
        started: Some("2026-01-01T11:00:00Z".into()),
        ending: Some(Ending::Failed),
        exit: None,
        signal: Some(ILLEGAL_INSTRUCTION),
        requested_memory_mib: Some(4096),
        used_memory_mib: Some(12),
        requested_disk_mib: Some(3000),
        used_disk_mib: Some(40),
        requested_seconds: Some(600),
        ..fixture::attempt(&cell)
    };
    let mut report = CellReport { reason: Some("illegal instruction".into()), ..done(cell) };
    let outcome = report.outcome.as_mut().expect("made above");
    (outcome.state, outcome.exit) = (State::Started, None);
    outcome.scores.clear();
    CellReport { state: CellState::Failed, attempts: vec![evicted, ill], ..report }
}

fn with_axes(mut cell: Cell, axes: serde_json::Value) -> Cell {
    cell.id = blake3::hash(format!("{} {axes}", cell.id).as_bytes()).to_hex()[..16].to_owned();
    cell.axes = serde_json::from_value(axes).expect("an object");
    cell
}

/// A sweep directory in a temporary folder.
fn sweep() -> (tempfile::TempDir, SweepDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path().join("sweep"));
    (folder, dir)
}

fn collected(dir: &SweepDir, reports: &[CellReport]) -> Collected {
    collect(dir, reports, &dir.collected()).expect("a writable folder")
}

fn read(dir: &SweepDir, name: &str) -> DataFrame {
    let file = File::open(dir.collected().join(name)).expect("collected");
    ParquetReader::new(file).finish().expect("a Parquet file")
}

fn value<'a>(table: &'a DataFrame, column: &str, row: usize) -> AnyValue<'a> {
    table.column(column).expect("a column of that name").get(row).expect("a row of that number")
}

fn text<'a>(table: &'a DataFrame, column: &str, row: usize) -> Option<&'a str> {
    table.column(column).expect("a column of that name").str().expect("text").get(row)
}

fn number(table: &DataFrame, column: &str, row: usize) -> Option<f64> {
    table.column(column).expect("a column of that name").f64().expect("decimal numbers").get(row)
}

fn integer(table: &DataFrame, column: &str, row: usize) -> Option<i64> {
    table.column(column).expect("a column of that name").i64().expect("integers").get(row)
}

#[test]
fn every_planned_cell_has_a_row_with_what_became_of_it() {
    let (_folder, dir) = sweep();
    let cells: Vec<_> = [0.3, 0.1, 0.2].map(|fraction| fixture::cell(fraction, 1)).into();
    let reports = [missing(cells[0].clone()), done(cells[1].clone()), killed(cells[2].clone())];
    let summary = collected(&dir, &reports);
    assert_eq!((summary.tally.planned(), summary.tally.done(), summary.skipped_lines), (3, 1, 0));
    assert_eq!(summary.tally.count(CellState::Failed), 1);

    let runs = read(&dir, "runs.parquet");
    assert_eq!(runs.height(), 3);
    let states: Vec<_> = (0..3).map(|row| text(&runs, "state", row).expect("always")).collect();
    assert_eq!(states, ["done", "failed", "missing"], "by fraction");

    let outcome = fixture::outcome(&cells[1]);
    let test = &outcome.scores[&Split::Test];
    assert_eq!(text(&runs, "cell", 0), Some(cells[1].id.as_str()));
    assert_eq!(number(&runs, "test_macro_auc", 0), test.macro_auc);
    assert_eq!(number(&runs, "val_macro_auc", 0), outcome.scores[&Split::Val].macro_auc);
    assert_eq!(number(&runs, "test_macro_auc_low", 0), test.macro_auc_interval.map(|i| i[0]));
    assert_eq!(number(&runs, "test_macro_auc_high", 0), test.macro_auc_interval.map(|i| i[1]));
    assert_eq!(number(&runs, "test_micro_auc", 0), test.micro_auc);
    assert_eq!(number(&runs, "test_micro_auc_baseline", 0), test.micro_auc_baseline);
    assert_eq!(text(&runs, "test_collapsed_labels", 0), Some("Hernia"));
    assert_eq!(number(&runs, "seconds_backward", 0), Some(outcome.seconds.backward));
    assert_eq!(number(&runs, "seconds_total", 0), Some(outcome.seconds.total));
    assert_eq!(integer(&runs, "best_step", 0), Some(160));
    assert_eq!(value(&runs, "last_loss", 0), AnyValue::Float32(0.174_474_31));
    assert_eq!(value(&runs, "seed", 0), AnyValue::UInt64(0));
    assert_eq!(
        (integer(&runs, "exit", 0), integer(&runs, "signal", 0)),
        (Some(Exit::Ok.code().into()), None)
    );
    assert_eq!(integer(&runs, "peak_memory_mib", 0), Some(700));

    assert_eq!(text(&runs, "reason", 1), Some("illegal instruction"));
    assert_eq!(
        (integer(&runs, "exit", 1), integer(&runs, "signal", 1)),
        (None, Some(ILLEGAL_INSTRUCTION.into()))
    );
    assert_eq!((text(&runs, "host", 1), text(&runs, "microarch", 1)), (Some("node-2"), Some("x86_64-v2")));
    assert_eq!(text(&runs, "started", 1), Some("2026-01-01T10:00:00Z"), "of the first start");
    assert_eq!(integer(&runs, "attempts", 1), Some(2));
    assert_eq!(integer(&runs, "requested_memory_mib", 1), Some(4096), "of the last start");
    assert_eq!(integer(&runs, "used_memory_mib", 1), Some(731), "the most of all starts");
    let disk = |row| {
        ["requested_disk_mib", "used_disk_mib", "requested_seconds"].map(|name| integer(&runs, name, row))
    };
    assert_eq!(disk(1), [Some(3000), Some(40), Some(600)]);
    assert_eq!(disk(2), [Some(4096), None, None], "as planned");
    for column in ["test_macro_auc", "test_micro_auc", "val_macro_auc"] {
        assert_eq!(number(&runs, column, 1), None, "undefined is null: {column}");
    }
    assert_eq!((integer(&runs, "attempts", 2), text(&runs, "host", 2)), (Some(0), None));
    assert_eq!((integer(&runs, "requested_memory_mib", 2), integer(&runs, "steps", 2)), (Some(2048), None));
}

#[test]
fn axes_have_the_type_of_their_values_and_order_the_rows() {
    let (_folder, dir) = sweep();
    let axes = [
        json!({"model.width": 16, "loss.name": "focal", "a": 0.5, "b": true, "mixed": 1}),
        json!({"model.width": 8, "loss.name": "bce", "a": 1, "b": false, "mixed": "x"}),
        json!({"model.width": 128, "loss.name": "bce", "a": 1, "b": false, "mixed": 7}),
    ];
    let cells = axes.map(|axes| with_axes(fixture::cell(0.1, 1), axes));
    collected(&dir, &cells.map(missing));
    let runs = read(&dir, "runs.parquet");
    let column = |name: &str| (0..3).map(|row| value(&runs, name, row).into_static()).collect::<Vec<_>>();
    assert_eq!(column("axis.a"), [0.5, 1.0, 1.0].map(AnyValue::Float64));
    assert_eq!(column("axis.b"), [true, false, false].map(AnyValue::Boolean));
    assert_eq!(column("axis.model.width"), [16, 128, 8].map(AnyValue::Int64));
    let texts = |name: &str| (0..3).map(|row| text(&runs, name, row)).collect::<Vec<_>>();
    assert_eq!(texts("axis.loss.name"), [Some("focal"), Some("bce"), Some("bce")]);
    assert_eq!(texts("axis.mixed"), [Some("1"), Some("7"), Some("x")]);
}

#[test]
fn labels_stand_with_all_their_figures() {
    let (_folder, dir) = sweep();
    let cell = fixture::cell(0.4, 2);
    collected(&dir, &[done(cell.clone()), missing(fixture::cell(0.5, 2))]);
    let labels = read(&dir, "labels.parquet");
    assert_eq!(labels.height(), 2 * fixture::LABELS.len());
    let outcome = fixture::outcome(&cell);
    let scores =
        outcome.scores.iter().flat_map(|(split, scores)| scores.labels.iter().map(move |l| (split, l)));
    for (row, (split, label)) in scores.enumerate() {
        assert_eq!(text(&labels, "cell", row), Some(cell.id.as_str()));
        assert_eq!((number(&labels, "fraction", row), integer(&labels, "trial", row)), (Some(0.4), Some(2)));
        assert_eq!(text(&labels, "split", row), Some(split.name()));
        assert_eq!(text(&labels, "label", row), Some(label.label.as_str()));
        let counts = ["positives", "negatives", "unknown"].map(|name| integer(&labels, name, row));
        let expected = [label.positives, label.negatives, label.unknown];
        assert_eq!(counts, expected.map(|count| i64::try_from(count).ok()));
        let figures = [
            ("prevalence", label.prevalence),
            ("train_prevalence", label.train_prevalence),
            ("auc", label.auc),
            ("auc_low", label.auc_interval.map(|i| i[0])),
            ("auc_high", label.auc_interval.map(|i| i[1])),
            ("average_precision", label.average_precision),
            ("brier", label.brier),
            ("log_loss", label.log_loss),
            ("logit_spread", label.logit_spread),
        ];
        for (name, expected) in figures {
            assert_eq!(number(&labels, name, row), expected, "{name} of {}", label.label);
        }
    }
}

fn with_metrics(dir: &SweepDir, cell: &Cell, text: &str) {
    fs::create_dir_all(dir.cell(&cell.id).run()).expect("a writable folder");
    fs::write(dir.cell(&cell.id).metrics(), text).expect("a writable folder");
}

#[test]
fn curves_keep_the_last_word_on_a_step_and_skip_torn_lines() {
    let (_folder, dir) = sweep();
    let cell = fixture::cell(0.1, 1);
    let lines = [
        r#"{"event":"step","step":10,"epoch":0.5,"loss":0.7,"learning_rate":0.001,"gradient_norm":1.5}"#,
        r#"{"event":"step","step":20,"epoch":1.0,"loss":0.9,"learning_rate":0.001,"gradient_norm":null}"#,
        r#"{"event":"evaluation","step":20,"split":"val","macro_auc":0.6,"macro_log_loss":0.2,"is_best":true,"auc":{"Mass":0.6,"Hernia":null}}"#,
        r#"{"event":"step","step":20,"epoch":1.0,"loss":0.6,"learning_rate":0.001,"gradient_norm":1.0}"#,
        r#"{"event":"step","st"#,
    ];
    with_metrics(&dir, &cell, &lines.join("\n"));
    let stale = CellReport { state: CellState::Stale, ..missing(fixture::cell(0.2, 1)) };
    with_metrics(&dir, &stale.cell, lines[0]);
    assert_eq!(collected(&dir, &[done(cell), stale]).skipped_lines, 1);

    let metrics = read(&dir, "metrics.parquet");
    let events: Vec<_> =
        (0..metrics.height()).map(|row| text(&metrics, "event", row).expect("always")).collect();
    assert_eq!(events, ["step", "evaluation", "label", "label", "step"]);
    assert_eq!(value(&metrics, "loss", 0), AnyValue::Float32(0.7));
    assert_eq!(value(&metrics, "loss", 4), AnyValue::Float32(0.6), "the later line counts");
    assert_eq!((number(&metrics, "epoch", 4), integer(&metrics, "step", 4)), (Some(1.0), Some(20)));
    assert_eq!((number(&metrics, "macro_auc", 1), text(&metrics, "split", 1)), (Some(0.6), Some("val")));
    assert_eq!(value(&metrics, "is_best", 1), AnyValue::Boolean(true));
    assert_eq!((text(&metrics, "label", 2), number(&metrics, "auc", 2)), (Some("Hernia"), None));
    assert_eq!((text(&metrics, "label", 3), number(&metrics, "auc", 3)), (Some("Mass"), Some(0.6)));
    assert_eq!(number(&metrics, "macro_auc", 3), None, "only the whole evaluation has it");
}

#[test]
fn attempts_are_numbered_and_end_by_name() {
    let (_folder, dir) = sweep();
    collected(&dir, &[killed(fixture::cell(0.1, 1)), done(fixture::cell(0.2, 1))]);
    let attempts = read(&dir, "attempts.parquet");
    let numbers: Vec<_> = (0..3).map(|row| integer(&attempts, "attempt", row)).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(1)]);
    let endings: Vec<_> = (0..3).map(|row| text(&attempts, "ending", row)).collect();
    assert_eq!(endings, [Some("evicted"), Some("failed"), Some("finished")]);
    assert_eq!(
        (integer(&attempts, "signal", 1), integer(&attempts, "exit", 1)),
        (Some(ILLEGAL_INSTRUCTION.into()), None)
    );
    assert_eq!((text(&attempts, "host", 1), text(&attempts, "job", 1)), (Some("node-2"), Some("4711")));
    assert_eq!((text(&attempts, "slot", 0), integer(&attempts, "used_memory_mib", 1)), (None, Some(12)));
}

fn bytes(dir: &SweepDir) -> Vec<Vec<u8>> {
    FILES.iter().map(|name| fs::read(dir.collected().join(name)).expect("collected")).collect()
}

#[test]
fn equal_inputs_give_equal_bytes_in_whatever_order() {
    let (_folder, dir) = sweep();
    let mut reports: Vec<_> = fixture::fabricate(&dir, 300).into_iter().map(done).collect();
    assert_eq!(collected(&dir, &reports).skipped_lines, 0);
    let first = bytes(&dir);
    reports.reverse();
    collected(&dir, &reports);
    assert_eq!(bytes(&dir), first);
    assert_eq!(
        fs::read_dir(dir.collected()).expect("collected").count(),
        FILES.len() + 1,
        "nothing temporary"
    );
    assert_eq!(read(&dir, "metrics.parquet").height(), 300 * (20 + 5 + 5 * fixture::LABELS.len()));
}

#[test]
fn tables_of_nothing_have_their_columns_and_version() {
    let (_folder, dir) = sweep();
    collected(&dir, &[]);
    for name in FILES {
        let mut reader = ParquetReader::new(File::open(dir.collected().join(name)).expect("collected"));
        let pairs = reader.get_metadata().expect("a Parquet file").key_value_metadata().clone();
        let version = pairs.iter().flatten().find(|pair| pair.key == SCHEMA_KEY).expect("a version");
        assert_eq!(version.value.as_deref(), Some("1"));
        let table = reader.finish().expect("a Parquet file");
        assert!(table.height() == 0 && table.width() > 10, "{name}");
    }
}

/// Every column stands in SCHEMA.md in its table's section, with its type, and nothing else does.
#[test]
fn the_schema_is_the_documented_one() {
    let (_folder, dir) = sweep();
    let cell = with_axes(fixture::cell(0.1, 1), json!({"model.width": 16}));
    collected(&dir, &[done(cell)]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SCHEMA.md");
    let document = fs::read_to_string(path).expect("SCHEMA.md");
    for name in FILES {
        let section = document.split("\n## ").find(|section| section.starts_with(name)).expect(name);
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<_> = rows
            .map(|row| {
                let mut fields = row.split('|').map(|field| field.trim().trim_end_matches('`').to_owned());
                (fields.next().expect("a name"), fields.next().expect("a type"))
            })
            .collect();
        let table = read(&dir, name);
        let kind = |column: &Column| match column.dtype() {
            DataType::String => "text",
            DataType::Int64 => "i64",
            DataType::UInt64 => "u64",
            DataType::Float64 => "f64",
            DataType::Float32 => "f32",
            DataType::Boolean => "bool",
            other => panic!("{other:?}"),
        };
        let written: Vec<_> = table
            .columns()
            .iter()
            .filter(|column| !column.name().starts_with("axis."))
            .map(|column| (column.name().to_string(), kind(column).to_owned()))
            .collect();
        assert_eq!(documented, written, "{name}");
    }
}

/// The failure of a report on the tables as they lie there.
fn refused(dir: &SweepDir) -> Failure {
    report(dir, &ReportOptions::default()).expect_err("damaged")
}

#[test]
fn damage_to_a_table_or_the_list_is_named_and_never_believed() {
    let (_folder, dir) = sweep();
    let cells = fixture::fabricate(&dir, 4);
    collected(&dir, &cells.into_iter().map(done).collect::<Vec<_>>());
    report(&dir, &ReportOptions::default()).expect("whole");
    for name in FILES.into_iter().chain([LIST]) {
        let path = dir.collected().join(name);
        let good = fs::read(&path).expect("collected");
        let check = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).expect("a writable folder");
            let failure = refused(&dir);
            assert_eq!(failure.exit, Exit::BadData, "{what} of {name}: {failure}");
            let named = failure.message.contains(&format!("collected/{name}"));
            assert!(named && failure.hint.is_some_and(|hint| hint.starts_with("collect again: ")), "{name}");
        };
        for at in (0..good.len()).step_by(good.len() / 40 + 1) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            // The same number in other words is the same list.
            if name != LIST || !good[at].is_ascii_whitespace() {
                check(&bytes, "one bit");
            }
        }
        // The list ends with a line break and a bracket.
        check(&good[..good.len() - 2], "the end");
        check(b"", "all");
        fs::write(&path, &good).expect("a writable folder");
    }
    report(&dir, &ReportOptions::default()).expect("whole again");
}

#[test]
fn tables_of_two_collections_or_without_their_list_are_refused() {
    let (_folder, dir) = sweep();
    let cells = fixture::fabricate(&dir, 4);
    let reports: Vec<_> = cells.into_iter().map(done).collect();
    collected(&dir, &reports[..3]);
    let old = bytes(&dir);
    for (name, table) in FILES.iter().zip(&old) {
        collected(&dir, &reports);
        fs::write(dir.collected().join(name), table).expect("a writable folder");
        assert!(refused(&dir).message.contains(name), "{name}");
    }
    collected(&dir, &reports);
    fs::remove_file(dir.collected().join(LIST)).expect("collected");
    let failure = refused(&dir);
    assert!(failure.message.contains("tables.json is missing, but"), "{failure}");
    for path in ["/dev/zero", "."] {
        collected(&dir, &reports);
        fs::remove_file(dir.collected().join("runs.parquet")).expect("collected");
        std::os::unix::fs::symlink(path, dir.collected().join("runs.parquet")).expect("a writable folder");
        let failure = refused(&dir);
        assert!(failure.message.ends_with("runs.parquet: not a regular file"), "{failure}");
        let failure = collect(&dir, &reports, &dir.collected()).expect_err("no file to replace");
        assert!(failure.message.ends_with("runs.parquet: not a regular file"), "{failure}");
        fs::remove_file(dir.collected().join("runs.parquet")).expect("still the link");
    }
}

#[test]
fn tables_of_another_sweep_or_beside_a_damaged_plan_are_refused() {
    let (folder, dir) = sweep();
    let cells = fixture::fabricate(&dir, 4);
    let other = SweepDir::new(folder.path().join("other"));
    let reports: Vec<_> = cells.into_iter().map(done).collect();
    collected(&dir, &reports[..3]);
    report(&dir, &ReportOptions::default()).expect("one was planned since, which is said");
    collected(&other, &[done(fixture::cell(0.7, 9))]);
    let options = ReportOptions { tables: Some(other.collected()), ..ReportOptions::default() };
    let failure = report(&dir, &options).expect_err("of another sweep");
    assert!(failure.message.contains("of another plan") && failure.exit == Exit::BadData, "{failure}");
    for path in [dir.plan(), dir.spec(), dir.cells()] {
        let good = fs::read(&path).ok();
        fs::write(&path, "{").expect("a writable folder");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(refused(&dir).message.contains(&name), "{name}");
        match good {
            Some(good) => fs::write(&path, good).expect("a writable folder"),
            None => fs::remove_file(&path).expect("just written"),
        }
    }
}

/// Somebody who may only read the sweep has tables and report in folders of their own.
#[test]
fn tables_and_report_may_lie_elsewhere() {
    let (folder, dir) = sweep();
    let cells = fixture::fabricate(&dir, 20);
    let plan = json!({ "format": 1, "data": "", "dataset": "", "code": "", "binaries": [] });
    fs::write(dir.plan(), plan.to_string()).expect("a writable folder");
    let listed = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("readable").file_name()).collect();
        names.sort();
        names
    };
    let before = listed(dir.path());
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xray-sweep"));
        let output = command.args(arguments).current_dir(folder.path()).output().expect("it starts");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), said.concat())
    };
    let ok = Some(i32::from(Exit::Ok.code()));
    let (code, said) = run(&["collect", "sweep", "--out", "my tables"]);
    assert!(code == ok && said.starts_with("20 of 20 cells done\n"), "{said}");
    let (code, said) = run(&["report", "sweep", "--tables", "my tables", "--out", "mine/report"]);
    assert_eq!((code, said.lines().next()), (ok, Some("mine/report/report.html")), "{said}");
    let (code, said) = run(&[
        "report",
        "sweep",
        "--tables",
        "my tables",
        "--out",
        "both",
        "--compare",
        "sweep",
        "--compare-tables",
        "my tables",
        "--label",
        "Mass",
    ]);
    assert_eq!((code, said.lines().next()), (ok, Some("both/Mass/report.html")), "{said}");
    assert_eq!(listed(dir.path()), before, "nothing is written there");
    let (code, said) = run(&["report", "sweep", "--tables", "no tables"]);
    assert_eq!(code, Some(i32::from(Exit::NothingMatches.code())), "{said}");
    assert!(said.contains("hint: collect first: xray-sweep collect sweep --out 'no tables'"), "{said}");
    assert_eq!(cells.len(), 20);
}

#[test]
fn a_full_disk_leaves_the_old_tables_whole() {
    let (_folder, dir) = sweep();
    fs::create_dir_all(dir.collected()).expect("a writable folder");
    let Some(_mount) = SmallDisk::mount(&dir.collected()) else {
        eprintln!("skipped: mounting a small disk needs root");
        return;
    };
    let cells = fixture::fabricate(&dir, 600);
    let few: Vec<_> = cells.iter().take(2).cloned().map(done).collect();
    collected(&dir, &few);
    let old = bytes(&dir);
    let all: Vec<_> = cells.into_iter().map(done).collect();
    let failure = collect(&dir, &all, &dir.collected()).expect_err("a disk of 256 KiB");
    assert_eq!(failure.exit, Exit::Unexpected);
    assert!(failure.message.contains(".parquet: No space left on device"), "{failure}");
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("free some space")), "{failure}");
    assert_eq!(bytes(&dir), old);
    assert_eq!(
        fs::read_dir(dir.collected()).expect("collected").count(),
        FILES.len() + 1,
        "nothing temporary"
    );
}

/// A file system of 256 KiB.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(at);
        mount.output().ok()?.status.success().then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}
