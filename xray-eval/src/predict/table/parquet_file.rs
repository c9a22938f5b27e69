//! Predictions as Parquet: each column of its own type, null where nothing is known.

use super::{Cell, parquet_list};
use crate::predict::cannot_write;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Failure, NewFile};

/// Rows that are held before they are written together.
const GROUP: usize = 1 << 14;

/// The file.
pub(in crate::predict) struct ParquetFile {
    path: PathBuf,
    names: Vec<String>,
    /// Cells by row.
    held: Vec<Vec<Cell>>,
    /// None before the first rows, whose cells say the types.
    writer: Option<SerializedFileWriter<NewFile>>,
}

impl ParquetFile {
    pub(in crate::predict) fn create(path: &Path, columns: Vec<String>) -> Result<ParquetFile, Failure> {
        Ok(ParquetFile { path: path.to_owned(), names: columns, held: Vec::new(), writer: None })
    }

    pub(in crate::predict) fn add(&mut self, cells: Vec<Cell>) -> Result<(), Failure> {
        self.held.push(cells);
        if self.held.len() < GROUP { Ok(()) } else { self.write() }
    }

    pub(in crate::predict) fn finish(mut self) -> Result<(), Failure> {
        self.write()?;
        let cannot = cannot(&self.path);
        let writer = self.writer.take().expect("a table has a row");
        Ok(writer.into_inner().map_err(cannot)?.finish()?)
    }

    /// Writes the rows that are held.
    fn write(&mut self) -> Result<(), Failure> {
        let rows = std::mem::take(&mut self.held);
        let Some(first) = rows.first() else { return Ok(()) };
        if self.writer.is_none() {
            let schema = schema(&self.names, first).map_err(cannot(&self.path))?;
            let file = NewFile::create(&self.path)?;
            let writer =
                SerializedFileWriter::new(file, Arc::new(schema), Arc::new(WriterProperties::default()));
            self.writer = Some(writer.map_err(cannot(&self.path))?);
        }
        let writer = self.writer.as_mut().expect("made just now");
        write_rows(writer, &rows).map_err(cannot(&self.path))
    }
}

fn cannot(path: &Path) -> impl Fn(ParquetError) -> Failure {
    let cannot = cannot_write(path);
    move |error| {
        cannot(match error {
            // What the system said, where it did.
            ParquetError::External(source) => match source.downcast::<std::io::Error>() {
                Ok(source) => *source,
                Err(source) => std::io::Error::other(source),
            },
            error => std::io::Error::other(error),
        })
    }
}

fn schema(names: &[String], first: &[Cell]) -> Result<Type, ParquetError> {
    let column = |(name, cell): (&String, &Cell)| {
        let (physical, logical) = match cell {
            Cell::Floats(_) => return parquet_list::column(name).map(Arc::new),
            Cell::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Cell::Integer(_) => (Physical::INT32, None),
            Cell::Float(_) => (Physical::FLOAT, None),
            Cell::Double(_) => (Physical::DOUBLE, None),
            Cell::Flag(_) => (Physical::BOOLEAN, None),
        };
        let column = Type::primitive_type_builder(name, physical).with_logical_type(logical);
        column.with_repetition(Repetition::OPTIONAL).build().map(Arc::new)
    };
    let columns = names.iter().zip(first).map(column).collect::<Result<_, _>>()?;
    Type::group_type_builder("predictions").with_fields(columns).build()
}

fn write_rows(writer: &mut SerializedFileWriter<NewFile>, rows: &[Vec<Cell>]) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    let mut at = 0;
    while let Some(mut column) = group.next_column()? {
        let cells = || rows.iter().map(|row| &row[at]);
        match rows[0][at] {
            Cell::Floats(_) => parquet_list::write(
                column.typed(),
                cells().map(|cell| match cell {
                    Cell::Floats(value) => value.as_deref(),
                    _ => None,
                }),
            ),
            Cell::Text(_) => write_column::<ByteArrayType>(column.typed(), cells(), |cell| match cell {
                Cell::Text(value) => value.as_deref().map(ByteArray::from),
                _ => None,
            }),
            Cell::Integer(_) => write_column::<Int32Type>(column.typed(), cells(), |cell| match cell {
                Cell::Integer(value) => *value,
                _ => None,
            }),
            Cell::Float(_) => write_column::<FloatType>(column.typed(), cells(), |cell| match cell {
                Cell::Float(value) => *value,
                _ => None,
            }),
            Cell::Double(_) => write_column::<DoubleType>(column.typed(), cells(), |cell| match cell {
                Cell::Double(value) => *value,
                _ => None,
            }),
            Cell::Flag(_) => write_column::<BoolType>(column.typed(), cells(), |cell| match cell {
                Cell::Flag(value) => *value,
                _ => None,
            }),
        }?;
        column.close()?;
        at += 1;
    }
    group.close()?;
    Ok(())
}

fn write_column<'a, T: DataType>(
    column: &mut ColumnWriterImpl<'_, T>,
    cells: impl Iterator<Item = &'a Cell>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let found: Vec<Option<T::T>> = cells.map(value).collect();
    let levels: Vec<i16> = found.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = found.into_iter().flatten().collect();
    column.write_batch(&values, Some(&levels), None)?;
    Ok(())
}
