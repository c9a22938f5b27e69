//! The rows of `runs.parquet` that the report speaks of.

use crate::collect::{SCHEMA_KEY, SCHEMA_VERSION};
use crate::sweep_dir::SweepDir;
use polars::prelude::*;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError};

/// A planned cell and what became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) cell: String,
    pub(super) fraction: f64,
    pub(super) trial: i64,
    /// Values of the axes, `model.width=16 loss.name=focal`; empty without axes.
    pub(super) combination: String,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) host: Option<String>,
    pub(super) exit: Option<i64>,
    pub(super) signal: Option<i64>,
    pub(super) attempts: i64,
    pub(super) seconds: Option<f64>,
    pub(super) macro_auc: Option<f64>,
    pub(super) macro_auc_low: Option<f64>,
    pub(super) macro_auc_high: Option<f64>,
    pub(super) average_precision: Option<f64>,
    pub(super) average_precision_baseline: Option<f64>,
    pub(super) micro_auc: Option<f64>,
    pub(super) micro_auc_baseline: Option<f64>,
    pub(super) collapsed_labels: String,
}

impl Run {
    /// Whether its result is complete.
    pub(super) fn done(&self) -> bool {
        self.state == "done"
    }

    /// Whether it came to an end without a result; the others have not come to one.
    pub(super) fn failed(&self) -> bool {
        matches!(self.state.as_str(), "failed" | "lost" | "held" | "stale")
    }

    /// Its scores' or times' share in a figure: only complete results count.
    pub(super) fn figure(&self, figure: fn(&Run) -> Option<f64>) -> Option<f64> {
        if self.done() { figure(self) } else { None }
    }
}

/// Reads the table, in its order: axes, fraction, trial.
pub(super) fn read(dir: &SweepDir) -> Result<Vec<Run>, Failure> {
    let path = dir.collected().join("runs.parquet");
    let file = File::open(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Failure::new(Exit::NothingMatches, format!("{} is not there", path.display()))
            .hint(format!("collect first: xray-sweep collect {}", dir.path().display())),
        _ => FileError::Io { path: path.clone(), action: "read", source }.into(),
    })?;
    let mut reader = ParquetReader::new(file);
    let version = version(&mut reader).map_err(|error| unreadable(&path, &error))?;
    if version.as_deref() != Some(SCHEMA_VERSION.to_string().as_str()) {
        let found = version.unwrap_or_else(|| "none".into());
        let message =
            format!("{} has schema version {found}, this build reads {SCHEMA_VERSION}", path.display());
        return Err(Failure::new(Exit::BadData, message).hint("collect again with this build"));
    }
    let table = reader.finish().and_then(|table| rows(&table));
    table.map_err(|error| unreadable(&path, &error))
}

fn version(reader: &mut ParquetReader<File>) -> PolarsResult<Option<String>> {
    let pairs = reader.get_metadata()?.key_value_metadata().iter().flatten();
    Ok(pairs.clone().find(|pair| pair.key == SCHEMA_KEY).and_then(|pair| pair.value.clone()))
}

fn unreadable(path: &Path, error: &PolarsError) -> Failure {
    Failure::new(Exit::BadData, format!("{} is not a table of runs: {error}", path.display()))
        .hint("collect again")
}

fn rows(table: &DataFrame) -> PolarsResult<Vec<Run>> {
    let text = |name: &str| table.column(name)?.str();
    let number = |name: &str| table.column(name)?.f64();
    let integer = |name: &str| table.column(name)?.i64();
    let (cell, state, reason, host) = (text("cell")?, text("state")?, text("reason")?, text("host")?);
    let (fraction, seconds) = (number("fraction")?, number("seconds_total")?);
    let (trial, exit) = (integer("trial")?, integer("exit")?);
    let (signal, attempts) = (integer("signal")?, integer("attempts")?);
    let (auc, low, high) =
        (number("test_macro_auc")?, number("test_macro_auc_low")?, number("test_macro_auc_high")?);
    let precision = number("test_macro_average_precision")?;
    let precision_baseline = number("test_macro_average_precision_baseline")?;
    let (micro, micro_baseline) = (number("test_micro_auc")?, number("test_micro_auc_baseline")?);
    let collapsed = text("test_collapsed_labels")?;
    let owned = |column: &StringChunked, at| column.get(at).map(str::to_owned);
    let run = |at| Run {
        cell: owned(cell, at).unwrap_or_default(),
        fraction: fraction.get(at).unwrap_or_default(),
        trial: trial.get(at).unwrap_or_default(),
        combination: combination(table, at),
        state: owned(state, at).unwrap_or_default(),
        reason: owned(reason, at),
        host: owned(host, at),
        exit: exit.get(at),
        signal: signal.get(at),
        attempts: attempts.get(at).unwrap_or_default(),
        seconds: seconds.get(at),
        macro_auc: auc.get(at),
        macro_auc_low: low.get(at),
        macro_auc_high: high.get(at),
        average_precision: precision.get(at),
        average_precision_baseline: precision_baseline.get(at),
        micro_auc: micro.get(at),
        micro_auc_baseline: micro_baseline.get(at),
        collapsed_labels: owned(collapsed, at).unwrap_or_default(),
    };
    Ok((0..table.height()).map(run).collect())
}

fn combination(table: &DataFrame, row: usize) -> String {
    let axes = table.columns().iter().filter_map(|column| {
        let key = column.name().strip_prefix("axis.")?;
        let value = match column.get(row).ok()? {
            AnyValue::String(text) => text.to_owned(),
            AnyValue::Int64(number) => number.to_string(),
            AnyValue::Float64(number) => number.to_string(),
            AnyValue::Boolean(flag) => flag.to_string(),
            _ => return None,
        };
        Some(format!("{key}={value}"))
    });
    axes.collect::<Vec<_>>().join(" ")
}
