//! A CSV file in memory, with the line of every row for messages. Columns are found by name, however the
//! release at hand spells it.

use crate::error::{Error, Result};
use crate::labels::{nearest, plain};
use crate::sources::SourceProblem;
use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A CSV file; `.gz` is unpacked on the way.
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    headers: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
}

/// One row and the place it stands.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    table: &'a Table,
    pub(crate) line: u64,
    record: &'a StringRecord,
}

impl Table {
    /// Reads and checks that every row has as many fields as the header line.
    pub(crate) fn read(path: &Path) -> Result<Table> {
        let text = read_text(path)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let syntax = |line, source| problem(path, line, SourceProblem::Syntax(source));
        let headers = reader.headers().map_err(|e| syntax(1, e))?;
        let headers: Vec<String> = headers.iter().map(|h| h.trim().to_owned()).collect();
        let mut headers = headers;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| syntax(e.position().map_or(0, csv::Position::line), e))?;
            let line = record.position().map_or(0, csv::Position::line);
            if rows.is_empty() && record.len() != headers.len() {
                headers = split_brackets(headers);
                // Some header lines end in more commas than the rows.
                while headers.len() > record.len() && headers.last().is_some_and(String::is_empty) {
                    headers.pop();
                }
            }
            if record.len() != headers.len() {
                let fields = SourceProblem::Fields { found: record.len(), expected: headers.len() };
                return Err(problem(path, line, fields));
            }
            rows.push((line, record));
        }
        let table = Table { path: path.to_owned(), headers, rows };
        if table.rows.is_empty() {
            return Err(table.problem(1, SourceProblem::NoRows));
        }
        Ok(table)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, record)| Row { table: self, line: *line, record })
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(String::as_str)
    }

    /// The first column with one of these names; an exact spelling wins over one that differs in case,
    /// blanks and punctuation.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        let exact = |name: &&str| self.headers().position(|h| h == *name);
        let loose = |name: &&str| self.headers().position(|h| plain(h) == plain(name));
        names.iter().find_map(exact).or_else(|| names.iter().find_map(loose))
    }

    /// The same, where a file without the column is of no use.
    pub(crate) fn require(&self, names: &[&str]) -> Result<usize> {
        self.column(names).ok_or_else(|| {
            let nearest = names.iter().find_map(|name| nearest(name, self.headers()));
            let columns = self.headers().map(str::to_owned).collect();
            self.problem(
                1,
                SourceProblem::NoColumn {
                    wanted: names[0].to_owned(),
                    nearest: nearest.map(str::to_owned),
                    columns,
                },
            )
        })
    }

    pub(crate) fn problem(&self, line: u64, what: SourceProblem) -> Error {
        problem(&self.path, line, what)
    }
}

impl<'a> Row<'a> {
    /// A field without surrounding blanks.
    pub(crate) fn field(&self, column: usize) -> &'a str {
        self.record.get(column).unwrap_or_default().trim()
    }

    /// A field, or nothing where the column does not exist or the cell is empty.
    pub(crate) fn optional(&self, column: Option<usize>) -> Option<&'a str> {
        column.map(|c| self.field(c)).filter(|value| !value.is_empty())
    }

    /// A field that must not be empty.
    pub(crate) fn filled(&self, column: usize) -> Result<&'a str> {
        let column_name = || self.table.headers[column].clone();
        match self.field(column) {
            "" => Err(self.problem(SourceProblem::Empty { column: column_name() })),
            value => Ok(value),
        }
    }

    pub(crate) fn header(&self, column: usize) -> &'a str {
        &self.table.headers[column]
    }

    pub(crate) fn problem(&self, what: SourceProblem) -> Error {
        self.table.problem(self.line, what)
    }
}

fn problem(path: &Path, line: u64, problem: SourceProblem) -> Error {
    Error::Source { path: path.to_owned(), line, problem }
}

/// Some copies of the NIH table quote `OriginalImage[Width,Height]`, one name for two fields.
fn split_brackets(headers: Vec<String>) -> Vec<String> {
    headers.iter().flat_map(|h| h.split(',')).map(str::to_owned).collect()
}

/// A whole text file; `.gz` is unpacked.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let io = |source| Error::Io { path: path.to_owned(), action: "read", source };
    let mut file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).map_err(io)?;
        bytes = text;
    }
    String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
        problem(path, line, SourceProblem::NotText)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use xray_artifacts::one_line;

    fn table(text: &[u8]) -> Result<Table> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("rows.csv");
        fs::write(&path, text).expect("a writable temporary folder");
        Table::read(&path)
    }

    fn refused(text: &[u8]) -> String {
        let message = one_line(&table(text).err().expect("should be refused"));
        message.split_once("rows.csv ").expect("names the file").1.to_owned()
    }

    #[test]
    fn a_broken_table_is_refused_by_line() {
        assert_eq!(refused(b"a,b\n1,2\n3\n"), "line 3: 1 field where the header line has 2");
        assert_eq!(refused(b"a,b\n"), "line 1: a header line and no rows");
        assert_eq!(refused(b"a,b\n1,\xff\n"), "line 2: not UTF-8 text");
    }

    #[test]
    fn a_quoted_name_for_two_fields_counts_as_two() {
        let table = table(b"id,\"size[w,h]\",sex\n1,2,3,F\n").expect("a good table");
        let sex = table.require(&["sex"]).expect("there");
        assert_eq!(table.rows().next().expect("one row").field(sex), "F");
    }

    #[test]
    fn quoted_line_breaks_do_not_shift_the_lines_of_messages() {
        let table = table(b"a,b\n\"1\n1\",2\n3,4\n").expect("a good table");
        assert_eq!(table.rows().map(|r| r.line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn columns_are_found_by_name_exact_spelling_first() {
        let table = table("\u{feff}patient id,Patient ID\n1,2\n".as_bytes()).expect("a good table");
        assert_eq!(table.column(&["Patient ID"]), Some(1));
        assert_eq!(table.column(&["patient_id"]), Some(0));
        let message = one_line(&table.require(&["Patient IDs"]).expect_err("no such column"));
        assert!(message.contains("no column `Patient IDs`"), "{message}");
    }

    #[test]
    fn a_packed_table_is_unpacked() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, b"a\n1\n").expect("memory");
        assert_eq!(table(&packed.finish().expect("memory")).expect("a good table").rows().count(), 1);
    }
}
