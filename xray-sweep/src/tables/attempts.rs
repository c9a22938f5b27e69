//! `attempts.parquet`: one row per start of a cell's job.

use super::Row;
use super::columns::columns;
use crate::attempt::{Ending, Launcher};
use polars::prelude::DataType;

columns! {
    /// One start of a cell's job, wherever it ran and however it ended.
    AttemptRow {
        cell: String,
        fraction: f64,
        trial: i64,
        attempt: i64,
        launcher: Launcher,
        job: String,
        host: Option<String>,
        slot: Option<String>,
        microarch: Option<String>,
        started: Option<String>,
        ended: Option<String>,
        ending: Option<Ending>,
        exit: Option<i64>,
        signal: Option<i64>,
        reason: Option<String>,
        requested_memory_mib: Option<i64>,
        allocated_memory_mib: Option<i64>,
        used_memory_mib: Option<i64>,
        out_of_memory: Option<bool>,
        requested_disk_mib: Option<i64>,
        used_disk_mib: Option<i64>,
        requested_seconds: Option<i64>,
    }
}

impl Row for AttemptRow {
    const FILE: &'static str = "attempts.parquet";
    const ADDED: &'static [(&'static str, DataType)] = &[
        ("out_of_memory", DataType::Boolean),
        ("requested_disk_mib", DataType::Int64),
        ("used_disk_mib", DataType::Int64),
        ("requested_seconds", DataType::Int64),
    ];
}
