//! One row of a table: what its cells say, in whatever spelling tables have it.

use super::clip::Clip;
use super::kind::{ScoreKind, probability};
use super::{Columns, bad};
use csv::StringRecord;
use xray_artifacts::{Failure, Predictions, Split};

/// In years; above, a number is not an age.
const OLDEST: f32 = 120.0;

pub(super) struct Row {
    pub(super) line: u64,
    pub(super) id: String,
    pub(super) patient: String,
    pub(super) source: String,
    pub(super) split: Split,
    pub(super) view: String,
    pub(super) sex: String,
    pub(super) age: f32,
    pub(super) scores: Vec<f64>,
    pub(super) truth: Vec<f32>,
}

impl Row {
    /// Or what is wrong with it.
    pub(super) fn parse(row: &StringRecord, columns: &Columns) -> Result<Row, Failure> {
        let text = |column: Option<usize>| column.and_then(|at| row.get(at)).unwrap_or_default();
        let known = |column: Option<usize>| Some(text(column)).filter(|text| !is_unknown(text));
        let line = row.position().map_or(0, csv::Position::line);
        let wrong = |what: &str| bad(format!("line {line}: {what}"));
        let id = columns.id.map_or_else(|| line.to_string(), |_| without_zeros(text(columns.id)).to_owned());
        if id.is_empty() {
            return Err(wrong("the id is empty"));
        }
        let mut scores = Vec::with_capacity(columns.labels.len());
        let mut truth = Vec::with_capacity(columns.labels.len());
        for label in &columns.labels {
            let (score, said) = (&row[label.score], &row[label.truth]);
            let number = score.parse::<f64>().ok().filter(|number| number.is_finite());
            scores.push(number.ok_or_else(|| {
                wrong(&format!("the score of {} is `{}`, not a number", label.name, start(score)))
                    .hint(how_numbers_are_written(score))
            })?);
            truth.push(parse_truth(said).ok_or_else(|| {
                let said = start(said);
                wrong(&format!("the truth of {} is `{said}`, not 0, 1 or empty for unknown", label.name))
            })?);
        }
        let split = match known(columns.split).unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "test" => Split::Test,
            "val" | "valid" | "validation" => Split::Val,
            "train" => Split::Train,
            other => return Err(wrong(&format!("the split is `{}`, not val or test", start(other)))),
        };
        let age = known(columns.age).map(|age| {
            let years = age.parse::<f32>().ok().filter(|years| (0.0..=OLDEST).contains(years));
            years.ok_or_else(|| {
                wrong(&format!("the age is `{}`", start(age)))
                    .hint("in years, from 0 to 120, or empty for unknown")
            })
        });
        let age = age.transpose()?.unwrap_or(f32::NAN);
        let patient = without_zeros(known(columns.patient).unwrap_or_default()).to_owned();
        let [source, view, sex] =
            [columns.source, columns.view, columns.sex].map(|at| known(at).unwrap_or_default().to_owned());
        Ok(Row { line, id, patient, source, split, view, sex, age, scores, truth })
    }

    /// `clips` has one per label.
    pub(super) fn push_to(self, predictions: &mut Predictions, kind: ScoreKind, clips: &[Clip]) {
        predictions.ids.push(self.id);
        predictions.patients.push(self.patient);
        predictions.sources.push(self.source);
        predictions.views.push(self.view);
        predictions.sexes.push(self.sex);
        predictions.ages.push(self.age);
        predictions.truth.extend(self.truth);
        for (score, clip) in self.scores.into_iter().zip(clips) {
            let probability = probability(kind, score);
            predictions.logits.push(probability.map_or(score, |probability| clip.logit(probability)));
            predictions.probabilities.extend(probability);
        }
    }

    /// Whether all but the place is the same.
    pub(super) fn repeats(&self, other: &Row) -> bool {
        let bits = |truth: &[f32]| truth.iter().map(|truth| truth.to_bits()).collect::<Vec<_>>();
        (self.split, &self.patient, &self.scores) == (other.split, &other.patient, &other.scores)
            && bits(&self.truth) == bits(&other.truth)
    }
}

/// The beginning of a cell, short enough for a message.
fn start(cell: &str) -> String {
    const LENGTH: usize = 40;
    let start: String = cell.chars().take(LENGTH).collect();
    if start.len() < cell.len() { start + "…" } else { start }
}

fn how_numbers_are_written(cell: &str) -> &'static str {
    if is_unknown(cell) {
        "every row has a score of every label: leave rows without out"
    } else if cell.parse::<f64>().is_ok() {
        "a score is finite: clip logits, such as to -100 and 100"
    } else if cell.ends_with('%') {
        "write percentages without the sign, and say --scores percent"
    } else if cell.contains(',') {
        "decimals take a point, thousands take nothing"
    } else {
        "such as 0.25 or 2.5e-1"
    }
}

/// What tables have where nothing is known.
fn is_unknown(text: &str) -> bool {
    ["", "nan", "na", "n/a", "<na>", "none", "null"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// 0, 1 or NaN for unknown, as numbers of any digits or as words.
fn parse_truth(text: &str) -> Option<f32> {
    if is_unknown(text) {
        return Some(f32::NAN);
    }
    match text.to_ascii_lowercase().as_str() {
        "false" | "no" => return Some(0.0),
        "true" | "yes" => return Some(1.0),
        _ => {}
    }
    match text.parse::<f64>().ok()? {
        -1.0 => Some(f32::NAN),
        0.0 => Some(0.0),
        1.0 => Some(1.0),
        _ => None,
    }
}

/// `7.0`, which tables make of a patient or an image 7 where another row has none, is `7`.
fn without_zeros(name: &str) -> &str {
    let digits = |text: &str, of: fn(u8) -> bool| !text.is_empty() && text.bytes().all(of);
    match name.split_once('.') {
        Some((whole, rest)) if digits(whole, |c| c.is_ascii_digit()) && digits(rest, |c| c == b'0') => whole,
        _ => name,
    }
}
