//! Which column of a table is what, by name alone. Two columns that could be the same are refused: which of them was
//! meant, nobody can tell from where they stand.

use super::bad;
use csv::StringRecord;
use xray_artifacts::Failure;
use xray_data::labels::MAX_LABELS;

/// Where what stands.
pub(super) struct Columns {
    pub(super) labels: Vec<LabelColumns>,
    pub(super) id: Option<usize>,
    pub(super) patient: Option<usize>,
    pub(super) source: Option<usize>,
    pub(super) split: Option<usize>,
    pub(super) view: Option<usize>,
    pub(super) sex: Option<usize>,
    pub(super) age: Option<usize>,
    /// Names of the columns that are none of these.
    pub(super) unused: Vec<String>,
}

pub(super) struct LabelColumns {
    pub(super) name: String,
    /// Which of [`SCORE_WORDS`] the column of scores is called by: `prob` and `logit` also of longer forms.
    pub(super) word: &'static str,
    pub(super) truth: usize,
    pub(super) score: usize,
}

/// Forms of one word are followed by the word.
const SCORE_WORDS: [(&str, &str); 10] = [
    ("score", "score"),
    ("scores", "score"),
    ("pred", "pred"),
    ("prediction", "pred"),
    ("predicted", "pred"),
    ("prob", "prob"),
    ("proba", "prob"),
    ("probability", "prob"),
    ("logit", "logit"),
    ("logits", "logit"),
];
const TRUTH_WORDS: [(&str, &str); 8] = [
    ("ground_truth", "truth"),
    ("true", "truth"),
    ("truth", "truth"),
    ("label", "truth"),
    ("labels", "truth"),
    ("target", "truth"),
    ("gt", "truth"),
    ("y", "truth"),
];
const JOINTS: [char; 4] = ['_', '.', ':', ' '];

impl Columns {
    pub(super) fn find(header: &StringRecord) -> Result<Columns, Failure> {
        let header: Vec<&str> = header.iter().collect();
        // First, because every column is compared with every other.
        let scored = header.iter().filter(|column| scored_label(column).is_some()).count();
        if scored > MAX_LABELS {
            return Err(bad(format!("it has scores of {scored} labels, at most {MAX_LABELS} are possible"))
                .hint("score them in several tables"));
        }
        let repeated =
            (1..header.len()).find(|&at| !header[at].is_empty() && header[..at].contains(&header[at]));
        if let Some(at) = repeated {
            return Err(bad(format!("two columns are called `{}`", header[at])).hint(ONE_MEANING));
        }
        let named = |what: &str, names: &[&str]| {
            let fits = |at: &usize| names.iter().any(|known| header[*at].eq_ignore_ascii_case(known));
            only(&header, &format!("could be the {what}"), (0..header.len()).filter(fits))
        };
        let labels = labels(&header)?;
        if labels.is_empty() {
            return Err(bad("no column has scores").hint(
                "name the columns of each label such as `Mass` (0 or 1) and `score_Mass`; see `xray-eval score --help`",
            ));
        }
        let mut columns = Columns {
            id: named("id", &["id", "image", "image_id", "Image Index"])?,
            patient: named("patient", &["patient", "patient_id", "Patient ID"])?,
            source: named("source", &["source"])?,
            split: named("split", &["split"])?,
            view: named("view", &["view", "view_position", "View Position"])?,
            sex: named("sex", &["sex", "gender", "patient_sex", "Patient Gender"])?,
            age: named("age", &["age", "patient_age", "Patient Age"])?,
            unused: Vec::new(),
            labels,
        };
        let used = |at: &usize| {
            let Columns { id, patient, source, split, view, sex, age, .. } = columns;
            [id, patient, source, split, view, sex, age].contains(&Some(*at))
                || columns.labels.iter().any(|label| [label.truth, label.score].contains(at))
        };
        let name = |at: usize| if header[at].is_empty() { "(no name)" } else { header[at] }.to_owned();
        columns.unused = (0..header.len()).filter(|at| !used(at)).map(name).collect();
        Ok(columns)
    }

    /// The labels' names.
    pub(super) fn names(&self) -> Vec<String> {
        self.labels.iter().map(|label| label.name.clone()).collect()
    }
}

const ONE_MEANING: &str = "it is unclear which is meant: rename or remove one";

/// The labels that have a column of scores, in the order of these columns.
fn labels(header: &[&str]) -> Result<Vec<LabelColumns>, Failure> {
    let scored = header.iter().enumerate().filter_map(|(at, column)| {
        let (name, word) = scored_label(column)?;
        Some((at, name, word))
    });
    let scored: Vec<(usize, &str, &'static str)> = scored.collect();
    let mut labels: Vec<LabelColumns> = Vec::new();
    for &(score, name, word) in &scored {
        let of_name = scored.iter().filter(|(_, other, _)| other.eq_ignore_ascii_case(name));
        only(header, &format!("have scores of {name}"), of_name.map(|(at, ..)| *at))?;
        let fits = |at: &usize| *at != score && is_truth_of(header[*at], name);
        let truth = only(header, &format!("have truths of {name}"), (0..header.len()).filter(fits))?
            .ok_or_else(|| {
                let column = header[score];
                bad(format!("the column `{column}` has scores, but no column has the truths of {name}"))
                    .hint(format!("name one `{name}` or `true_{name}`, with 0 and 1"))
            })?;
        labels.push(LabelColumns { name: name.to_owned(), word, truth, score });
    }
    Ok(labels)
}

/// The one column of `fitting`, if there is one.
fn only(
    header: &[&str],
    what: &str,
    mut fitting: impl Iterator<Item = usize>,
) -> Result<Option<usize>, Failure> {
    match (fitting.next(), fitting.next()) {
        (Some(one), Some(two)) => {
            let (one, two) = (header[one], header[two]);
            Err(bad(format!("two columns {what}: `{one}` and `{two}`")).hint(ONE_MEANING))
        }
        (one, _) => Ok(one),
    }
}

/// The label that a column has scores of, and the word that says so: `y_score_Mass` and `Mass_pred_prob` are of Mass. A
/// `y` alone in `y_score` is the label.
fn scored_label(column: &str) -> Option<(&str, &'static str)> {
    let stripped = |name| {
        let (mut name, mut word) = without_word(name, &SCORE_WORDS)?;
        while let Some((shorter, other)) = without_word(name, &SCORE_WORDS) {
            // `pred_prob` says what kind of prediction.
            (name, word) = (shorter, if word == "pred" { other } else { word });
        }
        Some((name, word))
    };
    let of_y = without_word(column, &[("y", "y")]).and_then(|(rest, _)| stripped(rest));
    of_y.or_else(|| stripped(column))
}

/// Whether a column is called like the label, or like its truths: `y_true_Mass` is of Mass.
fn is_truth_of(column: &str, label: &str) -> bool {
    let mut name = column;
    loop {
        if name.eq_ignore_ascii_case(label) {
            return true;
        }
        let Some((shorter, _)) = without_word(name, &TRUTH_WORDS) else { return false };
        name = shorter;
    }
}

/// The rest of a name that begins or ends with one of `words`, and what stands for the word.
fn without_word<'a>(name: &'a str, words: &[(&str, &'static str)]) -> Option<(&'a str, &'static str)> {
    words.iter().find_map(|(word, stands)| {
        let length = word.len();
        let begins = name.get(..length).is_some_and(|part| part.eq_ignore_ascii_case(word));
        let rest = begins.then(|| name[length..].strip_prefix(JOINTS)).flatten();
        let rest = rest.or_else(|| {
            let at = name.len().checked_sub(length)?;
            let ends = name.get(at..)?.eq_ignore_ascii_case(word);
            ends.then(|| name[..at].strip_suffix(JOINTS)).flatten()
        });
        rest.filter(|rest| !rest.is_empty()).map(|rest| (rest, *stands))
    })
}
