//! Tables in archives. Those of a tar.gz are taken out together when the first of them is looked for: each look would go
//! through all of its images.

use super::{Archive, ArchiveProblem, Packing, Stream, problem};
use crate::error::Result;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// A table in an archive: its name, and its path from the folder that all members are in or below.
pub(in crate::sources) struct PackedTable {
    pub(in crate::sources) name: String,
    pub(in crate::sources) from_top: String,
}

/// Lists the tables of an archive.
///
/// # Errors
/// An archive that cannot be read; a tar.gz is read to its end.
pub(in crate::sources) fn tables(path: &Path) -> Result<Vec<PackedTable>> {
    let table =
        |name: &str, from_top: &str| PackedTable { name: name.to_owned(), from_top: from_top.to_owned() };
    match Packing::of(path) {
        Some(Packing::TarGz) => {
            let taken = taken_out(path)?;
            let mut found: Vec<_> = taken.tables.keys().map(|name| table(name, &name[taken.top..])).collect();
            found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        }
        Some(packing) => {
            let archive = Archive::open(path, packing)?;
            let tables = archive.below_top().filter(|(member, _)| is_table(&member.name));
            Ok(tables.map(|(member, from_top)| table(&member.name, from_top)).collect())
        }
        None => Ok(Vec::new()),
    }
}

/// The path of a table that may be named by its archive alone, where the archive holds one.
///
/// # Errors
/// An archive that cannot be read, or that holds no table or several.
pub(in crate::sources) fn table_of(path: &Path) -> Result<PathBuf> {
    if !super::is_archive(path) {
        return Ok(path.to_owned());
    }
    let mut found = tables(path)?;
    match found.len() {
        0 => Err(problem(path, None, ArchiveProblem::NoTable)),
        1 => Ok(path.join(found.remove(0).name)),
        _ => {
            let names = found.into_iter().map(|table| table.name).collect();
            Err(problem(path, None, ArchiveProblem::SeveralTables { names }))
        }
    }
}

/// The folder that the paths of a table start from: its own, or the archive that it lies in.
pub fn beside(table: &Path) -> &Path {
    let archive = table.ancestors().find(|path| super::is_archive(path));
    let folder = table.parent().filter(|folder| !folder.as_os_str().is_empty());
    archive.or(folder).unwrap_or(Path::new("."))
}

/// A table of a tar.gz; none where it has none of this name.
pub(super) fn content(path: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    match taken_out(path)?.tables.get(name) {
        None => Ok(None),
        Some(Ok(bytes)) => Ok(Some(bytes.clone())),
        Some(Err(why)) => Err(problem(path, Some(name), why.clone())),
    }
}

fn is_table(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".csv") || name.ends_with(".tsv")
}

/// What was taken out of a tar.gz.
struct TakenOut {
    tables: HashMap<String, std::result::Result<Vec<u8>, ArchiveProblem>>,
    /// How much of each name is the folder that all members are in or below.
    top: usize,
}

/// What an archive held when it was read.
struct Read {
    path: PathBuf,
    modified: Option<SystemTime>,
    length: u64,
    taken: Arc<TakenOut>,
}

static READ: Mutex<Vec<Read>> = Mutex::new(Vec::new());

/// More tables than any data set has.
const MOST: usize = 1000;

fn taken_out(path: &Path) -> Result<Arc<TakenOut>> {
    let metadata = fs::metadata(path).map_err(crate::Error::io(path, "open"))?;
    let (modified, length) = (metadata.modified().ok(), metadata.len());
    let mut known = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |of: &&Read| of.path == path && of.modified == modified && of.length == length;
    if let Some(read) = known.iter().find(same) {
        return Ok(read.taken.clone());
    }
    let top: RefCell<Option<String>> = RefCell::new(None);
    let is_wanted = |name: &str| {
        shorten(&mut top.borrow_mut(), name);
        is_table(name)
    };
    let tables = Stream::open(path, is_wanted, MOST)?.collect::<Result<HashMap<_, _>>>()?;
    let taken = Arc::new(TakenOut { tables, top: top.into_inner().map_or(0, |top| top.len()) });
    known.push(Read { path: path.to_owned(), modified, length, taken: taken.clone() });
    Ok(taken)
}

/// Shortens the folder that members are in or below until one more is.
fn shorten(top: &mut Option<String>, name: &str) {
    let folder = |name: &str| name.rfind('/').map_or(0, |at| at + 1);
    let top = top.get_or_insert_with(|| name[..folder(name)].to_owned());
    while !name.starts_with(top.as_str()) {
        let above = folder(&top[..top.len() - 1]);
        top.truncate(above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_folder_is_that_of_all_members() {
        let check = |names: &[&str], expected: &str| {
            let mut top = None;
            names.iter().for_each(|name| shorten(&mut top, name));
            assert_eq!(top.as_deref(), Some(expected), "{names:?}");
        };
        check(&["a/b/c.png", "a/b/d.csv"], "a/b/");
        check(&["a/b/c.png", "a/t.csv"], "a/");
        check(&["a/b/c.png", "ab/t.csv"], "");
        check(&["t.csv", "a/b.png"], "");
    }
}
