//! The sweep's axes as columns, and the order that they give to cells.

use crate::cell::Cell;
use crate::state::CellReport;
use polars::prelude::*;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// By the axes' values, then by fraction and trial; the rest only to leave nothing to chance.
pub(super) fn order(a: &Cell, b: &Cell) -> Ordering {
    order_of_values(a, b)
        .then(a.fraction.total_cmp(&b.fraction))
        .then(a.fraction_offset.total_cmp(&b.fraction_offset))
        .then(a.trial.cmp(&b.trial))
        .then(a.seed.cmp(&b.seed))
        .then_with(|| a.id.cmp(&b.id))
}

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
        values().map(|value| value.map(text)).collect::<StringChunked>().with_name(name).into_column()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn order_of_values(a: &Cell, b: &Cell) -> Ordering {
    let pairs = a.axes.iter().zip(&b.axes);
    let by_pair = pairs.map(|((key_a, a), (key_b, b))| key_a.cmp(key_b).then_with(|| order_of(a, b)));
    by_pair.fold(Ordering::Equal, Ordering::then).then(a.axes.len().cmp(&b.axes.len()))
}

/// Numbers by size and before everything else, which goes by its text.
fn order_of(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => text(a).cmp(&text(b)),
    }
}
