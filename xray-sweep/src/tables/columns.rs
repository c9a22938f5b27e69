//! From the fields of a row to columns and back. A field's name is its column's, and its type decides the
//! column's type: text, `i64`, `u64`, `f64`, `f32` or `bool`, and `Option` for what may be null. An enum is text.
//! What is unknown or undefined is null, and no column holds a NaN.

use crate::attempt::{Ending, Launcher};
use crate::state::CellState;
use polars::prelude::*;
use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use xray_artifacts::Split;
use xray_metrics::units::Unit;

/// What becomes one column or several: a value, or a struct of them that [`columns!`] declares.
pub(crate) trait Columns: Sized {
    /// The columns of this name, or of names that begin with it.
    fn write(name: &str, values: &[&Self]) -> Vec<Column>;

    /// The values of all rows.
    ///
    /// # Errors
    /// If a column is not there, is of another type, or holds what is not a value of the field.
    fn read(name: &str, table: &DataFrame) -> PolarsResult<Vec<Self>>;
}

/// Declares a row, or a group of its columns whose names all begin with the name of the group's field:
/// `val: SplitScores` stands in `val_records`, `val_macro_auc` and so on.
macro_rules! columns {
    ($(#[$attribute:meta])* $row:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $row {
            $($(#[$doc])* pub(crate) $field: $type,)+
        }

        impl $crate::tables::columns::Columns for $row {
            fn write(name: &str, rows: &[&Self]) -> Vec<polars::prelude::Column> {
                let mut columns = Vec::new();
                $({
                    let name = $crate::tables::columns::name_in(name, stringify!($field));
                    let values: Vec<&$type> = rows.iter().map(|row| &row.$field).collect();
                    columns.extend(<$type as $crate::tables::columns::Columns>::write(&name, &values));
                })+
                columns
            }

            fn read(name: &str, table: &polars::prelude::DataFrame) -> polars::prelude::PolarsResult<Vec<Self>> {
                $(
                    let $field = $crate::tables::columns::name_in(name, stringify!($field));
                    let $field = <$type as $crate::tables::columns::Columns>::read(&$field, table)?;
                    let mut $field = $field.into_iter();
                )+
                let row = |_| $row { $($field: $field.next().expect("a value for each row"),)+ };
                Ok((0..table.height()).map(row).collect())
            }
        }
    };
}
pub(super) use columns;

/// The name of a group's column; a row itself has no name.
pub(super) fn name_in(group: &str, field: &str) -> String {
    if group.is_empty() { field.to_owned() } else { format!("{group}_{field}") }
}

/// What stands in one column.
pub(super) trait Value: Sized {
    fn to_column<'a>(name: &str, values: impl Iterator<Item = Option<&'a Self>>) -> Column
    where
        Self: 'a;

    fn of_column(column: &Column) -> PolarsResult<Vec<Option<Self>>>;
}

impl<T: Value> Columns for T {
    fn write(name: &str, values: &[&Self]) -> Vec<Column> {
        vec![T::to_column(name, values.iter().map(|value| Some(*value)))]
    }

    fn read(name: &str, table: &DataFrame) -> PolarsResult<Vec<Self>> {
        let values = T::of_column(table.column(name)?)?.into_iter().enumerate();
        let known = |(row, value): (usize, Option<T>)| {
            value.ok_or_else(|| polars_err!(ComputeError: "column {name}: row {row} is null"))
        };
        values.map(known).collect()
    }
}

impl<T: Value> Columns for Option<T> {
    fn write(name: &str, values: &[&Self]) -> Vec<Column> {
        vec![T::to_column(name, values.iter().map(|value| value.as_ref()))]
    }

    fn read(name: &str, table: &DataFrame) -> PolarsResult<Vec<Self>> {
        T::of_column(table.column(name)?)
    }
}

impl Value for String {
    fn to_column<'a>(name: &str, values: impl Iterator<Item = Option<&'a Self>>) -> Column {
        let values: StringChunked = values.collect();
        values.with_name(name.into()).into_column()
    }

    fn of_column(column: &Column) -> PolarsResult<Vec<Option<Self>>> {
        Ok(column.str()?.iter().map(|text| text.map(str::to_owned)).collect())
    }
}

/// A type that polars has too; `$is_value` says what is not null.
macro_rules! number {
    ($type:ident, $array:ty, $is_value:expr) => {
        impl Value for $type {
            fn to_column<'a>(name: &str, values: impl Iterator<Item = Option<&'a Self>>) -> Column {
                let values: $array = values.map(|value| value.copied().filter($is_value)).collect();
                values.with_name(name.into()).into_column()
            }

            fn of_column(column: &Column) -> PolarsResult<Vec<Option<Self>>> {
                Ok(column.$type()?.iter().collect())
            }
        }
    };
}

number!(i64, Int64Chunked, |_| true);
number!(u64, UInt64Chunked, |_| true);
number!(f64, Float64Chunked, |number| number.is_finite());
number!(f32, Float32Chunked, |number| number.is_finite());
number!(bool, BooleanChunked, |_| true);

/// An enum without fields: in a table, as in JSON, its variants go by their names.
trait Named: Serialize + DeserializeOwned {}

impl Named for CellState {}
impl Named for Ending {}
impl Named for Launcher {}
impl Named for super::MetricEvent {}
impl Named for Split {}
impl Named for Unit {}

impl<N: Named> Value for N {
    fn to_column<'a>(name: &str, values: impl Iterator<Item = Option<&'a Self>>) -> Column
    where
        Self: 'a,
    {
        let names: StringChunked = values.map(|value| value.map(json_name)).collect();
        names.with_name(name.into()).into_column()
    }

    fn of_column(column: &Column) -> PolarsResult<Vec<Option<Self>>> {
        let value = |name: &str| {
            N::deserialize(name.into_deserializer())
                .map_err(|error: value::Error| polars_err!(ComputeError: "column {}: {error}", column.name()))
        };
        column.str()?.iter().map(|name| name.map(value).transpose()).collect()
    }
}

fn json_name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("only enums without fields are named: {other:?}"),
    }
}
