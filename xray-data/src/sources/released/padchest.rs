//! PadChest: one table, whose cells of labels are lists as Python prints them, over PNG of 16 bits in folders 0 to 54.
//!
//! Bustos et al., "PadChest: a large chest x-ray image dataset with multi-label annotated reports", Medical Image Analysis 66
//! (2020), and its repository's notes (github.com/auriml/Rx-thorax-automatic-captioning), which say that a term is retrieved
//! with its children in the trees of terms.

mod names;

use super::labels::line;
use super::{Draft, Equivalent, Known, table_in};
use crate::error::{Error, Result};
use crate::labels::{is_no_finding, nearest, plain};
use crate::schema::Label;
use crate::sources::table::{Row, is_blank};
use crate::sources::{ImageRow, Listed, SourceProblem, findings, separator};
use names::LABELS;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const TITLE: &str = "PadChest";

const SAME_TERM: &str = "the same term (Bustos et al. 2020, tree of terms)";
const WITH_CHILDREN: &str = "the term with its children in the tree of terms (Bustos et al. 2020)";

pub(super) const EQUIVALENTS: &[Equivalent] = &[
    line(
        "Atelectasis",
        &[
            "atelectasis",
            "total atelectasis",
            "lobar atelectasis",
            "segmental atelectasis",
            "laminar atelectasis",
            "round atelectasis",
            "atelectasis basal",
        ],
        WITH_CHILDREN,
    ),
    line("Cardiomegaly", &["cardiomegaly"], SAME_TERM),
    line(
        "Effusion",
        &[
            "pleural effusion",
            "loculated pleural effusion",
            "loculated fissural effusion",
            "hydropneumothorax",
            "empyema",
        ],
        WITH_CHILDREN,
    ),
    line(
        "Infiltration",
        &[
            "infiltrates",
            "interstitial pattern",
            "ground glass pattern",
            "reticular interstitial pattern",
            "reticulonodular interstitial pattern",
            "miliary opacities",
            "alveolar pattern",
        ],
        "the term with its children in the tree of terms (Bustos et al. 2020), but for consolidation, which \
         ChestX-ray14 counts apart",
    ),
    line(
        "Mass",
        &["mass", "pulmonary mass"],
        "of the term's children in the tree of terms (Bustos et al. 2020) the one in the lung, as ChestX-ray14 means \
         it (Wang et al. 2017)",
    ),
    line("Nodule", &["nodule", "multiple nodules"], WITH_CHILDREN),
    line("Pneumonia", &["pneumonia", "atypical pneumonia"], WITH_CHILDREN),
    line("Pneumothorax", &["pneumothorax", "hydropneumothorax"], WITH_CHILDREN),
    line("Consolidation", &["consolidation", "air bronchogram"], WITH_CHILDREN),
    line("Edema", &["pulmonary edema"], "C0034063, Pulmonary Edema (Bustos et al. 2020, tree of terms)"),
    line("Emphysema", &["emphysema"], "C0034067, Pulmonary Emphysema (Bustos et al. 2020, tree of terms)"),
    line("Fibrosis", &["pulmonary fibrosis", "post radiotherapy changes", "asbestosis signs"], WITH_CHILDREN),
    line(
        "Pleural_Thickening",
        &["pleural thickening", "apical pleural thickening", "calcified pleural thickening"],
        WITH_CHILDREN,
    ),
    line("Hernia", &["hiatal hernia"], "the one hernia among the terms (Bustos et al. 2020, tree of terms)"),
];

/// Columns that nothing here needs.
const UNUSED: [(&str, &[&str]); 5] = [
    ("Projection has it for every image", &["ViewPosition_DICOM", "MethodProjection"]),
    ("the age says it", &["Pediatric"]),
    (
        "of the machine; the image shows what matters of it",
        &[
            "Modality_DICOM",
            "Manufacturer_DICOM",
            "PhotometricInterpretation_DICOM",
            "PixelRepresentation_DICOM",
            "PixelAspectRatio_DICOM",
            "SpatialResolution_DICOM",
            "BitsStored_DICOM",
            "WindowCenter_DICOM",
            "WindowWidth_DICOM",
            "Rows_DICOM",
            "Columns_DICOM",
            "XRayTubeCurrent_DICOM",
            "Exposure_DICOM",
            "ExposureInuAs_DICOM",
            "ExposureTime_DICOM",
            "ExposureTime",
            "RelativeXRayExposure_DICOM",
        ],
    ),
    ("the report, from which Labels were made", &["StudyID", "ReportID", "Report", "MethodLabel"]),
    (
        "the labels again, with places and codes",
        &["Localizations", "LabelsLocalizationsBySentence", "LabelCUIS", "LocalizationsCUIS"],
    ),
];

pub(super) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    table_in(folder, |stem| stem.starts_with("PADCHEST_chest_x_ray_images_labels"))
}

pub(super) fn read(folder: &Path) -> Result<Draft> {
    let path = find(folder)?.ok_or_else(|| Error::NoTable {
        folder: folder.to_owned(),
        table: "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
        hint: "name PadChest's folder, which holds it, packed or not, beside the images",
    })?;
    let mut known = Known::read(&path, TITLE)?;
    let columns = Columns::find(&mut known)?;
    for (why, names) in UNUSED {
        known.pass_over(why, names);
    }
    let mut notes = vec![known.described()?];
    let lists = Lists::new();
    let mut counts = Counts::default();
    let rows = known.table.rows().map(|row| columns.read(row, &lists, &mut counts));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    notes.push(
        "age is the year of the study minus the year of birth: one too many before the birthday".to_owned(),
    );
    notes.push(
        "what is not listed is negative; beside `unchanged` (of a report that compares with an earlier one) and \
         `exclude` it is unknown; lists of nothing else, and blank ones, say nothing"
            .to_owned(),
    );
    let mut warnings = std::mem::take(&mut known.table.notes);
    warnings.extend(counts.warnings());
    Ok(Draft { tables: vec![path], labels: LABELS.map(str::to_owned).to_vec(), rows, notes, warnings })
}

struct Columns {
    image: usize,
    folder: Option<usize>,
    patient: usize,
    projection: usize,
    sex: Option<usize>,
    birth: Option<usize>,
    study_date: Option<usize>,
    labels: usize,
}

#[derive(Default)]
struct Counts {
    /// Number of rows without any known label.
    untold: u64,
    /// `normal` beside a finding.
    not_normal: u64,
    sexes: u64,
    ages: u64,
}

impl Columns {
    fn find(known: &mut Known) -> Result<Columns> {
        Ok(Columns {
            image: known.need(&["ImageID"], "path")?,
            folder: known.may(&["ImageDir"], "path")?,
            patient: known.need(&["PatientID"], "patient")?,
            projection: known.need(&["Projection"], "view")?,
            sex: known.may(&["PatientSex_DICOM"], "sex")?,
            birth: known.may(&["PatientBirth"], "age")?,
            study_date: known.may(&["StudyDate_DICOM"], "age")?,
            labels: known.need(&["Labels"], "lists of labels")?,
        })
    }

    fn read(&self, row: Row<'_>, lists: &Lists, counts: &mut Counts) -> Result<Listed> {
        let image_id = row.filled(self.image)?.to_owned();
        let Said { labels, no_finding, was_normal } = lists.read(row, self.labels, &image_id)?;
        counts.untold += u64::from(no_finding == Label::Unknown && !labels.contains(&Label::Positive));
        counts.not_normal += u64::from(was_normal);
        let sex = row.optional(self.sex).map(findings::sex);
        counts.sexes += u64::from(sex == Some(None));
        let age = self.age(row);
        counts.ages += u64::from(age.is_none());
        let file = match row.optional(self.folder) {
            Some(folder) => format!("{}/{image_id}", folder.trim_end_matches(".0")),
            None => image_id.clone(),
        };
        let listed = ImageRow {
            patient_id: Some(Known::number(row, self.patient)?.to_owned()),
            labels,
            no_finding: Some(no_finding),
            split: None,
            view: row.optional(Some(self.projection)).map(str::to_owned),
            sex: sex.flatten(),
            source: None,
            age,
            image_id,
        };
        Ok(Listed { row: listed, file, table: 0, line: row.line })
    }

    /// `PatientBirth` is a year, as `1930.0`; `StudyDate_DICOM` is `20140915`.
    fn age(&self, row: Row<'_>) -> Option<u16> {
        let year =
            |text: &str| text.get(..4).and_then(|year| year.parse::<u16>().ok()).filter(|year| *year > 1800);
        let (study, birth) = (row.optional(self.study_date)?, row.optional(self.birth)?);
        year(study)?.checked_sub(year(birth)?).filter(|age| *age <= 120)
    }
}

impl Counts {
    fn warnings(&self) -> Vec<String> {
        let said = [
            (self.untold, "rows of which no label is known"),
            (self.not_normal, "rows with `normal` beside a finding, where the finding counts"),
            (self.sexes, "rows whose sex is neither M nor F and is left out"),
            (self.ages, "rows without an age, because a year is missing or cannot be read"),
        ];
        said.into_iter().filter(|(rows, _)| *rows > 0).map(|(rows, what)| format!("{what}: {rows}")).collect()
    }
}

/// Labels of a report that say nothing of the image.
const REMARKS: [&str; 3] = ["unchanged", "exclude", "suboptimal study"];

struct Lists {
    places: HashMap<String, usize>,
}

struct Said {
    labels: Vec<Label>,
    no_finding: Label,
    was_normal: bool,
}

impl Lists {
    fn new() -> Self {
        Lists { places: LABELS.iter().enumerate().map(|(place, label)| (plain(label), place)).collect() }
    }

    fn read(&self, row: Row<'_>, column: usize, image_id: &str) -> Result<Said> {
        let cell = row.field(column);
        if cell.starts_with('[') != cell.ends_with(']') {
            return Err(unknown(row, column, cell, image_id)); // a list that is cut off
        }
        let names = if is_blank(cell) { Vec::new() } else { separator::findings(cell, separator::PYTHON) };
        let (mut found, mut normal, mut remarks) = (Vec::new(), false, Vec::new());
        for name in names {
            match self.places.get(&plain(name)) {
                Some(&place) => found.push(place),
                None if is_no_finding(name) => normal = true,
                None if REMARKS.contains(&name) => remarks.push(name),
                None => return Err(unknown(row, column, name, image_id)),
            }
        }
        let is_partial = remarks.iter().any(|remark| *remark != "suboptimal study");
        let (rest, no_finding) = match (found.is_empty(), normal) {
            (false, _) => (if is_partial { Label::Unknown } else { Label::Negative }, Label::Negative),
            (true, true) if !remarks.contains(&"exclude") => (Label::Negative, Label::Positive),
            (true, _) => (Label::Unknown, Label::Unknown),
        };
        let mut labels = vec![rest; LABELS.len()];
        found.iter().for_each(|&place| labels[place] = Label::Positive);
        Ok(Said { labels, no_finding, was_normal: normal && !found.is_empty() })
    }
}

fn unknown(row: Row<'_>, column: usize, name: &str, image_id: &str) -> Error {
    let known = LABELS.into_iter().chain(["normal"]).chain(REMARKS);
    row.problem(SourceProblem::UnknownFinding {
        finding: name.to_owned(),
        image_id: image_id.to_owned(),
        nearest: nearest(name, known).map(str::to_owned),
        column: row.header(column).to_owned(),
        separator: separator::PYTHON,
        joined_by: None,
        offer: None,
    })
}
