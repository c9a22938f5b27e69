//! From rows to columns: a table is written down as a list of names, each with the value that a row has
//! there. What is unknown or undefined is null, and no column holds a NaN.

use polars::prelude::*;
use serde::Serialize;

/// A table that grows column by column.
pub(super) struct Columns<'a, T> {
    rows: &'a [T],
    columns: Vec<Column>,
}

impl<'a, T> Columns<'a, T> {
    /// A table without columns.
    pub(super) fn of(rows: &'a [T]) -> Self {
        Columns { rows, columns: Vec::new() }
    }

    /// Its rows.
    pub(super) fn rows(&self) -> &'a [T] {
        self.rows
    }

    /// The finished table.
    pub(super) fn into_table(self) -> DataFrame {
        DataFrame::new(self.rows.len(), self.columns).expect("columns of equal length and different names")
    }

    /// A column made elsewhere, of as many rows.
    pub(super) fn column(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    /// Text.
    pub(super) fn text<S: AsRef<str>>(self, name: &str, value: impl Fn(&'a T) -> Option<S>) -> Self {
        let values: StringChunked = self.rows.iter().map(value).collect();
        self.column(values.with_name(name.into()).into_column())
    }

    /// The name that a value has in JSON.
    pub(super) fn name<S: Serialize>(self, name: &str, value: impl Fn(&'a T) -> Option<S>) -> Self {
        self.text(name, |row| value(row).map(|value| json_name(&value)))
    }

    /// A count or an index.
    pub(super) fn integer<N>(self, name: &str, value: impl Fn(&'a T) -> Option<N>) -> Self
    where
        i64: TryFrom<N>,
    {
        let values: Int64Chunked =
            self.rows.iter().map(|row| value(row).and_then(|number| i64::try_from(number).ok())).collect();
        self.column(values.with_name(name.into()).into_column())
    }

    /// All 64 bits.
    pub(super) fn bits(self, name: &str, value: impl Fn(&'a T) -> Option<u64>) -> Self {
        let values: UInt64Chunked = self.rows.iter().map(value).collect();
        self.column(values.with_name(name.into()).into_column())
    }

    /// A decimal number.
    pub(super) fn number(self, name: &str, value: impl Fn(&'a T) -> Option<f64>) -> Self {
        let values: Float64Chunked =
            self.rows.iter().map(|row| value(row).filter(|number| number.is_finite())).collect();
        self.column(values.with_name(name.into()).into_column())
    }

    /// A decimal number that was computed in single precision.
    pub(super) fn single(self, name: &str, value: impl Fn(&'a T) -> Option<f32>) -> Self {
        let values: Float32Chunked =
            self.rows.iter().map(|row| value(row).filter(|number| number.is_finite())).collect();
        self.column(values.with_name(name.into()).into_column())
    }

    /// True or false.
    pub(super) fn flag(self, name: &str, value: impl Fn(&'a T) -> Option<bool>) -> Self {
        let values: BooleanChunked = self.rows.iter().map(value).collect();
        self.column(values.with_name(name.into()).into_column())
    }
}

fn json_name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("only enums without fields are named: {other:?}"),
    }
}
