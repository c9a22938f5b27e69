//! `predictions-{val,test}.safetensors`: what a model said of every record, so that any figure can be
//! computed again without the images. Tensors `logits` and `labels` `[n, labels]` of float32 (NaN where a
//! label is unknown) and `ages` `[n]`; `ids`, `patients`, `views`, `sexes` and, of a data set of several sources,
//! `sources` as UTF-8 text with one line per record; in the header, as JSON under `predictions`, the format, the split and the labels' names.

use crate::{Exit, Failure, FileError, Split, check_tensors, warn_unsealed, write_tensors};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
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
    /// One per record; none at all where the source does not tell of every record.
    pub patients: Vec<String>,
    /// Which source each is of; empty text where nobody knows, and none at all where no record tells.
    pub sources: Vec<String>,
    /// `PA`, `AP`, or empty where nobody knows; one per record.
    pub views: Vec<String>,
    /// `M`, `F`, or empty where nobody knows; one per record.
    pub sexes: Vec<String>,
    /// In years, NaN where nobody knows; one per record.
    pub ages: Vec<f32>,
    /// Row-major `[ids, labels]`. A network's are f32, and so is what the file holds of them.
    pub logits: Vec<f64>,
    /// What the logits were made of, row-major `[ids, labels]`, where a table gives probabilities; otherwise empty. A file
    /// of predictions has none.
    pub probabilities: Vec<f64>,
    /// 0, 1 or NaN for unknown, row-major `[ids, labels]`.
    pub truth: Vec<f32>,
}

/// Under this key in the file's header.
const KEY: &str = "predictions";
const FORMAT: u32 = 3;
/// The same without a hash.
const UNSEALED: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    split: Split,
    labels: Vec<String>,
}

impl Predictions {
    /// Of no record yet.
    pub fn empty(split: Split, labels: Vec<String>) -> Predictions {
        Predictions {
            split,
            labels,
            ids: Vec::new(),
            patients: Vec::new(),
            sources: Vec::new(),
            views: Vec::new(),
            sexes: Vec::new(),
            ages: Vec::new(),
            logits: Vec::new(),
            probabilities: Vec::new(),
            truth: Vec::new(),
        }
    }

    /// Writes the file.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let logits: Vec<f32> = self.logits.iter().map(|&logit| logit as f32).collect();
        let floats = [&self.ages, &self.truth, &logits].map(|values| little_endian(values));
        let texts = [&self.ids, &self.patients, &self.sexes, &self.views].map(|lines| text(lines));
        let sources = text(&self.sources);
        let (records, table) = (vec![self.ids.len()], vec![self.ids.len(), self.labels.len()]);
        let numbers = |shape: &Vec<usize>, bytes| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a row or a number per record")
        };
        let lines = |name: &str, bytes| {
            (name.to_owned(), TensorView::new(Dtype::U8, vec![<[u8]>::len(bytes)], bytes).expect("bytes"))
        };
        let [ages, truth, logits] = &floats;
        let [ids, patients, sexes, views] = &texts;
        let mut tensors = vec![
            ("ages".to_owned(), numbers(&records, ages)),
            lines("ids", ids.as_bytes()),
            ("labels".to_owned(), numbers(&table, truth)),
            ("logits".to_owned(), numbers(&table, logits)),
            lines("patients", patients.as_bytes()),
            lines("sexes", sexes.as_bytes()),
            lines("views", views.as_bytes()),
        ];
        if !self.sources.is_empty() {
            tensors.push(lines("sources", sources.as_bytes()));
        }
        let header = Header { format: FORMAT, split: self.split, labels: self.labels.clone() };
        let header = serde_json::to_string(&header).expect("strings and a number");
        write_tensors(path, tensors, &[(KEY, header)])?;
        Ok(())
    }

    /// Adds the records of others behind its own.
    ///
    /// # Panics
    /// If these are of other labels.
    pub fn append(&mut self, other: &Predictions) {
        assert_eq!(self.labels, other.labels, "one column for each label");
        self.ids.extend_from_slice(&other.ids);
        self.patients.extend_from_slice(&other.patients);
        self.views.extend_from_slice(&other.views);
        self.sexes.extend_from_slice(&other.sexes);
        self.ages.extend_from_slice(&other.ages);
        self.logits.extend_from_slice(&other.logits);
        self.probabilities.extend_from_slice(&other.probabilities);
        self.truth.extend_from_slice(&other.truth);
    }

    /// Only the records at `places`, in that order.
    ///
    /// # Panics
    /// If a place is not that of a record.
    #[must_use]
    pub fn records(&self, places: &[usize]) -> Predictions {
        fn pick<T: Clone>(values: &[T], places: &[usize], width: usize) -> Vec<T> {
            if values.is_empty() {
                return Vec::new();
            }
            places.iter().flat_map(|at| &values[at * width..(at + 1) * width]).cloned().collect()
        }
        let width = self.labels.len();
        Predictions {
            split: self.split,
            labels: self.labels.clone(),
            ids: pick(&self.ids, places, 1),
            patients: pick(&self.patients, places, 1),
            sources: pick(&self.sources, places, 1),
            views: pick(&self.views, places, 1),
            sexes: pick(&self.sexes, places, 1),
            ages: pick(&self.ages, places, 1),
            logits: pick(&self.logits, places, width),
            probabilities: pick(&self.probabilities, places, width),
            truth: pick(&self.truth, places, width),
        }
    }

    /// Only the labels at `places`, in that order.
    ///
    /// # Panics
    /// If a place is not that of a label.
    #[must_use]
    pub fn of_labels(&self, places: &[usize]) -> Predictions {
        fn pick<T: Copy>(values: &[T], places: &[usize], width: usize) -> Vec<T> {
            values.chunks_exact(width).flat_map(|row| places.iter().map(|&at| row[at])).collect()
        }
        let width = self.labels.len();
        Predictions {
            labels: places.iter().map(|&at| self.labels[at].clone()).collect(),
            logits: pick(&self.logits, places, width),
            probabilities: pick(&self.probabilities, places, width),
            truth: pick(&self.truth, places, width),
            ..self.clone()
        }
    }

    /// Keeps no sources where no record tells of one.
    pub fn forget_unknown_sources(&mut self) {
        if self.sources.iter().all(String::is_empty) {
            self.sources.clear();
        }
    }

    /// A number per record, equal for records of one patient; none where the source does not tell.
    pub fn patient_numbers(&self) -> Option<Vec<u32>> {
        let mut numbers = HashMap::new();
        let number = |patient| {
            let next = numbers.len() as u32;
            *numbers.entry(patient).or_insert(next)
        };
        (!self.patients.is_empty()).then(|| self.patients.iter().map(number).collect())
    }

    /// The same records in the order of those of `first`, so that two models stand side by side.
    ///
    /// # Errors
    /// If the two have scored other labels or other records, or one of them has an id twice.
    pub fn in_order_of(&self, first: &Predictions) -> Result<Predictions, Failure> {
        let mismatch = |message: String| {
            Failure::new(Exit::BadData, message)
                .hint("models can only be compared on the same records and labels")
        };
        if first.labels != self.labels {
            let missing = |a: &Predictions, b: &Predictions| {
                a.labels.iter().find(|label| !b.labels.contains(label)).cloned()
            };
            return Err(mismatch(match missing(first, self).or_else(|| missing(self, first)) {
                Some(label) => format!("only one of the two models scores {label}"),
                None => "the two models have their labels in different orders".to_owned(),
            }));
        }
        let twice =
            |which: &str, id: &str| mismatch(format!("the {which} model has more than one record {id}"));
        let own = places(&self.ids).map_err(|id| twice("second", id))?;
        let others = places(&first.ids).map_err(|id| twice("first", id))?;
        let order = first.ids.iter().map(|id| {
            own.get(id.as_str())
                .copied()
                .ok_or_else(|| mismatch(format!("the second model has no score of {id}")))
        });
        let order = order.collect::<Result<Vec<_>, _>>()?;
        match self.ids.iter().find(|id| !others.contains_key(id.as_str())) {
            Some(id) => Err(mismatch(format!("the first model has no score of {id}"))),
            None => Ok(self.records(&order)),
        }
    }

    /// Reads the file, which is to be of `split`: what is chosen on validation must not meet the test records under
    /// its name.
    ///
    /// # Errors
    /// If it cannot be read, is no such file, or is of another split.
    pub fn load(path: &Path, split: Split) -> Result<Predictions, Failure> {
        let bytes = std::fs::read(path).map_err(|source| FileError::Io {
            path: path.to_owned(),
            action: "read",
            source,
        })?;
        let seal = check_tensors(path, &bytes, "file of predictions")?;
        let (format, predictions) = parse(&bytes).ok_or_else(|| {
            Failure::new(
                Exit::BadData,
                format!("{} is not a predictions file of format {FORMAT}", path.display()),
            )
            .hint("the file was cut off, or another version of this program wrote it")
        })?;
        match seal {
            None if format == UNSEALED => warn_unsealed(path),
            None => {
                let (path, kind) = (path.to_owned(), "file of predictions");
                return Err(FileError::Seal { path, kind }.into());
            }
            Some(_) => {}
        }
        if predictions.split != split {
            let found = predictions.split;
            return Err(Failure::new(
                Exit::BadData,
                format!("{} holds the predictions of the {found} split, not of {split}", path.display()),
            )
            .hint("files were renamed or swapped: put them back, or train again"));
        }
        Ok(predictions)
    }
}

/// Where each id stands, or one that stands there twice.
fn places(ids: &[String]) -> Result<HashMap<&str, usize>, &str> {
    let mut places = HashMap::with_capacity(ids.len());
    for (at, id) in ids.iter().enumerate() {
        if places.insert(id.as_str(), at).is_some() {
            return Err(id);
        }
    }
    Ok(places)
}

/// The format and the predictions.
fn parse(bytes: &[u8]) -> Option<(u32, Predictions)> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let Header { format, split, labels } =
        serde_json::from_str(header.metadata().as_ref()?.get(KEY)?).ok()?;
    if ![FORMAT, UNSEALED].contains(&format) {
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
        sources: if file.names().contains(&"sources") { text("sources")? } else { Vec::new() },
        views: text("views")?,
        sexes: text("sexes")?,
        ages: floats("ages")?,
        logits: floats("logits")?.into_iter().map(f64::from).collect(),
        probabilities: Vec::new(),
        truth: floats("labels")?,
    };
    let records = predictions.ids.len();
    let per_record = [predictions.views.len(), predictions.sexes.len(), predictions.ages.len()];
    let per_cell = [predictions.logits.len(), predictions.truth.len()];
    let whole = per_record == [records; 3]
        && per_cell == [records * predictions.labels.len(); 2]
        && [&predictions.patients, &predictions.sources]
            .iter()
            .all(|of| of.is_empty() || of.len() == records);
    whole.then_some((format, predictions))
}

/// Every line ends, so that an empty one is not lost.
fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

fn lines(text: &str) -> Vec<String> {
    text.split_terminator('\n').map(str::to_owned).collect()
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Predictions {
        Predictions {
            split: Split::Val,
            labels: vec!["Mass".into(), "Hernia".into()],
            ids: vec!["a.png".into(), "ü b.png".into()],
            patients: vec![],
            sources: vec![],
            views: vec!["PA".into(), String::new()],
            sexes: vec![String::new(), String::new()],
            ages: vec![58.0, 0.0],
            logits: vec![-1.0, 2.5, 0.0, -0.0],
            probabilities: vec![],
            truth: vec![0.0, 1.0, 1.0, 0.0],
        }
    }

    #[test]
    fn records_are_picked_with_all_that_is_known_of_them() {
        let patients = ["q", "p"].map(str::to_owned).to_vec();
        let sources = ["chexpert", "nih"].map(str::to_owned).to_vec();
        let picked = Predictions { patients, sources, ..example() }.records(&[1, 0, 1]);
        assert_eq!(picked.sources, ["nih", "chexpert", "nih"]);
        assert_eq!(picked.logits, [0.0, -0.0, -1.0, 2.5, 0.0, -0.0]);
        let probabilities = vec![0.1, 0.2, 0.3, 0.4];
        let of_table = Predictions { probabilities, ..example() };
        assert_eq!(of_table.records(&[1]).probabilities, [0.3, 0.4]);
        assert!(picked.probabilities.is_empty());
        assert_eq!((picked.ages, &picked.views[1][..]), (vec![0.0, 58.0, 0.0], "PA"));
        assert_eq!(picked.patients, ["p", "q", "p"]);
        assert_eq!(example().records(&[1]).patient_numbers(), None);
    }

    #[test]
    fn records_of_others_come_behind() {
        let mut both = example().records(&[1]);
        both.append(&example());
        assert_eq!(both, example().records(&[1, 0, 1]));
    }

    #[test]
    fn records_are_put_into_the_order_of_others() {
        let of =
            |ids: &[&str]| Predictions { ids: ids.iter().map(|&id| id.to_owned()).collect(), ..example() };
        let ordered = of(&["b", "a"]).in_order_of(&of(&["a", "b"])).expect("the same records");
        assert_eq!((ordered.ids, ordered.logits), (vec!["a".into(), "b".into()], vec![0.0, -0.0, -1.0, 2.5]));
        let check = |first: &Predictions, second: &Predictions, message: &str| {
            let failure = second.in_order_of(first).expect_err(message);
            assert_eq!((failure.exit, &failure.message[..]), (Exit::BadData, message));
        };
        let three = Predictions { ages: vec![0.0; 3], ..of(&["a", "b", "c"]) };
        check(&of(&["a", "b"]), &of(&["a", "c"]), "the second model has no score of b");
        check(&of(&["a", "b"]), &three, "the first model has no score of c");
        check(&of(&["a", "a"]), &of(&["a", "b"]), "the first model has more than one record a");
        check(&of(&["a", "b"]), &of(&["b", "b"]), "the second model has more than one record b");
        let labelled =
            |labels: [&str; 2]| Predictions { labels: labels.map(str::to_owned).to_vec(), ..example() };
        check(&example(), &labelled(["Mass", "Edema"]), "only one of the two models scores Hernia");
        let turned = labelled(["Hernia", "Mass"]);
        check(&example(), &turned, "the two models have their labels in different orders");
    }

    #[test]
    fn records_of_one_patient_get_one_number() {
        let patients = ["q", "p", "q"].map(str::to_owned).to_vec();
        assert_eq!(Predictions { patients, ..example() }.patient_numbers(), Some(vec![0, 1, 0]));
    }

    #[test]
    fn sources_are_kept_where_one_is_known() {
        let kept = |sources: [&str; 2]| {
            let mut of = Predictions { sources: sources.map(str::to_owned).to_vec(), ..example() };
            of.forget_unknown_sources();
            of.sources
        };
        assert_eq!(kept(["", "nih"]), ["", "nih"]);
        assert_eq!(kept(["", ""]), [""; 0]);
    }

    #[test]
    fn predictions_come_back_as_they_were_and_a_cut_file_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("predictions-val.safetensors");
        let predictions = example();
        predictions.save(&path).expect("a writable temporary folder");
        assert_eq!(Predictions::load(&path, Split::Val).expect("just written"), predictions);
        let sources = vec!["nih".to_owned(), String::new()];
        let of_several = Predictions { sources, ..example() };
        of_several.save(&path).expect("a writable temporary folder");
        assert_eq!(Predictions::load(&path, Split::Val).expect("just written"), of_several);
        Predictions { sources: vec!["nih".to_owned()], ..example() }.save(&path).expect("writable");
        Predictions::load(&path, Split::Val).expect_err("a source for one of two records");
        predictions.save(&path).expect("a writable temporary folder");
        let failure = Predictions::load(&path, Split::Test).expect_err("of validation");
        assert_eq!(failure.exit, Exit::BadData);
        assert!(
            failure.message.ends_with("holds the predictions of the val split, not of test"),
            "{failure}"
        );
        let bytes = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("a writable temporary folder");
        let failure = Predictions::load(&path, Split::Val).expect_err("cut off");
        assert!(
            failure
                .message
                .ends_with("is not the file of predictions that was written: its checksum differs"),
            "{failure}"
        );
        std::fs::write(&path, "no safetensors").expect("a writable temporary folder");
        let failure = Predictions::load(&path, Split::Val).expect_err("another file");
        assert!(failure.message.ends_with("is not a predictions file of format 3"), "{failure}");
    }
}
