//! Files that settings name. [`RunConfig::files`] lists them all, because a sweep sends them with its jobs.

use crate::config::RunConfig;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{ContentName, Exit, Failure, FileError};

/// The value of a setting that names a file; `none`, or no text, for no file. Where it is, only [`find`](Self::find) says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct GivenFile(String);

/// What people write for no file.
const NONE: &str = "none";

impl From<String> for GivenFile {
    fn from(text: String) -> GivenFile {
        GivenFile(if text == NONE { String::new() } else { text })
    }
}

impl From<GivenFile> for String {
    fn from(file: GivenFile) -> String {
        file.0
    }
}

impl fmt::Display for GivenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl GivenFile {
    /// Whether no file is named.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of the file that the setting `key` names: below `folder`, unless it is absolute. A file whose name says what
    /// it holds ([`ContentName`]) is read and compared with that.
    ///
    /// # Errors
    /// Of such a name only: [`Exit::DamagedFile`] where the content differs, [`Exit::Usage`] where there is no such file.
    /// Others are left to whoever reads them.
    pub fn find(&self, key: &str, folder: &Path) -> Result<Option<PathBuf>, Failure> {
        if self.is_none() {
            return Ok(None);
        }
        let path = folder.join(&self.0);
        match ContentName::in_path(&path) {
            Some(name) => compare(key, &path, &name).map(|()| Some(path)),
            None => Ok(Some(path)),
        }
    }
}

fn compare(key: &str, path: &Path, name: &ContentName) -> Result<(), Failure> {
    match ContentName::of(path) {
        Ok((found, _)) if found == *name => Ok(()),
        Ok((_, bytes)) => {
            let path = path.display();
            let message = format!(
                "{key}: {path} is not the file that was planned: it holds {bytes} bytes of other content"
            );
            Err(Failure::new(Exit::DamagedFile, message)
                .hint("plan the sweep again, which copies the file again"))
        }
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(Exit::Usage, format!("{key}: there is no file {}", path.display()))
                .hint("`--files DIR` names the folder that holds it: of a sweep, SWEEP/bin"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The key of [`DataConfig::patients`](crate::config::DataConfig::patients).
pub(crate) const PATIENTS: &str = "data.patients";

/// The key of [`FineTuning::weights`](crate::fine_tuning::FineTuning::weights).
pub(crate) const WEIGHTS: &str = "fine_tuning.weights";

impl RunConfig {
    /// Every file that a setting names, by the setting's key.
    pub fn files(&self) -> [(&'static str, &GivenFile); 2] {
        [(PATIENTS, &self.data.patients), (WEIGHTS, &self.fine_tuning.weights)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::collections::BTreeSet;
    use std::fs;
    use toml::{Table, Value};
    use xray_model::Loss;

    /// Settings of text, or lists, that name no file.
    const NO_FILES: [&str; 21] = [
        "backend",
        "precision",
        "data.dir", // a folder, of which the launcher says where it is
        "data.features",
        "data.cache",
        "data.uncertain",
        "preprocessing.crop",
        "preprocessing.filter",
        "model.architecture",
        "loss.name",
        "optimizer.algorithm",
        "schedule.shape",
        "training.duration",
        "training.max_time",
        "training.evaluate_every",
        "training.checkpoint_every",
        "training.keep",
        "training.checkpoint_time",
        "fine_tuning.head",
        "fine_tuning.part",
        "fine_tuning.frozen",
    ];

    /// Keys of all that is neither a number nor a choice of yes and no.
    fn texts(table: &Table, place: &str, out: &mut BTreeSet<String>) {
        for (key, value) in table {
            let key = format!("{place}{key}");
            match value {
                Value::Table(inner) => texts(inner, &format!("{key}."), out),
                Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => {}
                Value::String(_) | Value::Array(_) | Value::Datetime(_) => _ = out.insert(key),
            }
        }
    }

    /// A sweep would not send it, and two of its contents would be one cell.
    #[test]
    fn no_setting_that_names_a_file_is_forgotten() {
        let mut found = BTreeSet::new();
        for loss in Loss::NAMES.iter().filter_map(|name| Loss::from_name(name)) {
            let config = RunConfig { loss, ..RunConfig::default() };
            texts(&Table::try_from(config).expect("plain values"), "", &mut found);
        }
        let config = RunConfig::default();
        let files: BTreeSet<String> = config.files().map(|(key, _)| key.to_owned()).into();
        let listed: BTreeSet<String> = files.iter().cloned().chain(NO_FILES.map(str::to_owned)).collect();
        let forgotten: Vec<_> = found.difference(&listed).collect();
        assert!(forgotten.is_empty(), "say whether these name files: {forgotten:?}");
        let gone: Vec<_> = listed.difference(&found).collect();
        assert!(gone.is_empty(), "no such settings: {gone:?}");
    }

    #[test]
    fn a_listed_file_is_that_of_its_key() {
        let settings = Settings::read(None).expect("defaults");
        for (key, default) in RunConfig::default().files() {
            assert!(default.is_none(), "{key}");
            for (value, expected) in [("a/w.pth", "a/w.pth"), ("none", ""), ("./none", "./none"), ("", "")] {
                let set = [(key.to_owned(), Value::String(value.to_owned()))];
                let config = settings.resolve(&set).expect("a file");
                let (_, file) = config.files().into_iter().find(|(other, _)| *other == key).expect("listed");
                assert_eq!(
                    (file.to_string().as_str(), file.is_none()),
                    (expected, expected.is_empty()),
                    "{key}"
                );
            }
        }
    }

    #[test]
    fn a_file_is_below_the_folder_and_what_its_name_says() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let find = |name: &str| GivenFile::from(name.to_owned()).find("some.key", dir.path());
        assert_eq!(find(""), Ok(None));
        assert_eq!(find("w.pth"), Ok(Some(dir.path().join("w.pth"))), "its reader says that it is not there");
        assert_eq!(find("/w.pth"), Ok(Some(PathBuf::from("/w.pth"))));

        let (name, _) = ContentName::copy(&b"planned"[..], io::sink()).expect("memory");
        let path = dir.path().join(name.as_str());
        let absent = find(name.as_str()).expect_err("absent");
        assert_eq!(absent.exit, Exit::Usage);
        assert!(absent.message.starts_with("some.key: there is no file /"), "{absent}");
        for (content, is_whole) in [("planned", true), ("plan", false), ("changed", false), ("", false)] {
            fs::write(&path, content).expect("writable");
            let found = find(name.as_str());
            assert_eq!(found.is_ok(), is_whole, "{content}");
            let refused = found.err().map(|failure| (failure.exit, failure.message));
            let expected = format!(
                "some.key: {} is not the file that was planned: it holds {} bytes of other content",
                path.display(),
                content.len()
            );
            assert_eq!(refused, (!is_whole).then_some((Exit::DamagedFile, expected)));
        }
    }
}
