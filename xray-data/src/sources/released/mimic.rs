//! MIMIC-CXR-JPG: `mimic-cxr-2.0.0-metadata.csv.gz` lists the images, `-chexpert.csv.gz` has the labels of each study,
//! `-split.csv.gz` the split of each image. Image files are `files/p10/p10000032/s50414267/DICOM_ID.jpg`, and so are, as
//! `.dcm`, the DICOM files of MIMIC-CXR.
//!
//! Johnson et al., "MIMIC-CXR-JPG, a large publicly available database of labeled chest radiographs", arXiv 1901.07042.

use super::cells::{Counts, LabelCells};
use super::{Draft, Known, ReleaseOptions, table_in};
use crate::error::{Error, Result};
use crate::labels::NO_FINDING;
use crate::schema::{CHEXPERT, Label};
use crate::sources::csv_table::split_name;
use crate::sources::{ImageRow, Listed, SourceProblem};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use xray_artifacts::Split;
use xray_display::counted;

const TITLE: &str = "MIMIC-CXR-JPG";
const HINT: &str = "the folder of MIMIC-CXR-JPG holds mimic-cxr-2.0.0-metadata, -chexpert and -split as .csv or .csv.gz \
                    beside files/; without -split, --redraw-splits draws the splits by patient";

fn table(folder: &Path, kind: &str) -> Result<Option<PathBuf>> {
    table_in(folder, |stem| {
        let version = stem.strip_prefix("mimic-cxr-").and_then(|rest| rest.strip_suffix(kind));
        version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    })
}

fn required(folder: &Path, kind: &str, name: &'static str) -> Result<PathBuf> {
    table(folder, kind)?.ok_or_else(|| Error::NoTable { folder: folder.to_owned(), table: name, hint: HINT })
}

/// Its list of images.
pub(super) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    table(folder, "-metadata")
}

/// What the labeler says of a study.
struct Study {
    subject: String,
    labels: Vec<Label>,
    no_finding: Label,
}

pub(super) fn read(folder: &Path, options: &ReleaseOptions) -> Result<Draft> {
    let images = required(folder, "-metadata", "mimic-cxr-2.0.0-metadata.csv.gz")?;
    let labels = required(folder, "-chexpert", "mimic-cxr-2.0.0-chexpert.csv.gz")?;
    let mut draft = Draft {
        tables: vec![images],
        labels: CHEXPERT.map(str::to_owned).to_vec(),
        rows: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let mut counts = Counts::default();
    let studies = studies(&labels, options, &mut counts, &mut draft)?;
    let split_table = match options.other_splits {
        true => table(folder, "-split")?,
        false => Some(required(folder, "-split", "mimic-cxr-2.0.0-split.csv.gz")?),
    };
    let splits = split_table.map(|path| splits(&path, &mut draft)).transpose()?;
    rows(&studies, splits.as_ref(), &mut draft)?;
    draft.notes.push("sex and age are in none of these tables".to_owned());
    draft.notes.extend(counts.notes(options.blank));
    Ok(draft)
}

fn studies(
    path: &Path,
    options: &ReleaseOptions,
    counts: &mut Counts,
    draft: &mut Draft,
) -> Result<HashMap<String, Study>> {
    let mut known = Known::read(path, TITLE)?;
    let subject = known.need(&["subject_id"], "patient")?;
    let study = known.need(&["study_id"], "study")?;
    let cells = LabelCells::find(&mut known, &CHEXPERT, &[NO_FINDING], options.blank)?;
    draft.notes.push(known.described()?);
    let mut studies = HashMap::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    for row in known.table.rows() {
        let (subject, study) = (Known::number(row, subject)?, Known::number(row, study)?);
        let (labels, no_finding) = cells.read(row, study, counts)?;
        if let Some(first) = lines.insert(study.to_owned(), row.line) {
            return Err(row.problem(SourceProblem::Duplicate { image_id: format!("s{study}"), first }));
        }
        studies.insert(study.to_owned(), Study { subject: subject.to_owned(), labels, no_finding });
    }
    draft.warnings.append(&mut known.table.notes);
    Ok(studies)
}

/// The split of each image, with its patient where the table tells.
type Splits = HashMap<String, (Split, Option<String>)>;

fn splits(path: &Path, draft: &mut Draft) -> Result<Splits> {
    let mut known = Known::read(path, TITLE)?;
    let image = known.need(&["dicom_id"], "image")?;
    let split = known.need(&["split"], "split")?;
    let subject = known.may(&["subject_id"], "patient")?;
    known.pass_over("the metadata tell the study", &["study_id"]);
    draft.notes.push(known.described()?);
    let mut splits = Splits::new();
    for row in known.table.rows() {
        let (image, value) = (row.filled(image)?, row.filled(split)?);
        let split = split_name(value).ok_or_else(|| {
            row.problem(SourceProblem::SplitName { column: "split".to_owned(), value: value.to_owned() })
        })?;
        let subject = subject.map(|column| Known::number(row, column)).transpose()?;
        let said = (split, subject.map(str::to_owned));
        if let Some((first, _)) = splits.insert(image.to_owned(), said).filter(|(first, _)| *first != split) {
            let image_id = image.to_owned();
            return Err(row.problem(SourceProblem::TwoSplits { image_id, first, second: split }));
        }
    }
    draft.warnings.append(&mut known.table.notes);
    Ok(splits)
}

fn rows(studies: &HashMap<String, Study>, splits: Option<&Splits>, draft: &mut Draft) -> Result<()> {
    let mut known = Known::read(&draft.tables[0], TITLE)?;
    let image = known.need(&["dicom_id"], "image")?;
    let subject = known.need(&["subject_id"], "patient")?;
    let study = known.need(&["study_id"], "study")?;
    let view = known.need(&["ViewPosition"], "view")?;
    known.pass_over("the image tells its size", &["Rows", "Columns"]);
    known.pass_over("dates are shifted, and nothing here needs them", &["StudyDate", "StudyTime"]);
    known.pass_over(
        "what was ordered, and the view and posture in other words",
        &[
            "PerformedProcedureStepDescription",
            "ProcedureCodeSequence_CodeMeaning",
            "ViewCodeSequence_CodeMeaning",
            "PatientOrientationCodeSequence_CodeMeaning",
        ],
    );
    draft.notes.push(known.described()?);
    let mut without_report = 0u64;
    for row in known.table.rows() {
        let (image, subject, study) =
            (row.filled(image)?, Known::number(row, subject)?, Known::number(row, study)?);
        let two_patients = |second: &str| {
            let (image_id, first, second) = (image.to_owned(), subject.to_owned(), second.to_owned());
            row.problem(SourceProblem::TwoPatients { image_id, first, second })
        };
        let said = studies.get(study);
        if let Some(other) = said.filter(|said| said.subject != subject) {
            return Err(two_patients(&other.subject));
        }
        let split = match splits {
            None => None,
            Some(splits) => match splits.get(image) {
                Some((_, Some(other))) if other != subject => return Err(two_patients(other)),
                Some((split, _)) => Some(*split),
                None => {
                    let (image_id, table) = (image.to_owned(), "the table of splits");
                    return Err(row.problem(SourceProblem::NoRowIn { image_id, table }));
                }
            },
        };
        without_report += u64::from(said.is_none());
        let listed = ImageRow {
            image_id: image.to_owned(),
            patient_id: Some(subject.to_owned()),
            labels: said.map_or_else(|| vec![Label::Unknown; CHEXPERT.len()], |said| said.labels.clone()),
            no_finding: Some(said.map_or(Label::Unknown, |said| said.no_finding)),
            split,
            view: row.optional(Some(view)).map(str::to_owned),
            sex: None,
            age: None,
            source: None,
        };
        let folder = subject.get(..2).unwrap_or(subject);
        let file = format!("files/p{folder}/p{subject}/s{study}/{image}.jpg");
        draft.rows.push(Listed { row: listed, file, table: 0, line: row.line });
    }
    if without_report > 0 {
        let images = counted(without_report, "image");
        draft.warnings.push(format!("{images} of studies without a row of labels: all labels are unknown"));
    }
    draft.warnings.append(&mut known.table.notes);
    Ok(())
}
