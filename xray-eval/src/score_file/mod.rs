//! A table of truths and scores from any framework: CSV with one row per image and, per label, a column of
//! truths and a column of scores.
//!
//! The label `Mass` has its truths in `Mass`, `true_Mass` or `Mass_true` and its scores in `score_Mass` or
//! `Mass_score`; `pred`, `prob` and `logit` serve as well as `score`, `label`, `target`, `gt` and `y` as well as `true`,
//! and any of `_`, `.`, `:` and a space may join them. Scores are probabilities if all are between 0 and 1, and logits if
//! every label has some below 0 or all columns are called `logit`; of others the caller says what they are. Truths are 0 or
//! 1, also as `1.000`, `True` or `no`, and empty, `nan` or -1 for unknown. The columns `id`, `patient`, `source`, `split`
//! (`val` or `test`), `view`, `sex` and `age` may be there too; a note names all others. Commas, semicolons or tabs separate columns.
//! Two columns of one meaning are refused, and so is an id that comes twice.

mod clip;
mod columns;
mod kind;
mod row;
#[cfg(test)]
mod strange_tables;

pub use kind::ScoreKind;

use clip::Clip;
use columns::Columns;
use csv::StringRecord;
use row::Row;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError, Predictions, Split, read_bounded};
use xray_display::counted;

/// A million rows of 14 labels are a third of it.
const LARGEST: u64 = 1 << 30;

/// The rows of a score file, by split. Rows without a split are of the test split.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreFile {
    /// What the scores were taken for.
    pub kind: ScoreKind,
    /// At least one.
    pub splits: BTreeMap<Split, Predictions>,
    /// What of the scores a reader should know who looks at more than ranks.
    pub kind_notes: Vec<String>,
    /// What of the rows a reader should know.
    pub notes: Vec<String>,
}

impl ScoreFile {
    /// Reads `path`, which may be a pipe. Without a `kind`, names and values tell what the scores are.
    pub fn read(path: &Path, kind: Option<ScoreKind>) -> Result<ScoreFile, Failure> {
        let bytes = File::open(path).and_then(|file| read_bounded(file, LARGEST));
        let bytes =
            bytes.map_err(|source| FileError::Io { path: path.to_owned(), action: "read", source })?;
        let prefixed = |failure: Failure| Failure {
            message: format!("{}: {}", path.display(), failure.message),
            ..failure
        };
        read(&bytes, kind).map_err(prefixed)
    }
}

fn read(bytes: &[u8], kind: Option<ScoreKind>) -> Result<ScoreFile, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| bad("it is not UTF-8 text").hint("save the table as CSV in UTF-8"))?;
    if text.contains('\0') {
        return Err(bad("it has zero bytes, as UTF-16 has").hint("save the table as CSV in UTF-8"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let separator = separator(text);
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).delimiter(separator).from_reader(text.as_bytes());
    let broken = |error: csv::Error| {
        bad(error.to_string())
            .hint("every row has as many cells as the header; quotes hold cells with separators in them")
    };
    let header = plain(reader.headers().map_err(broken)?)?;
    let columns = Columns::find(&header)?;
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = plain(&row.map_err(broken)?)?;
        if row == header {
            let line = row.position().map_or(0, csv::Position::line);
            return Err(bad(format!("line {line} is the header again: two tables in one file"))
                .hint("score them one by one; if they are parts of one, remove that line"));
        }
        rows.push(Row::parse(&row, &columns)?);
    }
    if rows.is_empty() {
        return Err(bad("no rows below the header"));
    }
    each_id_once(&rows)?;
    let kind = kind::decide(kind, &rows, &columns.labels)?;
    let clip = |at: usize| Clip::of(rows.iter().filter_map(|row| kind::probability(kind, row.scores[at])));
    let clips: Vec<Clip> = (0..columns.labels.len()).map(clip).collect();
    let mut kind_notes = kind::notes(kind, &rows, &columns.labels, &clips);
    let doubles = doubles(&rows, columns.id.is_some());
    let mut splits: BTreeMap<Split, Predictions> = BTreeMap::new();
    for row in rows {
        let predictions =
            splits.entry(row.split).or_insert_with(|| Predictions::empty(row.split, columns.names()));
        row.push_to(predictions, kind, &clips);
    }
    let mut notes = Vec::new();
    if !columns.unused.is_empty() {
        notes.push(format!("columns that are not used: {}", columns.unused.join(", ")));
    }
    if columns.id.is_none() {
        notes.push(
            "there is no column `id`: rows are identified, and matched with another model's, by their line"
                .into(),
        );
    }
    notes.extend(doubles);
    for (split, predictions) in &mut splits {
        predictions.forget_unknown_sources();
        let lacking = predictions.patients.iter().filter(|patient| patient.is_empty()).count();
        // Patients of some rows only are of no use to a bootstrap by patient.
        if lacking > 0 {
            let rows = predictions.patients.len();
            predictions.patients.clear();
            if columns.patient.is_some() {
                // Of other splits no interval is shown, and ranks are the test split's.
                let notes = if *split == Split::Test { &mut notes } else { &mut kind_notes };
                notes.push(format!(
                    "{lacking} of {} without a patient, so that no patient of this split counts: \
                     records are taken as independent, and intervals are too narrow where patients recur",
                    counted(rows, &format!("{split} row"))
                ));
            }
        }
    }
    Ok(ScoreFile { kind, splits, kind_notes, notes })
}

/// Without the quotes of cells such as ` "Mass"`, which are not quotes to CSV because of the blank before them, and without
/// the mark that a file begins with which was appended to another.
fn plain(record: &StringRecord) -> Result<StringRecord, Failure> {
    if record.iter().any(|cell| cell.contains(['\n', '\r'])) {
        let line = record.position().map_or(1, csv::Position::line);
        return Err(bad(format!("line {line}: a cell goes on in the next line"))
            .hint("a quote is opened there and not closed"));
    }
    let mut plain: StringRecord = record.iter().map(unquoted).collect();
    plain.set_position(record.position().cloned());
    Ok(plain)
}

fn unquoted(cell: &str) -> &str {
    let cell = cell.trim_start_matches('\u{feff}');
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).map_or(cell, str::trim)
}

/// What stands between columns: whichever of comma, semicolon and tab the header has most of.
fn separator(text: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in text.split(['\n', '\r']).find(|line| !line.trim().is_empty()).unwrap_or_default().bytes() {
        quoted ^= byte == b'"';
        counts.iter_mut().filter(|(separator, _)| *separator == byte && !quoted).for_each(|(_, n)| *n += 1);
    }
    // Of equals the first.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(separator, _)| *separator)
}

/// An image that is scored twice would count twice.
fn each_id_once(rows: &[Row]) -> Result<(), Failure> {
    let mut seen = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Some(first) = seen.insert(row.id.as_str(), row.line) {
            return Err(bad(format!("line {}: the id {} is that of line {first} already", row.line, row.id))
                .hint("a table has one row per image: remove the others, or merge them"));
        }
    }
    Ok(())
}

/// What only looks like an image that is scored twice.
fn doubles(rows: &[Row], with_ids: bool) -> Option<String> {
    if with_ids {
        let lower: HashSet<String> = rows.iter().map(|row| row.id.to_lowercase()).collect();
        let alike = rows.len() - lower.len();
        return (alike > 0).then(|| {
            format!("ids that differ from others by capital letters only are taken for other images: {alike}")
        });
    }
    let repeats = |times: &usize| {
        let part = rows.len() / times;
        rows.len().is_multiple_of(*times) && (part..rows.len()).all(|at| rows[at].repeats(&rows[at - part]))
    };
    let times = (2..=4).find(repeats)?;
    let line = rows[rows.len() / times].line;
    Some(format!(
        "from line {line} on all rows repeat those above: if the table stands in the file {times} times, intervals \
         are too \
         narrow; a column `id` would tell"
    ))
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Exit::BadData, message)
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
        assert!((val.logits[1] + 3_f64.ln()).abs() < 1e-6, "{}", val.logits[1]);
        assert_eq!((&test.ids[0][..], &test.patients[0][..]), ("b.png", "p2"));
        assert!(test.truth.iter().all(|truth| truth.is_nan()));
        // The nearest other score is a quarter away.
        assert!((test.logits[1] - (0.995_f64 / 0.005).ln()).abs() < 1e-12, "{}", test.logits[1]);
        assert_eq!((&val.probabilities[..], &test.probabilities[..]), (&[0.5, 0.25][..], &[0.75, 1.0][..]));
    }

    #[test]
    fn numbers_outside_0_to_1_are_logits_unless_they_must_not_be() {
        let text = "Mass,score_Mass\n1,-3.5\n0,0.5\n";
        let file = of(text).expect("good");
        let test = &file.splits[&Split::Test];
        assert_eq!((file.kind, &test.logits[..]), (ScoreKind::Logits, &[-3.5, 0.5][..]));
        assert!(test.probabilities.is_empty());
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
        check_refused(
            "Mass,score_Mass\n1,0.5\n0,1.02\n",
            None,
            "the scores of Mass are from 0.5 to 1.02 and none is below 0: neither probabilities nor surely logits",
        );
    }

    #[test]
    fn a_column_of_that_name_holds_probabilities_or_logits() {
        let message =
            "row 3: the score of Mass is 3, but columns are called `prob`, and that is not a probability";
        check_refused("Mass,Mass_prob\n1,0.5\n0,3\n", None, message);
        let mixed = "Mass,Edema,prob_Mass,logit_Edema\n1,0,0.5,-3\n";
        let message =
            "row 2: the score of Edema is -3, but columns are called `prob`, and that is not a probability";
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
        assert!(note.starts_with("1 of 2 test rows without a patient"), "{note}");
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
        check_refused(
            "Mass,score_Mass\n1,0.5\n0,nan\n",
            None,
            "line 3: the score of Mass is `nan`, not a number",
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

    #[test]
    fn a_table_of_thousands_of_labels_is_refused_before_they_are_compared() {
        let columns: Vec<String> = (0..1001).map(|number| format!("c{number},c{number}_score")).collect();
        let message = "it has scores of 1001 labels, at most 1000 are possible";
        check_refused(&format!("id,{}\n", columns.join(",")), None, message);
    }

    #[test]
    fn two_columns_of_one_meaning_are_refused_wherever_they_stand() {
        let truths = |one: &str, two: &str| format!("two columns have truths of Mass: `{one}` and `{two}`");
        for truth in ["true_Mass", "label_Mass", "Mass_true", "y.Mass", "mass", "Mass label", "TRUE_MASS"] {
            check_refused(&format!("Mass,{truth},score_Mass\n1,0,0.5\n"), None, &truths("Mass", truth));
            check_refused(&format!("score_Mass,{truth},Mass\n0.5,1,0\n"), None, &truths(truth, "Mass"));
        }
        check_refused("label_Mass,true_Mass,score_Mass\n0,0,0.5\n", None, &truths("label_Mass", "true_Mass"));
        for score in ["Mass_pred", "prob_Mass", "Mass.logit", "SCORE_Mass", "score mass"] {
            let message = format!("two columns have scores of Mass: `score_Mass` and `{score}`");
            check_refused(&format!("Mass,score_Mass,{score}\n1,0.5,0.5\n"), None, &message);
        }
        for column in ["Mass", "score_Mass", "id", "ward"] {
            let text = format!("{column},id,Mass,score_Mass,ward\n1,1,1,1,1\n");
            check_refused(&text, None, &format!("two columns are called `{column}`"));
        }
        for (what, one, two) in [
            ("id", "id", "Image Index"),
            ("patient", "Patient ID", "patient"),
            ("view", "view", "View Position"),
            ("sex", "Sex", "gender"),
            ("age", "age", "Patient Age"),
            ("split", "split", "Split"),
        ] {
            let message = format!("two columns could be the {what}: `{one}` and `{two}`");
            check_refused(&format!("{one},Mass,score_Mass,{two}\n1,1,0.5,2\n"), None, &message);
        }
    }

    #[test]
    fn an_id_comes_once_in_all_splits() {
        let text = "id,split,Mass,score_Mass\na,val,1,0.5\nb,test,0,0.5\na,test,1,0.5\n";
        check_refused(text, None, "line 4: the id a is that of line 2 already");
        check_refused("id,Mass,score_Mass\na,1,0.5\n,0,0.5\n", None, "line 3: the id is empty");
        assert!(of("Mass,score_Mass\n1,0.5\n1,0.5\n").is_ok(), "without ids nobody can tell");
    }

    #[test]
    fn columns_that_are_not_used_are_named() {
        let notes = of(",id,Mass,score_Mass,Edema,ward\n0,a,1,0.5,1,x\n").expect("good").notes;
        assert_eq!(notes, ["columns that are not used: (no name), Edema, ward"]);
    }

    #[test]
    fn tables_are_read_however_programs_write_them() {
        let expected = of("id,patient,Mass,score_Mass\na,7,1,0.25\nb,,0,0.5\nc,8,,0.75\n").expect("good");
        for text in [
            "\u{feff}id,patient,Mass,score_Mass\r\na,7.0,1.000000,0.25\r\nb,nan,0.0,0.5\r\nc,8.0,nan,0.75\r\n",
            "id;patient;Mass;score_Mass\na;7;True;0.25\nb;;False;0.5\nc;8;NA;0.75\n",
            "id\tpatient\tMass\tscore_Mass\na\t7\tyes\t0.25\nb\tNone\tno\t0.5\nc\t8\t-1.0\t0.75\n",
            "\"id\", \"patient\", \" Mass \",\"score_Mass\"\n\"a\",\"7\",\"1\",2.5e-1\n\"b\",\"\",0,0.5\nc, 8,null \
             ,.75\n",
        ] {
            let found = of(text).expect(text);
            // NaN is not equal to NaN.
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{text}");
        }
        let message = read(b"\xff\xfei\0d\0", None).expect_err("UTF-16").message;
        assert_eq!(message, "it is not UTF-8 text");
        check_refused(
            "id;Mass;score_Mass\na;1;0,5\n",
            None,
            "line 2: the score of Mass is `0,5`, not a number",
        );
    }
}
