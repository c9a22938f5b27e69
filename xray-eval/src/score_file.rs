//! A table of truths and scores from any framework: CSV with one row per image and, per label, a column of
//! truths and a column of scores.
//!
//! The label `Mass` has its truths in `Mass`, `true_Mass` or `Mass_true` and its scores in `score_Mass` or
//! `Mass_score`; `pred`, `prob` and `logit` serve as well as `score`, `label` and `y` as well as `true`, and any
//! of `_`, `.`, `:` and a space may join them. Scores are logits if they leave 0 to 1 (unless a column is called `prob`) or
//! all columns are called `logit`, otherwise probabilities. Truths are 0, 1, or empty, `nan` or -1 for unknown. The columns
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
    /// What of the rows a reader should know.
    pub notes: Vec<String>,
}

const SCORE_WORDS: [&str; 4] = ["score", "pred", "prob", "logit"];
const TRUTH_WORDS: [&str; 3] = ["true", "label", "y"];
const JOINTS: [char; 4] = ['_', '.', ':', ' '];

impl ScoreFile {
    /// Reads `path`. Without a `kind`, names and values tell what the scores are.
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
    let mut notes = Vec::new();
    if columns.id.is_none() {
        notes.push(
            "there is no column `id`: rows are known, and matched with another model's, by their line".into(),
        );
    }
    for (split, predictions) in &mut splits {
        let lacking = predictions.patients.iter().filter(|patient| patient.is_empty()).count();
        // Patients of some rows only are of no use to a bootstrap by patient.
        if lacking > 0 {
            let rows = predictions.patients.len();
            predictions.patients.clear();
            if columns.patient.is_some() {
                notes.push(format!(
                    "{lacking} of {rows} {split} rows name no patient, so that no patient of this split counts: \
                     records are taken as independent, and intervals are too narrow where patients recur"
                ));
            }
        }
    }
    Ok(ScoreFile { kind, splits, notes })
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Exit::BadData, message)
}

/// So far beyond 0 and 1 a probability gets by rounding, and a logit hardly ever stays.
const ROUNDING: f64 = 0.01;

fn decide(kind: Option<ScoreKind>, rows: &[Row], columns: &Columns) -> Result<ScoreKind, Failure> {
    let outside = rows.iter().find_map(|row| {
        let at = row.scores.iter().position(|score| !(0.0..=1.0).contains(score))?;
        Some((row, at))
    });
    let refused = |why: &str| {
        let (row, at) = outside.expect("only called where a score is outside");
        let (id, label, score) = (&row.id, &columns.labels[at].name, row.scores[at]);
        bad(format!("row {id}: the score of {label} is {score}, {why}"))
            .hint("say --scores logits, or clip probabilities to 0 and 1")
    };
    let called = |word: &str| columns.labels.iter().filter(|label| label.word == word).count();
    match kind {
        Some(ScoreKind::Logits) => Ok(ScoreKind::Logits),
        None if called("logit") == columns.labels.len() => Ok(ScoreKind::Logits),
        _ if outside.is_none() => Ok(ScoreKind::Probabilities),
        Some(ScoreKind::Probabilities) => Err(refused("no probability")),
        None if called("prob") > 0 => {
            Err(refused("but columns are called `prob`, and that is no probability"))
        }
        None if rows
            .iter()
            .flat_map(|row| &row.scores)
            .all(|score| (-ROUNDING..=1.0 + ROUNDING).contains(score)) =>
        {
            Err(refused("just outside 0 to 1: neither a probability nor surely a logit"))
        }
        None => Ok(ScoreKind::Logits),
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
    /// Which of [`SCORE_WORDS`] the column of scores is called by.
    word: &'static str,
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
            let Some((name, word)) = without_word(column, &SCORE_WORDS) else { continue };
            let truth = header.iter().enumerate().find(|&(at, column)| {
                at != score
                    && (column == name
                        || without_word(column, &TRUTH_WORDS).is_some_and(|(of, _)| of == name))
            });
            let Some((truth, _)) = truth else {
                let message =
                    format!("the column `{column}` has scores, but no column has the truths of {name}");
                return Err(bad(message).hint(format!("name one `{name}` or `true_{name}`, with 0 and 1")));
            };
            if labels.iter().any(|label: &LabelColumns| label.name == name) {
                return Err(bad(format!("two columns have scores of {name}")));
            }
            labels.push(LabelColumns { name: name.to_owned(), word, truth, score });
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

/// The rest of a name that begins or ends with one of `words`, and the word.
fn without_word<'a>(name: &'a str, words: &[&'static str]) -> Option<(&'a str, &'static str)> {
    words.iter().find_map(|word| {
        let rest = name.strip_prefix(word).and_then(|rest| rest.strip_prefix(JOINTS));
        let rest = rest.or_else(|| name.strip_suffix(word).and_then(|rest| rest.strip_suffix(JOINTS)));
        rest.filter(|rest| !rest.is_empty()).map(|rest| (rest, *word))
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
    fn one_score_just_outside_does_not_make_logits_of_probabilities() {
        let just = "just outside 0 to 1: neither a probability nor surely a logit";
        let high = "Mass,score_Mass\n1,0.5\n0,1.0000001\n";
        check_refused(high, None, &format!("row 3: the score of Mass is 1.0000001, {just}"));
        let low = "id,Mass,score_Mass\na,1,-0.01\nb,0,0.2\n";
        check_refused(low, None, &format!("row a: the score of Mass is -0.01, {just}"));
        assert!(of(high).expect_err("refused").hint.is_some_and(|hint| hint.contains("--scores logits")));
        let kind = |text: &str, kind| read(text.as_bytes(), kind).expect("good").kind;
        assert_eq!(kind(high, Some(ScoreKind::Logits)), ScoreKind::Logits);
        assert_eq!(kind("Mass,score_Mass\n1,0.5\n0,1.02\n", None), ScoreKind::Logits);
    }

    #[test]
    fn a_column_of_that_name_holds_probabilities_or_logits() {
        let message =
            "row 3: the score of Mass is 3, but columns are called `prob`, and that is no probability";
        check_refused("Mass,Mass_prob\n1,0.5\n0,3\n", None, message);
        let mixed = "Mass,Edema,prob_Mass,logit_Edema\n1,0,0.5,-3\n";
        let message =
            "row 2: the score of Edema is -3, but columns are called `prob`, and that is no probability";
        check_refused(mixed, None, message);
        let kind = |text: &str| of(text).expect("good").kind;
        assert_eq!(kind("Mass,prob_Mass\n1,0.5\n0,1\n"), ScoreKind::Probabilities);
        assert_eq!(kind("Mass,logit_Mass\n1,0.5\n0,1\n"), ScoreKind::Logits);
    }

    #[test]
    fn patients_of_some_rows_are_no_patients_and_it_says_how_many_lack_one() {
        let text = "id,Mass,score_Mass,patient,split\na,1,0.5,p1,test\nb,0,0.5,,test\nc,0,0.5,p2,val\n";
        let file = of(text).expect("good");
        assert!(file.splits[&Split::Test].patients.is_empty());
        assert_eq!(file.splits[&Split::Val].patients, ["p2"]);
        let [note] = &file.notes[..] else { panic!("{:?}", file.notes) };
        assert!(note.starts_with("1 of 2 test rows name no patient"), "{note}");
        assert_eq!(of("id,Mass,score_Mass\n1,1,0.5\n").expect("good").notes, [""; 0]);
        let [note] = &of("Mass,score_Mass\n1,0.5\n").expect("good").notes[..] else { panic!("one note") };
        assert!(note.contains("by their line"), "{note}");
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
