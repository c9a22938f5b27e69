//! What a run needs to go on: the learner's tensors, and in the same file's header how far it was. One file and one
//! rename, so that weights and place can never disagree.
//!
//! The last two are kept. Of a damaged one the run says so and goes on from the one before. The best weights lie beside
//! them in a file named by their step, which stays as long as a kept checkpoint speaks of it.

use crate::events::{Event, Observer};
use crate::run_dir::RunDir;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, FileError, SealedLine, Seconds, line_seal, warn_unsealed};
use xray_model::{CHECKSUM, Error, StateDict};

/// How far a run is. Order and augmentation are functions of the step, so this is all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: u64,
    /// Training images seen.
    pub examples: u64,
    /// The step after which validation was last scored.
    pub evaluated_step: u64,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Evaluations in a row without a better score, for early stopping.
    pub stale_evaluations: u32,
    /// Evaluations without a better score since the last reduction of the learning rate.
    pub stale_since_reduction: u32,
    /// How often a plateau reduced the learning rate.
    pub reductions: u32,
    /// Sum and count of the losses since the last evaluation.
    pub losses: (f64, u64),
    /// Mean loss between the last two evaluations.
    pub last_loss: Option<f32>,
    /// Time spent, over all starts.
    pub seconds: Seconds,
    /// Records that were left out.
    pub bad_records: Vec<String>,
    /// What was warned of in training.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Whose weights the run began with, if not with its own.
    #[serde(default)]
    pub first_weights: Option<String>,
    /// Hash of the data; empty in checkpoints of format 1.
    #[serde(default)]
    pub dataset: String,
}

impl Progress {
    /// Warns, and keeps the warning for the result, however often the run is started again.
    ///
    /// # Errors
    /// If an observer cannot write.
    pub fn warn(&mut self, text: String, observer: &mut dyn Observer) -> Result<(), FileError> {
        observer.observe(&Event::Warning(&text))?;
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
        Ok(())
    }
}

/// A score and the step it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// After how many steps.
    pub step: u64,
    /// Higher is better: macro-AUC, or minus the loss where no label has one.
    pub score: f64,
    /// Macro-AUC on validation.
    pub macro_auc: Option<f64>,
}

/// Under this key in the header.
const KEY: &str = "progress";
const FORMAT: u32 = 2;
/// Earlier format: without a checksum, and with the best weights in `best/model.safetensors`.
const UNSEALED: u32 = 1;

/// What a run goes on from.
#[derive(Debug, PartialEq)]
pub struct Checkpoint {
    /// The learner's tensors.
    pub state: StateDict,
    /// How far it was.
    pub progress: Progress,
    /// What was wrong with a later checkpoint, if this is the one before.
    pub instead_of: Option<String>,
}

/// Writes a checkpoint and keeps the one before.
///
/// # Errors
/// What the system refuses; there is then still one to go on from.
pub fn save(dir: &RunDir, state: &StateDict, progress: &Progress) -> Result<(), Failure> {
    let (last, previous) = (dir.last_checkpoint(), dir.previous_checkpoint());
    if is_there(&last)? {
        keep(&last, &previous).map_err(io_error("keep", &last))?;
    }
    let progress = serde_json::to_string(&(FORMAT, progress)).expect("numbers and strings");
    state.save(&last, &[(KEY, progress)])?;
    Ok(())
}

/// Gives a file a second name; the first will be another file's soon.
fn keep(last: &Path, previous: &Path) -> io::Result<()> {
    remove(previous)?;
    // Some file systems know no second names. Then there is for a moment only the one before, which is as good.
    fs::hard_link(last, previous).or_else(|_| fs::rename(last, previous))
}

/// Writes the weights with the best score so far.
///
/// # Errors
/// What the system refuses.
pub fn save_best(dir: &RunDir, weights: &StateDict, step: u64) -> Result<(), Failure> {
    weights.save(&dir.best_weights(step), &[(STEP, step.to_string())])?;
    Ok(())
}

/// The step of the best weights, in their header.
const STEP: &str = "step";

/// Reads the weights that [`save_best`] wrote.
///
/// # Errors
/// A file that is absent, damaged, or of another step.
pub fn load_best(dir: &RunDir, step: u64) -> Result<StateDict, Failure> {
    let path = dir.best_weights(step);
    let (weights, words) = StateDict::load_with_metadata(&path)?;
    if words.get(STEP) != Some(&step.to_string()) {
        return Err(Failure::new(
            Exit::ModelMismatch,
            format!("{} does not hold the weights of step {step}", path.display()),
        ));
    }
    Ok(weights)
}

/// Removes best weights of other steps than these, and what a killed process left of them.
///
/// # Errors
/// What the system refuses.
pub fn forget_best(dir: &RunDir, kept: &[u64]) -> Result<(), Failure> {
    let kept: Vec<_> = kept.iter().map(|&step| dir.best_weights(step)).collect();
    let folder = dir.best();
    let entries = fs::read_dir(&folder).map_err(io_error("list", &folder))?;
    for entry in entries {
        let path = entry.map_err(io_error("list", &folder))?.path();
        if !kept.contains(&path) {
            remove(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes the checkpoint before the last and damaged ones, when nothing will go on any more.
///
/// # Errors
/// What the system refuses.
pub fn forget_previous(dir: &RunDir) -> Result<(), Failure> {
    let damaged = [dir.last_checkpoint(), dir.previous_checkpoint()].map(|path| aside(&path));
    for path in damaged.into_iter().chain([dir.previous_checkpoint()]) {
        remove(&path).map_err(io_error("remove", &path))?;
    }
    Ok(())
}

/// Whether there is something to go on from, whole or not.
///
/// # Errors
/// What the system refuses.
pub fn exists(dir: &RunDir) -> Result<bool, FileError> {
    Ok(is_there(&dir.last_checkpoint())? || is_there(&dir.previous_checkpoint())?)
}

/// The last whole checkpoint; none where there was never one. A damaged later one is moved aside.
///
/// # Errors
/// If all that are there are damaged, one is of a version that this build does not know, or the system refuses.
pub fn load(dir: &RunDir) -> Result<Option<Checkpoint>, Failure> {
    let mut damage: Option<(PathBuf, String)> = None;
    for path in [dir.last_checkpoint(), dir.previous_checkpoint()] {
        if !is_there(&path)? {
            continue;
        }
        match read(dir, &path) {
            Ok((state, progress)) => {
                let instead_of =
                    damage.map(|(damaged, what)| set_aside(&damaged).map(|()| what)).transpose()?;
                return Ok(Some(Checkpoint { state, progress, instead_of }));
            }
            Err(Unreadable::Damaged(what)) => damage = damage.or(Some((path, what))),
            Err(Unreadable::Other(failure)) => return Err(failure),
        }
    }
    match damage {
        None => Ok(None),
        Some((_, what)) => {
            Err(Failure::new(Exit::ModelMismatch, format!("no checkpoint to continue from: {what}"))
                .hint("start over with --overwrite, or restore the file"))
        }
    }
}

enum Unreadable {
    /// The file is not what was written. Another may be.
    Damaged(String),
    /// Another file would not help.
    Other(Failure),
}

fn read(dir: &RunDir, path: &Path) -> Result<(StateDict, Progress), Unreadable> {
    let of_another_version = |what: String| {
        let hint = "start over with --overwrite, or continue with the version that wrote it";
        Unreadable::Other(Failure::new(Exit::ModelMismatch, what).hint(hint))
    };
    let (state, words) = StateDict::load_with_metadata(path).map_err(|error| match error {
        Error::File(FileError::Io { .. }) => Unreadable::Other(error.into()),
        Error::File(FileError::Seal { path, .. }) => {
            Unreadable::Damaged(FileError::Seal { path, kind: "checkpoint" }.to_string())
        }
        error => Unreadable::Damaged(Failure::from(error).message),
    })?;
    let Some(text) = words.get(KEY) else {
        return Err(Unreadable::Damaged(format!("{} is not a checkpoint", path.display())));
    };
    let sealed = words.contains_key(CHECKSUM);
    let damaged = || Unreadable::Damaged(format!("{} is damaged: its checksum is gone", path.display()));
    let progress = match serde_json::from_str::<(u32, serde_json::Value)>(text) {
        Ok((FORMAT, _)) if !sealed => return Err(damaged()),
        Ok((FORMAT | UNSEALED, progress)) => progress,
        Ok((format, _)) => {
            let what =
                format!("{} has checkpoint format {format}, this build knows {FORMAT}", path.display());
            return Err(if sealed { of_another_version(what) } else { Unreadable::Damaged(what) });
        }
        Err(_) => return Err(Unreadable::Damaged(format!("{} does not state its progress", path.display()))),
    };
    let progress: Progress = serde_json::from_value(progress).map_err(|error| {
        Unreadable::Damaged(format!("{} does not state its progress: {error}", path.display()))
    })?;
    if !sealed {
        warn_unsealed(path);
        adopt_best(dir, &progress).map_err(Unreadable::Other)?;
    }
    if let Some(best) = progress.best
        && let Err(failure) = load_best(dir, best.step)
    {
        return Err(Unreadable::Damaged(failure.message));
    }
    Ok((state, progress))
}

/// The best weights of a checkpoint of format 1 get the name that they have now, if they are those of its step.
fn adopt_best(dir: &RunDir, progress: &Progress) -> Result<(), Failure> {
    let (old, Some(best)) = (dir.best().join("model.safetensors"), progress.best) else { return Ok(()) };
    let new = dir.best_weights(best.step);
    if is_there(&new)? || !is_there(&old)? {
        return Ok(());
    }
    let (_, words) = StateDict::load_with_metadata(&old)?;
    if words.get(STEP) == Some(&best.step.to_string()) {
        fs::rename(&old, &new).map_err(io_error("rename", &old))?;
    }
    Ok(())
}

fn set_aside(damaged: &Path) -> Result<(), FileError> {
    fs::rename(damaged, aside(damaged)).map_err(io_error("move aside", damaged))
}

fn aside(checkpoint: &Path) -> PathBuf {
    let mut name = checkpoint.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}

fn is_there(path: &Path) -> Result<bool, FileError> {
    path.try_exists().map_err(io_error("look for", path))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { path: path.clone(), action, source }
}

/// The name of an evaluation in `metrics.jsonl`.
pub const EVALUATION: &str = "evaluation";

/// Cuts a file of JSON lines back to what a checkpoint knows of, because the rest will be written again: the steps up to
/// its own, and the evaluations up to its last. Returns how many lines were damaged; they go too. A last line without
/// its end is none of them: whoever wrote it was killed.
pub fn truncate_lines(path: &Path, progress: &Progress) -> Result<usize, FileError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        read => read.map_err(io_error("read", path))?,
    };
    let is_known = |line: &[u8]| {
        let line: serde_json::Value =
            serde_json::from_slice(line).ok().filter(|_| line_seal(line) != SealedLine::Damaged)?;
        let last = if line["event"] == EVALUATION { progress.evaluated_step } else { progress.step };
        Some(line["step"].as_u64()? <= last)
    };
    let (mut kept, mut damaged) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n").map(is_known) {
            Some(Some(true)) => kept.extend_from_slice(line),
            Some(None) => damaged += 1,
            Some(Some(false)) | None => {}
        }
    }
    if kept != bytes {
        xray_artifacts::write_bytes(path, &kept)?;
    }
    Ok(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;
    use xray_model::HostTensor;

    #[test]
    fn lines_after_the_checkpoint_and_torn_ones_go() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        let evaluation = |step| format!("{{\"event\":\"evaluation\",\"step\":{step}}}\n");
        let known = format!("{{\"step\":1}}\n{}{{\"step\":2}}\n", evaluation(1));
        let text = [known.as_bytes(), b"\xff\n", evaluation(2).as_bytes(), b"{\"step\":3}\n{\"st"].concat();
        fs::write(&path, text).expect("writable");
        // Saved after the second step and before its evaluation.
        let progress = Progress { step: 2, evaluated_step: 1, ..Progress::default() };
        assert_eq!(truncate_lines(&path, &progress).expect("writable"), 1);
        assert_eq!(fs::read_to_string(&path).expect("readable"), known);
    }

    struct Place {
        _folder: TempDir,
        dir: RunDir,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = RunDir::open(&folder.path().join("run")).expect("a writable folder");
        Place { _folder: folder, dir }
    }

    fn weights(value: f32) -> StateDict {
        let tensor = HostTensor { shape: vec![2], values: vec![value, 0.5] };
        StateDict { tensors: [("w".to_owned(), tensor)].into() }
    }

    fn progress(step: u64, best: Option<u64>) -> Progress {
        let best = best.map(|step| Best { step, score: 0.1 + 0.2, macro_auc: None });
        Progress { step, best, losses: (1.0 / 3.0, 5), ..Progress::default() }
    }

    fn damage(path: &Path) {
        let mut bytes = fs::read(path).expect("there");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(path, bytes).expect("writable");
    }

    /// Checkpoints of steps 4 and 8; the best weights of the first are those of step 4, of the second those of 8.
    fn twice(dir: &RunDir) {
        for step in [4, 8] {
            save_best(dir, &weights(step as f32), step).expect("writable");
            save(dir, &weights(step as f32 + 0.5), &progress(step, Some(step))).expect("writable");
        }
    }

    #[test]
    fn the_last_one_comes_back_whole() {
        let Place { dir, .. } = &place();
        assert_eq!(load(dir).expect("nothing there"), None);
        assert!(!exists(dir).expect("readable"));
        twice(dir);
        let found = load(dir).expect("readable").expect("saved");
        let expected = (weights(8.5), progress(8, Some(8)), None);
        assert_eq!((found.state, found.progress, found.instead_of), expected);
        assert_eq!(load_best(dir, 8).expect("saved"), weights(8.0));
    }

    #[test]
    fn of_a_damaged_one_the_one_before_is_taken() {
        let files: [fn(&RunDir) -> PathBuf; 2] = [RunDir::last_checkpoint, |dir| dir.best_weights(8)];
        let damages: [fn(&Path); 3] = [
            damage,
            |path| fs::write(path, "").expect("writable"),
            |path| {
                fs::write(path, "half a fi").expect("writable");
            },
        ];
        for (file, harm) in files.iter().flat_map(|file| damages.map(|damage| (file, damage))) {
            let Place { dir, .. } = &place();
            twice(dir);
            harm(&file(dir));
            let found = load(dir).expect("one is whole").expect("saved");
            assert_eq!(found.progress.step, 4);
            let what = found.instead_of.expect("said");
            assert!(what.contains("safetensors"), "{what}");
            // What was damaged is not kept as the one before.
            save(dir, &weights(0.0), &progress(9, Some(4))).expect("writable");
            let (_, before) = read(dir, &dir.previous_checkpoint()).ok().unwrap_or_default();
            assert!([0, 4].contains(&before.step), "step {}", before.step);

            harm(&dir.last_checkpoint());
            harm(&dir.best_weights(4));
            let failure = load(dir).expect_err("none is whole");
            assert!(failure.message.starts_with("no checkpoint to continue from: "), "{failure}");
            assert_eq!(failure.exit, Exit::ModelMismatch);
        }
    }

    #[test]
    fn weights_and_the_step_they_are_of_cannot_part() {
        let Place { dir, .. } = &place();
        twice(dir);
        // Better ones were found, and the process was killed before the next checkpoint.
        save_best(dir, &weights(12.0), 12).expect("writable");
        let found = load(dir).expect("readable").expect("saved");
        let best = found.progress.best.expect("saved");
        assert_eq!((best.step, load_best(dir, best.step).expect("there")), (8, weights(8.0)));
        fs::copy(dir.best_weights(12), dir.best_weights(8)).expect("writable");
        assert_eq!(load(dir).expect("readable").expect("saved").progress.step, 4);
    }

    #[test]
    fn best_weights_go_when_no_checkpoint_speaks_of_them() {
        let Place { dir, .. } = &place();
        twice(dir);
        save_best(dir, &weights(12.0), 12).expect("writable");
        forget_best(dir, &[8, 12]).expect("writable");
        load_best(dir, 4).expect_err("forgotten");
        load_best(dir, 8).expect("kept");
        load_best(dir, 12).expect("kept");
    }

    #[test]
    fn foreign_files_are_refused_and_later_versions_are_not_set_aside() {
        let Place { dir, .. } = &place();
        StateDict::default().save(&dir.last_checkpoint(), &[]).expect("writable");
        assert_eq!(load(dir).expect_err("no progress").exit, Exit::ModelMismatch);
        let later = serde_json::to_string(&(9, Progress::default())).expect("plain values");
        StateDict::default().save(&dir.last_checkpoint(), &[(KEY, later)]).expect("writable");
        let failure = load(dir).expect_err("of a later version");
        assert!(failure.message.ends_with("has checkpoint format 9, this build knows 2"), "{failure}");
        assert!(dir.last_checkpoint().exists());
    }

    #[test]
    fn a_checkpoint_of_the_version_before_is_gone_on_from() {
        let Place { dir, .. } = &place();
        let text = serde_json::to_string(&(UNSEALED, progress(4, Some(4)))).expect("plain values");
        let write = |path: &Path, key: &str, text: String| {
            let header = serde_json::json!({ "__metadata__": { key: text } }).to_string();
            let length = (header.len() as u64).to_le_bytes();
            fs::write(path, [&length, header.as_bytes()].concat()).expect("writable");
        };
        write(&dir.last_checkpoint(), KEY, text.clone());
        write(&dir.best().join("model.safetensors"), STEP, "3".into());
        load(dir).expect_err("weights of another step");
        write(&dir.best().join("model.safetensors"), STEP, "4".into());
        assert_eq!(load(dir).expect("readable").expect("there").progress.step, 4);
        load_best(dir, 4).expect("under its new name");
    }
}
