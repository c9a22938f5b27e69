//! Image files below a folder, found by the names that tables use for them: with or without folders, with
//! an extension of their own.

use super::archive::{Packing, is_archive};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{self, FileType};
use std::path::{Path, PathBuf};
use unicode_normalization::{UnicodeNormalization, is_nfc};

const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "dcm", "dicom", "dic"];

/// The image files below a folder, at any depth.
#[derive(Debug)]
pub struct ImageFolder {
    root: PathBuf,
    /// Files by path from the root without extension, `/` between the folders.
    by_path: HashMap<String, Files>,
    /// Files by name without extension.
    by_stem: HashMap<String, Files>,
    /// Zip, tar and tar.gz files among them, which stand for folders.
    archives: Vec<PathBuf>,
}

#[derive(Debug)]
struct Files {
    first: PathBuf,
    second: Option<PathBuf>,
}

/// What a name leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// One file.
    File(&'a Path),
    /// No file.
    Nothing,
    /// At least these two.
    Several(&'a Path, &'a Path),
}

impl ImageFolder {
    /// Lists PNG, JPEG and DICOM files below `root`, following links; hidden folders, pipes and devices are left
    /// out. Each folder is listed once, however many links lead to it, so that links in a circle end. Archives are noted and
    /// not opened; `root` may be one.
    pub fn scan(root: &Path) -> Result<ImageFolder> {
        let mut folder = ImageFolder::empty(root);
        if is_archive(root) {
            folder.archives.push(root.to_owned());
            return Ok(folder);
        }
        let file = |path: PathBuf| {
            if is_image(&path) {
                folder.add(path.clone(), &path);
            } else if Packing::of(&path).is_some() {
                folder.archives.push(path);
            }
        };
        walk(root, file, Err)?;
        folder.archives.sort_unstable();
        Ok(folder)
    }

    pub(super) fn empty(root: &Path) -> ImageFolder {
        let root = root.to_owned();
        ImageFolder { root, by_path: HashMap::new(), by_stem: HashMap::new(), archives: Vec::new() }
    }

    /// Its archives, by path.
    pub(super) fn archives(&self) -> &[PathBuf] {
        &self.archives
    }

    /// Where the names are looked for.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files, in no particular order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.by_path.values().flat_map(|f| std::iter::once(&f.first).chain(&f.second)).map(PathBuf::as_path)
    }

    /// The file that a table means by `name`: the path itself if it is there, else the same path with
    /// another extension; and for a bare file name the one file of that name in any folder.
    pub fn find(&self, name: &str) -> Found<'_> {
        let name = composed(name.trim_start_matches("./"));
        let key = without_extension(&name);
        let files = self.by_path.get(key);
        self.one_of(files.or_else(|| if key.contains('/') { None } else { self.by_stem.get(key) }), &name)
    }

    /// The file at this path from the root, perhaps with another extension; never one in another folder.
    pub(super) fn find_at(&self, path: &str) -> Found<'_> {
        let path = composed(path);
        self.one_of(self.by_path.get(without_extension(&path)), &path)
    }

    fn one_of<'a>(&self, files: Option<&'a Files>, name: &str) -> Found<'a> {
        match files {
            None => Found::Nothing,
            Some(Files { first, second: None }) => Found::File(first),
            Some(Files { first, second: Some(second) }) => {
                let exact = self.root.join(name);
                match [first, second].into_iter().find(|f| **f == exact || f.file_name() == exact.file_name())
                {
                    Some(file) if first.file_name() != second.file_name() => Found::File(file),
                    _ if is_same(first, second) => Found::File(first),
                    _ => Found::Several(first, second),
                }
            }
        }
    }

    /// Adds a file that is looked for as if it lay at `place`.
    pub(super) fn add(&mut self, path: PathBuf, place: &Path) {
        let relative = place.strip_prefix(&self.root).unwrap_or(place);
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let relative = parts.join("/");
        let relative = composed(&relative).into_owned();
        let key = without_extension(&relative);
        let stem = key.rsplit('/').next().unwrap_or(key).to_owned();
        insert(&mut self.by_stem, stem, &path);
        insert(&mut self.by_path, key.to_owned(), &path);
    }
}

/// The pictures below a folder, and what of it is none.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    /// All files by path, those without a decoder here among them.
    pub(crate) files: Vec<PathBuf>,
    /// Zip, tar and tar.gz files, which stand for folders, by path.
    pub(crate) archives: Vec<PathBuf>,
    /// How many files are not pictures by their names.
    pub(crate) others: u64,
    /// Folders that the system does not list.
    pub(crate) unlisted: Vec<Error>,
}

/// Lists the pictures below `root` as [`ImageFolder::scan`] does, also those whose names say that they are of a format
/// that is not read, and goes on after a folder that cannot be listed.
pub(crate) fn pictures(root: &Path) -> Result<Pictures> {
    let mut found = Pictures::default();
    let Pictures { files, archives, others, unlisted } = &mut found;
    let add = |path: PathBuf| {
        if is_picture(&path) {
            files.push(path);
        } else if Packing::of(&path).is_some() {
            archives.push(path);
        } else {
            *others += 1;
        }
    };
    walk(root, add, |error| {
        unlisted.push(error);
        Ok(())
    })?;
    found.files.sort_unstable();
    found.archives.sort_unstable();
    Ok(found)
}

/// Shows every file below `root`, and every folder in it that cannot be listed.
fn walk(
    root: &Path,
    mut file: impl FnMut(PathBuf),
    mut unlisted: impl FnMut(Error) -> Result<()>,
) -> Result<()> {
    let mut listed = HashSet::new();
    // Links wait until all that is not a link is listed: a file's own folder names it.
    let (mut pending, mut links) = (vec![root.to_owned()], Vec::new());
    while let Some(dir) = pending.pop().or_else(|| links.pop()) {
        if !fs::canonicalize(&dir).is_ok_and(|real| listed.insert(real)) && dir != root {
            continue;
        }
        let entries = match sorted_entries(&dir) {
            Ok(entries) => entries,
            Err(error) if dir == root => return Err(error),
            Err(error) => {
                unlisted(error)?;
                continue;
            }
        };
        for (path, kind) in entries {
            let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            // A link to itself leads nowhere.
            let target =
                if kind.is_symlink() { fs::metadata(&path).ok().map(|m| m.file_type()) } else { Some(kind) };
            match target {
                Some(target) if target.is_dir() && !hidden => {
                    if kind.is_symlink() { &mut links } else { &mut pending }.push(path);
                }
                Some(target) if target.is_file() && !hidden => file(path),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether two paths lead to one file.
fn is_same(first: &Path, second: &Path) -> bool {
    fs::canonicalize(first).is_ok_and(|first| fs::canonicalize(second).is_ok_and(|second| first == second))
}

fn insert(files: &mut HashMap<String, Files>, key: String, path: &Path) {
    match files.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(Files { first: path.to_owned(), second: None });
        }
        Entry::Occupied(mut entry) => entry.get_mut().second = Some(path.to_owned()),
    }
}

/// A name as Linux and Windows write it: macOS writes an accented letter as two characters (NFD), and both are the
/// same name to a person.
fn composed(name: &str) -> Cow<'_, str> {
    if is_nfc(name) { Cow::Borrowed(name) } else { Cow::Owned(name.nfc().collect()) }
}

fn sorted_entries(dir: &Path) -> Result<Vec<(PathBuf, FileType)>> {
    let io = |source| Error::Io { path: dir.to_owned(), action: "list", source };
    let entries = fs::read_dir(dir).map_err(io)?;
    let entries = entries.map(|entry| entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))));
    let mut entries = entries.collect::<std::io::Result<Vec<_>>>().map_err(io)?;
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

/// Whether a person would take it for an image by its name, whether it can be read or not.
pub(super) fn is_picture(path: &Path) -> bool {
    is_image(path) || is_other_picture(path)
}

pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    // DICOM files often carry no extension at all, or a name of numbers and dots.
    extension.is_none_or(|e| EXTENSIONS.contains(&e.as_str()) || e.bytes().all(|b| b.is_ascii_digit()))
}

/// Pictures of formats that are not read, which a person may take for read.
fn is_other_picture(path: &Path) -> bool {
    const OTHERS: [&str; 12] =
        ["tif", "tiff", "gif", "bmp", "webp", "jp2", "j2k", "jfif", "heic", "heif", "avif", "pgm"];
    path.extension().is_some_and(|e| OTHERS.contains(&&*e.to_string_lossy().to_ascii_lowercase()))
}

/// `images_001/00000001_000.png` without `.png`. Only known extensions count: a DICOM identifier is full of
/// dots.
pub(crate) fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> (tempfile::TempDir, ImageFolder) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
            fs::write(path, b"").expect("writable");
        }
        let folder = ImageFolder::scan(dir.path()).expect("readable");
        (dir, folder)
    }

    fn check(files: &[&str], name: &str, expected: &str) {
        let (dir, folder) = folder(files);
        let found = match folder.find(name) {
            Found::File(path) => path.strip_prefix(dir.path()).expect("below").display().to_string(),
            Found::Nothing => "nothing".into(),
            Found::Several(..) => "several".into(),
        };
        assert_eq!(found, expected, "{name} in {files:?}");
    }

    #[test]
    fn a_name_finds_its_file() {
        check(&["images_001/images/a_0.png"], "a_0.png", "images_001/images/a_0.png");
        check(&["images/a_0.jpg"], "a_0.png", "images/a_0.jpg");
        check(&["p1/view.jpg", "p2/view.jpg"], "p2/view.jpg", "p2/view.jpg");
        check(&["p1/view.jpg", "p2/view.jpg"], "view.jpg", "several");
        check(&["p1/view.jpg"], "p3/view.jpg", "nothing");
        check(&["a.jpg", "a.png"], "a.png", "a.png");
        check(&["x/a.jpg", "x/a.png"], "a.jpg", "x/a.jpg");
        check(&["a.jpg", "a.png"], "a.dcm", "several");
        check(&["1.2.840.7"], "1.2.840.7", "1.2.840.7");
        check(&[".cache/a.png", "list.txt"], "a", "nothing");
    }

    #[test]
    fn names_of_composed_and_decomposed_letters_are_one() {
        check(&["Ko\u{308}ln.png"], "K\u{f6}ln.png", "Ko\u{308}ln.png");
        check(&["K\u{f6}ln/a.png"], "Ko\u{308}ln/a.png", "K\u{f6}ln/a.png");
        check(&["Ko\u{308}ln.png", "K\u{f6}ln.png"], "K\u{f6}ln", "several");
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end_and_others_are_followed() {
        use std::os::unix::fs::symlink;
        let (dir, _) = folder(&["real/a.png", "real/b/c.png"]);
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        fs::write(elsewhere.path().join("far.png"), b"").expect("writable");
        let link = |to: &str, name: &str| symlink(to, dir.path().join(name)).expect("a link");
        for number in 0..30 {
            link(".", &format!("circle{number}"));
            link("..", &format!("real/up{number}"));
        }
        link("self.png", "self.png");
        link("nowhere.png", "broken.png");
        link("real/a.png", "also.png");
        link(&elsewhere.path().display().to_string(), "far");
        let folder = ImageFolder::scan(dir.path()).expect("readable");
        let name = |path: &Path| path.strip_prefix(dir.path()).expect("below").display().to_string();
        let mut files: Vec<_> = folder.files().map(name).collect();
        files.sort();
        assert_eq!(files, ["also.png", "far/far.png", "real/a.png", "real/b/c.png"]);
        assert_eq!(folder.find("self.png"), Found::Nothing);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = ImageFolder::scan(Path::new("/nowhere/images")).expect_err("absent");
        assert!(error.to_string().contains("/nowhere/images"), "{error}");
    }
}
