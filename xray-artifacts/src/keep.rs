//! What is kept of a finished run: one rule for the trainer at a run's end and for `xray-sweep clean` afterwards.

use crate::{FileError, nearest};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which files of a finished run are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Everything that training left.
    All,
    /// What training can go on from, too: the last checkpoint with the optimizer's state, and the best weights beside it.
    Resumable,
    /// What says what the run found: the model, its scores and predictions, and the course of training.
    #[default]
    Result,
}

impl Keep {
    /// Every way.
    pub const ALL: [Keep; 3] = [Keep::All, Keep::Resumable, Keep::Result];

    /// As settings and command lines write it.
    pub fn name(self) -> &'static str {
        match self {
            Keep::All => "all",
            Keep::Resumable => "resumable",
            Keep::Result => "result",
        }
    }

    /// What goes, by its place in the run directory.
    fn goes(self) -> &'static [&'static str] {
        match self {
            Keep::All => &[],
            Keep::Resumable => &["cache"],
            Keep::Result => &["cache", "checkpoints"],
        }
    }

    /// The bytes that a run directory would be smaller by.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn frees(self, run: &Path) -> Result<u64, FileError> {
        self.places(run).try_fold(0, |sum, place| Ok(sum + size(&place)?))
    }

    /// Removes what is not kept. Only of a finished run: any other needs it.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn tidy(self, run: &Path) -> Result<(), FileError> {
        self.places(run).try_for_each(|path| match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(FileError::Io { path, action: "remove", source })
            }
            _ => Ok(()),
        })
    }

    fn places(self, run: &Path) -> impl Iterator<Item = PathBuf> {
        self.goes().iter().map(|name| run.join(name))
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Keep, String> {
        Keep::ALL.into_iter().find(|keep| keep.name() == text).ok_or_else(|| {
            let names = Keep::ALL.map(Keep::name);
            let meant =
                nearest(text, names).map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            format!("`{text}` is none of {}{meant}", names.join(", "))
        })
    }
}

/// The bytes of all files below a folder; none where there is no folder.
fn size(folder: &Path) -> Result<u64, FileError> {
    let unreadable = |source| FileError::Io { path: folder.to_owned(), action: "list", source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(unreadable)?,
    };
    let mut sum = 0;
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let metadata = entry.metadata().map_err(unreadable)?;
        sum += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 6] = [
        "cache/train.cache",
        "checkpoints/best/step-3.safetensors",
        "checkpoints/last/state.safetensors",
        "finished/result.json",
        "model/model.safetensors",
        "result.json",
    ];

    fn check(keep: Keep, gone: &[&str]) {
        let run = tempfile::tempdir().expect("a temporary folder");
        for (file, length) in FILES.into_iter().zip(1..) {
            let path = run.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            fs::write(path, vec![0; 1 << length]).expect("writable");
        }
        let bytes = || size(run.path()).expect("readable");
        let (before, frees) = (bytes(), keep.frees(run.path()).expect("readable"));
        for _ in 0..2 {
            keep.tidy(run.path()).expect("writable");
            assert_eq!(before - bytes(), frees, "{keep:?}");
            assert_eq!(keep.frees(run.path()).expect("readable"), 0);
            let left: Vec<_> = FILES.into_iter().filter(|file| !run.path().join(file).exists()).collect();
            assert_eq!(left, gone, "{keep:?}");
        }
    }

    #[test]
    fn each_way_frees_what_it_says_and_nothing_that_the_others_need() {
        check(Keep::All, &[]);
        check(Keep::Resumable, &FILES[..1]);
        check(Keep::Result, &FILES[..3]);
    }

    #[test]
    fn names_go_both_ways() {
        for keep in Keep::ALL {
            assert_eq!(
                (keep.name().parse(), serde_json::to_value(keep).expect("text")),
                (Ok(keep), keep.name().into())
            );
        }
        let error = "resumeable".parse::<Keep>().expect_err("no such name");
        assert_eq!(error, "`resumeable` is none of all, resumable, result; did you mean `resumable`?");
    }
}
