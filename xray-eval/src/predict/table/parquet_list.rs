//! A column of lists of float32, in the three levels that readers of Parquet expect: the list, its repeated group, and the
//! element. A row without a list is null.

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::FloatType;
use parquet::errors::ParquetError;
use parquet::schema::types::Type;
use std::sync::Arc;

/// The definition level of an element; that of a null list is 0, of an empty one 1.
const ELEMENT: i16 = 2;

/// The column of a name.
pub(super) fn column(name: &str) -> Result<Type, ParquetError> {
    let element = Type::primitive_type_builder("element", Physical::FLOAT);
    let element = element.with_repetition(Repetition::REQUIRED).build()?;
    let list = Type::group_type_builder("list").with_repetition(Repetition::REPEATED);
    let list = list.with_fields(vec![Arc::new(element)]).build()?;
    let column = Type::group_type_builder(name).with_repetition(Repetition::OPTIONAL);
    column.with_logical_type(Some(LogicalType::List)).with_fields(vec![Arc::new(list)]).build()
}

/// Writes a list for each row.
pub(super) fn write<'a>(
    column: &mut ColumnWriterImpl<'_, FloatType>,
    rows: impl Iterator<Item = Option<&'a [f32]>>,
) -> Result<(), ParquetError> {
    for row in rows {
        let values = row.unwrap_or_default();
        // One level where there is nothing to say, else one for each element, of which the first begins the row.
        let levels = values.len().max(1);
        let definition = match row {
            None => 0,
            Some([]) => 1,
            Some(_) => ELEMENT,
        };
        let repetition: Vec<i16> = (0..levels).map(|at| i16::from(at > 0)).collect();
        column.write_batch(values, Some(&vec![definition; levels]), Some(&repetition))?;
    }
    Ok(())
}
