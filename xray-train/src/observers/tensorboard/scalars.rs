//! The figures that TensorBoard shows: each line of `metrics.jsonl`, under tags of its own.

use super::event;
use crate::checkpoint::EVALUATION;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::Path;
use xray_artifacts::{FileError, Split};

/// The figures of one line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalars {
    step: u64,
    values: Vec<(String, f32)>,
}

impl Scalars {
    /// Figures that are undefined are left out.
    pub(super) fn of(line: &Value) -> Option<Scalars> {
        let step = line["step"].as_u64()?;
        let mut values = Vec::new();
        let mut add = |tag: String, value: &Value| {
            let value = value.as_f64().map(|value| value as f32).filter(|value| value.is_finite());
            values.extend(value.map(|value| (tag, value)));
        };
        if line["event"] == EVALUATION {
            let split = if line["split"] == Split::Val.name() { "validation" } else { "test" };
            add(format!("{split}/loss"), &line["macro_log_loss"]);
            add(format!("{split}/auc"), &line["macro_auc"]);
            for (label, auc) in line["auc"].as_object().into_iter().flatten() {
                add(format!("{split}/auc/{label}"), auc);
            }
        } else {
            for name in ["loss", "learning_rate", "gradient_norm"] {
                add(format!("train/{name}"), &line[name]);
            }
        }
        Some(Scalars { step, values })
    }

    /// The record of an event file.
    pub(super) fn event(&self, time: f64) -> Vec<u8> {
        event::scalars(time, self.step, &self.values)
    }

    /// Whether a record may stand behind that of this line: the speed at its step.
    pub(super) fn is_followed_by(&self, record: &[u8]) -> bool {
        let expected = speed(self.step, 0.0).event(0.0);
        let name =
            |record: &[u8]| record.len().checked_sub(size_of::<f32>()).map(|end| record[..end].to_vec());
        name(event::timeless(record)) == name(event::timeless(&expected))
    }
}

/// Images per second up to a step. No two starts of a run agree on it, so it has a record of its own.
pub(super) fn speed(step: u64, images_per_second: f32) -> Scalars {
    Scalars { step, values: vec![("train/images_per_second".to_owned(), images_per_second)] }
}

/// The figures of all lines of `metrics.jsonl`.
pub(super) fn of_file(metrics: &Path) -> Result<Vec<Scalars>, FileError> {
    let text = match fs::read_to_string(metrics) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|source| FileError::Io { path: metrics.to_owned(), action: "read", source })?,
    };
    Ok(text.lines().filter_map(|line| Scalars::of(&serde_json::from_str(line).ok()?)).collect())
}
