//! Tables of a published data set: found by name, and each of their columns accounted for.

use crate::error::{Error, Result};
use crate::labels::{nearest, plain};
use crate::sources::archive::{self, Packing, is_archive};
use crate::sources::csv_table::quoted_few;
use crate::sources::table::Row;
use crate::sources::{ArchiveProblem, SourceProblem, Table};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A table of which it is known what its columns are.
pub(in crate::sources) struct Known {
    pub(in crate::sources) table: Table,
    release: &'static str,
    used: BTreeMap<usize, &'static str>,
    unused: BTreeMap<usize, &'static str>,
}

impl Known {
    /// Reads a table of the data set of this title.
    pub(in crate::sources) fn read(path: &Path, release: &'static str) -> Result<Known> {
        let table = Table::read(path)?;
        Ok(Known { table, release, used: BTreeMap::new(), unused: BTreeMap::new() })
    }

    /// A column, by any of its names, without which the table is another one.
    pub(in crate::sources) fn need(&mut self, names: &[&str], purpose: &'static str) -> Result<usize> {
        match self.may(names, purpose)? {
            Some(column) => Ok(column),
            None => {
                let columns: Vec<String> = self.table.headers().map(str::to_owned).collect();
                let near = names.iter().find_map(|name| nearest(name, self.table.headers()));
                let problem = SourceProblem::ReleaseColumn {
                    release: self.release,
                    wanted: names[0].to_owned(),
                    nearest: near.map(str::to_owned),
                    columns,
                };
                Err(self.table.problem(1, problem))
            }
        }
    }

    /// A column that is used where it is there.
    pub(in crate::sources) fn may(&mut self, names: &[&str], purpose: &'static str) -> Result<Option<usize>> {
        let column = self.table.agreed(names)?;
        self.used.extend(column.map(|column| (column, purpose)));
        Ok(column)
    }

    /// Columns that the data set has and nothing here needs.
    pub(in crate::sources) fn pass_over(&mut self, why: &'static str, names: &[&str]) {
        for name in names {
            self.unused.extend(self.table.column(&[name]).map(|column| (column, why)));
        }
    }

    /// What is used as what and what is not and why.
    ///
    /// # Errors
    /// Columns that the data set does not have. An index, as pandas writes it without a name, is none.
    pub(in crate::sources) fn described(&self) -> Result<String> {
        let headers: Vec<&str> = self.table.headers().collect();
        let is_known = |column: &usize| {
            let name = plain(headers[*column]);
            let is_index = name.is_empty() || name.strip_prefix("unnamed").is_some_and(is_number);
            is_index || self.used.contains_key(column) || self.unused.contains_key(column)
        };
        let unknown = (0..headers.len()).filter(|column| !is_known(column));
        let columns: Vec<String> = unknown.map(|column| headers[column].to_owned()).collect();
        if !columns.is_empty() {
            return Err(self
                .table
                .problem(1, SourceProblem::UnknownColumns { release: self.release, columns }));
        }
        let grouped = |uses: &BTreeMap<usize, &'static str>| {
            let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
            for (&column, &purpose) in uses {
                match groups.iter_mut().find(|(other, _)| *other == purpose) {
                    Some((_, columns)) => columns.push(column),
                    None => groups.push((purpose, vec![column])),
                }
            }
            groups
        };
        let quoted = |columns: &[usize]| quoted_few(columns.iter().map(|&column| headers[column]));
        let used: Vec<String> =
            grouped(&self.used).iter().map(|(what, columns)| format!("{what} {}", quoted(columns))).collect();
        let only_unused = self.unused.iter().filter(|(column, _)| !self.used.contains_key(column));
        let unused = grouped(&only_unused.map(|(&column, &why)| (column, why)).collect());
        let unused: Vec<String> =
            unused.iter().map(|(why, columns)| format!("{} ({why})", quoted(columns))).collect();
        let mut text = format!("{}: columns used: {}", file_name(&self.table.path), used.join(", "));
        if !unused.is_empty() {
            text += &format!("; not used: {}", unused.join(", "));
        }
        Ok(text)
    }

    /// The cell of a patient or study: digits only.
    ///
    /// # Errors
    /// Whatever else, above all a number with decimals or an exponent: a program that took it for a number may have lost
    /// digits, so that two patients became one.
    pub(in crate::sources) fn number<'a>(row: Row<'a>, column: usize) -> Result<&'a str> {
        match row.filled(column)? {
            cell if is_number(cell) => Ok(cell),
            cell => {
                let (column, value) = (row.header(column).to_owned(), cell.to_owned());
                Err(row.problem(SourceProblem::PatientNumber { column, value }))
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether the header line of a table names these columns; the rows are not read.
pub(super) fn has_columns(path: &Path, names: &[&str]) -> bool {
    let Ok(columns) = header_of(path) else { return false };
    names.iter().all(|name| columns.contains(&plain(name)))
}

/// The plain names of the columns.
fn header_of(path: &Path) -> Result<Vec<String>> {
    let io = |source| Error::Io { path: path.to_owned(), action: "read", source };
    let mut file = BufReader::new(archive::open(path)?);
    let mut beginning = Vec::new();
    let read = match file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]) {
        true => MultiGzDecoder::new(file).take(LONGEST_HEADER).read_to_end(&mut beginning),
        false => file.take(LONGEST_HEADER).read_to_end(&mut beginning),
    };
    read.map_err(io)?;
    let text = String::from_utf8_lossy(&beginning);
    let line = text.lines().next().unwrap_or_default();
    Ok(line.split([',', ';', '\t']).map(plain).collect())
}

/// No published table has a longer header line.
const LONGEST_HEADER: u64 = 1 << 16;

/// The table in a folder whose name, without `.csv` or `.csv.gz`, is wanted: of several the last by name, which is the
/// newest version; of one that is there twice, the one that is not packed. Where the folder has none, that in the top folder
/// of an archive in it; a tar.gz, which has to be read to its end, is looked into where the folder has no table at all. The
/// folder may be an archive itself.
pub(in crate::sources) fn table_in(
    folder: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Option<PathBuf>> {
    table_below(folder, "", is_wanted)
}

/// Finds a table in a folder below it.
pub(super) fn table_below(
    folder: &Path,
    below: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Option<PathBuf>> {
    let mut archives = Vec::new();
    let mut has_tables = false;
    if is_archive(folder) {
        archives.push((folder.to_owned(), below));
    } else {
        let inside = folder.join(below);
        let in_folder = if below.is_empty() || inside.is_dir() { files_in(&inside)? } else { Vec::new() };
        let wanted = in_folder.iter().filter_map(|path| Some((rank(path, &is_wanted)?, path)));
        if let Some((_, path)) = wanted.max() {
            return Ok(Some(path.clone()));
        }
        has_tables = in_folder.iter().any(|path| rank(path, |_| true).is_some());
        archives.extend(in_folder.into_iter().map(|path| (path, "")));
        if !below.is_empty() {
            archives.extend(files_in(folder)?.into_iter().map(|path| (path, below)));
        }
    }
    let mut found: Vec<(Rank, PathBuf, String)> = Vec::new();
    for (path, below) in archives {
        if Packing::of(&path) == Some(Packing::TarGz) && has_tables {
            continue;
        }
        for table in archive::tables(&path)? {
            let from_top = table.from_top.as_str();
            let (around, _) = from_top.rsplit_once('/').unwrap_or(("", from_top));
            if around == below
                && let Some(rank) = rank(Path::new(from_top), &is_wanted)
            {
                found.push((rank, path.clone(), table.name));
            }
        }
    }
    found.sort_unstable();
    match found.as_slice() {
        [.., (first, one, _), (second, path, member)] if first == second => {
            let problem = ArchiveProblem::TwoTables { other: one.display().to_string() };
            Err(Error::Archive { path: path.clone(), member: Some(member.clone()), problem })
        }
        [.., (_, path, member)] => Ok(Some(path.join(member))),
        [] => Ok(None),
    }
}

/// What tells the newest of several tables: its name, and that it is not packed.
type Rank = (String, bool);

fn rank(path: &Path, is_wanted: impl Fn(&str) -> bool) -> Option<Rank> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".csv")?;
    is_wanted(stem).then(|| (stem.to_owned(), !name.ends_with(".gz")))
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::Io { path: folder.to_owned(), action: "list", source };
    let entries = fs::read_dir(folder).map_err(io)?;
    entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>().map_err(io)
}
