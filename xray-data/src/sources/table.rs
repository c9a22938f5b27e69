//! A CSV file in memory, with the line of every row for messages. Columns are found by name, however the
//! release at hand spells it.

use crate::error::{Error, Result};
use crate::labels::{nearest, plain};
use crate::recognise::recognise;
use crate::sources::{SourceProblem, archive, separator};
use crate::tfrecord::Compression;
use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use xray_artifacts::{decode_text, read_bounded};

/// The largest text that is read as a table or list, packed or not. The largest public table, PadChest's, has 150 MB.
const LARGEST: u64 = 1 << 30;

/// A line of its own after the last: where it is part of a cell, a quote was not closed.
const END: &str = "\n\u{1}\n";

/// A CSV file; `.gz` is unpacked on the way.
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    headers: Vec<String>,
    /// Columns by exact name, and by name without case, blanks and punctuation.
    by_name: HashMap<String, Vec<usize>>,
    by_plain: HashMap<String, Vec<usize>>,
    rows: Vec<(u64, StringRecord)>,
    /// What was passed over or guessed on the way.
    pub(crate) notes: Vec<String>,
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
        Table::read_separated(path, None)
    }

    /// Reads a table with a given column separator; without one, with that of the header line.
    pub(crate) fn read_separated(path: &Path, given: Option<char>) -> Result<Table> {
        let text = read_text(path)?;
        let (said, text, skipped) = separator::said(&text);
        let separator = given.or(said).unwrap_or_else(|| separator::of_columns(text));
        let mut reader = csv::ReaderBuilder::new();
        reader.flexible(true).delimiter(u8::try_from(separator).unwrap_or(b','));
        let mut reader = reader.from_reader(text.as_bytes().chain(END.as_bytes()));
        let syntax = |line, source| problem(path, line, SourceProblem::Syntax(source));
        let headers = reader.headers().map_err(|e| syntax(1, e))?;
        let mut headers: Vec<String> = headers.iter().map(|header| trimmed(header).to_owned()).collect();
        let (mut rows, mut blank, mut broken, mut end) = (Vec::new(), Vec::new(), Vec::new(), None);
        for record in reader.records() {
            let place = |position: Option<&csv::Position>| position.map_or(0, csv::Position::line) + skipped;
            let record = record.map_err(|e| syntax(place(e.position()), e))?;
            let line = place(record.position());
            if let Some((line, true)) = end {
                return Err(problem(path, line, SourceProblem::NotText)); // not the end after all
            }
            end = Some((line, record == vec![END.trim()]));
            if end == Some((line, true)) {
                continue;
            }
            if record.iter().all(|field| trimmed(field).is_empty()) {
                blank.push(line);
                continue;
            }
            if rows.is_empty() && record.len() != headers.len() {
                headers = split_brackets(headers);
                // Some header lines end in more separators than the rows.
                while headers.len() > record.len() && headers.last().is_some_and(String::is_empty) {
                    headers.pop();
                }
            }
            if record.len() != headers.len() && !record.iter().any(|field| field.contains(END.trim())) {
                let fields =
                    SourceProblem::Fields { found: record.len(), expected: headers.len(), separator };
                return Err(problem(path, line, fields));
            }
            if record.iter().any(|field| field.contains(['\n', '\r'])) {
                broken.push(line);
            }
            rows.push((line, record));
        }
        match end {
            Some((_, true)) => {}
            Some((line, false)) => return Err(problem(path, line, SourceProblem::Quote)),
            None => return Err(problem(path, 1, SourceProblem::NoRows)),
        }
        if rows.is_empty() {
            return Err(problem(path, 1, SourceProblem::NoRows));
        }
        let (by_name, by_plain) = (places(&headers, str::to_owned), places(&headers, plain));
        let mut notes = Vec::new();
        if separator != ',' && given.is_none() {
            notes.push(format!("the columns are taken to be separated by {}", separator::name(separator)));
        }
        if let [first, ..] = blank.as_slice() {
            notes.push(format!(
                "rows of blanks that are passed over: {}, the first on line {first}",
                blank.len()
            ));
        }
        // Reports have some; but two stray quotes make one cell of all that is between them.
        if let [first, ..] = broken.as_slice() {
            notes.push(format!(
                "rows with line breaks in quotes: {} of {}, the first on line {first}",
                broken.len(),
                rows.len()
            ));
        }
        Ok(Table { path: path.to_owned(), headers, by_name, by_plain, rows, notes })
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> + Clone {
        self.rows.iter().map(|(line, record)| Row { table: self, line: *line, record })
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(String::as_str)
    }

    /// The first column with one of these names; an exact spelling wins over one that differs in case,
    /// blanks and punctuation.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        let first = |places: &HashMap<String, Vec<usize>>, name: &str| places.get(name)?.first().copied();
        let exact = names.iter().find_map(|name| first(&self.by_name, name));
        exact.or_else(|| names.iter().find_map(|name| first(&self.by_plain, &plain(name))))
    }

    /// The same, where no other column of that name, however spelled, says something else.
    pub(crate) fn agreed(&self, names: &[&str]) -> Result<Option<usize>> {
        let Some(column) = self.column(names) else { return Ok(None) };
        let name = plain(&self.headers[column]);
        let twins = self.by_plain.get(&name).filter(|_| !name.is_empty()).map_or(&[][..], Vec::as_slice);
        twins.iter().try_for_each(|&twin| self.compare(column, twin)).map(|()| Some(column))
    }

    /// The column that a person names: one that is spelled so is meant, whatever others are called.
    pub(crate) fn named(&self, name: &str) -> Result<usize> {
        match self.by_name.get(name).map(Vec::as_slice) {
            Some([column, twins @ ..]) => {
                twins.iter().try_for_each(|&twin| self.compare(*column, twin)).map(|()| *column)
            }
            _ => self.require(&[name]),
        }
    }

    /// Column that must be there, found as by [`agreed`](Self::agreed).
    pub(crate) fn require(&self, names: &[&str]) -> Result<usize> {
        self.agreed(names)?.ok_or_else(|| {
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

    fn compare(&self, first: usize, second: usize) -> Result<()> {
        match self.rows().find(|row| row.field(first) != row.field(second)) {
            Some(row) if first != second => {
                let [first, second] = [first, second]
                    .map(|column| (self.headers[column].clone(), column + 1, row.field(column).to_owned()));
                Err(row.problem(SourceProblem::TwoColumns { first, second }))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn problem(&self, line: u64, what: SourceProblem) -> Error {
        problem(&self.path, line, what)
    }
}

impl<'a> Row<'a> {
    /// A field without surrounding blanks.
    pub(crate) fn field(&self, column: usize) -> &'a str {
        trimmed(self.record.get(column).unwrap_or_default())
    }

    /// A field, or nothing where the column does not exist or the cell says nothing.
    pub(crate) fn optional(&self, column: Option<usize>) -> Option<&'a str> {
        column.map(|c| self.field(c)).filter(|value| !is_blank(value))
    }

    /// A field that must not be empty.
    pub(crate) fn filled(&self, column: usize) -> Result<&'a str> {
        match self.field(column) {
            "" => Err(self.problem(SourceProblem::Empty { column: self.header(column).to_owned() })),
            value => Ok(value),
        }
    }

    pub(crate) fn header(&self, column: usize) -> &'a str {
        self.table.headers.get(column).map_or("", String::as_str)
    }

    pub(crate) fn problem(&self, what: SourceProblem) -> Error {
        self.table.problem(self.line, what)
    }
}

/// Whether a cell says nothing: it is empty, or what pandas, R and databases write for that.
pub(crate) fn is_blank(cell: &str) -> bool {
    ["", "nan", "na", "n/a", "<na>", "#n/a", "none", "null"].contains(&cell.to_ascii_lowercase().as_str())
}

/// A patient's name without the decimals that pandas gives to whole numbers in a column with blanks: `75.0` and `75`
/// are one patient.
pub(crate) fn patient_name(cell: &str) -> &str {
    match cell.split_once('.') {
        Some((number, zeros))
            if !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && !zeros.is_empty()
                && zeros.bytes().all(|byte| byte == b'0') =>
        {
            number
        }
        _ => cell,
    }
}

fn trimmed(field: &str) -> &str {
    field.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

fn places(headers: &[String], key: impl Fn(&str) -> String) -> HashMap<String, Vec<usize>> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (column, header) in headers.iter().enumerate() {
        places.entry(key(header)).or_default().push(column);
    }
    places
}

fn problem(path: &Path, line: u64, problem: SourceProblem) -> Error {
    Error::Source { path: path.to_owned(), line, problem: problem.into() }
}

/// Some copies of the NIH table quote `OriginalImage[Width,Height]`, one name for two fields.
fn split_brackets(headers: Vec<String>) -> Vec<String> {
    headers.iter().flat_map(|h| h.split(',')).map(str::to_owned).collect()
}

/// A whole text file, UTF-8 or UTF-16 with a byte order mark, which is taken away; `.gz` is unpacked. It may be in an archive.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let io = |source| Error::Io { path: path.to_owned(), action: "read", source };
    let mut file = BufReader::new(archive::open(path)?);
    // Not opened twice: it may be a pipe.
    let bytes = match file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]) {
        true => read_bounded(MultiGzDecoder::new(file), LARGEST).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                Error::Compressed { path: path.to_owned(), compression: Compression::Gzip, source }
            }
            _ => Error::Io { path: path.to_owned(), action: "read", source },
        }),
        false => read_bounded(file, LARGEST).map_err(io),
    }?;
    match recognise(&bytes) {
        Some(what) => Err(problem(path, 1, SourceProblem::OtherFile { what })),
        None => decode_text(bytes).map_err(|at| problem(path, at.line, SourceProblem::NotText)),
    }
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
        assert_eq!(refused(b""), "line 1: a header line and no rows");
        assert_eq!(refused(b"a,b\n,\n ,\n"), "line 1: a header line and no rows");
        assert_eq!(refused(b"a,b\n1,\xff\n"), "line 2: not UTF-8 text");
        assert_eq!(refused(b"a,b\n1,2\n\x01\n3,4\n"), "line 3: not UTF-8 text");
        assert_eq!(refused(b"a,b\n1,\"2\n3,4\n5,6\n"), "line 2: a quote that is not closed");
        assert_eq!(refused(b"a,b\n1,2\n\"3,4\n"), "line 3: a quote that is not closed");
    }

    #[test]
    fn columns_are_separated_as_in_the_header_line() {
        let check = |text: &str, expected: &str| {
            let table = table(text.as_bytes()).expect("a good table");
            assert_eq!(table.rows().next().expect("a row").field(1), expected, "{text}");
        };
        check("a,b\n1,2;3\n", "2;3");
        check("a;b\n1;2,3\n", "2,3");
        check("a\tb\n1\t2,3\n", "2,3");
        check("a|b\n1|2;3\n", "2;3");
        check("a|x,b\n1|2,3\n", "3");
        check("sep=;\na;b\n1;2,3\n", "2,3");
        check("a;b;size[w,h]\n1;2;3,4\n", "2"); // NIH's names hold commas
        check("\"a,x\";b\n1;2\n", "2");
        check("a,b\r1,2\r3,4\r", "2");
        check("\u{feff}a,b\r\n\r\n,\r\n1,2\r\n,,\r\n", "2"); // rows of blanks, of any length
    }

    #[test]
    fn what_is_no_table_is_named() {
        let check = |bytes: &[u8], part: &str| {
            let message = refused(bytes);
            assert!(
                message.starts_with("line 1: it is ")
                    && message.contains(part)
                    && message.ends_with(", not a table"),
                "{message}"
            );
        };
        check(b"PK\x03\x04\x14\0\x06\0", "an Excel workbook");
        check(b"BZh91AY&SY\xff", "compressed by bzip2");
        check(b"<!DOCTYPE html>\n<html><p>Sign in</p></html>\n", "a web page");
        check(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "Git LFS");
        let bytes: Vec<u8> = "path,Mass\na.png,1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        check(&bytes, "UTF-16 text without a byte order mark");
    }

    #[test]
    fn utf_16_as_excel_writes_it_is_read() {
        let text = "\u{feff}a\tb\n1\tn\u{e4}h\n";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let table = table(&bytes).expect("a good table");
        assert_eq!(table.rows().next().expect("a row").field(1), "n\u{e4}h");
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
        let table = table("\u{feff}patient id,Patient ID\n1,1\n".as_bytes()).expect("a good table");
        assert_eq!(table.column(&["Patient ID"]), Some(1));
        assert_eq!(table.column(&["patient_id"]), Some(0));
        let message = one_line(&table.require(&["Patient IDs"]).expect_err("no such column"));
        assert!(message.contains("no column `Patient IDs`"), "{message}");
    }

    #[test]
    fn two_columns_of_a_name_have_to_agree() {
        let check = |header: &str, names: &[&str], expected: &str| {
            let table = table(format!("{header}\n1,1\n1,2\n").as_bytes()).expect("a table");
            let message =
                table.require(names).map_or_else(|error| one_line(&error), |column| column.to_string());
            assert!(message.ends_with(expected), "{message}");
        };
        let differ = "line 3: column 1, `Mass`, says `1` and column 2, `Mass`, says `2`";
        check("Mass,Mass", &["Mass"], differ);
        check("Mass, mass", &["Mass"], "line 3: column 1, `Mass`, says `1` and column 2, `mass`, says `2`");
        check("Mass,\"\u{feff}MASS\"", &["mass"], "column 2, `MASS`, says `2`");
        check("Mass,Masses", &["Mass"], "0");
        let table = table(b"id,ID\n1,2\n").expect("a table");
        assert_eq!(table.named("ID").expect("spelled so"), 1);
    }

    #[test]
    fn a_packed_table_is_unpacked_and_one_cut_off_is_refused() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let text: String = (0..2000).map(|row| format!("{row},{}\n", row * row)).collect();
        std::io::Write::write_all(&mut packed, format!("a,b\n{text}").as_bytes()).expect("memory");
        let packed = packed.finish().expect("memory");
        assert_eq!(table(&packed).expect("a good table").rows().count(), 2000);
        for length in [3, 10, 12, packed.len() / 2, packed.len() - 9, packed.len() - 1] {
            let error = table(&packed[..length]).err().expect("cut off");
            assert!(one_line(&error).contains("does not inflate"), "{length}: {error}");
            assert_eq!(error.exit(), xray_artifacts::Exit::BadData);
        }
        let mut damaged = packed.clone();
        let middle = packed.len() / 2;
        damaged[middle..middle + 20].fill(0x55);
        assert_eq!(table(&damaged).err().expect("damaged").exit(), xray_artifacts::Exit::BadData);
    }
}
