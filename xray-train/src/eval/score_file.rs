//! A table of truths and scores from any framework: CSV with one row per image and, per label, a column of
//! truths and a column of scores.
//!
//! The label `Mass` has its truths in `Mass`, `true_Mass` or `Mass_true` and its scores in `score_Mass` or
//! `Mass_score`; `pred`, `prob` and `logit` serve as well as `score`, `label` and `y` as well as `true`, and any
//! of `_`, `.`, `:` and a space may join them. Truths are 0, 1, or empty, `nan` or -1 for unknown. The columns
//! `id`, `patient`, `split` (`val` or `test`), `view`, `sex` and `age` may be there too; others are passed over.

use csv::StringRecord;
use std::collections::BTreeMap;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError, Predictions, Split};

/// What the numbers in score columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ScoreKind {
    /// Between 0 and 1.
    Probabilities,
    /// Any number; a sigmoid makes it a probability.
    Logits,
}

/// The rows of a score file, by split. Rows without a split are of the test split.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreFile {
    /// What the scores were taken for.
    pub kind: ScoreKind,
    /// At least one.
    pub splits: BTreeMap<Split, Predictions>,
}

const SCORE_WORDS: [&str; 4] = ["score", "pred", "prob", "logit"];
const TRUTH_WORDS: [&str; 3] = ["true", "label", "y"];
const JOINTS: [char; 4] = ['_', '.', ':', ' '];

impl ScoreFile {
    /// Reads `path`. Without a `kind`, scores are probabilities if all are between 0 and 1.
    pub fn read(path: &Path, kind: Option<ScoreKind>) -> Result<ScoreFile, Failure> {
        let file = std::fs::File::open(path).map_err(|source| FileError::Io {
            path: path.to_owned(),
            action: "read",
            source,
        })?;
        let prefixed = |failure: Failure| Failure {
            message: format!("{}: {}", path.display(), failure.message),
            ..failure
        };
        read(file, kind).map_err(prefixed)
    }
}

fn read(file: impl std::io::Read, kind: Option<ScoreKind>) -> Result<ScoreFile, Failure> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let broken = |error: csv::Error| bad(error.to_string());
    let columns = Columns::find(reader.headers().map_err(broken)?)?;
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(broken)?;
        let line = row.position().map_or(0, csv::Position::line);
        rows.push(columns.row(&row).map_err(|why| bad(format!("line {line}: {why}")))?);
    }
    if rows.is_empty() {
        return Err(bad("no rows below the header"));
    }
    let kind = decide(kind, &rows, &columns)?;
    let mut splits: BTreeMap<Split, Predictions> = BTreeMap::new();
    for row in rows {
        let predictions =
            splits.entry(row.split).or_insert_with(|| Predictions::empty(row.split, columns.names()));
        row.push_to(predictions, kind);
    }
    for predictions in splits.values_mut() {
        // Patients of some rows only are of no use to a bootstrap by patient.
        if predictions.patients.iter().any(String::is_empty) {
            predictions.patients.clear();
        }
    }
    Ok(ScoreFile { kind, splits })
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Exit::BadData, message)
}

fn decide(kind: Option<ScoreKind>, rows: &[Row], columns: &Columns) -> Result<ScoreKind, Failure> {
    let outside = rows.iter().find_map(|row| {
        let at = row.scores.iter().position(|score| !(0.0..=1.0).contains(score))?;
        Some((row, at))
    });
    match (kind, outside) {
        (Some(ScoreKind::Probabilities), Some((row, at))) => {
            let (id, label) = (&row.id, &columns.labels[at].name);
            Err(bad(format!("row {id}: the score of {label} is {}, no probability", row.scores[at]))
                .hint("say --scores logits, or write probabilities between 0 and 1"))
        }
        (Some(kind), _) => Ok(kind),
        (None, Some(_)) => Ok(ScoreKind::Logits),
        (None, None) => Ok(ScoreKind::Probabilities),
    }
}

/// Where what stands.
struct Columns {
    labels: Vec<LabelColumns>,
    id: Option<usize>,
    patient: Option<usize>,
    split: Option<usize>,
    view: Option<usize>,
    sex: Option<usize>,
    age: Option<usize>,
}

struct LabelColumns {
    name: String,
    truth: usize,
    score: usize,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Columns, Failure> {
        let named = |names: &[&str]| {
            header.iter().position(|name| names.iter().any(|known| name.eq_ignore_ascii_case(known)))
        };
        let mut labels = Vec::new();
        for (score, column) in header.iter().enumerate() {
            let Some(name) = without_word(column, &SCORE_WORDS) else { continue };
            let truth = header.iter().enumerate().find(|&(at, column)| {
                at != score && (column == name || without_word(column, &TRUTH_WORDS) == Some(name))
            });
            let Some((truth, _)) = truth else {
                let message =
                    format!("the column `{column}` has scores, but no column has the truths of {name}");
                return Err(bad(message).hint(format!("name one `{name}` or `true_{name}`, with 0 and 1")));
            };
            if labels.iter().any(|label: &LabelColumns| label.name == name) {
                return Err(bad(format!("two columns have scores of {name}")));
            }
            labels.push(LabelColumns { name: name.to_owned(), truth, score });
        }
        if labels.is_empty() {
            return Err(bad("no column has scores").hint(
                "name the columns of each label such as `Mass` (0 or 1) and `score_Mass`; see `xray-eval score --help`",
            ));
        }
        Ok(Columns {
            labels,
            id: named(&["id", "image", "image_id", "Image Index"]),
            patient: named(&["patient", "patient_id", "Patient ID"]),
            split: named(&["split"]),
            view: named(&["view", "view_position", "View Position"]),
            sex: named(&["sex", "gender", "patient_sex", "Patient Gender"]),
            age: named(&["age", "patient_age", "Patient Age"]),
        })
    }

    fn row(&self, row: &StringRecord) -> Result<Row, String> {
        let text = |column: Option<usize>| column.and_then(|at| row.get(at)).unwrap_or_default().to_owned();
        let line = row.position().map_or(0, csv::Position::line);
        let id = self.id.map_or_else(|| line.to_string(), |_| text(self.id));
        let mut scores = Vec::with_capacity(self.labels.len());
        let mut truth = Vec::with_capacity(self.labels.len());
        for label in &self.labels {
            let (score, said) = (&row[label.score], &row[label.truth]);
            let number = score.parse::<f64>().ok().filter(|number| number.is_finite());
            scores
                .push(number.ok_or_else(|| format!("the score of {} is `{score}`, no number", label.name))?);
            truth.push(parse_truth(said).ok_or_else(|| {
                format!("the truth of {} is `{said}`, not 0, 1 or empty for unknown", label.name)
            })?);
        }
        let split = match text(self.split).to_ascii_lowercase().as_str() {
            "" | "test" => Split::Test,
            "val" | "valid" | "validation" => Split::Val,
            "train" => Split::Train,
            other => return Err(format!("the split is `{other}`, not val or test")),
        };
        let age = text(self.age);
        let age =
            if age.is_empty() { f32::NAN } else { age.parse().map_err(|_| format!("the age is `{age}`"))? };
        let (patient, view, sex) = (text(self.patient), text(self.view), text(self.sex));
        Ok(Row { id, patient, split, view, sex, age, scores, truth })
    }

    fn names(&self) -> Vec<String> {
        self.labels.iter().map(|label| label.name.clone()).collect()
    }
}

/// The rest of a name that begins or ends with one of `words`.
fn without_word<'a>(name: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().find_map(|word| {
        let rest = name.strip_prefix(word).and_then(|rest| rest.strip_prefix(JOINTS));
        let rest = rest.or_else(|| name.strip_suffix(word).and_then(|rest| rest.strip_suffix(JOINTS)));
        rest.filter(|rest| !rest.is_empty())
    })
}

fn parse_truth(text: &str) -> Option<f32> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "0.0" | "false" => Some(0.0),
        "1" | "1.0" | "true" => Some(1.0),
        "" | "nan" | "-1" | "-1.0" => Some(f32::NAN),
        _ => None,
    }
}

struct Row {
    id: String,
    patient: String,
    split: Split,
    view: String,
    sex: String,
    age: f32,
    scores: Vec<f64>,
    truth: Vec<f32>,
}

impl Row {
    fn push_to(self, predictions: &mut Predictions, kind: ScoreKind) {
        predictions.ids.push(self.id);
        predictions.patients.push(self.patient);
        predictions.views.push(self.view);
        predictions.sexes.push(self.sex);
        predictions.ages.push(self.age);
        predictions.truth.extend(self.truth);
        let logit = |score: f64| match kind {
            ScoreKind::Logits => score as f32,
            ScoreKind::Probabilities => logit(score) as f32,
        };
        predictions.logits.extend(self.scores.into_iter().map(logit));
    }
}

/// The inverse of the sigmoid; a certain probability becomes one that double precision tells from it.
fn logit(probability: f64) -> f64 {
    let p = probability.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
    p.ln() - (-p).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<ScoreFile, Failure> {
        read(text.as_bytes(), None)
    }

    fn check_refused(text: &str, kind: Option<ScoreKind>, message: &str) {
        assert_eq!(read(text.as_bytes(), kind).expect_err(message).message, message);
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let text = "score_Mass,patient,Mass,Hernia_true,id,Hernia.prob,split\n0.5,p1,1,0,a.png,0.25,val\n\
                    0.75,p2,,-1,b.png,1,\n";
        let file = of(text).expect("good");
        assert_eq!(file.kind, ScoreKind::Probabilities);
        let (val, test) = (&file.splits[&Split::Val], &file.splits[&Split::Test]);
        assert_eq!(val.labels, ["Mass", "Hernia"]);
        assert_eq!((val.logits[0], val.truth[0], val.truth[1]), (0.0, 1.0, 0.0));
        assert!((val.logits[1] + 3_f32.ln()).abs() < 1e-6, "{}", val.logits[1]);
        assert_eq!((&test.ids[0][..], &test.patients[0][..]), ("b.png", "p2"));
        assert!(test.truth.iter().all(|truth| truth.is_nan()));
        assert!(test.logits[1] > 36.0 && test.logits[1].is_finite(), "{}", test.logits[1]);
    }

    #[test]
    fn numbers_outside_0_to_1_are_logits_unless_they_must_not_be() {
        let text = "Mass,score_Mass\n1,-3.5\n0,0.5\n";
        let file = of(text).expect("good");
        assert_eq!((file.kind, &file.splits[&Split::Test].logits[..]), (ScoreKind::Logits, &[-3.5, 0.5][..]));
        let message = "row 2: the score of Mass is -3.5, no probability";
        check_refused(text, Some(ScoreKind::Probabilities), message);
    }

    #[test]
    fn patients_of_some_rows_are_no_patients() {
        let file = of("Mass,score_Mass,patient\n1,0.5,p1\n0,0.5,\n").expect("good");
        assert!(file.splits[&Split::Test].patients.is_empty());
    }

    #[test]
    fn what_cannot_be_read_names_its_line_and_label() {
        check_refused("a,b\n1,2\n", None, "no column has scores");
        check_refused("Mass,score_Mass\n", None, "no rows below the header");
        check_refused(
            "id,score_Mass\n1,0.5\n",
            None,
            "the column `score_Mass` has scores, but no column has the truths of Mass",
        );
        check_refused("Mass,score_Mass,Mass_pred\n1,0.5,0.5\n", None, "two columns have scores of Mass");
        check_refused(
            "Mass,score_Mass\n1,0.5\n0,nan\n",
            None,
            "line 3: the score of Mass is `nan`, no number",
        );
        check_refused(
            "Mass,score_Mass\n2,0.5\n",
            None,
            "line 2: the truth of Mass is `2`, not 0, 1 or empty for unknown",
        );
        check_refused(
            "Mass,score_Mass,split\n1,0.5,dev\n",
            None,
            "line 2: the split is `dev`, not val or test",
        );
        let short = of("Mass,score_Mass\n1\n").expect_err("short").message;
        assert!(short.contains("line: 2"), "{short}");
    }
}
