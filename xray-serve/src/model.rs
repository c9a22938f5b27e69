//! A model as the server holds it: what it answers with, what it is called, and a hash of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Exit, Failure, FileError, checksum};
use xray_bundle::{Bundle, CARD};

/// A bundle that was read from a folder.
pub struct Model {
    /// The bundle.
    pub bundle: Arc<Bundle>,
    /// The name of its folder, links followed; behind that of the folder above where it is only `model`, as in a run.
    pub name: String,
    /// BLAKE3 of `model.json`, in which the checksum of the weights stands, in hexadecimal.
    pub hash: String,
}

impl Model {
    /// Reads and checks a folder.
    ///
    /// # Errors
    /// As [`Bundle::open`], and if the folder changes meanwhile.
    pub fn open(folder: &Path) -> Result<Model, Failure> {
        let card = read_card(folder)?;
        let bundle = Bundle::open(folder)?;
        if read_card(folder)? != card {
            let message = format!("{} was replaced while it was read", folder.display());
            return Err(Failure::new(Exit::Unexpected, message)
                .hint("put the new model into a folder of its own, and point a link to it"));
        }
        Ok(Model { bundle: Arc::new(bundle), name: name(folder), hash: checksum(&card) })
    }
}

/// The card's bytes.
fn read_card(folder: &Path) -> Result<Vec<u8>, FileError> {
    let path = folder.join(CARD);
    fs::read(&path).map_err(|source| FileError::Io { path, action: "read", source })
}

fn name(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| PathBuf::from(folder));
    let part = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match (folder.parent().and_then(part), part(&folder)) {
        (Some(run), Some(own)) if own == "model" => format!("{run}/{own}"),
        (_, own) => own.unwrap_or_else(|| "model".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_by_its_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("run-7/model")).expect("writable");
        fs::create_dir_all(path("v3")).expect("writable");
        assert_eq!(name(&path("run-7/model")), "run-7/model");
        assert_eq!(name(&path("v3/../v3")), "v3");
        assert_eq!(name(Path::new("/model")), "model");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("v3"), path("current")).expect("writable");
            assert_eq!(name(&path("current")), "v3", "a link is followed");
        }
    }
}
