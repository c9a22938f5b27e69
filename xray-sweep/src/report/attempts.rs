//! How long cells kept machines busy, by `attempts.parquet`.

use super::tables;
use crate::sweep_dir::SweepDir;
use polars::prelude::*;
use std::collections::HashMap;
use xray_artifacts::Failure;

/// Seconds from start to end of all starts of each cell; a start without an end is not counted.
pub(super) fn seconds(dir: &SweepDir) -> Result<HashMap<String, f64>, Failure> {
    let mut seconds = HashMap::new();
    for (cell, took) in tables::read(dir, "attempts.parquet", rows)? {
        *seconds.entry(cell).or_default() += took;
    }
    Ok(seconds)
}

fn rows(table: &DataFrame) -> PolarsResult<Vec<(String, f64)>> {
    let text = |name: &str| table.column(name)?.str();
    let (cell, started, ended) = (text("cell")?, text("started")?, text("ended")?);
    let time = |column: &StringChunked, at| humantime::parse_rfc3339(column.get(at)?).ok();
    let row = |at| {
        let took = time(ended, at)?.duration_since(time(started, at)?).ok()?;
        Some((cell.get(at)?.to_owned(), took.as_secs_f64()))
    };
    Ok((0..table.height()).filter_map(row).collect())
}
