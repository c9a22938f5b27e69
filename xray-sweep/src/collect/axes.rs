//! The sweep's axes as columns.

use crate::cell::axis_text;
use crate::state::CellReport;
use polars::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;

/// One column per axis, `axis.model.width`, of the type that all its values have, else text. A cell that
/// lacks the axis has null.
pub(super) fn columns(reports: &[&CellReport]) -> Vec<Column> {
    let keys: BTreeSet<_> = reports.iter().flat_map(|report| report.cell.axes.keys()).collect();
    keys.into_iter().map(|key| column(reports, key)).collect()
}

fn column(reports: &[&CellReport], key: &str) -> Column {
    let values = || reports.iter().map(|report| report.cell.axes.get(key));
    let all = |is: fn(&Value) -> bool| values().flatten().all(is);
    let name: PlSmallStr = format!("axis.{key}").into();
    if all(Value::is_boolean) {
        values().map(|value| value?.as_bool()).collect::<BooleanChunked>().with_name(name).into_column()
    } else if all(Value::is_i64) {
        values().map(|value| value?.as_i64()).collect::<Int64Chunked>().with_name(name).into_column()
    } else if all(Value::is_number) {
        values().map(|value| value?.as_f64()).collect::<Float64Chunked>().with_name(name).into_column()
    } else {
        values().map(|value| value.map(axis_text)).collect::<StringChunked>().with_name(name).into_column()
    }
}
