//! One row of a table: what its cells say, in whatever spelling tables have it.

use super::{Columns, ScoreKind};
use csv::StringRecord;
use xray_artifacts::{Predictions, Split};

pub(super) struct Row {
    pub(super) line: u64,
    pub(super) id: String,
    pub(super) patient: String,
    pub(super) split: Split,
    pub(super) view: String,
    pub(super) sex: String,
    pub(super) age: f32,
    pub(super) scores: Vec<f64>,
    pub(super) truth: Vec<f32>,
}

impl Row {
    /// Or what is wrong with it.
    pub(super) fn parse(row: &StringRecord, columns: &Columns) -> Result<Row, String> {
        let text = |column: Option<usize>| column.and_then(|at| row.get(at)).unwrap_or_default();
        let known = |column: Option<usize>| Some(text(column)).filter(|text| !is_unknown(text));
        let line = row.position().map_or(0, csv::Position::line);
        let id = columns.id.map_or_else(|| line.to_string(), |_| text(columns.id).to_owned());
        if id.is_empty() {
            return Err("the id is empty".to_owned());
        }
        let mut scores = Vec::with_capacity(columns.labels.len());
        let mut truth = Vec::with_capacity(columns.labels.len());
        for label in &columns.labels {
            let (score, said) = (&row[label.score], &row[label.truth]);
            let number = score.parse::<f64>().ok().filter(|number| number.is_finite());
            scores
                .push(number.ok_or_else(|| format!("the score of {} is `{score}`, no number", label.name))?);
            truth.push(parse_truth(said).ok_or_else(|| {
                format!("the truth of {} is `{said}`, not 0, 1 or empty for unknown", label.name)
            })?);
        }
        let split = match known(columns.split).unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "test" => Split::Test,
            "val" | "valid" | "validation" => Split::Val,
            "train" => Split::Train,
            other => return Err(format!("the split is `{other}`, not val or test")),
        };
        let age = known(columns.age).map(|age| age.parse().map_err(|_| format!("the age is `{age}`")));
        let age = age.transpose()?.unwrap_or(f32::NAN);
        let patient = without_zeros(known(columns.patient).unwrap_or_default()).to_owned();
        let [view, sex] = [columns.view, columns.sex].map(|at| known(at).unwrap_or_default().to_owned());
        Ok(Row { line, id, patient, split, view, sex, age, scores, truth })
    }

    pub(super) fn push_to(self, predictions: &mut Predictions, kind: ScoreKind) {
        predictions.ids.push(self.id);
        predictions.patients.push(self.patient);
        predictions.views.push(self.view);
        predictions.sexes.push(self.sex);
        predictions.ages.push(self.age);
        predictions.truth.extend(self.truth);
        let logit = |score: f64| match kind {
            ScoreKind::Logits => score,
            ScoreKind::Probabilities => logit(score),
        };
        predictions.logits.extend(self.scores.into_iter().map(logit));
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

/// `7.0`, which tables make of a patient 7 where another row has none, is `7`.
fn without_zeros(patient: &str) -> &str {
    let digits = |text: &str, of: fn(u8) -> bool| !text.is_empty() && text.bytes().all(of);
    match patient.split_once('.') {
        Some((whole, rest)) if digits(whole, |c| c.is_ascii_digit()) && digits(rest, |c| c == b'0') => whole,
        _ => patient,
    }
}

/// The inverse of the sigmoid; a certain probability becomes one that double precision tells from it.
fn logit(probability: f64) -> f64 {
    let p = probability.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
    p.ln() - (-p).ln_1p()
}
