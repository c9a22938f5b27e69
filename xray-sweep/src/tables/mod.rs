//! The tables in `collected/`. Each has one row type here, whose fields are its columns: `collect/` fills rows
//! and writes them, `report/` reads the same rows back. `SCHEMA.md` says what every column means.

mod attempts;
mod axes;
mod columns;
mod contained;
mod file;
mod labels;
mod list;
mod metrics;
mod runs;

pub(crate) use attempts::AttemptRow;
pub(crate) use axes::Axes;
pub(crate) use file::ParquetFile;
pub use file::{SCHEMA_KEY, SCHEMA_VERSION};
pub(crate) use labels::LabelRow;
pub use list::LIST;
pub(crate) use list::{Collection, Fingerprint, TableList};
pub(crate) use metrics::{MetricEvent, MetricRow};
pub(crate) use runs::{RunRow, RunSeconds, SplitScores};

use columns::Columns;
use polars::prelude::DataType;

/// Names of the tables' files.
pub const FILES: [&str; 4] = [RunRow::FILE, LabelRow::FILE, MetricRow::FILE, AttemptRow::FILE];

/// A row of a table of its own.
pub(crate) trait Row: Columns {
    /// The table's file in `collected/`.
    const FILE: &'static str;

    /// Columns that tables of an earlier build lack, with their types: null where such a table is read, because cells may
    /// be gone and cannot be collected again.
    const ADDED: &'static [(&'static str, DataType)] = &[];
}

/// A count as a table holds it.
pub(crate) fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::file::with_added;
    use super::*;
    use crate::attempt::Launcher;
    use crate::state::CellState;
    use polars::prelude::*;
    use serde_json::json;
    use xray_artifacts::Split;
    use xray_metrics::units::Unit;

    fn table<R: Row>(rows: &[R]) -> DataFrame {
        DataFrame::new(rows.len(), R::write("", &rows.iter().collect::<Vec<_>>())).expect("columns")
    }

    /// A cell that is done, and one of which nothing is known.
    fn runs() -> [RunRow; 2] {
        let axes = json!({ "loss.name": "focal", "model.dropout": 0.5, "model.width": 16 });
        let done = RunRow {
            cell: "a1".into(),
            fraction: 0.1,
            trial: 2,
            seed: u64::MAX,
            axis: Axes(serde_json::from_value(axes).expect("an object")),
            state: CellState::Done,
            exit: Some(0),
            launcher: Some(Launcher::Condor),
            last_loss: Some(0.1),
            test: SplitScores {
                macro_auc: Some(0.7),
                intervals_unit: Some(Unit::Record),
                ..SplitScores::default()
            },
            seconds: RunSeconds { total: Some(60.5), ..RunSeconds::default() },
            ..RunRow::default()
        };
        [done, RunRow { cell: "b2".into(), ..RunRow::default() }]
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        assert_eq!(RunRow::read("", &table(&runs())).expect("its own columns"), runs());
        let metrics = [MetricEvent::Evaluation, MetricEvent::Label, MetricEvent::Step].map(|event| {
            MetricRow { event, split: Some(Split::Val), is_best: Some(true), ..MetricRow::default() }
        });
        assert_eq!(MetricRow::read("", &table(&metrics)).expect("its own columns"), metrics);
    }

    #[test]
    fn what_is_not_a_number_is_null() {
        let rows = [RunRow { epochs: Some(f64::NAN), last_loss: Some(f32::INFINITY), ..RunRow::default() }];
        let found = RunRow::read("", &table(&rows)).expect("its own columns");
        assert_eq!((found[0].epochs, found[0].last_loss), (None, None));
    }

    /// Reads the runs with another column in place of the one of its name.
    fn check(column: Column, expected: &[&str]) {
        let mut table = table(&runs());
        table.with_column(column).expect("of two rows");
        let error = RunRow::read("", &table).expect_err("not what was written").to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }

    #[test]
    fn a_column_that_is_not_what_was_written_is_named() {
        check(Column::new("state".into(), ["done", "finishd"]), &["column state", "finishd", "`done`"]);
        check(Column::new("state".into(), [Some("done"), None]), &["column state", "row 1 is null"]);
        check(Column::new("exit".into(), ["0", "1"]), &["exit"]);
        let without = table(&runs()).drop("test_macro_auc").expect("it is there");
        let error = RunRow::read("", &without).expect_err("a column is missing").to_string();
        assert!(error.contains("test_macro_auc"), "{error}");
    }

    /// A table without its added columns, and one without another.
    #[test]
    fn tables_of_an_earlier_build_are_read_and_others_are_not() {
        let rows = runs().map(|run| RunRow { requested_disk_mib: Some(7), ..run });
        let added = RunRow::ADDED.iter().map(|(name, _)| *name);
        let old = added.fold(table(&rows), |table, name| table.drop(name).expect("it is there"));
        assert_eq!(
            RunRow::read("", &with_added::<RunRow>(old.clone()).expect("nulls")).expect("read"),
            runs()
        );
        let new = with_added::<RunRow>(table(&rows)).expect("nothing to add");
        assert_eq!(RunRow::read("", &new).expect("read"), rows);
        let without = with_added::<RunRow>(old.drop("used_memory_mib").expect("it is there")).expect("nulls");
        assert!(RunRow::read("", &without).is_err());
    }
}
