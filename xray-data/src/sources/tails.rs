//! Image files found by the end of their paths, which names one image of a published data set: wherever its folders were
//! moved, cut into batches or laid flat, whether a copy is a JPEG or a PNG.

use super::paths::Lead;
use super::{ImageFolder, without_extension};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// The files below a folder.
pub(super) struct Tails<'a> {
    parts: usize,
    files: HashMap<String, Vec<&'a Path>>,
}

impl<'a> Tails<'a> {
    /// Index of files by the last `parts` of their paths.
    pub(super) fn of(folder: &'a ImageFolder, parts: usize) -> Self {
        let mut files: HashMap<String, Vec<&Path>> = HashMap::new();
        for path in folder.files() {
            let relative = path.strip_prefix(folder.root()).unwrap_or(path);
            if let Some(tail) = tail(&relative.to_string_lossy(), parts) {
                files.entry(tail).or_default().push(path);
            }
        }
        // Whatever the order in which a system lists them.
        files.values_mut().for_each(|alike| alike.sort_unstable());
        Tails { parts, files }
    }

    /// The file that a table means; of several the one with the extension that the table names.
    pub(super) fn lead(&self, name: &str) -> Lead {
        let found = tail(name, self.parts).and_then(|tail| self.files.get(&tail));
        let several = match found.map(Vec::as_slice) {
            None | Some([]) => return Lead::Nothing,
            Some([file]) => return Lead::File((*file).to_owned()),
            Some(several) => several,
        };
        let wanted = Path::new(name).file_name();
        let mut exact = several.iter().filter(|file| file.file_name() == wanted);
        let of_that_name = match (exact.next(), exact.next()) {
            (Some(file), None) => return Lead::File((*file).to_owned()),
            (None, _) => several.to_vec(),
            (Some(_), Some(_)) => several.iter().filter(|file| file.file_name() == wanted).copied().collect(),
        };
        let real = |path: &Path| fs::canonicalize(path).ok();
        match of_that_name.iter().all(|file| real(file).is_some() && real(file) == real(of_that_name[0])) {
            true => Lead::File(of_that_name[0].to_owned()),
            false => Lead::Several(of_that_name[0].to_owned(), of_that_name[1].to_owned()),
        }
    }
}

/// The last parts of a path, without the extension of an image; none of a path that has fewer.
pub(super) fn tail(path: &str, parts: usize) -> Option<String> {
    let all: Vec<&str> = path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    let tail = all.get(all.len().checked_sub(parts)?..)?.join("/");
    Some(without_extension(&tail).nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], parts: usize, name: &str, expected: &str) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("below")).expect("writable");
            fs::write(path, file).expect("writable");
        }
        let folder = ImageFolder::scan(dir.path()).expect("readable");
        let shown = |path: &Path| path.strip_prefix(dir.path()).expect("below").display().to_string();
        let found = match Tails::of(&folder, parts).lead(name) {
            Lead::File(path) => shown(&path),
            Lead::Nothing => "nothing".to_owned(),
            Lead::NotAFile => "no file".to_owned(),
            Lead::Several(first, second) => format!("{} and {}", shown(&first), shown(&second)),
        };
        assert_eq!(found, expected, "{name} in {files:?}");
    }

    #[test]
    fn moved_flat_and_converted_copies_are_found() {
        let full = "CheXpert-v1.0/train/patient1/study1/view1.jpg";
        check(&["train/patient1/study1/view1.jpg"], 3, full, "train/patient1/study1/view1.jpg");
        check(
            &["batch 2 (train 1)/patient1/study1/view1.png"],
            3,
            full,
            "batch 2 (train 1)/patient1/study1/view1.png",
        );
        check(&["train/patient2/study1/view1.jpg"], 3, full, "nothing");
        check(&["view1.jpg"], 3, full, "nothing");
        check(&["flat/abc.jpg"], 1, "files/p10/p1/s1/abc.jpg", "flat/abc.jpg");
        check(&["a/abc.jpg", "b/abc.png"], 1, "abc.png", "b/abc.png");
        check(&["a/abc.jpg", "b/abc.jpg"], 1, "abc.jpg", "a/abc.jpg and b/abc.jpg");
        check(&["a/abc.jpg", "b/abc.png"], 1, "abc.dicom", "a/abc.jpg and b/abc.png");
        check(&["a/1.2.3.dcm"], 1, "1.2.3", "a/1.2.3.dcm");
    }
}
