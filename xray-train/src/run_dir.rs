//! The run directory: where everything lies, and the rule that only one process writes to it.

use crate::config::RunConfig;
use crate::settings::FORMAT;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use xray_artifacts::{Exit, Failure, FileError, Split, write_bytes};

/// An open run directory, locked until dropped.
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes the folder where it is not there, and locks it.
    pub fn open(path: &Path) -> Result<RunDir, Failure> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| Failure::from(FileError::Io { path, action, source })
        };
        for folder in ["checkpoints/last", "checkpoints/best", "model"] {
            let folder = path.join(folder);
            fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        }
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(RunDir { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(Exit::Usage, format!("another process is running in {}", path.display()))
                    .hint("wait for it, or choose another folder with --run"))
            }
            Err(TryLockError::Error(source)) => Err(io("lock", &lock_path)(source)),
        }
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

    /// The best weights so far.
    pub fn best_weights(&self) -> PathBuf {
        self.path.join("checkpoints/best/model.safetensors")
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

    /// Prepared images, with `data.cache = "disk"`.
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// Writes the configuration; where a run with another one has got as far as a checkpoint, refuses.
    pub fn claim(&self, config: &RunConfig) -> Result<(), Failure> {
        let text = toml::to_string(config).expect("a configuration is plain values");
        let ours: Table = text.parse().expect("just written");
        let path = self.config();
        let saved = self.last_checkpoint().exists().then(|| fs::read_to_string(&path).ok()).flatten();
        if let Some(saved) = saved {
            let theirs = saved.parse::<Table>().unwrap_or_default();
            if let Some((key, before, now)) = first_difference(&theirs, &ours) {
                let message =
                    format!("{} holds another run: {key} is {before} there, {now} here", self.path.display());
                return Err(Failure::new(Exit::ModelMismatch, message)
                    .hint("choose another folder with --run, or start over with --overwrite"));
            }
        }
        write_bytes(&path, format!("format = {FORMAT}\n{text}").as_bytes()).map_err(Failure::from)
    }

    /// Removes what an earlier run left, for `--overwrite`.
    pub fn clear(&self) -> Result<(), Failure> {
        let files = [
            self.config(),
            self.metrics(),
            self.curve(),
            self.log(),
            self.last_checkpoint(),
            self.best_weights(),
            self.model_weights(),
            self.model_card(),
            self.result(),
        ];
        for path in files.into_iter().filter(|path| path.exists()) {
            fs::remove_file(&path).map_err(|source| FileError::Io { path, action: "remove", source })?;
        }
        Ok(())
    }
}

/// Settings that may differ between the starts of one run: they change no number.
const FREE: [&str; 7] = [
    "threads",
    "format",
    "data.dir", // wherever the data lie: what they are is compared when they are open
    "data.cache",
    "training.max_time",
    "training.checkpoint_time",
    "training.checkpoint_every",
];

fn first_difference(before: &Table, now: &Table) -> Option<(String, String, String)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    flatten(before, "", &mut a);
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
        dir.claim(&RunConfig { seed: 2, ..config.clone() }).expect("the first");
        dir.claim(&config).expect("nothing was trained yet");
        fs::write(dir.last_checkpoint(), "").expect("writable");
        dir.claim(&RunConfig { threads: 7, ..config.clone() }).expect("threads are free");
        let failure = dir.claim(&RunConfig { seed: 1, ..config }).expect_err("another seed");
        assert!(failure.message.ends_with("holds another run: seed is 0 there, 1 here"), "{failure}");
        assert_eq!(failure.exit, Exit::ModelMismatch);
    }
}
