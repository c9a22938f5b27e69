//! The rows of `runs.parquet` that the report speaks of.

use super::tables;
use crate::sweep_dir::SweepDir;
use polars::prelude::*;
use xray_artifacts::Failure;

/// A planned cell and what became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) cell: String,
    pub(super) fraction: f64,
    pub(super) fraction_offset: f64,
    pub(super) trial: i64,
    /// Values of the axes, `model.width=16 loss.name=focal`; empty without axes.
    pub(super) combination: String,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) host: Option<String>,
    pub(super) exit: Option<i64>,
    pub(super) signal: Option<i64>,
    pub(super) attempts: i64,
    pub(super) microarch: Option<String>,
    pub(super) cpu: Option<String>,
    pub(super) threads: Option<i64>,
    pub(super) requested_cpus: i64,
    pub(super) device: Option<String>,
    pub(super) code: String,
    pub(super) dataset: String,
    pub(super) train_images: i64,
    pub(super) steps: Option<i64>,
    pub(super) epochs: Option<f64>,
    pub(super) seconds: Option<f64>,
    pub(super) images_per_second: Option<f64>,
    pub(super) peak_memory_mib: Option<i64>,
    /// The score that the report is about on validation, which chooses.
    pub(super) val_score: Option<f64>,
    /// The same on test, which is reported.
    pub(super) score: Option<f64>,
    pub(super) score_interval: Option<[f64; 2]>,
    /// What was drawn for the interval: `patient` or `record`.
    pub(super) intervals_unit: Option<String>,
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

    /// What it took: cores times time.
    pub(super) fn core_hours(&self) -> Option<f64> {
        Some(self.seconds? * self.threads? as f64 / 3600.0)
    }

    /// What kind of machine it ran on.
    pub(super) fn machine(&self) -> String {
        let processor = self.cpu.as_deref().unwrap_or("processor unknown");
        let threads = self.threads.map_or(String::new(), |threads| {
            format!(", {threads} thread{}", if threads == 1 { "" } else { "s" })
        });
        let microarch = self.microarch.as_deref().map_or(String::new(), |level| format!(" ({level})"));
        format!("{processor}{microarch}{threads}")
    }
}

/// Reads the table, in its order: axes, fraction, trial. Scores are macro-AUCs.
pub(super) fn read(dir: &SweepDir) -> Result<Vec<Run>, Failure> {
    tables::read(dir, "runs.parquet", rows)
}

fn rows(table: &DataFrame) -> PolarsResult<Vec<Run>> {
    let texts = |name: &str| -> PolarsResult<Vec<Option<String>>> {
        Ok(table.column(name)?.str()?.iter().map(|text| text.map(str::to_owned)).collect())
    };
    let numbers =
        |name: &str| -> PolarsResult<Vec<Option<f64>>> { Ok(table.column(name)?.f64()?.iter().collect()) };
    let integers =
        |name: &str| -> PolarsResult<Vec<Option<i64>>> { Ok(table.column(name)?.i64()?.iter().collect()) };
    let mut runs: Vec<Run> = (0..table.height())
        .map(|row| Run { combination: combination(table, row), ..Run::default() })
        .collect();
    // A column at a time: each fills one field of all rows.
    macro_rules! fill {
        ($read:ident, $($field:ident = $column:literal),*) => {
            $(for (run, value) in runs.iter_mut().zip($read($column)?) { run.$field = value; })*
        };
        (known $read:ident, $($field:ident = $column:literal),*) => {
            $(for (run, value) in runs.iter_mut().zip($read($column)?) { run.$field = value.unwrap_or_default(); })*
        };
    }
    fill!(known texts, cell = "cell", state = "state", code = "code", dataset = "dataset",
        collapsed_labels = "test_collapsed_labels");
    fill!(known numbers, fraction = "fraction", fraction_offset = "fraction_offset");
    fill!(known integers, trial = "trial", attempts = "attempts", requested_cpus = "requested_cpus", train_images = "train_images");
    fill!(
        texts,
        reason = "reason",
        host = "host",
        microarch = "microarch",
        cpu = "cpu",
        device = "device",
        intervals_unit = "test_intervals_unit"
    );
    fill!(
        integers,
        exit = "exit",
        signal = "signal",
        threads = "threads",
        steps = "steps",
        peak_memory_mib = "peak_memory_mib"
    );
    fill!(
        numbers,
        epochs = "epochs",
        seconds = "seconds_total",
        images_per_second = "images_per_second",
        val_score = "val_macro_auc",
        score = "test_macro_auc",
        average_precision = "test_macro_average_precision",
        average_precision_baseline = "test_macro_average_precision_baseline",
        micro_auc = "test_micro_auc",
        micro_auc_baseline = "test_micro_auc_baseline"
    );
    let ends = numbers("test_macro_auc_low")?.into_iter().zip(numbers("test_macro_auc_high")?);
    for (run, (low, high)) in runs.iter_mut().zip(ends) {
        run.score_interval = low.zip(high).map(|(low, high)| [low, high]);
    }
    Ok(runs)
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
