//! Where in an image a finding's score comes from: class activation maps (Zhou et al., CVPR 2016) laid over it.

use crate::figures::number;
use crate::run_model::{bundle, prepare, read};
use crate::test_records::{self, TestRecord};
use serde::Serialize;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, FileError, nearest, write_bytes};
use xray_bundle::{Bundle, Captions, Finding, side_by_side};
use xray_display::{TextTable, counted};

/// What was found in one image, and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The image: a file, or the name of a record.
    pub image: PathBuf,
    /// Labels that a record truly has; absent for a file, of which nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<Vec<String>>,
    /// The finding whose map was drawn.
    pub label: String,
    /// Left the image as the network saw it, right the same with the map.
    pub picture: PathBuf,
    /// All findings, first the one whose logit lies farthest above the log-odds of the finding in the training records.
    pub findings: Vec<Finding>,
}

/// What is explained.
#[derive(Clone, Debug)]
pub enum ExplainedImages {
    /// JPEG, PNG or DICOM files.
    Files(Vec<PathBuf>),
    /// The run's test records on which the label scores highest.
    TestRecords {
        /// How many.
        count: usize,
        /// The folder of the run's data, if it is elsewhere by now.
        data: Option<PathBuf>,
    },
}

/// How images are explained.
#[derive(Clone, Debug, Default)]
pub struct ExplainOptions {
    /// Which finding to draw; the one that stands out most if absent.
    pub label: Option<String>,
    /// Folder for the pictures.
    pub out: PathBuf,
}

/// Explains each of `images` with the bundle of `run`, and writes a picture for each: `chest-Mass.png` for
/// `chest.png`, `chest-Mass-2.png` for the next of that name.
///
/// # Errors
/// If there is no bundle, no such finding, an image cannot be read, test records are asked for without a finding, or
/// a picture cannot be written. Pictures of the images before stay.
pub fn explain(
    run: &Path,
    images: &ExplainedImages,
    options: &ExplainOptions,
) -> Result<Vec<Explanation>, Failure> {
    let model = bundle(run)?;
    let label = options.label.as_deref().map(|label| place_of(&model.card.labels, label)).transpose()?;
    fs::create_dir_all(&options.out).map_err(|source| FileError::Io {
        path: options.out.clone(),
        action: "write",
        source,
    })?;
    let mut names = PictureNames::default();
    match images {
        ExplainedImages::Files(files) => {
            let explained =
                |file: &PathBuf| explain_one(&model, file, &read(file)?, label, &options.out, &mut names);
            files.iter().map(explained).collect()
        }
        ExplainedImages::TestRecords { count, data } => {
            let label = label.ok_or_else(|| {
                Failure::new(
                    Exit::Usage,
                    "test records are chosen by the score of a finding, and none is named",
                )
                .hint("name one with --label")
            })?;
            let records = test_records::highest(run, &model.card, label, *count, data.as_deref())?;
            let explained = |record: TestRecord| {
                let image = Path::new(&record.id);
                let found = explain_one(&model, image, &record.file, Some(label), &options.out, &mut names)?;
                Ok(Explanation { truth: Some(record.truth), ..found })
            };
            records.into_iter().map(explained).collect()
        }
    }
}

/// Names of pictures that were given away, so that none replaces another.
#[derive(Default)]
struct PictureNames(HashSet<String>);

impl PictureNames {
    fn of(&mut self, image: &Path, label: &str) -> String {
        let stem = image.file_stem().unwrap_or_default().to_string_lossy();
        // Labels are free text; whatever could lead into another folder does not.
        let label: String =
            label.chars().map(|c| if c.is_alphanumeric() || " -_.".contains(c) { c } else { '_' }).collect();
        let numbered = (1_u32..).map(|number| match number {
            1 => format!("{stem}-{label}.png"),
            _ => format!("{stem}-{label}-{number}.png"),
        });
        let free = numbered.into_iter().find(|name| self.0.insert(name.clone()));
        free.expect("there are more numbers than pictures")
    }
}

fn explain_one(
    model: &Bundle,
    image: &Path,
    file: &[u8],
    label: Option<usize>,
    out: &Path,
    names: &mut PictureNames,
) -> Result<Explanation, Failure> {
    let prepared = prepare(model, image, file)?;
    let explained = model.explain(&prepared);
    let findings = model.findings(&explained.outputs)?;
    let labels = &model.card.labels;
    let label = label.unwrap_or_else(|| findings[0].index);

    let picture = out.join(names.of(image, &labels[label]));
    let evidence = model.evidence(&explained, label);
    let title = title(image, &labels[label], &findings);
    let captions = Captions { title: &title, label: &labels[label] };
    write_bytes(&picture, &side_by_side(&prepared.image, &evidence, explained.places(), captions))?;
    Ok(Explanation { image: image.to_owned(), truth: None, label: labels[label].clone(), picture, findings })
}

/// Which image, which finding, and what is said of it.
fn title(image: &Path, label: &str, findings: &[Finding]) -> String {
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let Some(finding) = findings.iter().find(|finding| finding.label == label) else { return name.into() };
    let call = match (finding.threshold, finding.positive) {
        (Some(threshold), Some(true)) => format!(", positive from {threshold:.3} on"),
        (Some(threshold), _) => format!(", negative below {threshold:.3}"),
        (None, _) => String::new(),
    };
    format!("{label} {:.3}, {}{call}: {name}", finding.probability, finding.calibration.words())
}

fn place_of(labels: &[String], wanted: &str) -> Result<usize, Failure> {
    labels.iter().position(|label| label == wanted).ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, format!("this model does not know {wanted}"));
        match nearest(wanted, labels.iter().map(String::as_str)) {
            Some(nearest) => failure.hint(format!("did you mean {nearest}?")),
            None => failure,
        }
    })
}

impl Explanation {
    /// For a terminal.
    pub fn text(&self) -> String {
        const SHOWN: usize = 5;
        let mut table = TextTable::new(&["finding", "probability", "calibration", "threshold", "call"]);
        // The first ones, and in any case the one that was drawn.
        let ranked = self.findings.iter().enumerate();
        let mut shown = 0;
        for (_, finding) in ranked.filter(|(rank, finding)| *rank < SHOWN || finding.label == self.label) {
            shown += 1;
            let call =
                finding.positive.map_or("–", |positive| if positive { "positive" } else { "negative" });
            table.row(vec![
                finding.label.clone(),
                number(Some(finding.probability)),
                finding.calibration.words().to_owned(),
                number(finding.threshold),
                call.to_owned(),
            ]);
        }
        let truth = self.truth.as_ref().map_or_else(String::new, |truth| match truth.as_slice() {
            [] => ", truly without findings".to_owned(),
            labels => format!(", truly {}", labels.join(", ")),
        });
        let left_out = self.findings.len() - shown;
        let left_out = match left_out {
            0 => String::new(),
            _ => format!("{} more in --format json\n", counted(left_out, "finding")),
        };
        let (image, picture) = (self.image.display(), self.picture.display());
        format!("{image}{truth}\n{}{left_out}{picture}: map of {}\n", table.text(), self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_bundle::Calibrated;

    #[test]
    fn no_picture_replaces_another_and_none_leaves_its_folder() {
        let mut names = PictureNames::default();
        let mut check = |image: &str, label: &str, expected: &str| {
            assert_eq!(names.of(Path::new(image), label), expected);
        };
        check("a/x.png", "Mass", "x-Mass.png");
        check("b/x.png", "Mass", "x-Mass-2.png");
        check("c/x.jpg", "Mass", "x-Mass-3.png");
        check("c/x.jpg", "Edema", "x-Edema.png");
        check("x-Mass.png", "2", "x-Mass-2-2.png");
        check("x.png", "Mass/Nodule", "x-Mass_Nodule.png");
        check("x.png", "../../etc", "x-.._.._etc.png");
        check("ü.png", "Pleural_Thickening", "ü-Pleural_Thickening.png");
    }

    #[test]
    fn the_finding_that_was_drawn_is_in_the_table_whatever_its_rank() {
        let finding = |at: usize| Finding {
            index: at,
            label: format!("finding-{at}"),
            logit: 0.0,
            probability: 0.5,
            calibration: Calibrated::Uncalibrated,
            threshold: None,
            positive: None,
        };
        let found = Explanation {
            image: "chest.jpg".into(),
            truth: None,
            label: "finding-7".into(),
            picture: "chest.png".into(),
            findings: (0..9).map(finding).collect(),
        };
        let text = found.text();
        let shown: Vec<usize> = (0..9).filter(|at| text.contains(&format!("finding-{at} "))).collect();
        assert_eq!(shown, [0, 1, 2, 3, 4, 7], "{text}");
        assert!(
            text.ends_with("\n3 findings more in --format json\nchest.png: map of finding-7\n"),
            "{text}"
        );
    }
}
