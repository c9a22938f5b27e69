//! The run directory: where everything lies, and the rule that only one process writes to it.

use crate::config::{NO_FOLD, RunConfig};
use crate::settings::FORMAT;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use xray_artifacts::{
    Exit, Failure, FileError, Split, one_line, read_sealed_text, sync_folder, write_bytes, write_sealed_text,
};

/// An open run directory, locked until dropped.
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes the folder where it is not there, and locks it. What a stopped [`RunDir::clear`] left goes.
    pub fn open(path: &Path) -> Result<RunDir, Failure> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| Failure::from(FileError::Io { path, action, source })
        };
        fs::create_dir_all(path).map_err(io("create", path))?;
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {
                let dir = RunDir { path: path.to_owned(), _lock: lock };
                if dir.clearing().try_exists().map_err(io("look for", &dir.clearing()))? {
                    dir.remove_run()?;
                }
                dir.create_folders()?;
                Ok(dir)
            }
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(Exit::Usage, format!("another process is running in {}", path.display()))
                    .hint("wait for it, or choose another folder with --run"))
            }
            Err(TryLockError::Error(source)) => Err(io("lock", &lock_path)(source)),
        }
    }

    fn create_folders(&self) -> Result<(), FileError> {
        for folder in ["checkpoints/last", "checkpoints/previous", "checkpoints/best", "model"] {
            let path = self.path.join(folder);
            fs::create_dir_all(&path).map_err(|source| FileError::Io { path, action: "create", source })?;
        }
        Ok(())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Which program runs where.
    pub fn environment(&self) -> PathBuf {
        self.path.join("env.json")
    }

    /// The heartbeat.
    pub fn status(&self) -> PathBuf {
        self.path.join("status.json")
    }

    /// One JSON object a line.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Curves for TensorBoard, which finds them by this name.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.out.tfevents.run")
    }

    /// The course of the run as a picture.
    pub fn curve(&self) -> PathBuf {
        self.path.join("curve.svg")
    }

    /// What was said, with times.
    pub fn log(&self) -> PathBuf {
        self.path.join("train.log")
    }

    /// What to continue from.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.path.join("checkpoints/last/state.safetensors")
    }

    /// What to continue from if that is damaged.
    pub fn previous_checkpoint(&self) -> PathBuf {
        self.path.join("checkpoints/previous/state.safetensors")
    }

    /// The folder of the best weights.
    pub fn best(&self) -> PathBuf {
        self.path.join("checkpoints/best")
    }

    /// The weights after a step that was the best so far.
    pub fn best_weights(&self, step: u64) -> PathBuf {
        self.best().join(format!("step-{step}.safetensors"))
    }

    /// The model's outputs on a split.
    pub fn predictions(&self, split: Split) -> PathBuf {
        self.path.join(format!("predictions-{split}.safetensors"))
    }

    /// The finished model's weights.
    pub fn model_weights(&self) -> PathBuf {
        self.path.join("model/model.safetensors")
    }

    /// The finished model's card.
    pub fn model_card(&self) -> PathBuf {
        self.path.join("model/model.json")
    }

    /// What the run found.
    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// A second copy of what a finished run found.
    pub fn finished(&self) -> PathBuf {
        self.path.join("finished")
    }

    /// The result in it.
    pub fn finished_result(&self) -> PathBuf {
        self.finished().join("result.json")
    }

    /// Prepared images, with `data.cache = "disk"`.
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// Writes the configuration; where `is_taken`, because a run has got as far as a checkpoint or a result, only one that
    /// says the same.
    ///
    /// # Errors
    /// Another configuration, or one that cannot be read: whose run it is must not be guessed.
    pub fn claim(&self, config: &RunConfig, is_taken: bool) -> Result<(), Failure> {
        let text = toml::to_string(config).expect("a configuration is plain values");
        if is_taken {
            self.is_of(&text.parse().expect("just written"))?;
        }
        Ok(write_sealed_text(&self.config(), &format!("format = {FORMAT}\n{text}"))?)
    }

    fn is_of(&self, ours: &Table) -> Result<(), Failure> {
        let path = self.config();
        let refused = |message: String| Failure::new(Exit::ModelMismatch, message).hint(self.ways_on());
        let unknown = |why: &str| refused(format!("{} holds an unknown run: {why}", self.path.display()));
        let text = match read_sealed_text(&path, "configuration") {
            Ok(text) => text,
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(unknown("config.toml is missing"));
            }
            Err(error @ FileError::Io { .. }) => return Err(error.into()),
            Err(error) => return Err(unknown(&one_line(&error))),
        };
        let theirs: Table = text.parse().map_err(|_| unknown("config.toml is not TOML"))?;
        match first_difference(&theirs, ours) {
            None => Ok(()),
            Some((key, before, now)) => {
                let path = self.path.display();
                Err(refused(format!("{path} holds another run: {key} is {before} there, {now} here")))
            }
        }
    }

    /// What can be done instead of continuing the run in this folder with other settings.
    fn ways_on(&self) -> String {
        let ways = "choose another folder with --run, or start over with --overwrite";
        if !self.finished_result().exists() {
            return ways.to_owned();
        }
        let run = self.path.display();
        format!(
            "{ways}; to train this finished run further, in another folder: xray-train --from {run} --run NEW"
        )
    }

    /// Says that the folder is being cleared.
    fn clearing(&self) -> PathBuf {
        self.path.join(".clearing")
    }

    /// Removes all that an earlier run made, for `--overwrite`. A mark comes first, so that whoever opens a folder whose
    /// clearing was stopped ends it before anything else.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn clear(&self) -> Result<(), Failure> {
        write_bytes(&self.clearing(), b"")?;
        self.remove_run()?;
        Ok(self.create_folders()?)
    }

    fn remove_run(&self) -> Result<(), FileError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| FileError::Io { path, action, source }
        };
        for name in MADE {
            let path = self.path.join(name);
            let removed = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io("remove", &path)(error));
                }
                _ => {}
            }
        }
        sync_folder(&self.path).map_err(io("write", &self.path))?;
        fs::remove_file(self.clearing()).map_err(io("remove", &self.clearing()))
    }
}

/// All that a run makes in its folder, and what is made of it there. The result goes first: what is left is not a run then.
const MADE: [&str; 15] = [
    "result.json",
    "finished",
    "model",
    "export",
    "predictions-val.safetensors",
    "predictions-test.safetensors",
    "checkpoints",
    "config.toml",
    "env.json",
    "status.json",
    "metrics.jsonl",
    "events.out.tfevents.run",
    "curve.svg",
    "train.log",
    "cache",
];

/// Settings that may differ between the starts of one run: they change no number.
const FREE: [&str; 9] = [
    "threads",
    "format",
    "data.dir", // wherever the data lie: what they are is compared when they are open
    "data.cache",
    "training.max_time",
    "training.checkpoint_time",
    "training.checkpoint_every",
    "training.tensorboard",
    "training.keep",
];

/// The settings that decide a run's numbers, by their keys; those that say nothing are left out.
pub(crate) fn deciding_settings(config: &RunConfig) -> Vec<(String, Value)> {
    // By way of text, where 0.1 of single precision is 0.1.
    let text = toml::to_string(config).expect("a configuration is plain values");
    let mut settings = Vec::new();
    flatten(&text.parse().expect("just written"), "", &mut settings);
    settings.retain(|(key, value)| !FREE.contains(&key.as_str()) && value.as_str() != Some(""));
    settings
}

/// Settings that runs of earlier versions do not name, and what those runs were.
fn added() -> [(&'static str, Value); 5] {
    let number = |value: i64| Value::Integer(value);
    [
        ("precision", Value::String("f32".into())),
        ("data.folds", number(0)),
        ("data.fold", number(NO_FOLD)),
        ("training.first_epoch", number(0)),
        ("fine_tuning.optimizer", Value::Boolean(false)),
    ]
}

/// The first setting in which two runs differ and that decides numbers: its key, and both values.
pub fn difference(a: &RunConfig, b: &RunConfig) -> Option<(String, String, String)> {
    let [a, b] = [a, b].map(|config| Table::try_from(config).expect("a configuration is plain values"));
    first_difference(&a, &b)
}

fn first_difference(before: &Table, now: &Table) -> Option<(String, String, String)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    flatten(before, "", &mut a);
    for (key, value) in added() {
        if !a.iter().any(|(known, _)| known == key) {
            a.push((key.to_owned(), value));
        }
    }
    flatten(now, "", &mut b);
    let find =
        |list: &[(String, Value)], key: &str| list.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let keys = b.iter().chain(&a).map(|(key, _)| key).filter(|key| !FREE.contains(&key.as_str()));
    keys.filter_map(|key| {
        let (before, now) = (find(&a, key), find(&b, key));
        let text = |value: Option<Value>| value.map_or("absent".to_owned(), |value| value.to_string());
        (before != now).then(|| (key.clone(), text(before), text(now)))
    })
    .next()
}

fn flatten(table: &Table, place: &str, out: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let path = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        match value {
            Value::Table(inner) => flatten(inner, &path, out),
            value => out.push((path, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_one_process_and_one_configuration() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let path = temporary.path().join("run");
        let dir = RunDir::open(&path).expect("a writable folder");
        let busy = RunDir::open(&path).err().expect("locked");
        assert!(busy.message.starts_with("another process is running in "), "{busy}");

        let config = RunConfig::default();
        dir.claim(&RunConfig { seed: 2, ..config.clone() }, false).expect("the first");
        dir.claim(&config, false).expect("nothing was trained yet");
        dir.claim(&RunConfig { threads: 7, ..config.clone() }, true).expect("threads are free");
        let failure = dir.claim(&RunConfig { seed: 1, ..config }, true).expect_err("another seed");
        assert!(failure.message.ends_with("holds another run: seed is 0 there, 1 here"), "{failure}");
        assert_eq!(failure.exit, Exit::ModelMismatch);
    }

    /// Runs of before there was a choice computed in float32, and were of no cross-validation.
    #[test]
    fn a_run_of_an_earlier_version_goes_on_as_what_it_was() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let dir = RunDir::open(&temporary.path().join("run")).expect("a writable folder");
        let config = RunConfig::default();
        let text = toml::to_string(&config).expect("plain values");
        const ADDED: [&str; 5] = [
            "precision = \"f32\"\n",
            "folds = 0\n",
            "fold = -1\n",
            "first_epoch = 0\n",
            "optimizer = false\n",
        ];
        let before = || {
            let text = ADDED.iter().fold(text.clone(), |text, line| {
                assert!(text.contains(line), "{text}");
                text.replace(line, "")
            });
            write_sealed_text(&dir.config(), &format!("format = {FORMAT}\n{text}")).expect("writable");
        };
        before();
        let other = RunConfig { precision: xray_model::Precision::F16, ..config.clone() };
        let failure = dir.claim(&other, true).expect_err("another precision");
        assert!(failure.message.ends_with("precision is \"f32\" there, \"f16\" here"), "{failure}");
        let mut other = config.clone();
        (other.data.folds, other.data.fold) = (5, 0);
        let failure = dir.claim(&other, true).expect_err("a fold");
        assert!(failure.message.ends_with("data.fold is -1 there, 0 here"), "{failure}");
        dir.claim(&config, true).expect("the same run");
    }

    #[test]
    fn a_run_that_nobody_knows_is_not_continued() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let dir = RunDir::open(&temporary.path().join("run")).expect("a writable folder");
        let config = RunConfig::default();
        let check = |harm: &dyn Fn(&Path), why: &str| {
            dir.claim(&config, false).expect("writable");
            dir.claim(&config, true).expect("the same");
            harm(&dir.config());
            let failure = dir.claim(&config, true).expect_err(why);
            assert_eq!(failure.exit, Exit::ModelMismatch, "{failure}");
            assert!(failure.message.ends_with(why), "{failure}");
            dir.claim(&config, true).expect_err("and still so");
        };
        let write = |text: &'static [u8]| move |path: &Path| fs::write(path, text).expect("writable");
        check(&|path| fs::remove_file(path).expect("there"), "config.toml is missing");
        check(&write(b""), " here");
        check(&write(b"["), "config.toml is not TOML");
        check(&write(b"seed = 0 # \xff\n"), "is not UTF-8 text");
        let edit = |path: &Path| {
            let text = fs::read_to_string(path).expect("there");
            fs::write(path, text.replace("seed = 0", "seed = 1")).expect("writable");
        };
        check(&edit, "its checksum differs");
        fs::remove_file(dir.config()).expect("there");
        fs::create_dir(dir.config()).expect("writable");
        dir.claim(&config, true).expect_err("a folder");
    }

    #[test]
    fn a_clearing_that_was_stopped_is_ended_by_whoever_comes_next() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let path = temporary.path().join("run");
        let left = || {
            let entries = fs::read_dir(&path).expect("readable");
            let mut names: Vec<_> = entries.map(|entry| entry.expect("readable").file_name()).collect();
            names.sort();
            names
        };
        let fill = || {
            let dir = RunDir::open(&path).expect("a writable folder");
            for file in [dir.config(), dir.result(), dir.last_checkpoint(), dir.predictions(Split::Val)] {
                fs::write(file, "old").expect("writable");
            }
            dir
        };
        drop(RunDir::open(&path).expect("a writable folder"));
        let fresh = left();
        let dir = fill();
        fs::write(path.join("notes.txt"), "whoever wrote it").expect("writable");
        dir.clear().expect("writable");
        fs::remove_file(path.join("notes.txt")).expect("not the run's, so kept");
        assert_eq!(left(), fresh);
        drop(dir);
        for gone in 0..=MADE.len() {
            let dir = fill();
            fs::write(dir.clearing(), "").expect("writable");
            for name in &MADE[..gone] {
                let path = path.join(name);
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            }
            drop(dir);
            let dir = RunDir::open(&path).expect("a writable folder");
            assert_eq!(left(), fresh, "stopped after {gone}");
            assert!(!dir.last_checkpoint().exists());
        }
    }
}
