//! The sweep's axes as columns.

use super::columns::Columns;
use crate::cell::axis_text;
use polars::prelude::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Values of a cell's axes, by configuration key: one column per axis, `axis.model.width`, of the type that all
/// its values have, else text. A cell that lacks the axis has null.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Axes(pub(crate) BTreeMap<String, Value>);

impl Columns for Axes {
    fn write(name: &str, rows: &[&Self]) -> Vec<Column> {
        let keys: BTreeSet<_> = rows.iter().flat_map(|axes| axes.0.keys()).collect();
        keys.into_iter().map(|key| column(&format!("{name}.{key}"), rows, key)).collect()
    }

    fn read(name: &str, table: &DataFrame) -> PolarsResult<Vec<Self>> {
        let mut rows = vec![Axes::default(); table.height()];
        for column in table.columns() {
            let key = column.name().strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            let Some(key) = key else { continue };
            for (at, axes) in rows.iter_mut().enumerate() {
                if let Some(value) = value(&column.get(at)?) {
                    axes.0.insert(key.to_owned(), value);
                }
            }
        }
        Ok(rows)
    }
}

fn column(name: &str, rows: &[&Axes], key: &str) -> Column {
    let values = || rows.iter().map(|axes| axes.0.get(key));
    let all = |is: fn(&Value) -> bool| values().flatten().all(is);
    let name: PlSmallStr = name.into();
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

fn value(value: &AnyValue<'_>) -> Option<Value> {
    match value {
        AnyValue::String(text) => Some((*text).into()),
        AnyValue::Int64(number) => Some((*number).into()),
        AnyValue::Float64(number) => Some((*number).into()),
        AnyValue::Boolean(flag) => Some((*flag).into()),
        _ => None,
    }
}
