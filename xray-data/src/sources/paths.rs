//! Where the paths of a table lead. They were written on another machine as often as not: with its folders in front,
//! with `\` between them, from the folder above, or from the table.

use crate::sources::{Found, ImageFolder};
use std::fs;
use std::path::{Path, PathBuf};

/// Longer paths exist on no system, and would be tried piece by piece.
const LONGEST: usize = 4096;

/// Leads of one table.
pub(super) struct Paths<'a> {
    folder: &'a ImageFolder,
    /// The table's folder.
    beside: PathBuf,
    /// The path from the folder of images, if it lies in it.
    inside: Option<String>,
    /// Folders in front of every path that are not there.
    dropped: usize,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lead {
    File(PathBuf),
    Nothing,
    /// A folder, pipe or device.
    NotAFile,
    /// At least these two.
    Several(PathBuf, PathBuf),
}

impl<'a> Paths<'a> {
    /// Looks at all paths of a table. Where none leads anywhere, the folders that all have in front are dropped one by
    /// one until some do: they are the folder's own name, as in CheXpert, or another machine's. Says so.
    pub(super) fn new(folder: &'a ImageFolder, beside: &Path, names: &[&str]) -> (Self, Option<String>) {
        let inside = beside.strip_prefix(folder.root()).ok().filter(|inside| !inside.as_os_str().is_empty());
        let inside = inside.map(|inside| inside.to_string_lossy().into_owned() + "/");
        let mut paths = Paths { folder, beside: beside.to_owned(), inside, dropped: 0 };
        if names.iter().any(|name| paths.lead(name) != Lead::Nothing) {
            return (paths, None);
        }
        let in_front = shared_folders(names);
        for dropped in 1..=in_front.len() {
            paths.dropped = dropped;
            if names.iter().any(|name| paths.lead(name) != Lead::Nothing) {
                let front = in_front[..dropped].join("/");
                let root = folder.root().display();
                let note =
                    format!("`{front}` in front of every path is not there: paths are taken from {root}");
                return (paths, Some(note));
            }
        }
        paths.dropped = 0;
        (paths, None)
    }

    /// The file that a row means: below the folder of images, as [`ImageFolder::find`] has it; else where the path
    /// itself leads, from the root of the system, the folder of images or the table.
    pub(super) fn lead(&self, name: &str) -> Lead {
        if name.len() > LONGEST || name.contains('\0') {
            return Lead::Nothing;
        }
        let slashed = slashed(name);
        if self.dropped > 0 {
            let mut parts = parts(&slashed);
            let rest: Vec<&str> = parts.by_ref().skip(self.dropped).collect();
            return self.found(self.folder.find_at(&rest.join("/")));
        }
        let from_folder = [name, &slashed].into_iter().map(|name| self.folder.find(name));
        let from_table = self
            .inside
            .iter()
            .map(|inside| self.folder.find_at(&(inside.clone() + slashed.trim_start_matches("./"))));
        let known = from_folder.chain(from_table).map(|found| self.found(found));
        let known = known.into_iter().find(|lead| *lead != Lead::Nothing);
        known.unwrap_or_else(|| self.on_disk(name, &slashed))
    }

    fn found(&self, found: Found<'_>) -> Lead {
        match found {
            Found::File(path) => Lead::File(path.to_owned()),
            Found::Nothing => Lead::Nothing,
            Found::Several(first, second) => Lead::Several(first.to_owned(), second.to_owned()),
        }
    }

    fn on_disk(&self, name: &str, slashed: &str) -> Lead {
        let roots = [self.folder.root(), &self.beside];
        let places = roots.into_iter().flat_map(|root| [root.join(name), root.join(slashed)]);
        let mut lead = Lead::Nothing;
        for place in places {
            match fs::metadata(&place) {
                Ok(metadata) if metadata.is_file() => return Lead::File(place),
                Ok(_) => lead = Lead::NotAFile,
                Err(_) => {}
            }
        }
        lead
    }
}

/// `images/a.png` of `images\a.png`, and `/images/a.png` of `C:\images\a.png`.
fn slashed(name: &str) -> String {
    let name = name.replace('\\', "/");
    match name.as_bytes() {
        [drive, b':', ..] if drive.is_ascii_alphabetic() => name[2..].to_owned(),
        _ => name,
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// The folders that all paths have in front.
fn shared_folders(names: &[&str]) -> Vec<String> {
    let folders = |name: &str| -> Vec<String> {
        let slashed = slashed(name);
        let mut parts: Vec<String> = parts(&slashed).map(str::to_owned).collect();
        parts.pop();
        parts
    };
    let mut names = names.iter().filter(|name| name.len() <= LONGEST);
    let Some(first) = names.next() else { return Vec::new() };
    let mut shared = folders(first);
    for name in names {
        let of_name = folders(name);
        let same = shared.iter().zip(&of_name).take_while(|(a, b)| a == b).count();
        shared.truncate(same);
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the paths of a table lead that lies in `tables` above a folder `images` with these files.
    fn leads(files: &[&str], names: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let top = dir.path().display().to_string();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("below")).expect("writable");
            fs::write(path, b"").expect("writable");
        }
        let names: Vec<String> = names.iter().map(|name| name.replace("TOP", &top)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let folder = ImageFolder::scan(&dir.path().join("images")).expect("readable");
        let (paths, _) = Paths::new(&folder, &dir.path().join("tables"), &names);
        let show = |lead| match lead {
            Lead::File(path) => {
                let path = fs::canonicalize(path).expect("there");
                let top = fs::canonicalize(dir.path()).expect("there");
                path.strip_prefix(top).expect("below").display().to_string()
            }
            Lead::Nothing => "nothing".to_owned(),
            Lead::NotAFile => "no file".to_owned(),
            Lead::Several(..) => "several".to_owned(),
        };
        names.iter().map(|name| show(paths.lead(name))).collect()
    }

    #[test]
    fn paths_of_other_machines_lead_to_their_files() {
        let check = |files: &[&str], names: &[&str], expected: &[&str]| {
            assert_eq!(leads(files, names), expected, "{names:?} in {files:?}");
        };
        let nested = ["images/p1/view.jpg", "images/p2/view.jpg"];
        check(&nested, &["p1/view.jpg", "./p2/view.jpg"], &nested);
        check(&nested, &["p1\\view.jpg", "p2\\view.jpg"], &nested);
        check(&nested, &["TOP/images/p1/view.jpg", "TOP/images/p2/view.jpg"], &nested);
        check(&nested, &["images/p1/view.jpg", "images/p2/view.jpg"], &nested); // the folder's own name
        check(&nested, &["a/b/p1/view.jpg", "a/b/p2/view.jpg"], &nested); // renamed
        check(&nested, &["C:\\x\\p1\\view.jpg", "C:\\x\\p2\\view.jpg"], &nested);
        check(&nested, &["/mnt/x/p1/view", "/mnt/x/p2/view"], &nested); // no extension
        check(&nested, &["../images/p1/view.jpg", "p2/../p2/view.jpg"], &nested);
        check(&nested, &["p1/view.jpg", "images/p2/view.jpg"], &[nested[0], "nothing"]); // not of all rows
        check(&nested, &["p3/view.jpg"], &["nothing"]);
        check(
            &["images/view.jpg", "images/p1/other.jpg"],
            &["/a/p1/view.jpg", "/a/p2/view.jpg"],
            &["nothing"; 2],
        );
        check(&["images/a.png"], &["view/a.png"], &["images/a.png"]);
        check(&["images/p1/a.png"], &["p2/a.png"], &["nothing"]); // another patient's
        check(&["images/a.png", "tables/b.png"], &["a.png", "b.png"], &["images/a.png", "tables/b.png"]);
        check(&nested, &["p1", "view"], &["no file", "several"]);
        check(
            &nested,
            &["", "/", "..", "\\", "C:", &"x/".repeat(9999)],
            &["no file", "no file", "no file", "no file", "no file", "nothing"],
        );
    }
}
