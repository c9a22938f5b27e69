//! What a run needs to go on: the learner's tensors, and in the same file's header how far it was. One file
//! and one rename, so that weights and place can never disagree.

use serde::{Deserialize, Serialize};
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError, Seconds};
use xray_model::StateDict;

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
    /// The same since the last reduction of the learning rate.
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
    /// Whose weights the run began with, if not with its own.
    #[serde(default)]
    pub first_weights: Option<String>,
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

/// Under this key in the header. One key only: their order in a safetensors header is random.
const KEY: &str = "progress";
const FORMAT: u32 = 1;

/// Writes a checkpoint.
pub fn save(path: &Path, state: &StateDict, progress: &Progress) -> Result<(), Failure> {
    let progress = serde_json::to_string(&(FORMAT, progress)).expect("numbers and strings");
    Ok(state.save(path, &[(KEY, progress)])?)
}

/// Reads a checkpoint; none where there is no file.
pub fn load(path: &Path) -> Result<Option<(StateDict, Progress)>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let (state, metadata) = StateDict::load_with_metadata(path)?;
    let progress = metadata.get(KEY).and_then(|text| serde_json::from_str::<(u32, Progress)>(text).ok());
    match progress {
        Some((FORMAT, progress)) => Ok(Some((state, progress))),
        _ => Err(Failure::new(
            Exit::ModelMismatch,
            format!("{} is no checkpoint of format {FORMAT}", path.display()),
        )
        .hint("start over with --overwrite, or continue with the version that wrote it")),
    }
}

/// Cuts a file of JSON lines back to those up to `step`, because later ones will be written again.
pub fn truncate_lines(path: &Path, step: u64) -> Result<(), FileError> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(()) };
    let step_of = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?.get("step")?.as_u64();
    let kept = text.lines().filter(|line| step_of(line).is_some_and(|at| at <= step));
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    xray_artifacts::write_bytes(path, kept.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_checkpoint_and_torn_ones_go() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        std::fs::write(&path, "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"st").expect("writable");
        truncate_lines(&path, 2).expect("writable");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "{\"step\":1}\n{\"step\":2}\n");
    }

    #[test]
    fn progress_comes_back_whole_and_foreign_files_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("state.safetensors");
        assert_eq!(load(&path).expect("nothing there"), None);
        let best = Some(Best { step: 4, score: 0.1 + 0.2, macro_auc: None });
        let progress = Progress { step: 7, best, losses: (1.0 / 3.0, 5), ..Progress::default() };
        save(&path, &StateDict::default(), &progress).expect("writable");
        assert_eq!(load(&path).expect("just written"), Some((StateDict::default(), progress)));
        StateDict::default().save(&path, &[]).expect("writable");
        assert_eq!(load(&path).expect_err("no progress").exit, Exit::ModelMismatch);
        std::fs::write(&path, "half a fi").expect("writable");
        assert_eq!(load(&path).expect_err("no safetensors").exit, Exit::ModelMismatch);
    }
}
