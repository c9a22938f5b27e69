//! CheXpert: `train.csv`, `valid.csv` and perhaps `test_labels.csv`, whose paths hold patient and study, as
//! `CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg`. The download in batches keeps the same paths.
//!
//! Irvin et al., "CheXpert: a large chest radiograph dataset with uncertainty labels and expert comparison", AAAI 2019
//! (arXiv 1901.07031).

use super::cells::{Counts, LabelCells};
use super::labels::line;
use super::tables::has_columns;
use super::{Draft, Equivalent, Known, ReleaseOptions, table_in};
use crate::error::{Error, Result};
use crate::labels::NO_FINDING;
use crate::schema::CHEXPERT;
use crate::sources::table::Row;
use crate::sources::{ImageRow, Listed, SourceProblem, findings, parse_age};
use std::path::{Path, PathBuf};
use xray_artifacts::Split;
use xray_display::counted;

const TITLE: &str = "CheXpert";

const SAME_NAME: &str = "the same observation (Irvin et al. 2019, table 1; TorchXRayVision uses the same mapping, Cohen et al. 2022)";

/// Equivalents for CheXpert and MIMIC-CXR, whose labels come from one labeler.
pub(super) const EQUIVALENTS: &[Equivalent] = &[
    line("Atelectasis", &["Atelectasis"], SAME_NAME),
    line("Cardiomegaly", &["Cardiomegaly"], SAME_NAME),
    line(
        "Effusion",
        &["Pleural Effusion"],
        "ChestX-ray14's Effusion is pleural (Wang et al. 2017, table 1; TorchXRayVision uses the same mapping, Cohen et al. 2022)",
    ),
    line("Pneumonia", &["Pneumonia"], SAME_NAME),
    line("Pneumothorax", &["Pneumothorax"], SAME_NAME),
    line("Consolidation", &["Consolidation"], SAME_NAME),
    line("Edema", &["Edema"], SAME_NAME),
];

/// The tables that are read, and the split that each is.
const TABLES: [(&[&str], Split); 3] =
    [(&["train"], Split::Train), (&["valid"], Split::Val), (&["test", "test_labels"], Split::Test)];

/// Its first table.
pub(super) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    let found = tables(folder)?.into_iter().map(|(path, _)| path).next();
    // Others have a `train.csv` too.
    Ok(found.filter(|path| has_columns(path, &["Path", "Enlarged Cardiomediastinum"])))
}

fn tables(folder: &Path) -> Result<Vec<(PathBuf, Split)>> {
    let mut found = Vec::new();
    for (names, split) in TABLES {
        found.extend(table_in(folder, |stem| names.contains(&stem))?.map(|path| (path, split)));
    }
    Ok(found)
}

/// What is counted over all tables.
#[derive(Default)]
struct Oddities {
    /// Frontal images whose `AP/PA` says something else, and the first of it.
    frontal: (u64, String),
    ages: u64,
    sexes: u64,
}

pub(super) fn read(folder: &Path, options: &ReleaseOptions) -> Result<Draft> {
    let found = tables(folder)?;
    if found.is_empty() {
        let (folder, table) = (folder.to_owned(), "train.csv, valid.csv or test_labels.csv");
        return Err(Error::NoTable { folder, table, hint: "name CheXpert's folder, which holds them" });
    }
    let mut draft = Draft {
        tables: Vec::new(),
        labels: CHEXPERT.map(str::to_owned).to_vec(),
        rows: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let (mut counts, mut oddities) = (Counts::default(), Oddities::default());
    for (path, split) in found {
        let mut known = Known::read(&path, TITLE)?;
        let is_test = split == Split::Test;
        let columns = Columns::find(&mut known, options, is_test)?;
        draft.notes.push(known.described()?);
        let table = draft.tables.len();
        for row in known.table.rows() {
            draft.rows.push(columns.read(row, split, table, &mut counts, &mut oddities)?);
        }
        draft.warnings.append(&mut known.table.notes);
        draft.tables.push(path);
    }
    draft.notes.push("patients are taken from the paths, as `patient00001`".to_owned());
    draft
        .notes
        .push("splits are the tables: train.csv is train, valid.csv val, test_labels.csv test".to_owned());
    draft.notes.extend(counts.notes(options.blank));
    draft.warnings.extend(oddities.warnings());
    Ok(draft)
}

struct Columns {
    path: usize,
    sex: Option<usize>,
    age: Option<usize>,
    side: Option<usize>,
    direction: Option<usize>,
    labels: LabelCells,
}

impl Columns {
    /// The test labels, which were released later, tell of the images nothing but the path.
    fn find(known: &mut Known, options: &ReleaseOptions, is_test: bool) -> Result<Columns> {
        let side = known.may(&["Frontal/Lateral"], "view")?;
        let direction = known.may(&["AP/PA"], "view")?;
        if !is_test {
            known.need(&["Frontal/Lateral"], "view")?;
            known.need(&["AP/PA"], "view")?;
        }
        Ok(Columns {
            path: known.need(&["Path"], "path and patient")?,
            sex: known.may(&["Sex"], "sex")?,
            age: known.may(&["Age"], "age")?,
            side,
            direction,
            labels: LabelCells::find(known, &CHEXPERT, &[NO_FINDING], options.blank)?,
        })
    }

    fn read(
        &self,
        row: Row<'_>,
        split: Split,
        table: usize,
        counts: &mut Counts,
        oddities: &mut Oddities,
    ) -> Result<Listed> {
        let file = row.filled(self.path)?.to_owned();
        let Some((patient, study, name)) = parts(&file) else {
            let wanted = "patient00001/study1/view1_frontal.jpg";
            return Err(row.problem(SourceProblem::ImagePath { path: file, release: TITLE, wanted }));
        };
        let image_id = format!("{patient}_{study}_{name}");
        let (labels, no_finding) = self.labels.read(row, &image_id, counts)?;
        let sex = row.optional(self.sex).map(findings::sex);
        oddities.sexes += u64::from(sex == Some(None));
        let age = row.optional(self.age).map(parse_age);
        oddities.ages += u64::from(age == Some(None));
        let listed = ImageRow {
            patient_id: Some(patient.to_owned()),
            view: Some(self.view(row, name, oddities)),
            labels,
            no_finding: Some(no_finding),
            split: Some(split),
            sex: sex.flatten(),
            age: age.flatten(),
            source: None,
            image_id,
        };
        Ok(Listed { row: listed, file, table, line: row.line })
    }

    /// `AP`, `PA`, `FRONTAL` or `LATERAL`. Without columns the file's name says it.
    fn view(&self, row: Row<'_>, name: &str, oddities: &mut Oddities) -> String {
        let side = row.optional(self.side);
        let is_lateral = match side {
            Some(side) => side.eq_ignore_ascii_case("lateral"),
            None => name.contains("_lateral"),
        };
        match row.optional(self.direction) {
            _ if is_lateral => "LATERAL".to_owned(),
            Some(direction) if ["AP", "PA"].contains(&direction) => direction.to_owned(),
            Some(other) => {
                if oddities.frontal.0 == 0 {
                    other.clone_into(&mut oddities.frontal.1);
                }
                oddities.frontal.0 += 1;
                "FRONTAL".to_owned()
            }
            None => "FRONTAL".to_owned(),
        }
    }
}

impl Oddities {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.frontal.0 > 0 {
            warnings.push(format!(
                "{} whose `AP/PA` is `{}` or another word: taken for frontal without a direction",
                counted(self.frontal.0, "frontal image"),
                crate::sources::problem::short(&self.frontal.1)
            ));
        }
        for (what, rows) in [("age", self.ages), ("sex", self.sexes)] {
            if rows > 0 {
                warnings.push(format!("rows whose {what} cannot be read and is left out: {rows}"));
            }
        }
        warnings
    }
}

/// Patient, study and file of a path.
fn parts(path: &str) -> Option<(&str, &str, &str)> {
    let mut parts = path.rsplit(['/', '\\']);
    let (name, study, patient) = (parts.next()?, parts.next()?, parts.next()?);
    let numbered = |part: &str, prefix: &str| {
        part.strip_prefix(prefix)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    };
    (numbered(patient, "patient") && numbered(study, "study") && !name.is_empty())
        .then_some((patient, study, name))
}
