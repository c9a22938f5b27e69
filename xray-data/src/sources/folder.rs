//! Image files below a folder, found by the names that tables use for them: with or without folders, with
//! an extension of their own.

use crate::error::{Error, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "dcm", "dicom", "dic"];

/// The image files below a folder, at any depth.
#[derive(Debug)]
pub struct ImageFolder {
    root: PathBuf,
    /// By path from the root without extension, `/` between the folders.
    by_path: HashMap<String, Files>,
    /// By file name without extension.
    by_stem: HashMap<String, Files>,
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
    /// Lists PNG, JPEG and DICOM files below `root`, following links; hidden folders are left out.
    pub fn scan(root: &Path) -> Result<ImageFolder> {
        let mut folder =
            ImageFolder { root: root.to_owned(), by_path: HashMap::new(), by_stem: HashMap::new() };
        let mut pending = vec![root.to_owned()];
        while let Some(dir) = pending.pop() {
            for path in sorted_entries(&dir)? {
                let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
                if hidden {
                    continue;
                } else if path.is_dir() {
                    pending.push(path);
                } else if is_image(&path) {
                    folder.add(path);
                }
            }
        }
        Ok(folder)
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
        let name = name.trim_start_matches("./");
        let key = without_extension(name);
        let files = self.by_path.get(key);
        let files = files.or_else(|| if key.contains('/') { None } else { self.by_stem.get(key) });
        match files {
            None => Found::Nothing,
            Some(Files { first, second: None }) => Found::File(first),
            Some(Files { first, second: Some(second) }) => {
                let exact = self.root.join(name);
                match [first, second].into_iter().find(|f| **f == exact || f.file_name() == exact.file_name())
                {
                    Some(file) if first.file_name() != second.file_name() => Found::File(file),
                    _ => Found::Several(first, second),
                }
            }
        }
    }

    fn add(&mut self, path: PathBuf) {
        let relative = path.strip_prefix(&self.root).unwrap_or(&path);
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let relative = parts.join("/");
        let stem = without_extension(&parts[parts.len() - 1]).to_owned();
        insert(&mut self.by_stem, stem, &path);
        insert(&mut self.by_path, without_extension(&relative).to_owned(), &path);
    }
}

fn insert(files: &mut HashMap<String, Files>, key: String, path: &Path) {
    match files.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(Files { first: path.to_owned(), second: None });
        }
        Entry::Occupied(mut entry) => entry.get_mut().second = Some(path.to_owned()),
    }
}

fn sorted_entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::Io { path: dir.to_owned(), action: "list", source };
    let entries = fs::read_dir(dir).map_err(io)?;
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>().map_err(io)?;
    paths.sort_unstable();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    // DICOM files often carry no extension at all, or a name of numbers and dots.
    extension.is_none_or(|e| EXTENSIONS.contains(&e.as_str()) || e.bytes().all(|b| b.is_ascii_digit()))
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
    fn a_folder_that_is_not_there_is_named() {
        let error = ImageFolder::scan(Path::new("/nowhere/images")).expect_err("absent");
        assert!(error.to_string().contains("/nowhere/images"), "{error}");
    }
}
