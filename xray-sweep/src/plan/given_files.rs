//! Files that settings name. Each is copied into `bin/` once, under a name that says what it holds; the configurations of
//! cells have that name, so the content is part of a cell's id. Which settings these are, the trainer says.

use super::absolute;
use crate::cell::{Cell, CellFile};
use crate::sweep_dir::SweepDir;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use xray_artifacts::{ContentName, Exit, Failure, FileError, NewFile};

/// The files of a configuration, by the keys of its settings.
pub(super) type Files = BTreeMap<String, CellFile>;

/// Files as they are read, each once.
pub(super) struct Given<'a> {
    /// The cells of the plan before, which knows files that are no longer where they were.
    before: &'a [Cell],
    known: BTreeMap<String, CellFile>,
    /// What a person should know of them.
    pub(super) notes: Vec<String>,
}

impl<'a> Given<'a> {
    /// None yet.
    pub(super) fn new(before: &'a [Cell]) -> Given<'a> {
        Given { before, known: BTreeMap::new(), notes: Vec::new() }
    }

    /// Reads every file that the settings `keys` of a configuration name, and puts the name of its content in the place of
    /// its path. Returns the files.
    ///
    /// # Errors
    /// When a file is not there, or cannot be read.
    pub(super) fn name(&mut self, config: &mut Json, keys: &[String]) -> Result<Files, Failure> {
        let mut files = Files::new();
        for key in keys {
            let Some(given) = given(config, key) else { continue };
            let file = match self.known.get(given.as_str()) {
                Some(file) => file,
                None => {
                    let file = read(key, &given, self.before, &mut self.notes)?;
                    self.known.entry(given).or_insert(file)
                }
            };
            files.insert(key.clone(), file.clone());
        }
        put(config, &files);
        Ok(files)
    }
}

/// The path that a setting of a configuration has, where it names a file.
fn given(config: &Json, key: &str) -> Option<String> {
    let path = config.pointer(&place(key))?.as_str()?;
    (!path.is_empty()).then(|| path.to_owned())
}

/// Puts the names of their content in the place of the paths of `files`.
pub(super) fn put(config: &mut Json, files: &Files) {
    for (key, file) in files {
        if let Some(value) = config.pointer_mut(&place(key)).filter(|value| *value == file.given.as_str()) {
            *value = file.content.as_str().into();
        }
    }
}

/// `a.b` as the place of that setting in a configuration.
fn place(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

fn read(key: &str, given: &str, before: &[Cell], notes: &mut Vec<String>) -> Result<CellFile, Failure> {
    let path = absolute(Path::new(given));
    if path.is_file() {
        let (content, bytes) = ContentName::of(&path)?;
        return Ok(CellFile { given: given.to_owned(), content, bytes });
    }
    let copied = before.iter().flat_map(|cell| cell.files.values()).find(|file| file.given == given);
    let Some(file) = copied.filter(|_| !path.exists()) else {
        let what = if path.exists() { "is not a regular file" } else { "is not there" };
        return Err(Failure::new(Exit::Usage, format!("{key}: {} {what}", path.display()))
            .hint("a relative path starts at the current folder of `plan`"));
    };
    notes.push(format!("{key}: {} is gone; its planned copy is used", path.display()));
    Ok(file.clone())
}

/// The cells that stay: all, unless a file of theirs has other content by now, which the cells `planned` now tell.
///
/// # Errors
/// When one has, unless it may be replaced: under one name, tables would show runs from different files.
pub(super) fn same(
    dir: &SweepDir,
    cells: Vec<Cell>,
    planned: &[Cell],
    replace: bool,
) -> Result<Vec<Cell>, Failure> {
    let now: BTreeMap<&str, (&str, &ContentName)> = planned
        .iter()
        .flat_map(|cell| &cell.files)
        .map(|(key, file)| (file.given.as_str(), (key.as_str(), &file.content)))
        .collect();
    let change = |cell: &Cell| {
        cell.files.values().find_map(|before| {
            let (key, content) = now.get(before.given.as_str())?;
            (**content != before.content).then(|| (key.to_string(), before.given.clone()))
        })
    };
    let (same, other): (Vec<Cell>, Vec<Cell>) = cells.into_iter().partition(|cell| change(cell).is_none());
    match other.first().and_then(change) {
        Some((key, given)) if !replace => {
            let message = format!(
                "{key}: the content of {} differs from the one that {} was planned with",
                absolute(Path::new(&given)).display(),
                dir.path().display()
            );
            Err(Failure::new(Exit::DamagedFile, message).hint(
                "restore the old file; or give the new one another name, as a value of an axis or in another sweep \
                 directory; or give --replace to plan its cells again",
            ))
        }
        _ => Ok(same),
    }
}

/// Copies the files of all `cells` into `bin/`, where they are not yet, or are damaged. A sentence on each that only cells
/// of before need, which `is_new` does not name, and that cannot be copied any more.
///
/// # Errors
/// When a new cell's file changed while it was planned, or cannot be copied.
pub(super) fn install(
    dir: &SweepDir,
    cells: &[Cell],
    is_new: impl Fn(&Cell) -> bool,
) -> Result<Vec<String>, Failure> {
    let mut lacking: BTreeMap<&ContentName, (BTreeSet<&str>, bool)> = BTreeMap::new();
    for cell in cells {
        for file in cell.files.values() {
            let (paths, needed) = lacking.entry(&file.content).or_default();
            paths.insert(&file.given);
            *needed |= is_new(cell);
        }
    }
    let mut notes = Vec::new();
    for (content, (paths, needed)) in lacking {
        if is_whole(dir, content)? {
            continue;
        }
        let copied = paths.iter().try_fold(false, |done, path| {
            if done { Ok(true) } else { copy(&absolute(Path::new(path)), dir, content) }
        });
        match copied {
            Ok(true) => {}
            Ok(false) if needed => return Err(lost(dir, content, &paths)),
            Ok(false) => notes.push(lost(dir, content, &paths).message),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(notes)
}

fn lost(dir: &SweepDir, content: &ContentName, paths: &BTreeSet<&str>) -> Failure {
    let paths = paths.iter().copied().collect::<Vec<_>>().join(" and ");
    let copy = dir.file(content);
    let message =
        format!("{} is not whole, and {paths}, of which it is a copy, changed or is gone", copy.display());
    Failure::new(Exit::DamagedFile, message).hint("restore the file and plan again")
}

/// Whether the sweep's copy of a file is what its name says.
fn is_whole(dir: &SweepDir, content: &ContentName) -> Result<bool, FileError> {
    let path = dir.file(content);
    Ok(path.is_file() && ContentName::of(&path)?.0 == *content)
}

/// Copies a file into `bin/`; whether it has that content, or else there is no copy.
fn copy(from: &Path, dir: &SweepDir, content: &ContentName) -> Result<bool, FileError> {
    let to = dir.file(content);
    // What is not a file is not written over.
    if !from.is_file() || (to.exists() && !to.is_file()) {
        return Ok(false);
    }
    let io = |path: &Path, action| {
        let path = path.to_owned();
        move |source| FileError::Io { path, action, source }
    };
    fs::create_dir_all(dir.bin()).map_err(io(&dir.bin(), "create"))?;
    let file = File::open(from).map_err(io(from, "read"))?;
    let mut new = NewFile::create(&to)?;
    let (found, _) = ContentName::copy(file, &mut new).map_err(io(&to, "write"))?;
    if found != *content {
        return Ok(false);
    }
    new.finish().map(|()| true)
}

/// Refuses to start cells with files that are not those that were planned.
///
/// # Errors
/// The first such file, and what a person called it.
pub fn check_files<'a>(dir: &SweepDir, cells: impl IntoIterator<Item = &'a Cell>) -> Result<(), Failure> {
    let files: BTreeMap<&ContentName, &CellFile> =
        cells.into_iter().flat_map(|cell| cell.files.values()).map(|file| (&file.content, file)).collect();
    for (content, file) in files {
        let path = dir.file(content);
        if !is_whole(dir, content)? {
            let message = match fs::metadata(&path) {
                Ok(found) => format!(
                    "{} is not the file that was planned: it holds {} bytes, and {} had {}",
                    path.display(),
                    found.len(),
                    file.given,
                    file.bytes
                ),
                Err(_) => format!("{}, the copy of {}, is gone", path.display(), file.given),
            };
            return Err(Failure::new(Exit::DamagedFile, message)
                .hint("plan the sweep again, which copies the file again"));
        }
    }
    Ok(())
}
