//! `predictions-{val,test}.safetensors`: what a model said of every record, so that any figure can be
//! computed again without the images. Tensors `logits` and `labels` `[n, labels]` of float32 (NaN where a
//! label is unknown), `ids` and `patients` as UTF-8 text with one line per record; in the header, as JSON under
//! `predictions`, the format, the split and the labels' names.

use crate::files::{FileError, write_bytes};
use crate::{Exit, Failure, Split};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// A model's outputs on one split.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Which records.
    pub split: Split,
    /// The findings, in the order of the columns.
    pub labels: Vec<String>,
    /// One per record.
    pub ids: Vec<String>,
    /// One per record; empty where the source does not tell.
    pub patients: Vec<String>,
    /// Row-major `[ids, labels]`.
    pub logits: Vec<f32>,
    /// 0, 1 or NaN for unknown, row-major `[ids, labels]`.
    pub truth: Vec<f32>,
}

/// Under this key in the file's header. One key only: their order in a safetensors header is random.
const KEY: &str = "predictions";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    split: Split,
    labels: Vec<String>,
}

impl Predictions {
    /// Writes the file.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let (logits, truth) = (little_endian(&self.logits), little_endian(&self.truth));
        let (ids, patients) = (self.ids.join("\n"), self.patients.join("\n"));
        let table = [self.ids.len(), self.labels.len()];
        let view = |dtype, shape: &[usize], bytes| {
            TensorView::new(dtype, shape.to_vec(), bytes).expect("a table of records by labels")
        };
        let tensors = [
            ("ids", view(Dtype::U8, &[ids.len()], ids.as_bytes())),
            ("labels", view(Dtype::F32, &table, &truth)),
            ("logits", view(Dtype::F32, &table, &logits)),
            ("patients", view(Dtype::U8, &[patients.len()], patients.as_bytes())),
        ];
        let header = Header { format: FORMAT, split: self.split, labels: self.labels.clone() };
        let header = serde_json::to_string(&header).expect("strings and a number");
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        write_bytes(path, &serialize(tensors, Some(metadata)).expect("four views of their own bytes"))
    }

    /// Reads the file.
    pub fn load(path: &Path) -> Result<Predictions, Failure> {
        let bytes = std::fs::read(path).map_err(|source| FileError::Io {
            path: path.to_owned(),
            action: "read",
            source,
        })?;
        parse(&bytes).ok_or_else(|| {
            Failure::new(
                Exit::BadData,
                format!("{} is not a predictions file of format {FORMAT}", path.display()),
            )
            .hint("the file was cut off, or another version of this program wrote it")
        })
    }
}

fn parse(bytes: &[u8]) -> Option<Predictions> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let Header { format, split, labels } =
        serde_json::from_str(header.metadata().as_ref()?.get(KEY)?).ok()?;
    if format != FORMAT {
        return None;
    }
    let file = SafeTensors::deserialize(bytes).ok()?;
    let floats = |name| {
        let view = file.tensor(name).ok().filter(|view| view.dtype() == Dtype::F32)?;
        Some(view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<_>>())
    };
    let text = |name| Some(lines(std::str::from_utf8(file.tensor(name).ok()?.data()).ok()?));
    let predictions = Predictions {
        split,
        labels,
        ids: text("ids")?,
        patients: text("patients")?,
        logits: floats("logits")?,
        truth: floats("labels")?,
    };
    let cells = predictions.ids.len() * predictions.labels.len();
    (predictions.logits.len() == cells && predictions.truth.len() == cells).then_some(predictions)
}

fn lines(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split('\n').map(str::to_owned).collect() }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_come_back_as_they_were_and_a_cut_file_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("predictions-val.safetensors");
        let predictions = Predictions {
            split: Split::Val,
            labels: vec!["Mass".into(), "Hernia".into()],
            ids: vec!["a.png".into(), "ü b.png".into()],
            patients: vec![],
            logits: vec![-1.0, 2.5, 0.0, -0.0],
            truth: vec![0.0, 1.0, 1.0, 0.0],
        };
        predictions.save(&path).expect("a writable temporary folder");
        assert_eq!(Predictions::load(&path).expect("just written"), predictions);
        let bytes = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("a writable temporary folder");
        let failure = Predictions::load(&path).expect_err("cut off");
        assert!(failure.message.ends_with("is not a predictions file of format 1"), "{failure}");
    }
}
